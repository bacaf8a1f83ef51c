"""The GAN: who may touch what, in which batches, and where samples may lie."""

import pytest
import torch
from torch import Tensor, nn

from bestiary.data.batch import Batch
from bestiary.data.spec import Spec, pictures, rows
from bestiary.data.support import Category, Column
from bestiary.errors import BestiaryError
from bestiary.models.gan import GAN
from bestiary.models.zoo import build
from bestiary.networks.batch_norm import BatchNorm
from bestiary.objectives.games import GAMES, Game
from bestiary.training.clock import Clock
from bestiary.training.noise import batch_share
from bestiary.training.player import Adam
from bestiary.training.turn import Turn

IMAGE = pictures((1, 8, 8), 17)
TABLE = rows((Column("b", Category(("x", "y", "z"))), Column("a"), Column("c", Category(("u", "v")))))  # fmt: skip
VECTOR = rows(3)
CLOCK = Clock(torch.tensor(0.0), 10)


def small(name: str, spec: Spec, **options: object) -> GAN:
    torch.manual_seed(0)
    hidden = {} if name == "dcgan" else {"hidden": (8,)}
    model = build(name, spec, **{"latent": 4, "width": 4, **hidden, **options})
    assert isinstance(model, GAN)
    return model


MODELS = {
    "gan": ("ns-gan", IMAGE),
    "dcgan": ("dcgan", IMAGE),
    "table": ("ns-gan", TABLE),
    "vector": ("ns-gan", VECTOR),
}


def batch(spec: Spec, n: int = 6) -> Batch:
    return Batch(torch.rand(n, *spec.shape, generator=torch.Generator().manual_seed(1)))


def weights(net: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in net.parameters()]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("who", [0, 1], ids=["critic", "generator"])
def test_a_turn_moves_its_own_player_and_no_other(name: str, who: int) -> None:
    model = small(*MODELS[name])
    player = model.players()[who]
    nets = (model.critic, model.generator) if who == 0 else (model.generator, model.critic)
    assert player.name == ("critic", "generator")[who]
    before = [weights(net) for net in nets]
    Turn(player, torch.device("cpu"))(batch(model.spec), CLOCK)
    assert not any(torch.equal(a, b) for a, b in zip(before[0], weights(nets[0]), strict=True) if a.ndim > 1)
    assert all(torch.equal(a, b) for a, b in zip(before[1], weights(nets[1]), strict=True))
    assert all(p.grad is None for p in nets[1].parameters())


@pytest.mark.parametrize("name", MODELS)
def test_the_critics_loss_does_not_reach_the_generator(name: str) -> None:
    """Even if all gradients are asked for: the generator is not differentiated in the critic's turn."""
    model = small(*MODELS[name])
    model.critic_loss(batch(model.spec), CLOCK)[0]["total"].backward()
    assert all(p.grad is None for p in model.generator.parameters())
    assert all(p.grad is not None for p in model.critic.parameters())


@pytest.mark.parametrize("name", MODELS)
def test_the_losses_are_the_games(name: str) -> None:
    """On the logits of the critic, images taken to [−1, 1]; in fp32 and averaged."""
    model, given = small(*MODELS[name]).eval(), batch(MODELS[name][1])
    torch.manual_seed(5)
    found, _ = model.critic_loss(given, CLOCK)
    torch.manual_seed(5)
    fake = model.critic(model.generator(torch.randn(6, 4)))
    real = model.critic(2 * given.x - 1 if model.spec.x.is_picture else given.x)
    game = GAMES["nonsaturating"]()
    torch.testing.assert_close(found["total"], game.critic(real, fake).mean())
    torch.testing.assert_close(found["real"], real.sigmoid().mean())
    torch.testing.assert_close(found["fake"], fake.sigmoid().mean())
    torch.manual_seed(5)
    torch.testing.assert_close(model.generator_loss(given, CLOCK)[0]["total"], game.generator(real, fake).mean())


