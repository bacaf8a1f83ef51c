"""Models of several stages: one composition on top of another, in later rounds of the same loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from bestiary.data.spec import Inferred, Spec
from bestiary.densities.density_names import PRIORS
from bestiary.densities.posterior_and_prior import Place, as_prior
from bestiary.errors import BestiaryError
from bestiary.grammar.options import called, made
from bestiary.grammar.schedules import Schedule, parse_schedule
from bestiary.models.auto_options import infer, rules
from bestiary.models.autoencoder import Autoencoder
from bestiary.models.frozen import Earlier, Frozen, run_path
from bestiary.models.model import Model
from bestiary.models.two_stage import TwoStage, TwoStageVAE
from bestiary.models.vae import VAE
from bestiary.training.player import Adam

__all__ = ["staged"]

Build = Callable[..., Model]  # name, spec, options


def _half(spec: Spec, options: Mapping[str, Any]) -> Inferred:
    if isinstance(options["first"], Earlier) or run_path(options["first"]):
        return Inferred(0, "the first model stands still from the beginning")
    return Inferred(int(options.get("steps") or 2000) // 2, "half of the run")


def staged(models: Mapping[str, Callable[..., Model]], build: Build) -> dict[str, Callable[..., Model]]:
    """The models of stages, whose first one may be any of `models`."""

    @rules(until=_half)
    def two_stage(
        spec: Spec,
        *,
        first: str | Earlier = "vae",  # the first model, vae(latent=10) or ae; run(PATH): of an earlier run, frozen
        until: int | str = "auto",  # the round from which the prior alone is fitted, to codes that stand still
        prior: str | nn.Module = "maf",  # p(z) of the second stage
        lr: float | Schedule = 1e-3,  # Adam's rate in the second stage
    ) -> Model:
        """Two stages: a VAE or an autoencoder, then a prior that is fitted to its codes."""
        if isinstance(first, Earlier):
            ground = build(first.model, spec, **first.options)
        elif run_path(first):
            raise BestiaryError(f"first={first}: a run is read where a fit is planned: bestiary fit …, or bst.fit(…)")
        else:
            make, options = called("first", first, models)
            ground = make(spec, **infer(make, spec, options)[0])
        if not isinstance(ground, VAE | Autoencoder):
            raise BestiaryError(f"first={first} must be a model that encodes and decodes: vae, ae, or one like them")
        if isinstance(first, Earlier) and until not in (0, "auto"):
            raise BestiaryError(f"until={until} does nothing with first={first}, which stands still: leave it out")
        if int(until) < 1 and not isinstance(first, Earlier):
            raise BestiaryError(f"until={until}: the first model needs at least one round; give until=1000, say")
        of_x = ground.infer if isinstance(ground, VAE) else lambda x: None
        place = Place(spec, ground.code.shape[0], infer=of_x, condition=ground.condition.fields)
        kind = TwoStageVAE if isinstance(ground, VAE) else TwoStage
        base = Frozen(ground) if isinstance(first, Earlier) else ground
        second = as_prior(made("prior", prior, PRIORS, place))
        if not any(p.requires_grad for p in second.parameters()):
            raise BestiaryError(f"prior={prior} has nothing to fit in the second stage: use prior=maf, mixture or vamp")
        return kind(base, second, 0 if isinstance(first, Earlier) else int(until), Adam(parse_schedule(lr)))

    return {"two-stage": two_stage}
