"""Two-stage models of the zoo: a prior fitted to the codes of another model, in later rounds of the same loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from torch import nn

from bestiary.data.spec import Inferred, Spec
from bestiary.densities.density_names import PRIORS
from bestiary.densities.posterior_and_prior import PriorSetting, as_prior
from bestiary.errors import BestiaryError
from bestiary.grammar.part_calls import build_part, parse_part
from bestiary.grammar.ranges import Natural
from bestiary.grammar.schedules import Rate, parse_schedule
from bestiary.models.auto_options import infer, rules
from bestiary.models.autoencoder import Autoencoder
from bestiary.models.frozen import EarlierRun, Frozen, run_path
from bestiary.models.model import Model
from bestiary.models.two_stage import TwoStage, TwoStageVAE
from bestiary.models.vae import VAE
from bestiary.training.player import Adam

__all__ = ["two_stage_models"]

Build = Callable[..., Model]  # name, spec, options


def _until_rule(spec: Spec, options: Mapping[str, Any]) -> Inferred:
    if isinstance(options["first"], EarlierRun) or run_path(options["first"]):
        return Inferred(0, "the first model is frozen")
    return Inferred(int(options.get("steps") or 2000) // 2, "half of the run")


def two_stage_models(models: Mapping[str, Callable[..., Model]], build: Build) -> dict[str, Callable[..., Model]]:
    """The two-stage models by name, whose first model may be any of `models`. build: `bestiary.models.build`."""

    @rules(until=_until_rule)
    def two_stage(
        spec: Spec,
        *,
        first: str
        | EarlierRun = "vae",  # the first model, e.g. vae(latent=10) or ae; run(PATH): an earlier run's, frozen
        until: Natural | Literal["auto"] = "auto",  # the round in which the second stage begins, of the prior only
        prior: str | nn.Module = "maf",  # p(z) of the second stage
        lr: Rate = 1e-3,  # Adam's rate in the second stage
    ) -> Model:
        """Two stages: a VAE or an autoencoder, then a prior that is fitted to its codes."""
        if isinstance(first, EarlierRun):
            first_model = build(first.model, spec, **first.options)
        elif run_path(first):
            raise BestiaryError(f"first={first}: only `bestiary fit` and bst.fit(…) can load an earlier run")
        else:
            builder, options = parse_part("first", first, models)
            first_model = builder(spec, **infer(builder, spec, options)[0])
        if not isinstance(first_model, VAE | Autoencoder):
            raise BestiaryError(f"first={first} must be a model that encodes and decodes: vae, ae, or one like them")
        if isinstance(first, EarlierRun) and until not in (0, "auto"):
            raise BestiaryError(f"until={until} does nothing with first={first}, which is frozen: leave it out")
        if not int(until) and not isinstance(first, EarlierRun):
            raise BestiaryError(f"until={until}: the first model needs at least one round: use e.g. until=1000")
        posterior = first_model.infer if isinstance(first_model, VAE) else lambda x: None
        place = PriorSetting(spec, first_model.code.shape[0], infer=posterior, condition=first_model.condition.fields)
        model_class = TwoStageVAE if isinstance(first_model, VAE) else TwoStage
        first_stage = Frozen(first_model) if isinstance(first, EarlierRun) else first_model
        second_prior = as_prior(build_part("prior", prior, PRIORS, place))
        if not any(p.requires_grad for p in second_prior.parameters()):
            raise BestiaryError(f"prior={prior} has nothing to fit in the second stage: use prior=maf, mixture or vamp")
        begin = 0 if isinstance(first, EarlierRun) else int(until)
        return model_class(first_stage, second_prior, begin, Adam(parse_schedule(lr)))

    return {"two-stage": two_stage}
