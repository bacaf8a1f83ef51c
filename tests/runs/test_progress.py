"""Progress comes by rounds and by the clock, says when a run pauses, and stands in the log of a quiet run too."""

from itertools import pairwise

import pytest

from bestiary.run import fit
from bestiary.runs.progress import Progress, summary


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def play(rounds: int, seconds_each: float, log: int, limit: float | None = None, played: int | None = None):
    """The texts of a fit whose rounds take `seconds_each`, with the second at which each is written."""
    clock, texts = Clock(), []
    progress = Progress(
        rounds, 0, limit=limit, write=lambda text: texts.append((clock.seconds - 100, text)), clock=clock
    )
    for round in range(1, (played or rounds) + 1):
        clock.seconds += seconds_each
        progress.tick(round)
        if round % log == 0:
            progress.show({"round": round, "vae.total": 1.0})
    return texts


def test_a_fast_fit_is_told_ten_times():
    texts = play(rounds=1000, seconds_each=0.001, log=50)
    assert [text.split()[1] for _, text in texts] == [f"{n}/1000" for n in range(100, 1001, 100)]
    assert texts[-1][1] == "round 1000/1000  vae 1.000  0 s left"


def test_a_slow_fit_is_told_by_the_clock_from_its_first_rounds():
    """8 s a round and a line of the journal every 50 rounds: the first word comes with the first round."""
    texts = play(rounds=1000, seconds_each=8.0, log=50, played=31)
    assert texts[0] == (8.0, "round 1/1000  2 h 13 min left")
    gaps = [b - a for (a, _), (b, _) in pairwise(texts)]
    assert max(gaps) <= 64.0  # a minute, and the round that is being played
    assert gaps == sorted(gaps)


def test_a_time_limit_is_told_before_it_comes():
    texts = play(rounds=1000, seconds_each=8.0, log=50, limit=60.0, played=7)
    assert "2 h 13 min left, pauses in 52 s" in texts[0][1]
    assert "pauses" not in play(rounds=10, seconds_each=8.0, log=5, limit=600.0)[0][1]


def test_a_resumed_fit_measures_its_own_rounds():
    clock, texts = Clock(), []
    progress = Progress(100, 50, write=texts.append, clock=clock)
    clock.seconds += 10
    progress.tick(60)
    assert texts == ["round 60/100  40 s left"]


def test_the_log_of_a_quiet_fit_has_progress(tmp_path, capsys):
    run = fit("ring", "vae", steps=20, log=5, validate=0, hidden=(8,), root=tmp_path, quiet=True)
    assert "round 20/20" in (run.path / "log.txt").read_text()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ({"round": 5, "vae.reconstruction": 2.0, "vae.kl": 1.0, "vae.gradient": 9.0}, "−ELBO 3.00 nats · KL 1.00"),
        ({"round": 5, "critic.total": 2.0, "generator.total": 1.0}, "critic 2.000 · generator 1.000"),
    ],
)
def test_the_main_numbers_of_a_line(line, text):
    assert summary(line) == text
