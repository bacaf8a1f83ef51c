"""Named models: what is inferred, what is refused before any training, and whose parts are taken."""

import inspect
import re

import pytest
import torch
from torch import Tensor, nn

import bestiary.models
from bestiary.data.spec import Column, Spec
from bestiary.errors import BestiaryError
from bestiary.models.infer import INFER, infer
from bestiary.models.zoo import MODELS, build
from bestiary.networks.mlp import Flat
from bestiary.training.clock import Cosine, Linear

BINARY, DIGITS = Spec("image", (1, 28, 28), levels=2), Spec("image", (1, 8, 8), levels=17)
LABELLED = Spec("image", (1, 8, 8), levels=17, classes=("even", "odd"))
BIG_GREY, COLOUR = Spec("image", (1, 64, 64), levels=256), Spec("image", (3, 32, 32), levels=256)
STRIP, SPECK = Spec("image", (1, 8, 100), levels=256), Spec("image", (3, 5, 9), levels=256)
VECTOR = Spec("vector", (5,))
NUMBERS = Spec("table", (2,), columns=(Column("a"), Column("b")))
TABLE = Spec("table", (4,), columns=(Column("a"), Column("b", categories=("x", "y", "z"))))
TINY = {"latent": 2, "hidden": (4,), "width": 2}


@pytest.mark.parametrize(("spec", "likelihood", "network", "binarise"), [
    (BINARY, "bernoulli", "mlp", "none"), (DIGITS, "bernoulli", "mlp", "dynamic"),
    (BIG_GREY, "bernoulli", "conv", "dynamic"), (STRIP, "bernoulli", "mlp", "dynamic"),
    (COLOUR, "logistic", "conv", "none"), (SPECK, "logistic", "mlp", "none"),
    (VECTOR, "gaussian", "mlp", "none"), (NUMBERS, "gaussian", "mlp", "none"), (TABLE, "mixed", "mlp", "none"),
])  # fmt: skip
def test_auto_follows_the_data_and_says_why(spec: Spec, likelihood: str, network: str, binarise: str) -> None:
    options, reasons = infer(MODELS["vae"], spec, {})
    assert (options["likelihood"], options["network"], options["binarise"]) == (likelihood, network, binarise)
    assert reasons.keys() == INFER.keys() - {"norm", "critic_norm"}
    assert all(reasons.values())
    build("vae", spec, **TINY)


def test_what_is_given_is_not_inferred_and_what_follows_heeds_it() -> None:
    options, reasons = infer(MODELS["vae"], DIGITS, {"likelihood": "gaussian", "network": "conv"})
    assert (options["likelihood"], options["network"], options["binarise"]) == ("gaussian", "conv", "none")
    assert reasons.keys() == {"binarise"}


@pytest.mark.parametrize(("spec", "given", "network", "norm", "critic_norm"), [
    (DIGITS, {}, "dcgan", "batch", "batch"), (SPECK, {}, "mlp", "none", "none"), (TABLE, {}, "mlp", "none", "none"),
    (DIGITS, {"penalty": "gp(1)"}, "dcgan", "batch", "none"), (DIGITS, {"network": "mlp"}, "mlp", "none", "none"),
    (DIGITS, {"network": "residual"}, "residual", "batch", "none"),
])  # fmt: skip
def test_auto_of_a_game(spec: Spec, given: dict[str, str], network: str, norm: str, critic_norm: str) -> None:
    options, reasons = infer(MODELS["gan"], spec, given)
    assert (options["network"], options["norm"], options["critic_norm"]) == (network, norm, critic_norm)
    assert all(reasons.values())


@pytest.mark.parametrize("name", MODELS)
def test_every_model_builds_from_its_defaults(name: str) -> None:
    model = build(name, LABELLED if name == "cgan" else DIGITS)
    assert model.players()
    if "sample" in model.abilities:
        assert model.sample(2).shape == (2, 1, 8, 8)
    else:
        assert model.decode(torch.zeros(2, model.latent)).shape == (2, 1, 8, 8)
    assert inspect.getdoc(MODELS[name])


