"""Trick `smoothing`: one-sided label smoothing, a share of the loss on real treats it as fake (objectives/games.py)."""

from bestiary.errors import BestiaryError
from bestiary.models.tricks.trick import Trick
from bestiary.objectives.games import Game, smooth_labels

__all__ = ["LabelSmoothing"]


class LabelSmoothing(Trick):
    """One-sided label smoothing, which keeps the critic from becoming certain."""

    def __init__(
        self,
        *,
        share: float = 0.1,  # share of the loss on real that treats it as fake
    ) -> None:
        super().__init__()
        if not 0 <= share < 0.5:
            raise BestiaryError(f"smoothing={share} must be a share in [0, 0.5), e.g. smoothing=0.1")
        self.share = share

    def game(self, game: Game) -> Game:
        if self.share and (game.sides is None or not game.bounded):
            raise BestiaryError(
                f"smoothing={self.share} needs a game with separate, bounded losses on real and fake, such as"
                " game=nonsaturating: leave it out, or use another game"
            )
        return smooth_labels(game, self.share) if self.share else game
