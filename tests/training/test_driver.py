"""The driver: journal, validation, patience, time limits, interruptions, and going on as if never stopped."""

import os
import signal

import pytest
import torch

from bestiary.storage.journal import read_journal
from bestiary.training.checkpoint import checkpoints
from bestiary.training.driver import RunFailed, fit, resume
from bestiary.training.player import Player
from tests.training.games import Duel, trainer


def quiet(message: str) -> None:
    raise AssertionError(message)


def played(folder, **recipe):
    game = trainer(Duel(turns=2), **recipe)
    ending = fit(game, folder)
    return game, ending


def same(one, two) -> bool:
    a, b = one.state(), two.state()
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_a_run_to_its_end(tmp_path):
    _, ending = played(tmp_path)
    assert (ending.finished, ending.round, ending.reason) == (True, 20, "all rounds played")
    assert [line["round"] for line in read_journal(tmp_path / "journal.jsonl")] == [5, 10, 15, 20]
    assert [int(p.name) for p in checkpoints(tmp_path / "checkpoints")] == [15, 20]


@pytest.mark.parametrize("at", range(1, 20))
def test_stopped_anywhere_it_goes_on_as_if_never_stopped(tmp_path, at):
    """Also between two lines of the journal, whose means then span the pause."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole, _ = played(tmp_path / "a", average=0.9)

    class Stops(Duel):
        def _loss(self, name, own):
            inner = super()._loss(name, own)

            def loss(batch, clock):
                if int(clock.round) == at - 1 and name == "generator":
                    os.kill(os.getpid(), signal.SIGINT)
                return inner(batch, clock)

            return loss

    ending = fit(trainer(Stops(turns=2), average=0.9), tmp_path / "b")
    assert (ending.reason, ending.round, ending.finished) == ("interrupted", at, at == 20)
    again = trainer(Duel(turns=2), average=0.9)
    resume(again, tmp_path / "b", quiet)
    assert again.round == at
    fit(again, tmp_path / "b")
    assert same(whole, again)
    assert (tmp_path / "a" / "journal.jsonl").read_bytes() == (tmp_path / "b" / "journal.jsonl").read_bytes()


def test_the_time_limit_pauses(tmp_path):
    ending = fit(trainer(Duel()), tmp_path, limit=0.0)
    assert (ending.reason, ending.round, ending.finished) == ("time limit", 1, False)
    assert [int(p.name) for p in checkpoints(tmp_path / "checkpoints")] == [1]


def test_patience_stops_and_keeps_the_best_weights(tmp_path):
    """Validation bounds 1, 3, 2, 2: best at the second, stopped at the fourth."""
    bounds = iter([1.0, 3.0, 2.0, 2.0, 9.0])
    game = trainer(Duel(), validate=2, patience=2)
    kept = []

    def validate():
        kept.append(game.model.a.detach().clone())
        return {"bound": next(bounds)}

    ending = fit(game, tmp_path, validate)
    assert ending.reason == "early stop: no better validation bound since round 4"
    assert (ending.round, ending.finished) == (8, True)
    assert torch.equal(game.weights()["a"], kept[1])
    again = trainer(Duel(), validate=2, patience=2)
    resume(again, tmp_path, quiet)
    assert torch.equal(again.weights()["a"], kept[1])
    assert fit(again, tmp_path, validate).round == 8  # it stays stopped


def test_a_failed_run_points_to_the_last_good_checkpoint(tmp_path):
    class Ill(Duel):
        def players(self):
            def loss(batch, clock):
                total = self.a.square().sum()
                return {"total": total * torch.where(clock.round >= 12, torch.nan, 1.0)}, None

            return [Player("ill", [self.a], loss)]

    with pytest.raises(RunFailed, match=r"player `ill`: the term `total` is nan at round 12.*00000010"):
        fit(trainer(Ill()), tmp_path)
    assert [int(p.name) for p in checkpoints(tmp_path / "checkpoints")] == [5, 10]


def test_signal_handlers_are_given_back(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    played(tmp_path)
    assert signal.getsignal(signal.SIGINT) is before


def test_the_present_weights_are_written_when_a_validation_and_a_save_meet(tmp_path):
    """validate= and save= at the same round: the checkpoint holds the state after both."""
    game = trainer(Duel(), validate=5, save=5, patience=5)
    fit(game, tmp_path, lambda: {"bound": float(game.round)})
    again = trainer(Duel(), validate=5, save=5, patience=5)
    resume(again, tmp_path, quiet)
    assert again.facts["best_round"] == 20


def test_a_validation_bound_that_is_not_finite_fails_the_run(tmp_path):
    with pytest.raises(RunFailed, match="player `validation`: the term `bound` is nan at round 5"):
        fit(trainer(Duel(), validate=5), tmp_path, lambda: {"bound": float("nan")})
    assert all("validation.bound" not in line for line in read_journal(tmp_path / "journal.jsonl"))


def test_more_patience_takes_a_stopped_run_on(tmp_path):
    ending = fit(trainer(Duel(), validate=2, patience=1), tmp_path, lambda: {"bound": 0.0})
    assert (ending.round, ending.finished) == (4, True)
    more = trainer(Duel(), validate=2, patience=3)
    resume(more, tmp_path, quiet)
    assert fit(more, tmp_path, lambda: {"bound": 0.0}).round == 8


def test_the_last_line_holds_the_whole_gradient(tmp_path):
    """Also where the rounds are no multiple of the journal's step, and weights as well as biases."""

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = torch.nn.Linear(2, 2)

        def players(self):
            weights = list(self.net.parameters())
            return [Player("net", weights, lambda batch, clock: ({"total": self.net(batch.x).square().mean()}, None))]

    game = trainer(Net(), steps=7, log=5)
    fit(game, tmp_path)
    last = read_journal(tmp_path / "journal.jsonl")[-1]
    whole = torch.cat([p.grad.flatten() for p in game.model.parameters()]).norm()
    assert last["round"] == 7
    assert last["net.gradient"] == pytest.approx(float(whole))