class Watch(nn.Module):
    """A critic that keeps what passes through it."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.head = BatchNorm(3), nn.Linear(3, 1)
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach())
        return self.head(self.norm(x))


def test_real_and_fake_pass_in_batches_of_their_own() -> None:
    """Each is normalised by its own moments: the running ones are those of two updates, not of one joint batch."""
    model = small("gan", VECTOR, critic=Watch())
    critic, x = model.critic.net, batch(VECTOR).x + 10
    critic.seen.clear()
    critic.norm.reset_running_stats()
    model.critic_loss(Batch(x), CLOCK)
    real, fake = critic.seen
    torch.testing.assert_close(real, x)
    assert critic.norm.num_batches_tracked == 2
    twice, joint = BatchNorm(3), BatchNorm(3)
    twice(real)
    twice(fake)
    joint(torch.cat([real, fake]))
    torch.testing.assert_close(critic.norm.running_mean, twice.running_mean)
    torch.testing.assert_close(critic.norm.running_var, twice.running_var)
    assert (critic.norm.running_var - joint.running_var).abs().min() > 1


def test_the_generators_turn_shows_the_critic_real_only_if_the_game_is_paired() -> None:
    paired = Game(GAMES["nonsaturating"]().critic, lambda real, fake: (real - fake).square(), paired=True)
    for game, passes in ((GAMES["nonsaturating"](), 1), (paired, 2)):
        model = small("gan", VECTOR, critic=Watch(), game=game)
        model.critic.net.seen.clear()
        model.generator_loss(batch(VECTOR), CLOCK)
        assert len(model.critic.net.seen) == passes


@pytest.mark.parametrize("name", MODELS)
def test_every_weight_has_one_owner(name: str) -> None:
    model = small(*MODELS[name])
    owned = [[id(p) for p in player.parameters] for player in model.players()]
    assert owned == [[id(p) for p in net.parameters()] for net in (model.critic, model.generator)]


def test_turns_and_optimisers_are_those_asked_for() -> None:
    critic, generator = small("gan", VECTOR, critic_turns=5, lr=3e-4, beta1=0.1).players()
    assert [critic.turns_at(0), generator.turns_at(0)] == [5, 1]
    assert critic.optimiser == generator.optimiser == Adam(3e-4, (0.1, 0.999))
    assert small("dcgan", IMAGE).players()[0].optimiser == Adam(2e-4, (0.5, 0.999))


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_samples_lie_in_the_support(name: str) -> None:
    model = small(*MODELS[name])
    for p in model.generator.parameters():
        p.mul_(3)  # so that outputs reach the edges
    x = model.sample(50)
    assert x.shape == (50, *model.spec.shape)
    if model.spec.x.is_picture:
        assert 0 <= x.min() < 0.3
        assert 0.7 < x.max() <= 1
    if model.spec.x.columns:
        for category in (x[:, :3], x[:, 4:]):
            torch.testing.assert_close(category.sum(1), torch.ones(50))
            assert category.min() >= 0
        assert x[:, 3].abs().max() > 1  # a number is not squashed


def test_what_is_shown_is_what_the_generator_made_in_model_units() -> None:
    model = small("gan", IMAGE)
    z = torch.randn(4, 4)
    with torch.no_grad():
        torch.testing.assert_close(model.centred(model.show(z)), model.generator(z), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("who", ["critic_loss", "generator_loss"])
def test_the_losses_of_two_processes_are_those_of_one(who: str) -> None:
    model, x = small("gan", VECTOR), batch(VECTOR, 8).x

    def loss(x: Tensor, rank: int, world: int) -> Tensor:
        torch.manual_seed(6)
        with batch_share(rank, world), torch.no_grad():
            return getattr(model, who)(Batch(x), CLOCK)[0]["total"]

    halves = [loss(part, rank, 2) for rank, part in enumerate(x.chunk(2))]
    torch.testing.assert_close(torch.stack(halves).mean(), loss(x, 0, 1))


def test_critics_may_give_a_column_or_a_vector() -> None:
    for critic in (nn.Linear(3, 1), nn.Sequential(nn.Linear(3, 1), nn.Flatten(0))):
        model = small("gan", VECTOR, critic=critic)
        assert model.critic(torch.randn(7, 3)).shape == (7,)
    with torch.autocast("cpu", torch.bfloat16):
        assert model.critic(torch.randn(7, 3)).dtype == torch.float32


def test_simultaneous_matching_compares_the_features_of_the_critic_of_before() -> None:
    """The generator answers one critic, in its game and in what it matches."""
    given = batch(VECTOR)
    model = small("ns-gan", VECTOR, simultaneous=True, matching=1.0)
    torch.manual_seed(5)
    with torch.no_grad():
        fake = model.generator(torch.randn(6, 4))
        h_real, h_fake = (model.critic.net.features(x) for x in (given.x, fake))
        wanted = (h_real.mean(0) - h_fake.mean(0)).square().sum()
    Turn(model.players()[0], torch.device("cpu"))(given, CLOCK)
    with torch.no_grad():
        for p in model.critic.parameters():
            p += 0.1
    torch.manual_seed(5)
    torch.testing.assert_close(model.generator_loss(given, CLOCK)[0]["matching"].detach(), wanted)


@pytest.mark.parametrize("options", [
    {"unroll": 3}, {"unroll": 2, "simultaneous": True}, {"unroll": 2, "matching": 1.0}, {"simultaneous": True},
    {"unroll": 2, "spectral": True}, {"simultaneous": True, "spectral": True, "matching": 1.0},
    {"unroll": 2, "pack": 2, "joint": True, "critic_norm": "batch"},
    {"unroll": 1, "game": "relativistic", "penalty": "r1r2(1)"},
])  # fmt: skip
def test_tricks_compose_and_the_critics_weights_stay_in_the_generators_turn(options: dict[str, object]) -> None:
    model, given = small("ns-gan", VECTOR, **options), batch(VECTOR)
    critic, generator = (Turn(player, torch.device("cpu")) for player in model.players())
    assert critic(given, CLOCK).isfinite().all()
    before, own = weights(model.critic), weights(model.generator)
    assert generator(given, CLOCK).isfinite().all()
    assert all(torch.equal(a, b) for a, b in zip(before, weights(model.critic), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(own, weights(model.generator), strict=True))


@pytest.mark.parametrize(
    "more",
    [{}, {"penalty": "r2(3)"}, {"penalty": "gp(3)"}, {"history": 0.1}, {"matching": 2.0}, {"minibatch": 2}],
    ids=str,
)  # fmt: skip
def test_the_unrolled_gradient_of_a_whole_model_is_that_of_difference_quotients(
    more: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the game, the critic's answer and the weights that it is given: ∂ of the generator's own loss."""
    model = small("unrolled-gan", VECTOR, tricks="unroll(3,rate=0.5)", **more).double()
    if "history" in more:
        for mean in list(model.tricks["history"].past_critic.buffers())[1:]:
            mean += 0.3
    given = Batch(batch(VECTOR).x.double())
    model.codes = lambda n, c: torch.randn(n, 4, dtype=torch.float64)  # type: ignore[method-assign]
    monkeypatch.setattr(Tensor, "float", lambda x: x)  # no rounding to fp32

    def value() -> Tensor:
        torch.manual_seed(3)
        return model.generator_loss(given, CLOCK)[0]["total"]

    own = list(model.generator.parameters())
    slopes = torch.autograd.grad(value(), own)
    torch.manual_seed(9)
    along, step, ends = [torch.randn_like(p) for p in own], 1e-6, []
    for by in (step, -2 * step):
        with torch.no_grad():
            for p, d in zip(own, along, strict=True):
                p += by * d
        ends.append(float(value().detach()))
    quotient = (ends[0] - ends[1]) / (2 * step)
    assert sum(float((s * d).sum()) for s, d in zip(slopes, along, strict=True)) == pytest.approx(quotient, rel=1e-5)


