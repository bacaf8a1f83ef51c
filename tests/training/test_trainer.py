"""The loop: who plays when, on what, with which noise, and what a turn may touch."""

import pytest
import torch
from torch import nn
from torch.func import functional_call

from bestiary.errors import BestiaryError
from bestiary.grammar.schedules import Linear
from bestiary.networks.batch_norm import BatchNorm
from bestiary.training.clock import derive_seed
from bestiary.training.device import seeded
from bestiary.training.meter import NonFinite
from bestiary.training.player import SGD, Adam, Player, RMSprop
from tests.training.games import Duel, points, trainer


def test_players_take_their_turns_in_order():
    model = Duel(turns=lambda round: 3 if round == 0 else 1)
    game = trainer(model)
    game.play(0)
    game.play(1)
    order = [(name, round, turn) for name, round, turn, _, _ in model.seen]
    critic, others = [("critic", 0, 0), ("critic", 0, 1), ("critic", 0, 2)], ("generator", "arbiter")
    second = [(name, 1, 0) for name in ("critic", *others)]
    assert order == [*critic, *((name, 0, 0) for name in others), *second]


def test_noise_is_a_function_of_seed_round_player_and_turn():
    def noises(seed: int) -> dict[tuple[str, int, int], float]:
        model = Duel(turns=2)
        game = trainer(model, seed=seed)
        for round in range(4):
            game.play(round)
        return {(name, round, turn): noise for name, round, turn, noise, _ in model.seen}

    first, again, other = noises(0), noises(0), noises(1)
    assert first == again
    assert len(set(first.values())) == len(first)  # no two turns share their noise
    assert not set(first.values()) & set(other.values())


def test_a_round_can_be_played_without_those_before_it():
    """Noise and batches do not depend on history: round 7 of a fresh trainer sees what round 7 of a run sees."""
    ran, fresh = Duel(turns=2), Duel(turns=2)
    game = trainer(ran)
    for round in range(8):
        game.play(round)
    trainer(fresh).play(7)
    late = [(name, turn, noise, x.tolist()) for name, round, turn, noise, x in ran.seen if round == 7]
    assert late == [(name, turn, noise, x.tolist()) for name, _, turn, noise, x in fresh.seen]


def test_the_turns_of_a_round_see_different_batches():
    model = Duel(turns=3)
    trainer(model).play(0)
    seen = {tuple(x.tolist()) for name, _, _, _, x in model.seen if name == "critic"}
    assert len(seen) == 3


def test_a_turn_moves_its_own_parameters_only():
    """Plain gradient of the player's total with respect to its own weights, though it runs through the other's."""
    model = Duel()
    game = trainer(model, log=1)
    a, b = model.a.detach().clone(), model.b.detach().clone()
    game.turns[0](game.batches.at(0), _clock(), True)
    assert torch.equal(model.b, b)
    assert not torch.equal(model.a, a)
    assert model.b.grad is None


def test_a_player_alone_leaves_weights_that_are_not_its_own():
    """A game of one whose loss runs through a weight that nobody plays."""

    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.own, self.other = (nn.Parameter(torch.ones(2)) for _ in range(2))

        def players(self):
            product = lambda batch, clock: ({"total": (self.own * self.other).square().sum()}, None)  # noqa: E731
            return [Player("half", [self.own], product)]

    model = Half()
    trainer(model).play(0)
    assert model.other.grad is None
    assert not torch.equal(model.own, torch.ones(2))


def test_the_small_gradients_are_watched_as_one_vector():
    """What is noted at each turn is the norm over biases and scales; where there are none, over all."""

    class Net(nn.Module):
        def __init__(self, bias: bool) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(2, 3, bias), nn.Tanh(), nn.Linear(3, 1, bias))

        def players(self):
            own = list(self.parameters())
            return [Player("net", own, lambda batch, clock: ({"total": self.net(batch.x).square().mean()}, None))]

    for bias in (True, False):
        model = Net(bias)
        game = trainer(model)
        numbers = game.turns[0](game.batches.at(0), _clock())
        watched = [p.grad.flatten() for p in model.parameters() if p.ndim == 1 or not bias]
        torch.testing.assert_close(numbers[-1], torch.cat(watched).norm())


