"""Parts that play along, each one file and none a model class: a codebook, a second critic, a temperature.

Each is checked whole (bestiary.testing), trained, stopped and resumed, played by two processes, and traced as a
captured turn would be: the Python of a turn runs once, and its replay on other batches gives what the eager one gives.
"""

from collections.abc import Callable
from math import log
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx

from bestiary.data.batch import Batch
from bestiary.data.batches import Batches
from bestiary.data.dataset import Dataset, split
from bestiary.data.spec import rows
from bestiary.densities.likelihoods import Gaussian
from bestiary.densities.posterior_and_prior import Diagonal, PriorSetting, Standard
from bestiary.grammar.schedules import Linear
from bestiary.models.model import Model
from bestiary.models.vae import VAE
from bestiary.models.zoo import build
from bestiary.objectives.elbo import elbo
from bestiary.testing import check_model
from bestiary.training.clock import Clock
from bestiary.training.device import seeded
from bestiary.training.parallel import Team
from bestiary.training.part import TrainingData
from bestiary.training.player import Adam, Player
from bestiary.training.recipe import Recipe
from bestiary.training.trainer import Trainer
from tests.models.parts.codebook import Codebook, Uniform
from tests.models.parts.content import Content
from tests.models.parts.temperature import Relaxed
from tests.models.parts.total_correlation import TotalCorrelation

SPEC, PLACES, WIDTH, WORDS = rows(4), 3, 2, 5


def discrete(posterior: Callable[..., nn.Module], features: int, **options: object) -> VAE:
    q = posterior(PLACES, WORDS, WIDTH, **options)
    encoder, decoder = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, features)), nn.Linear(PLACES * WIDTH, 4)
    return VAE(SPEC, encoder, q, Uniform(q.code), decoder, Gaussian(SPEC.x), elbo, optimiser=Adam(1e-2))


def factors(latent: int = 3) -> VAE:
    place = PriorSetting(SPEC, latent, lambda x: None)
    return VAE(
        SPEC, nn.Linear(4, 8), Diagonal(8, latent), Standard(place), nn.Linear(latent, 4), Gaussian(SPEC.x),
        TotalCorrelation(latent), optimiser=Adam(1e-2),
    )  # fmt: skip


MODELS: dict[str, Callable[[], VAE]] = {
    "codebook": lambda: discrete(Codebook, PLACES * WIDTH),
    "temperature": lambda: discrete(Relaxed, PLACES * WORDS, tau=Linear(2.0, 0.5, 20)),
    "total correlation": factors,
}


def data(n: int = 200) -> Dataset:
    draw = np.random.default_rng(0)
    centres = draw.normal(size=(WORDS, 4)) * 3
    x = (centres[draw.integers(0, WORDS, n)] + 0.1 * draw.normal(size=(n, 4))).astype(np.float32)
    return Dataset("blobs", SPEC, {"x": x}, split(n))


def begun(name: str) -> VAE:
    with seeded(0):
        model = MODELS[name]()
    examples = data().rows(np.arange(64))
    with seeded(1), torch.no_grad():
        model.begin(TrainingData(64, lambda n: examples[:n], lambda batch: model.draw(batch, exact=False)))
    return model


def trainer(model: Model, team: Team = Team(), steps: int = 40) -> Trainer:
    recipe = Recipe(steps=steps, batch=32, log=10)
    batches = Batches(data(), 32, 0, "cpu", team.rank, team.world, reads=model.reads())
    model.train()
    return Trainer(model, model.players(), batches, recipe, team=team)


def played(name: str, rounds: int, team: Team = Team()) -> Trainer:
    game = trainer(begun(name), team)
    for round in range(rounds):
        game.play(round)
    return game


@pytest.mark.parametrize("name", MODELS)
def test_each_keeps_the_contracts(name: str) -> None:
    checked = check_model(MODELS[name], SPEC)
    assert {"owners", "state", "turns", "codes", "bounds"} <= set(checked)


@pytest.mark.parametrize("name", MODELS)
def test_each_learns_and_its_terms_are_in_the_journal(name: str) -> None:
    game = played(name, 10)
    first = game.line()
    for round in range(10, 40):
        game.play(round)
    last = game.line()
    assert last["vae.reconstruction"] < first["vae.reconstruction"]
    own = {"codebook": "vae.posterior.commitment", "temperature": "vae.posterior.tau", "total correlation": "vae.tc"}
    assert own[name] in last
    if name == "temperature":  # the mean of rounds 20 … 39, all at the end of the schedule
        assert last[own[name]] < first[own[name]] == pytest.approx(2 - 1.5 * 4.5 / 20)


def test_a_codebook_moves_after_the_turn_to_what_was_nearest() -> None:
    """One turn by hand: the book's rows are the averages of the codes of that turn's own draw."""
    model = begun("codebook")
    q, player = model.posterior, model.players()[0]
    book, count = q.book.clone(), q.count.clone()
    with seeded(3):
        terms, draw = player.loss(data().rows(np.arange(32)), Clock(torch.zeros(()), 40))
    terms = {k: float(v.detach()) for k, v in terms.items()}
    parts = terms["reconstruction"] + terms["kl"] + 0.25 * terms["posterior.commitment"]
    assert terms["total"] == pytest.approx(parts, rel=1e-5)
    with torch.no_grad():
        player.after(draw)
    for v in range(WORDS):
        mine = draw.q.e[draw.q.index == v].detach()
        expected = 0.9 * count[v] + 0.1 * len(mine)
        moved = (0.9 * book[v] * count[v] + 0.1 * mine.sum(0)) / expected if len(mine) else book[v]
        torch.testing.assert_close(q.book[v], moved)
    assert terms["kl"] == pytest.approx(PLACES * log(WORDS), rel=1e-5)  # sure codes against even ones


