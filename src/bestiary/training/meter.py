"""The meter: terms of many turns, collected on the device until the next line of the journal.

A turn appends its vector of numbers without waiting for the device. `check` copies all of them to the CPU at once, and
raises NonFinite with the player, the term and the round of the first that is not finite; `flush` returns their means.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

__all__ = ["Meter", "NonFinite"]


class NonFinite(ArithmeticError):
    """A term or a gradient of a player was not finite, or a buffer `term` of the model, which has no player."""

    def __init__(self, player: str, term: str, round: int, value: float) -> None:
        self.player, self.term, self.round, self.value = player, term, round, value
        name = "the gradient's norm" if term == "gradient" else f"the term `{term}`"
        place = f"player `{player}`: {name}" if player else f"the buffer `{term}`"
        super().__init__(f"{place} is {value} at round {round}")


class Meter:
    """Rows of (round, numbers) for each player, since the last flush."""

    def __init__(self) -> None:
        self.rounds: dict[str, list[int]] = {}
        self.rows: dict[str, list[Tensor]] = {}

    def add(self, player: str, round: int, values: Tensor) -> None:
        """Append the terms of one turn, a vector on the device."""
        self.rounds.setdefault(player, []).append(round)
        self.rows.setdefault(player, []).append(values)

    def check(self, names: dict[str, list[str]]) -> dict[str, Tensor]:
        """All rows on the CPU as one table (rows, terms) for each player. Raises NonFinite.

        names: the names of the terms of each player.
        """
        # in the order of the players, which may differ from the order in a checkpoint
        tables = {player: torch.stack(self.rows[player]).cpu() for player in names if self.rows.get(player)}
        first: tuple[int, str, int, float] | None = None
        for player, table in tables.items():
            positions = (~table.isfinite()).nonzero()
            if len(positions):
                row, column = positions[0].tolist()
                entry = (self.rounds[player][row], player, column, float(table[row, column]))
                first = entry if first is None or entry[0] < first[0] else first
        if first is not None:
            round, player, column, value = first
            raise NonFinite(player, names[player][column], round, value)
        return tables

    def flush(self, names: dict[str, list[str]], tables: Mapping[str, Tensor]) -> dict[str, float]:
        """The means over the rows of the tables by `player.term`; then empties the meter.

        `player.gradient` is no mean but the norm of the whole gradient at the last turn.
        """
        line: dict[str, float] = {}
        for player, table in tables.items():
            means = table.double().mean(0)
            means[-1] = table[-1, -1]
            line |= {f"{player}.{name}": float(v) for name, v in zip(names[player], means, strict=True)}
        self.rounds, self.rows = {}, {}
        return line

    def state(self) -> dict[str, Tensor]:
        """The rows that a checkpoint between two flushes must hold."""
        state = {f"{player}/values": torch.stack(rows).cpu() for player, rows in self.rows.items() if rows}
        return state | {f"{player}/rounds": torch.tensor(r) for player, r in self.rounds.items() if r}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Load the rows of a checkpoint."""
        players = [key.removesuffix("/values") for key in state if key.endswith("/values")]
        self.rows = {p: list(state[f"{p}/values"]) for p in players}
        self.rounds = {p: state[f"{p}/rounds"].tolist() for p in players}