def _clock(round: int = 0):
    from bestiary.training.clock import Clock

    return Clock(torch.tensor(float(round)), 20)


def test_adam_takes_the_step_of_torchs_adam():
    model, twin = Duel(optimiser=Adam(0.01)), Duel()
    game = trainer(model)
    game.play(0)
    with seeded(derive_seed(0, 0, "critic", 0)):
        loss = twin._loss("critic", twin.a)(game.batches.at(0), _clock())[0]["total"]
    (gradient,) = torch.autograd.grad(loss, [twin.a])
    torch.testing.assert_close(model.a.detach(), twin.a.detach() - 0.01 * gradient.sign(), rtol=1e-4, atol=1e-6)


def test_after_follows_every_turn():
    rounds: list[int] = []
    model = Duel(turns=2)
    model.critic["after"] = lambda left: (rounds.append(left), model.a.data.clamp_(-0.1, 0.1))
    game = trainer(model)
    game.play(0)
    game.play(1)
    assert rounds == [0, 0, 1, 1]
    assert model.a.abs().max() <= 0.1


def test_a_codebook_is_moved_after_the_turn_and_is_state():
    """A buffer that a loss prepares and `after` applies is saved and restored with everything else."""

    class Book(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.ones(2))
            self.register_buffer("codes", torch.zeros(2))

        def players(self) -> list[Player]:
            def loss(batch, clock):
                return {"total": (self.w - self.codes).square().sum()}, batch.x.mean(0)

            return [Player("book", [self.w], loss, after=lambda left: self.codes.lerp_(left, 0.5))]

    one, two = Book(), Book()
    ran, other = trainer(one), trainer(two)
    for round in range(6):
        ran.play(round)
        if round == 2:
            state = {k: v.clone() for k, v in ran.state().items()}
            facts = {"names": ran.names, "round": 3, "driver": {}}
    other.restore(state, facts)
    for round in range(3, 6):
        other.play(round)
    assert torch.equal(one.codes, two.codes)
    assert torch.equal(one.w, two.w)


def test_a_loss_may_unroll_steps_of_another_player():
    """The generator differentiates through a gradient step of the critic; checked against finite differences."""

    class Unrolled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.critic = nn.Linear(1, 1, bias=False).double()
            self.g = nn.Parameter(torch.tensor([0.7], dtype=torch.double))
            self.critic.weight.data.fill_(0.3)

        def value(self, g, w):
            fake = torch.tanh(functional_call(self.critic, {"weight": w}, (g.view(1, 1),)))
            return (fake - 0.2).square().sum() + 0.1 * w.square().sum()

        def unrolled(self, g):
            w = self.critic.weight
            for _ in range(3):
                (step,) = torch.autograd.grad(self.value(g, w), [w], create_graph=True)
                w = w + 0.1 * step  # the critic ascends
            return self.value(g, w)

        def players(self):
            return [Player("generator", [self.g], lambda batch, clock: ({"total": self.unrolled(self.g)}, None))]

    model = Unrolled()
    game = trainer(model)
    before = model.critic.weight.detach().clone()
    game.turns[0](game.batches.at(0), _clock())
    h, start = 1e-6, torch.tensor([0.7], dtype=torch.double)
    numeric = (model.unrolled(start + h) - model.unrolled(start - h)) / (2 * h)
    torch.testing.assert_close(model.g.grad, numeric.detach().view(1), rtol=1e-6, atol=1e-9)
    assert torch.equal(model.critic.weight, before)


