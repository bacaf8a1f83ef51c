"""The tricks by name, in the order in which they act. A new one is a file beside this one and a line here."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bestiary.errors import BestiaryError
from bestiary.grammar.options import called, part_options, split
from bestiary.models.tricks.augmentation import Augmentation
from bestiary.models.tricks.feature_matching import FeatureMatching
from bestiary.models.tricks.historical_average import HistoricalAverage
from bestiary.models.tricks.instance_noise import InstanceNoise
from bestiary.models.tricks.joint_batches import Joint
from bestiary.models.tricks.label_smoothing import Smoothing
from bestiary.models.tricks.minibatch_discrimination import MinibatchDiscrimination
from bestiary.models.tricks.packing import Packing
from bestiary.models.tricks.simultaneous_steps import Simultaneous
from bestiary.models.tricks.spectral_norm import Spectral
from bestiary.models.tricks.trick import Trick
from bestiary.models.tricks.unrolling import Unrolling
from bestiary.models.tricks.weight_clipping import WeightClipping

__all__ = ["RENAMED", "TRICKS", "refuse_renamed", "trick_options", "tricks_of"]

TRICKS: dict[str, Callable[..., Trick]] = {
    "augment": Augmentation,
    "noise": InstanceNoise,
    "pack": Packing,
    "smoothing": Smoothing,
    "minibatch": MinibatchDiscrimination,
    "spectral": Spectral,
    "joint": Joint,
    "weight_clip": WeightClipping,
    "simultaneous": Simultaneous,
    "unroll": Unrolling,
    "matching": FeatureMatching,
    "history": HistoricalAverage,
}


# options of the first edition → what to write in their place
RENAMED = {"unroll_rate": "tricks=unroll(5,rate=0.1)"}


def refuse_renamed(options: Mapping[str, object]) -> None:
    """Refuse an option of the first edition with the new word."""
    for key in options.keys() & RENAMED.keys():
        raise BestiaryError(f"{key}= is an option of its trick now: write {RENAMED[key]}")


def tricks_of(words: str | Iterable[str | Trick]) -> dict[str, Trick]:
    """`pack(2),noise(0.1)`, or names and tricks from Python → the tricks by name, in the order of the table.

    >>> list(tricks_of("noise(0.1),augment((cutout,))"))
    ['augment', 'noise']
    """
    found: dict[str, Trick] = {}
    if not isinstance(words, str | list | tuple):
        raise BestiaryError(f"tricks= takes words such as pack(2),noise(0.1), or a list; got {type(words).__name__}")
    for word in split(words) if isinstance(words, str) else words:
        if isinstance(word, Trick):
            name, trick = next((n for n, kind in TRICKS.items() if type(word) is kind), type(word).__name__), word
        elif not isinstance(word, str):
            raise BestiaryError(
                f"tricks= takes names and tricks; {type(word).__name__} is no Trick: derive it from one"
            )
        else:
            builder, options = called("tricks", word, TRICKS)
            name, trick = word.partition("(")[0].strip(), builder(**options)
        if name in found:
            raise BestiaryError(f"tricks= names {name} twice: keep one of them")
        found[name] = trick
    order = [*TRICKS, *found]
    return {name: found[name] for name in sorted(found, key=order.index)}


def trick_options(words: Any) -> dict[str, Any]:
    """Tricks in words → the first option of each, by the trick's name; True where it takes none. From Python: nothing.

    >>> trick_options("pack(3),smoothing,spectral")
    {'pack': 3, 'smoothing': 0.1, 'spectral': True}
    """
    found = {}
    for word in split(words) if isinstance(words, str) else ():
        builder, given = called("tricks", word, TRICKS)
        name, known = word.partition("(")[0].strip(), part_options(builder)
        first = next(iter(known), None)
        found[name] = True if first is None else given.get(first, known[first][1])
    return found
