"""Named models: what is inferred, what is refused before any training, and whose parts are taken."""

import inspect
import re

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import bestiary.models
from bestiary.data.batch import Batch
from bestiary.data.dataset import Dataset, split
from bestiary.data.load import load
from bestiary.data.spec import Spec, label, pictures, rows
from bestiary.data.support import Category, Column
from bestiary.errors import BestiaryError
from bestiary.grammar.schedules import Cosine, Linear
from bestiary.grammar.signatures import signature_options
from bestiary.models.auto_options import infer
from bestiary.models.model import Samples
from bestiary.models.zoo import MODELS, build
from bestiary.models.zoo_adversarial import ADVERSARIAL
from bestiary.networks.full_precision import Tanh
from bestiary.networks.mlp import FlatInput
from bestiary.networks.output_layers import RowOutput
from bestiary.objectives.games import GAMES
from bestiary.runs.plan import plan
from bestiary.training.clock import Clock
from bestiary.training.part import TrainingData
from bestiary.training.trainer import Trainer
from tests.training.games import trainer

BINARY, DIGITS = pictures((1, 28, 28), 2), pictures((1, 8, 8), 17)
LABELLED = pictures((1, 8, 8), 17, label(("even", "odd")))
BIG_GREY, COLOUR = pictures((1, 64, 64), 256), pictures((3, 32, 32), 256)
STRIP, SPECK = pictures((1, 8, 100), 256), pictures((3, 5, 9), 256)
VECTOR = rows(5)
NUMBERS = rows((Column("a"), Column("b")))
TABLE = rows((Column("a"), Column("b", Category(("x", "y", "z")))))
TINY = {"latent": 2, "hidden": (4,), "width": 2}


@pytest.mark.parametrize(("spec", "likelihood", "network", "binarise"), [
    (BINARY, "bernoulli", "mlp", "none"), (DIGITS, "bernoulli", "mlp", "dynamic"),
    (BIG_GREY, "bernoulli", "conv", "dynamic"), (STRIP, "bernoulli", "mlp", "dynamic"),
    (COLOUR, "logistic", "conv", "none"), (SPECK, "logistic", "mlp", "none"),
    (VECTOR, "gaussian", "mlp", "none"), (NUMBERS, "gaussian", "mlp", "none"), (TABLE, "mixed", "mlp", "none"),
])  # fmt: skip
def test_auto_follows_the_data_and_says_why(spec: Spec, likelihood: str, network: str, binarise: str) -> None:
    options, inferred = infer(MODELS["vae"], spec, {})
    assert (options["likelihood"], options["network"], options["binarise"]) == (likelihood, network, binarise)
    assert inferred.keys() == {"likelihood", "network", "binarise"}
    assert all(found.reason and found.value == options[key] for key, found in inferred.items())
    build("vae", spec, **TINY)


def test_what_is_given_is_not_inferred_and_what_follows_heeds_it() -> None:
    options, inferred = infer(MODELS["vae"], DIGITS, {"likelihood": "gaussian", "network": "conv"})
    assert (options["likelihood"], options["network"], options["binarise"]) == ("gaussian", "conv", "none")
    assert inferred.keys() == {"binarise"}


@pytest.mark.parametrize(("spec", "given", "network", "norm", "critic_norm"), [
    (DIGITS, {}, "dcgan", "batch", "batch"), (SPECK, {}, "mlp", "none", "none"), (TABLE, {}, "mlp", "none", "none"),
    (DIGITS, {"penalty": "gp(1)"}, "dcgan", "batch", "none"), (DIGITS, {"network": "mlp"}, "mlp", "none", "none"),
    (DIGITS, {"network": "residual"}, "residual", "batch", "none"),
])  # fmt: skip
def test_auto_of_a_game(spec: Spec, given: dict[str, str], network: str, norm: str, critic_norm: str) -> None:
    options, inferred = infer(MODELS["gan"], spec, given)
    assert (options["network"], options["norm"], options["critic_norm"]) == (network, norm, critic_norm)
    assert all(found.reason and found.value == options[key] for key, found in inferred.items())


@pytest.mark.parametrize("name", MODELS)
def test_every_model_builds_from_its_defaults(name: str) -> None:
    model = build(name, LABELLED if name == "cgan" else DIGITS)
    assert model.players()
    if isinstance(model, Samples):
        assert model.sample(2).shape == (2, 1, 8, 8)
    else:
        assert model.show(torch.zeros(2, *model.code.shape)).shape == (2, 1, 8, 8)
    assert inspect.getdoc(MODELS[name])