def test_a_loss_may_differentiate_twice():
    """A gradient penalty inside a loss: (‖∇_x c(x)‖ − 1)² of a linear critic has gradient 2(‖w‖ − 1) w/‖w‖."""

    class Penalised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.tensor([3.0, 4.0]))

        def players(self):
            def loss(batch, clock):
                x = batch.x.detach().requires_grad_()
                (slope,) = torch.autograd.grad((x @ self.w).sum(), [x], create_graph=True)
                return {"total": (slope.norm(dim=1) - 1).square().mean()}, None

            return [Player("critic", [self.w], loss)]

    model = Penalised()
    game = trainer(model)
    game.turns[0](game.batches.at(0), _clock())
    torch.testing.assert_close(model.w.grad, 8 * torch.tensor([0.6, 0.8]))


def test_the_rate_follows_its_schedule():
    model = Duel(optimiser=Adam(Linear(0.0, 0.1, 10)))
    game = trainer(model)
    start = model.a.detach().clone()
    game.play(0)
    assert torch.equal(model.a, start)  # the rate of round 0 is 0
    game.play(5)
    assert game.turns[0].optimiser.param_groups[0]["lr"] == pytest.approx(0.05)


def test_clipping_bounds_the_whole_gradient():
    model = Duel(optimiser=RMSprop(0.1))
    game = trainer(model, clip=0.01)
    numbers = game.turns[0](game.batches.at(0), _clock())
    assert numbers[-1] > 0.01  # the norm that is written down is the one before clipping
    torch.testing.assert_close(model.a.grad.norm(), torch.tensor(0.01), rtol=1e-3, atol=0.0)


@pytest.mark.parametrize("term", ["total", "norm"])
def test_a_term_that_is_not_finite_is_named(term):
    class Ill(Duel):
        def _loss(self, name, own):
            inner = super()._loss(name, own)

            def loss(batch, clock):
                terms, left = inner(batch, clock)
                if name == "generator" and int(clock.round) == 7:
                    terms[term] = terms[term] * torch.nan
                return terms, left

            return loss

    game = trainer(Ill(), log=10)
    for round in range(10):
        game.play(round)
    with pytest.raises(NonFinite, match=rf"player `generator`: the term `{term}` is nan at round 7"):
        game.line()


def test_a_gradient_that_is_not_finite_is_named():
    """√x at 0: the loss is finite, its gradient is not."""

    class Ill(Duel):
        def _loss(self, name, own):
            inner = super()._loss(name, own)

            def loss(batch, clock):
                terms, left = inner(batch, clock)
                if name == "critic" and int(clock.round) == 3:
                    terms["total"] = terms["total"] + (own - own.detach()).abs().sum().sqrt()
                return terms, left

            return loss

    game = trainer(Ill(), log=5)
    for round in range(4):
        game.play(round)
    with pytest.raises(NonFinite, match=r"player `critic`: the gradient's norm is (nan|inf) at round 3"):
        game.line()
    with pytest.raises(NonFinite):
        game.state()  # never written down