def test_a_pack_that_does_not_divide_is_told() -> None:
    model = small("pac-gan", VECTOR, pack=4)
    with pytest.raises(BestiaryError, match="pack=4 does not divide the 6 examples"):
        model.critic_loss(batch(VECTOR), CLOCK)


def test_a_penalty_refuses_a_critic_that_mixes_examples() -> None:
    mixing = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    with pytest.raises(BestiaryError, match="BatchNorm of your critic mixes the examples"):
        small("wgan-gp", VECTOR, critic=mixing)
    assert small("ns-gan", VECTOR, critic=mixing).critic.net is mixing


def test_simultaneous_play_answers_the_critic_of_before_its_first_turn() -> None:
    """In every round anew, however many turns the critic has."""
    model, given = small("ns-gan", VECTOR, simultaneous=True, critic_turns=3), batch(VECTOR)
    critic = Turn(model.players()[0], torch.device("cpu"))
    for round in range(2):
        began = weights(model.critic)
        for turn in range(3):
            critic(given, Clock(torch.tensor(float(round)), 10, torch.tensor(float(turn))))
            assert all(
                torch.equal(a, b) for a, b in zip(began, weights(model.tricks["simultaneous"].before), strict=True)
            )
        assert not any(torch.equal(a, b) for a, b in zip(began, weights(model.critic), strict=True))
