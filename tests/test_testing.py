"""The conformance suite: every name of the zoo and users' own parts pass it, and each planted fault is found by it."""

from collections.abc import Callable
from contextlib import nullcontext

import pytest
import torch
from torch import nn

import bestiary.models.two_stage as two_stage
from bestiary.data.batch import Batch
from bestiary.data.spec import Field, Spec, label, numbers, pictures, rows, sequence
from bestiary.data.support import Category, Column, Levels, Reals
from bestiary.densities.diagonal_gaussian import DiagonalNormal
from bestiary.models.model import Model
from bestiary.models.zoo import MODELS, build
from bestiary.networks.batch_norm import BatchNorm
from bestiary.testing import check_model
from tests.models.test_parts_play import MODELS as PART_MODELS
from tests.models.test_parts_play import SPEC

TWO = label(("a", "b"))
IMAGES, VECTORS = pictures((1, 8, 8), 17, TWO), rows(3, TWO)
TABLE = rows([Column("n"), Column("w", Category(("x", "y", "z")))], TWO)
SHOWERS = Spec(Field("x", "grid", (3, 4), Reals(1.0, 2.0, low=0.0)), (numbers([Column("energy"), Column("angle")]),))
SMALL = {"width": 4, "hidden": (8,), "latent": 4}
OWN = {
    "two-stage": {"until": 2, "first": "vae(latent=4,hidden=(8,))", "prior": "mixture(3)"},
    "vamp-vae": SMALL | {"prior": "vamp(8)"},
    "wgan": SMALL | {"critic_turns": 2},
    "pixel-vae": SMALL | {"likelihood": "pixelcnn(layers=1,width=4)"},
}


def small(name: str, spec: Spec, **options: object) -> Callable[[], Model]:
    return lambda: build(name, spec, **{**OWN.get(name, SMALL), **options})


@pytest.mark.parametrize("name", MODELS)
def test_every_name_of_the_zoo_on_images(name: str) -> None:
    assert {"owners", "state", "turns", "codes"} <= set(check_model(small(name, IMAGES), IMAGES))


@pytest.mark.parametrize("name", ["ae", "vae", "gan", "wgan-gp", "cgan", "two-stage"])
@pytest.mark.parametrize("spec", [VECTORS, TABLE, SHOWERS], ids=["vectors", "table", "showers"])
def test_the_halves_on_other_data(name: str, spec: Spec) -> None:
    if name == "cgan" and spec is SHOWERS:
        check_model(small("gan", spec, condition="numbers"), spec)
    else:
        check_model(small(name, spec), spec)


BESIDE = pictures(
    (1, 8, 8), 17, label(("a", "b"), optional=True), numbers([Column("energy", Reals(3.0, 2.0))], "energy", True),
    sequence(("<pad>", "red", "blue"), 4), Field("small", "picture", (1, 4, 4), Levels(256), optional=True),
)  # fmt: skip


@pytest.mark.parametrize("condition", ["label", "energy", "caption", "small", "label,energy,caption,small"])
@pytest.mark.parametrize("name", ["vae", "ns-gan", "ae"])
def test_every_condition(name: str, condition: str) -> None:
    assert "conditions" in check_model(small(name, BESIDE, condition=condition), BESIDE)