def test_a_gradient_hidden_in_large_weights_is_found_at_the_next_line():
    """Only biases and scales are watched at every turn; weights are looked at when a line is due."""

    class Ill(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(2, 2)

        def players(self):
            def loss(batch, clock):
                total = self.net(batch.x).square().mean()
                if int(clock.round) == 2:
                    w = self.net.weight
                    total = total + (w - w.detach()).abs().sum().sqrt()
                return {"total": total}, None

            return [Player("net", list(self.net.parameters()), loss)]

    game = trainer(Ill(), log=3)
    for round in range(3):
        game.play(round)
    with pytest.raises(NonFinite, match="player `net`"):
        game.line()


def test_a_player_without_parameters_is_refused():
    class Idle(nn.Module):
        def players(self):
            return [Player("idle", [], lambda batch, clock: {})]

    with pytest.raises(BestiaryError, match="idle"):
        trainer(Idle())


def test_the_average_is_the_recursion_and_leaves_the_weights_alone():
    model = Duel()
    game = trainer(model, average=0.9)
    expected = model.a.detach().clone()
    for round in range(6):
        game.play(round)
        decay = min(0.9, (1 + round) / (10 + round))
        expected = decay * expected + (1 - decay) * model.a.detach()
    own = model.a.detach().clone()
    with game.evaluation_model() as judged:
        torch.testing.assert_close(judged.a.detach(), expected)
        assert not judged.training
    assert torch.equal(model.a, own)
    assert model.training
    torch.testing.assert_close(game.weights()["a"], expected)


class Normed(nn.Module):
    """A BatchNorm that learns the moments of what it is shown."""

    def __init__(self):
        super().__init__()
        self.norm = BatchNorm(2)

    def players(self):
        def loss(batch, clock):
            return {"total": self.norm(batch.x.flatten(1)[:, :2]).square().mean()}, None

        return [Player("net", list(self.parameters()), loss)]


def test_moments_of_batches_are_averaged_with_the_weights_that_meet_them():
    model = Normed()
    game = trainer(model, average=0.9)
    means, variances = model.norm.running_mean.clone(), model.norm.running_var.clone()
    for round in range(6):
        game.play(round)
        decay = min(0.9, (1 + round) / (10 + round))
        means.lerp_(model.norm.running_mean, 1 - decay)
        variances.lerp_(model.norm.running_var, 1 - decay)
    own = model.norm.running_mean.clone()
    with game.evaluation_model():
        torch.testing.assert_close(model.norm.running_mean, means)
        torch.testing.assert_close(model.norm.running_var, variances)
        assert not torch.equal(model.norm.running_mean, own)
    assert torch.equal(model.norm.running_mean, own)


def test_a_checkpoint_of_before_moments_were_averaged_takes_those_it_has():
    game = trainer(Normed(), average=0.9)
    for round in range(4):
        game.play(round)
    old = {k: v for k, v in game.average.state().items() if int(k) < 2}
    game.average.restore(old)
    assert torch.equal(game.average.mean[2], game.model.norm.running_mean)
    assert torch.equal(game.average.mean[0], old["0"])


def test_means_in_a_line_are_the_means_of_the_turns():
    model = Duel(turns=2)
    game = trainer(model, log=4)
    norms = []
    for round in range(4):
        game.play(round)
        norms += [game.meter.rows["critic"][-2][1], game.meter.rows["critic"][-1][1]]
    line = game.line()
    assert line["round"] == 4
    assert line["epoch"] == pytest.approx(4 * 16 / 160)
    assert line["critic.norm"] == pytest.approx(float(torch.stack(norms).mean()))
    assert game.meter.rows == {}


def test_the_batch_must_be_shared_evenly():
    from bestiary.data.batches import Batches

    with pytest.raises(BestiaryError, match="multiple of the 3"):
        Batches(points(), 16, 0, world=3)


def test_a_loss_is_told_its_players_phase():
    """A plain number for every turn of a round; a player that has none is in phase 1 always."""
    seen: dict[str, list[int]] = {"critic": [], "generator": []}

    class Lazy(Duel):
        def _loss(self, name, own):
            inner = super()._loss(name, own)

            def loss(batch, clock):
                if name in seen:
                    seen[name].append(clock.phase)
                return inner(batch, clock)

            return loss

    game = trainer(Lazy(turns=2, phase=lambda round: round % 3))
    for round in range(4):
        game.play(round)
    assert seen == {"critic": [0, 0, 1, 1, 2, 2, 0, 0], "generator": [1, 1, 1, 1]}


@pytest.mark.parametrize("momentum", [0.0, 0.7])
def test_gradient_descent_with_momentum_is_its_recursion(momentum):
    """v ← μ v + g, θ ← θ − lr v; and a restored run goes on with the v it had."""
    model = Duel(optimiser=SGD(0.05, momentum))
    game, theta, v = trainer(model), model.a.detach().clone(), torch.zeros(2)
    for round in range(4):
        if round == 2:
            state = {k: t.clone() for k, t in game.state().items()}
        game.play(round)
        v = momentum * v + model.a.grad
        theta = theta - 0.05 * v
        torch.testing.assert_close(model.a.detach(), theta)
    again = Duel(optimiser=SGD(0.05, momentum))
    other = trainer(again)
    other.restore(state, {"names": game.names, "round": 2, "driver": {}})
    for round in (2, 3):
        other.play(round)
    assert torch.equal(again.a, model.a)