REFUSED = [
    ("vea", VECTOR, {}, "unknown model `vea`: did you mean `vae`?"),
    ("vae", VECTOR, {"latnet": 3}, "unknown option of vae `latnet`: did you mean `latent`?"),
    ("gan", VECTOR, {"posterior": "diagonal"}, "unknown option of gan `posterior`"),
    ("vae", VECTOR, {"latent": 0}, "latent=0 must be at least 1"),
    ("gan", VECTOR, {"latent": -1}, "latent=-1 must be at least 1"),
    ("vae", VECTOR, {"samples": 0}, "samples=0 must be at least 1"),
    ("vae", VECTOR, {"hidden": (8, 0)}, "hidden=0 must be at least 1"),
    ("gan", VECTOR, {"hidden": (-3,)}, "hidden=-3 must be at least 1"),
    ("gan", VECTOR, {"critic_turns": 0}, "critic_turns=0 must be at least 1"),
    ("dcgan", DIGITS, {"width": 0}, "width=0 must be at least 1"),
    ("gan", VECTOR, {"beta1": 1.0}, "beta1=1.0 must lie in [0, 1)"),
    ("vae", TABLE, {"likelihood": "bernoulli"}, "a table holds numbers: use likelihood=gaussian"),
    ("vae", VECTOR, {"likelihood": "logistic"}, "not a vector: use likelihood=gaussian"),
    ("vae", VECTOR, {"likelihood": "mixed"}, "needs a table with columns"),
    ("vae", DIGITS, {"likelihood": "bernouli"}, "unknown likelihood `bernouli`: did you mean `bernoulli`?"),
    ("vae", DIGITS, {"binarise": "none"}, "binarise=dynamic"),
    ("vae", DIGITS, {"likelihood": "gaussian", "binarise": "dynamic"}, "belongs to likelihood=bernoulli"),
    ("vae", VECTOR, {"binarise": "threshold"}, "belongs to likelihood=bernoulli"),
    ("vae", VECTOR, {"network": "conv"}, "convolutional networks need images, and this is a vector: use network=mlp"),
    ("dcgan", TABLE, {}, "convolutional networks need images, and this is a table: use network=mlp"),
    ("vae", DIGITS, {"network": "convv"}, "unknown network `convv`: did you mean `conv`?"),
    ("gan", DIGITS, {"network": "dcgn"}, "unknown network `dcgn`: did you mean `dcgan`?"),
    ("vae", SPECK, {"network": "conv"}, "from 8×8 to 128×128 pixels; got 5×9"),
    ("vae", VECTOR, {"posterior": "diagnal"}, "did you mean `diagonal`?"),
    ("vae", VECTOR, {"prior": "standrd"}, "did you mean `standard`?"),
    ("vae", VECTOR, {"objective": "elbw"}, "did you mean `elbo`?"),
    ("gan", VECTOR, {"game": "nonsaturatin"}, "did you mean `nonsaturating`?"),
    ("vae", VECTOR, {"beta": "linaer(0,1,5)"}, "did you mean `linear`?"),
    ("vae", VECTOR, {"lr": "fast"}, "neither a number nor a schedule"),
]


@pytest.mark.parametrize(("name", "spec", "options", "says"), REFUSED, ids=[f"{r[0]}-{r[2]}" for r in REFUSED])
def test_mistakes_are_refused_with_the_way_out(name: str, spec: Spec, options: dict, says: str) -> None:
    with pytest.raises(BestiaryError, match=re.escape(says)):
        build(name, spec, **options)


def test_schedules_are_read_from_their_words() -> None:
    model = build("vae", VECTOR, **TINY, beta="linear(0,1,5)", lr="cosine(0.1,0,9)")
    assert model.objective.keywords["beta"] == Linear(0, 1, 5)
    assert model.optimiser.lr == Cosine(0.1, 0, 9)


class Gives(nn.Module):
    """A part that answers with whatever it is told to."""

    def __init__(self, answer) -> None:
        super().__init__()
        self.weight, self.answer = nn.Parameter(torch.zeros(1)), answer

    def forward(self, x: Tensor):
        return self.answer(x)


