"""Trick `minibatch`: minibatch discrimination, the critic compares the samples of a batch (networks/critic.py).

(Salimans et al. 2016, arXiv 1606.03498.)
"""

from bestiary.errors import BestiaryError
from bestiary.grammar.ranges import Size
from bestiary.models.tricks.trick import Setting, Trick

__all__ = ["MinibatchDiscrimination"]


class MinibatchDiscrimination(Trick):
    """The critic compares the samples of a batch."""

    needs_own_critic = True

    def __init__(
        self,
        *,
        kernels: Size = 16,  # measures of similarity that the critic learns
    ) -> None:
        super().__init__()
        self.kernels = kernels

    def refuse(self, setting: Setting) -> None:
        if not setting.adversarial:
            raise BestiaryError(
                "minibatch= reaches the generator only through the game, and adversarial=0 leaves the game out: leave"
                " minibatch= out"
            )
