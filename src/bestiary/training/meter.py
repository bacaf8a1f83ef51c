"""The numbers of many turns, kept on the device until a line of the journal is due.

A turn appends its vector of numbers and waits for nothing. `flush` brings them over at once, gives their means, and
finds the first that was not finite: by player, term and round.
"""

import torch
from torch import Tensor

__all__ = ["Meter", "NonFinite"]


class NonFinite(ArithmeticError):
    """A term or a gradient was not finite. Says whose, which, and when."""

    def __init__(self, player: str, term: str, round: int, value: float) -> None:
        self.player, self.term, self.round, self.value = player, term, round, value
        what = "the gradient's norm" if term == "gradient" else f"the term `{term}`"
        super().__init__(f"player `{player}`: {what} is {value} at round {round}")


class Meter:
    """Rows of (round, numbers) for each player, since the last flush."""

    def __init__(self) -> None:
        self.rounds: dict[str, list[int]] = {}
        self.rows: dict[str, list[Tensor]] = {}

    def add(self, player: str, round: int, values: Tensor) -> None:
        self.rounds.setdefault(player, []).append(round)
        self.rows.setdefault(player, []).append(values)

    def check(self, names: dict[str, list[str]]) -> dict[str, Tensor]:
        """All rows on the CPU, after making sure that every number in them is finite."""
        # in the players' order, not in that in which a checkpoint was read
        stacks = {player: torch.stack(self.rows[player]).cpu() for player in names if self.rows.get(player)}
        worst: tuple[int, str, int, float] | None = None
        for player, table in stacks.items():
            bad = (~table.isfinite()).nonzero()
            if len(bad):
                row, column = bad[0].tolist()
                found = (self.rounds[player][row], player, column, float(table[row, column]))
                worst = found if worst is None or found[0] < worst[0] else worst
        if worst is not None:
            round, player, column, value = worst
            raise NonFinite(player, names[player][column], round, value)
        return stacks

    def flush(self, names: dict[str, list[str]]) -> dict[str, float]:
        """Means since the last flush as `player.term`; `gradient` is the last turn's, whole. Empties the meter."""
        line: dict[str, float] = {}
        for player, table in self.check(names).items():
            means = table.double().mean(0)
            means[-1] = table[-1, -1]
            line |= {f"{player}.{name}": float(v) for name, v in zip(names[player], means, strict=True)}
        self.rounds, self.rows = {}, {}
        return line

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint in the middle of an interval must hold."""
        state = {f"{player}/values": torch.stack(rows).cpu() for player, rows in self.rows.items() if rows}
        return state | {f"{player}/rounds": torch.tensor(r) for player, r in self.rounds.items() if r}

    def restore(self, state: dict[str, Tensor]) -> None:
        players = [key.removesuffix("/values") for key in state if key.endswith("/values")]
        self.rows = {p: list(state[f"{p}/values"]) for p in players}
        self.rounds = {p: state[f"{p}/rounds"].tolist() for p in players}