REFUSED = [
    ("vea", VECTOR, {}, "unknown model `vea`: did you mean `vae`?"),
    ("vae", VECTOR, {"latnet": 3}, "unknown option of vae `latnet`: did you mean `latent`?"),
    ("gan", VECTOR, {"posterior": "diagonal"}, "unknown option of gan `posterior`"),
    ("vae", VECTOR, {"latent": 0}, "latent=0 cannot be used: expected an integer, at least 1"),
    ("gan", VECTOR, {"latent": -1}, "latent=-1 cannot be used"),
    ("vae", VECTOR, {"samples": 0}, "samples=0 cannot be used"),
    ("vae", VECTOR, {"hidden": (8, 0)}, "hidden=(8, 0) cannot be used"),
    ("gan", VECTOR, {"hidden": (-3,)}, "hidden=(-3,) cannot be used"),
    ("gan", VECTOR, {"critic_turns": 0}, "at least 1 and at most 1000 or wgan"),
    ("dcgan", DIGITS, {"width": 0}, "width=0 cannot be used"),
    ("gan", VECTOR, {"critic_hidden": (8, 0)}, "critic_hidden=(8, 0) cannot be used"),
    ("gan", VECTOR, {"lazy": 0}, "lazy=0 cannot be used"),
    ("gan", VECTOR, {"noise": -0.1}, "sigma=-0.1 cannot be used"),
    ("gan", VECTOR, {"noise": "linear(0.1,-0.1,5)"}, "sigma=linear(0.1,-0.1,5) cannot be used"),
    ("gan", VECTOR, {"history": float("inf")}, "expected a finite number, at least 0"),
    ("gan", VECTOR, {"lr": -1}, "lr=-1 cannot be used: expected a finite number or a schedule, above 0"),
    ("gan", VECTOR, {"unroll": 1e9}, "steps=1000000000.0 cannot be used"),
    ("vae", VECTOR, {"prior": "nsf(bins=0)"}, "bins=0 cannot be used"),
    ("gan", VECTOR, {"game": "least_squares(1,1)"}, "targets a=1.0 on fake and b=1.0 on real must differ"),
    ("gan", VECTOR, {"beta1": 1.0}, "beta1=1.0 cannot be used: expected a finite number, at least 0 and below 1"),
    ("vae", TABLE, {"likelihood": "bernoulli"}, "tables hold numbers and categories: use likelihood=mixed"),
    (
        "vae",
        VECTOR,
        {"likelihood": "logistic"},
        "pixels with levels, and vectors hold numbers: use likelihood=gaussian",
    ),
    ("vae", VECTOR, {"likelihood": "mixed"}, "needs a table with columns"),
    ("vae", DIGITS, {"likelihood": "bernouli"}, "unknown likelihood `bernouli`: did you mean `bernoulli`?"),
    ("vae", DIGITS, {"binarise": "none"}, "binarise=dynamic"),
    ("vae", DIGITS, {"likelihood": "gaussian", "binarise": "dynamic"}, "needs likelihood=bernoulli"),
    ("vae", VECTOR, {"binarise": "threshold"}, "needs likelihood=bernoulli"),
    ("vae", VECTOR, {"network": "conv"}, "convolutional networks need images, and this is a vector: use network=mlp"),
    ("dcgan", TABLE, {}, "convolutional networks need images, and this is a table: use network=mlp"),
    ("vae", DIGITS, {"network": "convv"}, "did you mean network=conv?"),
    ("gan", DIGITS, {"network": "dcgn"}, "did you mean network=dcgan?"),
    ("vae", SPECK, {"network": "conv"}, "from 8×8 to 128×128 pixels; got 5×9"),
    ("vae", VECTOR, {"posterior": "diagnal"}, "did you mean `diagonal`?"),
    ("vae", VECTOR, {"prior": "standrd"}, "did you mean `standard`?"),
    ("vae", VECTOR, {"objective": "elbw"}, "did you mean `elbo`?"),
    ("gan", VECTOR, {"game": "nonsaturatin"}, "did you mean `nonsaturating`?"),
    ("gan", VECTOR, {"penalty": "r1r3"}, "did you mean `r1r2`?"),
    ("gan", VECTOR, {"optimiser": "sdg"}, "did you mean optimiser=sgd?"),
    ("gan", VECTOR, {"activation": "rellu"}, "did you mean activation=relu?"),
    ("gan", VECTOR, {"critic_activation": "max-out"}, "did you mean critic_activation=maxout?"),
    ("dcgan", DIGITS, {"norm": "bach"}, "did you mean norm=batch?"),
    ("dcgan", DIGITS, {"pool": "averge"}, "did you mean pool=average?"),
    (
        "gan",
        DIGITS,
        {"network": "residual", "critic_norm": "batch"},
        "the residual critic has no norm between its layers",
    ),
    ("gan", VECTOR, {"critic_activation": "maxout", "critic_norm": "batch"}, "a critic of maxout layers has no norm"),
    ("gan", DIGITS, {"augment": ("color",)}, "did you mean `colour`?"),
    ("vae", VECTOR, {"beta": "linaer(0,1,5)"}, "did you mean `linear`?"),
    ("vae", VECTOR, {"lr": "fast"}, "neither a number nor a schedule"),
]