class Bayes(nn.Module):
    """A user's posterior: features → a Gaussian of fixed width."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Linear(5, 4)

    def forward(self, features: torch.Tensor) -> DiagonalNormal:
        mean = self.mean(features)
        return DiagonalNormal(mean, torch.full_like(mean, -1.0))


def test_a_users_parts() -> None:
    def make() -> Model:
        encoder, decoder = (
            nn.Sequential(nn.Flatten(), nn.Linear(64, 5)),
            nn.Sequential(nn.Linear(4, 64), nn.Unflatten(1, (1, 8, 8))),
        )
        return build("vae", IMAGES, latent=4, encoder=encoder, decoder=decoder, posterior=Bayes(), prior="mixture(3)")

    check_model(make, IMAGES)


# ------------------------------------------------------------------------------------------------ planted faults


def _owned_twice(model: Model) -> None:
    players = model.players()
    players[1].parameters.extend(players[0].parameters)
    model.players = lambda: players


def _not_in_the_state(model: Model) -> None:
    book = model.posterior.book
    del model.posterior._buffers["book"]
    model.posterior.book = book


def _noisy(model: Model) -> None:
    show = model.show
    model.show = lambda z, c=(): show(z, c or {}) + 0.01 * torch.randn(1)


def _reads_the_clock(model: Model) -> None:
    loss = model.loss
    model.loss = lambda batch, clock: (lambda r: ({k: v + 0 * float(clock.round) for k, v in r[0].items()}, r[1]))(
        loss(batch, clock)
    )


def _vectors_for_indices(model: Model) -> None:
    model.encode = lambda batch: model.look(batch).q.e.flatten(1)


def _looks_at_others(model: Model) -> None:
    show = model.show
    model.show = lambda z, c=(): (lambda x: x - 0.1 * x.mean(0))(show(z, c or {}))


def _idle_weights(model: Model) -> None:
    model.idle = nn.Linear(2, 2)


def _nobodys_weights(model: Model) -> None:
    own = model.own_parameters
    model.own_parameters = lambda *modules: own(*modules)[:-1]


def _observes_anew(model: Model) -> None:
    model.observe = lambda batch: Batch(batch.x + 0.1, batch.beside)


def _accepts_no_condition(model: Model) -> None:
    model.condition.refuse = lambda c, n: None
    generator = model.generator
    generator.forward = lambda z, c=(): generator.net(torch.cat([z, torch.zeros(len(z), 2)], 1))


def _moves_anothers(model: Model) -> None:
    after = model.after

    def moving(left: object) -> None:
        after(left)
        next(model.critic.parameters()).add_(1.0)

    model.after = moving


def _without_total(model: Model) -> None:
    loss = model.loss
    model.loss = lambda batch, clock: ({"all": loss(batch, clock)[0]["total"]}, None)


FAULTS: dict[str, tuple[Callable[[], Model], Spec, Callable[[Model], None], str]] = {
    "weights owned twice": (PART_MODELS["total correlation"], SPEC, _owned_twice, "own the same weight"),
    "a codebook outside of the state": (PART_MODELS["codebook"], SPEC, _not_in_the_state, "not in the state"),
    "show with noise": (small("vae", VECTORS), VECTORS, _noisy, "it draws noise"),
    "a clock read on the host": (small("vae", VECTORS), VECTORS, _reads_the_clock, "reads a value on the host"),
    "encode gives vectors for indices": (
        PART_MODELS["codebook"],
        SPEC,
        _vectors_for_indices,
        "`code` does not describe",
    ),
    "show looks at other rows": (small("vae", VECTORS), VECTORS, _looks_at_others, "other rows"),
    "weights that no loss reaches": (small("vae", VECTORS), VECTORS, _idle_weights, "gives them no gradient"),
    "weights that nobody trains": (small("vae", VECTORS), VECTORS, _nobodys_weights, "nobody trains"),
    "observed anew at each look": (small("vae", VECTORS), VECTORS, _observes_anew, "is not observe"),
    "a missing condition in silence": (small("cgan", VECTORS), VECTORS, _accepts_no_condition, "missing condition"),
    "a turn moves another's weights": (small("gan", VECTORS), VECTORS, _moves_anothers, "which it does not own"),
    "no total": (small("vae", VECTORS), VECTORS, _without_total, "has no term `total`"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: str) -> None:
    make, spec, plant, says = FAULTS[fault]

    def planted() -> Model:
        model = make()
        plant(model)
        return model

    check_model(make, spec)
    with pytest.raises(Exception, match=says):
        check_model(planted, spec)


def _with_moments() -> Model:
    """A first model with BatchNorm, whose moments must not move once its stage is over."""
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 6), BatchNorm(6), nn.Tanh())
    first = build("vae", IMAGES, latent=4, hidden=(8,), encoder=encoder)
    model = build("two-stage", IMAGES, **OWN["two-stage"])
    model.first = first
    model.prior.infer = first.infer
    return model


def test_a_stage_that_is_over_must_not_move(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "stages" in check_model(_with_moments, IMAGES)
    monkeypatch.setattr(two_stage, "inference_mode", lambda *modules: nullcontext())
    with pytest.raises(AssertionError, match="a later stage changes what belongs to a finished one"):
        check_model(_with_moments, IMAGES)
