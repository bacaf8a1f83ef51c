"""Tables of posteriors, priors and likelihoods by name: name → builder of the part.

posterior(features: int, latent: int, *, options)   features of the encoder (B, F) → q(z|x) over (B, D)
prior(setting: PriorSetting, *, options)                     c → p(z|c) over (1, D) or (B, D)
likelihood(field: Field, *, options)                outputs of the decoder → p(x|z)
"""

from collections.abc import Callable

from bestiary.densities.autoregressive import PixelCNN
from bestiary.densities.flow import IAF, coupling, maf, maf_posterior, nsf, nsf_posterior
from bestiary.densities.full_gaussian import Full
from bestiary.densities.likelihoods import Bernoulli, Categorical, DiscretisedLogistic, Gaussian, Likelihood, Mixed
from bestiary.densities.mixture import Mixture
from bestiary.densities.posterior_and_prior import Conditional, Diagonal, Posterior, Prior, Standard
from bestiary.densities.vamp import Aggregated, Vamp

__all__ = ["LIKELIHOODS", "POSTERIORS", "PRIORS"]

POSTERIORS: dict[str, Callable[..., Posterior]] = {
    "diagonal": Diagonal,
    "full": Full,
    "iaf": IAF,
    "maf": maf_posterior,
    "nsf": nsf_posterior,
}

PRIORS: dict[str, Callable[..., Prior]] = {
    "standard": Standard,
    "conditional": Conditional,
    "mixture": Mixture,
    "vamp": Vamp,
    "aggregated": Aggregated,
    "maf": maf,
    "coupling": coupling,
    "nsf": nsf,
}

LIKELIHOODS: dict[str, Callable[..., Likelihood]] = {
    "bernoulli": Bernoulli,
    "gaussian": Gaussian,
    "logistic": DiscretisedLogistic,
    "categorical": Categorical,
    "mixed": Mixed,
    "pixelcnn": PixelCNN,
}
