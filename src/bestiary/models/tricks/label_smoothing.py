"""Trick `smoothing`: one-sided label smoothing, a share of the loss on real treats it as fake (objectives/games.py)."""

from typing import Annotated

from bestiary.errors import BestiaryError
from bestiary.grammar.ranges import Range
from bestiary.models.tricks.trick import Trick
from bestiary.objectives.games import Game, smooth_labels

__all__ = ["LabelSmoothing"]


_Share = Annotated[float, Range("0.1", least=0, below=0.5)]


class LabelSmoothing(Trick):
    """One-sided label smoothing, which keeps the critic from becoming certain."""

    def __init__(
        self,
        *,
        share: _Share = 0.1,  # share of the loss on real that treats it as fake
    ) -> None:
        super().__init__()
        self.share = share

    def game(self, game: Game) -> Game:
        if self.share and (game.sides is None or not game.bounded):
            raise BestiaryError(
                f"smoothing={self.share} needs a game with separate, bounded losses on real and fake, such as"
                " game=nonsaturating: leave it out, or use another game"
            )
        return smooth_labels(game, self.share) if self.share else game
