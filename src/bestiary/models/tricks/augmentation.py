"""Trick `augment`: differentiable augmentation of real and fake images (objectives/augment.py)."""

from torch import Tensor

from bestiary.errors import BestiaryError
from bestiary.models.tricks.trick import Setting, Trick
from bestiary.objectives.augment import compose
from bestiary.training.clock import Clock

__all__ = ["Augmentation"]


class Augmentation(Trick):
    """Random transforms of all images that the critic sees."""

    def __init__(
        self,
        *,
        kinds: tuple[str, ...] = ("translation", "cutout"),  # colour, translation, cutout, in this order
    ) -> None:
        super().__init__()
        self.kinds, self.lens = kinds, compose(kinds)

    def refuse(self, setting: Setting) -> None:
        if not setting.spec.x.is_spatial:
            raise BestiaryError(f"augment= needs images, and this is a {setting.spec.x.noun}: leave it out")

    def view(self, x: Tensor, clock: Clock | None) -> Tensor:
        return self.lens(x)