def fails(x: Tensor) -> Tensor:
    raise AssertionError  # as `assert` does: without a message


WRONG = {  # answers that no part may give, and what is said of them
    "tuple": (lambda x: (x, x), "must give one tensor; it gave a tuple"),
    "none": (lambda x: None, "must give one tensor; it gave a NoneType"),
    "assertion": (fails, "AssertionError"),
    "index": (lambda x: x[:, 99], "does not take a tensor of shape (2,"),
    "product": (lambda x: x.flatten(1) @ torch.zeros(99, 1), "does not take a tensor of shape (2,"),
    "attribute": (lambda x: x.nothing, "AttributeError"),
    "scalar": (lambda x: x.sum(), "for B=2 it gave ()"),
    "batch": (lambda x: torch.zeros(3, 4), "for B=2 it gave (3, 4)"),
    "extra axis": (lambda x: torch.zeros(2, 5, 1), "for B=2 it gave (2, 5, 1)"),
}
PARTS = {"encoder": "vae", "decoder": "vae", "generator": "gan", "critic": "gan"}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("wrong", WRONG)
def test_a_part_that_does_not_fit_is_told_before_training(part: str, wrong: str) -> None:
    answer, says = WRONG[wrong]
    with pytest.raises(BestiaryError, match=re.escape(says)) as error:
        build(PARTS[part], VECTOR, **{"latent": 3, part: Gives(answer)})
    assert f"{part}=" in str(error.value)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("given", ["MyNet()", 5, nn.Linear])
def test_a_part_must_be_a_module(part: str, given: object) -> None:
    with pytest.raises(BestiaryError, match=f"{part}= takes a torch.nn.Module"):
        build(PARTS[part], VECTOR, **{part: given})


def test_what_a_decoder_must_give_follows_the_likelihood() -> None:
    one, two = nn.Sequential(nn.Linear(2, 3), nn.Unflatten(1, (3, 1, 1))), nn.Sequential(nn.Linear(2, 6))
    spec = Spec("image", (3, 1, 1), levels=256)
    build("vae", spec, **TINY, network="mlp", likelihood="gaussian", decoder=one)
    with pytest.raises(BestiaryError, match=re.escape("(B, 2) to (B, 6, 1, 1); for B=2 it gave (2, 3, 1, 1)")):
        build("vae", spec, **TINY, network="mlp", likelihood="logistic", decoder=one)
    build("vae", spec, **TINY, network="mlp", decoder=two.append(nn.Unflatten(1, (6, 1, 1))))


@pytest.mark.parametrize(("part", "make"), [
    ("encoder", Flat), ("encoder", nn.Sequential), ("decoder", nn.Sequential), ("generator", nn.Sequential),
])  # fmt: skip
def test_an_empty_sequence_is_a_part_like_any_other(part: str, make) -> None:
    """`nn.Sequential()` is the identity, and false in the eyes of Python."""
    given = make()
    model = build(PARTS[part], VECTOR, **{"latent": 5, part: given})
    assert getattr(model, part) is given


def test_trying_a_part_leaves_it_as_it_was() -> None:
    critic = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    before = {k: v.clone() for k, v in critic.state_dict().items()}
    model = build("gan", VECTOR, critic=critic)
    assert model.critic is critic
    assert critic.training
    assert all(torch.equal(v, before[k]) for k, v in critic.state_dict().items())


def test_a_part_of_ones_own_trains_with_the_rest() -> None:
    model = build("vae", VECTOR, latent=2, encoder=nn.Linear(5, 7))
    assert model.posterior.head.in_features == 7
    assert {id(p) for p in model.encoder.parameters()} <= {id(p) for p in model.players()[0].parameters}


def test_the_room_offers_its_names_late() -> None:
    assert bestiary.models.MODELS is MODELS
    assert bestiary.models.build is build
    with pytest.raises(AttributeError, match="has no `bild`; it has MODELS, build"):
        bestiary.models.bild  # noqa: B018
