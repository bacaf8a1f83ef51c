"""Minibatch discrimination: the critic compares the samples of a batch (networks/critic.py; arXiv 1606.03498)."""

from bestiary.errors import BestiaryError
from bestiary.models.tricks.trick import Setting, Trick, not_negative

__all__ = ["MinibatchDiscrimination"]


class MinibatchDiscrimination(Trick):
    """The critic compares the samples of a batch."""

    looks_inside = True

    def __init__(
        self,
        *,
        kernels: int = 16,  # kinds of likeness
    ) -> None:
        super().__init__()
        not_negative(minibatch=kernels)
        self.kernels = kernels

    def refuse(self, setting: Setting) -> None:
        if not setting.adversarial:
            raise BestiaryError(
                "minibatch= speaks to the generator through the game, and adversarial=0 leaves that out"
            )