@pytest.mark.parametrize(("name", "spec", "options", "says"), REFUSED, ids=[f"{r[0]}-{r[2]}" for r in REFUSED])
def test_mistakes_are_refused_with_the_way_out(name: str, spec: Spec, options: dict, says: str) -> None:
    with pytest.raises(BestiaryError, match=re.escape(says)):
        build(name, spec, **options)


ROWS = {"image": LABELLED, "vector": rows(5, label(("a", "b"))), "table": TABLE}
PICTURES = {"dcgan"}  # names that are for images only
FEW = {"latent": 4, "hidden": (8,), "width": 4}


def examples(spec: Spec, n: int = 40) -> Dataset:
    """Random data of a spec, with all that stands beside x."""
    draw = np.random.default_rng(0)
    stored = {field.name: field.random_stored(n, draw) for field in (spec.x, *spec.beside)}
    return Dataset("random", spec, stored, split(n))


def game(name: str, spec: Spec, **options: object) -> Trainer:
    torch.manual_seed(0)
    data = examples(spec)
    model = build(name, spec, **FEW, **options)
    model.begin(TrainingData(40, lambda n: model.observe(data.rows(np.arange(min(n, 40)))), draw=lambda batch: None))
    return trainer(model, data, batch=8, log=2)


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("name", ADVERSARIAL)
def test_every_game_is_played_on_every_kind_of_data(name: str, kind: str) -> None:
    spec = ROWS[kind]
    if (name in PICTURES and kind != "image") or (name == "cgan" and spec.label is None):
        with pytest.raises(BestiaryError):
            build(name, spec)
        return
    # a WGAN's critic has a hundred turns in each of its first rounds
    played = game(name, spec, **({"critic_turns": 2} if name == "wgan" else {}))
    before = [p.detach().clone() for p in played.model.parameters()]
    for round in range(2):
        played.play(round)
    assert all(np.isfinite(number) for number in played.line().values())
    assert not all(torch.equal(a, b) for a, b in zip(before, played.model.parameters(), strict=True))
    with played.evaluation_model() as model:
        assert model.sample(3).shape == (3, *spec.shape)


def test_named_games_are_those_of_their_papers() -> None:
    """What others have got wrong: a minimax that is not one, rates and optimisers of other papers, weights of toys."""
    given = {name: signature_options(MODELS[name]) for name in ("gan", "ns-gan", "wgan", "wgan-gp", "dcgan", "r3gan")}
    told = {name: {key: default for key, (_, default) in options.items()} for name, options in given.items()}
    assert (told["gan"]["game"], told["ns-gan"]["game"]) == ("saturating", "nonsaturating")
    wgan = told["wgan"]
    assert (wgan["optimiser"], wgan["lr"], wgan["critic_turns"]) == ("rmsprop", 5e-5, "wgan")
    assert wgan["tricks"] == "weight_clip(0.01)"
    gp = told["wgan-gp"]
    assert (gp["optimiser"], gp["lr"], gp["beta2"], gp["critic_turns"]) == ("adam", 1e-4, 0.9, 5)
    assert (told["dcgan"]["lr"], told["dcgan"]["beta1"], told["dcgan"]["latent"]) == (2e-4, 0.5, 100)
    assert (told["r3gan"]["game"], told["r3gan"]["penalty"]) == ("relativistic", "r1r2(1)")
    fake = torch.tensor([-3.0, 2.0])
    torch.testing.assert_close(GAMES["saturating"]().generator(fake, fake), (1 - fake.sigmoid()).log())


@pytest.mark.parametrize(("data", "penalty"), [("ring", "gp(0.1)"), ("digits", "gp(10)")])
def test_the_penalty_weighs_as_the_paper_has_it(data: str, penalty: str) -> None:
    found = plan(data, "wgan-gp", {"steps": 10})
    assert found.model_options["penalty"] == penalty
    assert "paper" in found.inferred["penalty"].reason