def test_a_loss_without_a_total_is_refused(tmp_path):
    from bestiary.errors import BestiaryError

    class Ill(Duel):
        def players(self):
            return [Player("ill", [self.a], lambda batch, clock: ({"loss": self.a.sum()}, None))]

    with pytest.raises(BestiaryError, match="player `ill` has no term `total`; it has loss"):
        fit(trainer(Ill()), tmp_path)


def test_a_journal_that_lost_lines_is_marked_in_it(tmp_path):
    """The run goes on, and says where lines are missing; readers of the journal pass over the mark."""
    played(tmp_path)
    path = tmp_path / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-30])
    warnings = []
    again = trainer(Duel(turns=2), steps=25)
    resume(again, tmp_path, warnings.append)
    assert "lost its end" in warnings[0]
    assert "continues at round 20" in warnings[0]
    fit(again, tmp_path)
    lines = read_journal(path)
    assert [line["round"] for line in lines] == [5, 10, 15, 20, 25]
    assert [line["round"] for line in lines if "gap" in line] == [20]


def test_a_buffer_that_is_not_finite_fails_the_run(tmp_path):
    """The moments of a BatchNorm overflow while every term is finite: nothing of that is saved."""

    class Overflow(Duel):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("running_var", torch.zeros(3))

        def _loss(self, name, own):
            inner = super()._loss(name, own)

            def loss(batch, clock):
                if int(clock.round) == 6:
                    self.running_var[1] = torch.inf
                return inner(batch, clock)

            return loss

    with pytest.raises(RunFailed, match=r"the buffer `running_var` is nan at round 9.*00000005"):
        fit(trainer(Overflow()), tmp_path)
    assert [int(p.name) for p in checkpoints(tmp_path / "checkpoints")] == [5]
