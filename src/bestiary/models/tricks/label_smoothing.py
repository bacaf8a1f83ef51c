"""One-sided label smoothing: real counts as fake by a share (objectives/games.py)."""

from bestiary.errors import BestiaryError
from bestiary.models.tricks.trick import Trick
from bestiary.objectives.games import Game, smooth_labels

__all__ = ["Smoothing"]


class Smoothing(Trick):
    """A critic that is never sure."""

    def __init__(
        self,
        *,
        share: float = 0.1,  # by which real counts as fake
    ) -> None:
        super().__init__()
        if not 0 <= share < 0.5:
            raise BestiaryError(f"smoothing={share} is the share by which real counts as fake: in [0, 0.5), e.g. 0.1")
        self.share = share

    def game(self, game: Game) -> Game:
        if self.share and (game.sides is None or not game.bounded):
            raise BestiaryError(
                f"smoothing={self.share} needs a game that judges an example by itself and has a best critic then;"
                " leave it out"
            )
        return smooth_labels(game, self.share) if self.share else game