def test_the_critics_loss_does_not_reach_the_encoder() -> None:
    model = begun("total correlation")
    main, guest = model.players()
    terms, _ = guest.loss(data().rows(np.arange(32)), Clock(torch.zeros(()), 40))
    of_encoder = torch.autograd.grad(terms["total"], main.parameters, allow_unused=True)
    assert all(slope is None for slope in of_encoder)
    assert not {id(p) for p in main.parameters} & {id(p) for p in guest.parameters}
    total, _ = main.loss(data().rows(np.arange(32)), Clock(torch.zeros(()), 40))
    assert all(s is not None for s in torch.autograd.grad(total["total"], list(model.encoder.parameters())))


@pytest.mark.parametrize("name", MODELS)
def test_resumed_it_goes_on_bit_by_bit(name: str) -> None:
    whole, other = played(name, 20), trainer(begun(name))
    game = played(name, 8)
    kept = {k: v.clone() for k, v in game.state().items()}
    other.restore(kept, {"names": game.names, "round": 8, "driver": {}})
    for round in range(8, 20):
        other.play(round)
    for key, value in whole.model.state_dict().items():
        assert torch.equal(value, other.model.state_dict()[key]), key


def _one_of_two(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    store = dist.FileStore(f"{folder}/store", 2)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2)
    for name in MODELS:
        game = played(name, 12, Team(rank, 2))
        if rank == 0:
            torch.save(game.model.state_dict(), f"{folder}/{name}.pt")
    dist.barrier()
    dist.destroy_process_group()


def test_two_processes_are_one(tmp_path: Path) -> None:
    mp.spawn(_one_of_two, (str(tmp_path),), nprocs=2)
    for name in MODELS:
        one, two = played(name, 12).model.state_dict(), torch.load(tmp_path / f"{name}.pt", weights_only=True)
        for key, value in one.items():
            torch.testing.assert_close(two[key], value, rtol=1e-4, atol=1e-5, msg=f"{name}: {key}")


def _turn_of(player: Player) -> Callable[[torch.Tensor, torch.Tensor], list[torch.Tensor]]:
    """Terms and gradients, as a function of tensors alone."""

    def turn(round: torch.Tensor, x: torch.Tensor) -> list[torch.Tensor]:
        terms, left = player.loss(Batch(x), Clock(round, 40))
        slopes = torch.autograd.grad(terms["total"], player.parameters, allow_unused=True)
        with torch.no_grad():
            player.after(left)
        return [*terms.values(), *[slope for slope in slopes if slope is not None]]

    return turn


@pytest.mark.parametrize("name", MODELS)
def test_a_turn_traced_once_replays_on_other_batches_and_rounds(name: str) -> None:
    """What a captured graph does, on the CPU: a value that Python remembered would be that of the first turn."""
    model = begun(name)
    batches = Batches(data(), 32, 0)
    for player in model.players():
        turn = _turn_of(player)
        with seeded(1):
            graph = make_fx(turn, tracing_mode="real")(torch.tensor(3.0), batches.at(3).x)
        before = {k: v.clone() for k, v in model.state_dict().items()}
        for round in (9, 35):
            given = (torch.tensor(float(round)), batches.at(round).x)
            ends = []
            for form in (turn, graph):
                model.load_state_dict(before)
                with seeded(round):
                    numbers = [v.detach().clone() for v in form(*given)]
                ends.append((numbers, {k: v.clone() for k, v in model.state_dict().items()}))
            (eager, moved), (replayed, moved_too) = ends
            for a, b in zip(eager, replayed, strict=True):
                torch.testing.assert_close(a, b)
            for key in moved:
                torch.testing.assert_close(moved[key], moved_too[key], msg=key)


class Seen(Content):
    """As an objective it stands beside the ELBO."""

    def terms(self, draw):
        parts, content = elbo(draw), super().terms(draw)["total"]
        return {**parts, "content": content, "total": parts["total"] + content}


@pytest.mark.parametrize("half", ["latent", "adversarial"])
def test_a_content_loss_plays_in_both_halves(half: str) -> None:
    """It is what one computes by hand, it lowers, its lens is never moved, and the checks hold."""

    def make() -> Model:
        if half == "latent":
            return build("vae", SPEC, latent=3, hidden=(8,), likelihood="gaussian", objective=Seen(4))
        return build("ns-gan", SPEC, latent=3, hidden=(8,), tricks=[Content(4, weight=10.0)])

    check_model(make, SPEC)
    with seeded(0):
        model = make()
    game = trainer(model, steps=40)
    part = model.objective if half == "latent" else model.trick_list[0]
    lens = part.lens.clone()
    main = next(player for player in model.players() if player.name in ("vae", "generator"))
    with seeded(3), torch.no_grad():
        terms, draw = main.loss(data().rows(np.arange(32)), Clock(torch.zeros(()), 40))
    by_hand = part.weight * (part.of(draw.output) - part.of(draw.x)).square().mean()
    name = "content" if half == "latent" else "Content"
    torch.testing.assert_close(terms[name], by_hand)
    lines = []
    for round in range(40):
        game.play(round)
        if round in (9, 39):
            lines.append(game.line()[f"{main.name}.{name}"])
    assert lines[1] < lines[0]
    assert torch.equal(part.lens, lens)