@pytest.mark.parametrize(("name", "options"), [
    ("wgan-gp", {"lazy": 3, "history": 0.1, "noise": "linear(0.5,0,6)"}),
    ("ns-gan", {"optimiser": "sgd", "simultaneous": True, "spectral": True, "minibatch": 2}),
    ("lsgan", {"optimiser": "rmsprop", "unroll": 1, "pack": 2, "smoothing": 0.1, "matching": 0.5}),
    ("ns-gan", {"matching": 1.0, "adversarial": 0.0, "unroll": 1}),
    ("cgan", {"lr": "linear(1e-3,0,6)", "augment": ("colour", "translation", "cutout")}),
])  # fmt: skip
def test_a_restored_game_goes_on_bit_by_bit(name: str, options: dict[str, object]) -> None:
    """All that a trick remembers, the mean of past weights say, is state and is saved."""
    ran, fresh = (game(name, LABELLED, **options) for _ in range(2))
    for round in range(6):
        if round == 2:
            kept = {k: v.clone() for k, v in ran.state().items()}
            facts = {"names": ran.names, "round": 2, "driver": {}}
        ran.play(round)
    fresh.play(0)  # something of its own, to be written over
    fresh.restore(kept, facts)
    for round in range(2, 6):
        fresh.play(round)
    own, theirs = ran.model.state_dict(), fresh.model.state_dict()
    assert [k for k in own if not torch.equal(own[k], theirs[k])] == []
    assert fresh.line() == ran.line()


def test_schedules_are_read_from_their_words() -> None:
    model = build("vae", VECTOR, **TINY, beta="linear(0,1,5)", lr="cosine(0.1,0,9)")
    assert model.objective.function.keywords["beta"] == Linear(0, 1, 5)
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
    "tuple": (lambda x: (x, x), "must return one tensor; it returned a tuple"),
    "none": (lambda x: None, "must return one tensor; it returned a NoneType"),
    "assertion": (fails, "AssertionError"),
    "index": (lambda x: x[:, 99], "does not take a tensor of shape (2,"),
    "product": (lambda x: x.flatten(1) @ torch.zeros(99, 1), "does not take a tensor of shape (2,"),
    "attribute": (lambda x: x.nothing, "AttributeError"),
    "scalar": (lambda x: x.sum(), "for B=2 it returned ()"),
    "batch": (lambda x: torch.zeros(3, 4), "for B=2 it returned (3, 4)"),
    "extra axis": (lambda x: torch.zeros(2, 5, 1), "for B=2 it returned (2, 5, 1)"),
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
    with pytest.raises(BestiaryError, match=f"{part}=.* a Module from Python"):
        build(PARTS[part], VECTOR, **{part: given})


def test_what_a_decoder_must_give_follows_the_likelihood() -> None:
    one, two = nn.Sequential(nn.Linear(2, 3), nn.Unflatten(1, (3, 1, 1))), nn.Sequential(nn.Linear(2, 6))
    spec = pictures((3, 1, 1), 256)
    build("vae", spec, **TINY, network="mlp", likelihood="gaussian", decoder=one)
    with pytest.raises(BestiaryError, match=re.escape("(B, 2) to (B, 6, 1, 1); for B=2 it returned (2, 3, 1, 1)")):
        build("vae", spec, **TINY, network="mlp", likelihood="logistic", decoder=one)
    build("vae", spec, **TINY, network="mlp", decoder=two.append(nn.Unflatten(1, (6, 1, 1))))


@pytest.mark.parametrize(("part", "make"), [
    ("encoder", FlatInput), ("encoder", nn.Sequential), ("decoder", nn.Sequential), ("generator", nn.Sequential),
])  # fmt: skip
def test_an_empty_sequence_is_a_part_like_any_other(part: str, make) -> None:
    """`nn.Sequential()` is the identity, and false in the eyes of Python."""
    given = make()
    model = build(PARTS[part], VECTOR, **{"latent": 5, part: given})
    assert getattr(model, part).net is given


def test_trying_a_part_leaves_it_as_it_was() -> None:
    critic = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    before = {k: v.clone() for k, v in critic.state_dict().items()}
    model = build("gan", VECTOR, critic=critic)
    assert model.critic.net is critic
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


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("wgan-gp", {"lazy": 3, "history": 0.1, "noise": "linear(0.5,0,6)"}),
        ("ns-gan", {"simultaneous": True, "spectral": True, "minibatch": 2}),
        ("lsgan", {"unroll": 1, "pack": 2, "smoothing": 0.1, "matching": 0.5}),
        ("cgan", {"augment": ("colour", "translation", "cutout")}), ("dcgan", {}), ("wgan", {"critic_turns": 2}),
        ("r3gan", {}), ("f-gan", {}), ("vae", {}), ("vamp-vae", {"prior": "vamp(5)"}),
    ],
)  # fmt: skip
def test_a_turn_reads_no_value_on_the_host(name: str, options: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU would stand still at each: neither losses nor their terms, norms or rates are read within a round."""
    played = game(name, LABELLED, **options)
    played.play(0)

    def read(*_: object) -> None:
        raise AssertionError("a value was read on the host")

    for way in ("item", "tolist", "__float__", "__int__", "__bool__", "numpy", "cpu"):
        monkeypatch.setattr(Tensor, way, read)
    played.play(1)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ns-gan", {}), ("ns-gan", {"minibatch": 4}), ("wgan-gp", {}), ("r3gan", {}), ("sn-gan", {}), ("dcgan", {}),
        ("lsgan", {"unroll": 2, "matching": 1.0}), ("vae", {}), ("iwae", {}),
    ],
)  # fmt: skip
def test_gradients_in_bf16_point_where_those_in_fp32_do(name: str, options: dict) -> None:
    model = game(name, DIGITS, **options).model
    batch = Batch(torch.rand(64, *DIGITS.shape))
    for player in model.players():
        found = []
        for bf16 in (False, True):
            torch.manual_seed(1)
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                total = player.loss(batch, Clock(torch.tensor(0.0), 10))[0]["total"]
            assert total.dtype == torch.float32
            slopes = torch.autograd.grad(total, player.parameters, allow_unused=True)
            found.append(torch.cat([s.flatten() for s in slopes if s is not None]))
        assert torch.cosine_similarity(*found, dim=0) > 0.95, player.name


@pytest.mark.parametrize(
    ("network", "spec"), [("mlp", DIGITS), ("dcgan", DIGITS), ("residual", DIGITS), ("mlp", TABLE)]
)
def test_generators_end_with_the_digits_of_fp32_in_bf16(network: str, spec: Spec) -> None:
    generator = build("ns-gan", spec, **FEW, network=network).generator
    with torch.autocast("cpu", torch.bfloat16):
        assert generator(torch.randn(16, 4)).dtype == torch.float32


def test_bf16_far_out_has_a_slope_at_the_end() -> None:
    """bf16's own tanh is 1 from 3.5 on, and its share of a softmax from .998 on: no slope would be left."""
    far = torch.tensor([4.0, -5.0], dtype=torch.bfloat16, requires_grad=True)
    (slope,) = torch.autograd.grad(Tanh()(far).sum(), far)
    torch.testing.assert_close(slope.float(), 1 - far.detach().float().tanh() ** 2, rtol=0.01, atol=0)
    far = torch.tensor([[0.0, 7.0]], dtype=torch.bfloat16, requires_grad=True)
    share = RowOutput(rows((Column("c", Category(("a", "b"))),)).x)(far)
    (slope,) = torch.autograd.grad(share[0, 1], far)
    torch.testing.assert_close(
        slope[0, 1].float(), torch.tensor(7.0).sigmoid() * torch.tensor(-7.0).sigmoid(), rtol=0.01, atol=0
    )


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("name", MODELS)
def test_every_model_plays_in_bf16(name: str, kind: str) -> None:
    """Each player's loss and its gradient under autocast."""
    spec = ROWS[kind]
    if (name in {"pixel-vae", *PICTURES} and kind != "image") or (name == "cgan" and spec.label is None):
        return
    torch.manual_seed(0)
    small = {"latent": 2} | ({} if name in ADVERSARIAL and kind == "image" else {"hidden": (4,)})
    model = build(name, spec, **({"first": "vae(latent=2,hidden=(4,))"} if name == "two-stage" else small))
    for player in model.players():
        with torch.autocast("cpu", torch.bfloat16):
            terms, _ = player.loss(spec.random_batch(8), Clock(torch.tensor(0.0), 10))
        assert terms["total"].isfinite()
        torch.autograd.backward([terms["total"]], inputs=player.parameters)


def test_binarise_decides_the_likelihood():
    """Photographs are logistic by default; whoever asks for ink means Bernoulli."""
    spec = load(np.random.default_rng(0).integers(0, 256, (20, 8, 8), dtype=np.uint8)).spec
    for given, likelihood in (
        ({}, "logistic"),
        ({"binarise": "none"}, "logistic"),
        ({"binarise": "threshold"}, "bernoulli"),
    ):
        assert infer(MODELS["vae"], spec, given)[0]["likelihood"] == likelihood
    build("vae", spec, binarise="threshold")
