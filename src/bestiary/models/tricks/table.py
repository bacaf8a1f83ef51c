"""The table of tricks by name, in the order in which they act. A new one is a file beside this one and a line here."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bestiary.errors import BestiaryError
from bestiary.grammar.calls import split_arguments
from bestiary.grammar.part_calls import parse_part
from bestiary.grammar.signatures import part_options
from bestiary.models.tricks.augmentation import Augmentation
from bestiary.models.tricks.feature_matching import FeatureMatching
from bestiary.models.tricks.historical_average import HistoricalAverage
from bestiary.models.tricks.instance_noise import InstanceNoise
from bestiary.models.tricks.joint_batches import JointBatches
from bestiary.models.tricks.label_smoothing import LabelSmoothing
from bestiary.models.tricks.minibatch_discrimination import MinibatchDiscrimination
from bestiary.models.tricks.packing import Packing
from bestiary.models.tricks.simultaneous_steps import SimultaneousSteps
from bestiary.models.tricks.spectral_norm import SpectralNorm
from bestiary.models.tricks.trick import Trick
from bestiary.models.tricks.unrolling import Unrolling
from bestiary.models.tricks.weight_clipping import WeightClipping

__all__ = ["RENAMED", "TRICKS", "parse_tricks", "refuse_renamed", "trick_options"]

TRICKS: dict[str, Callable[..., Trick]] = {
    "augment": Augmentation,
    "noise": InstanceNoise,
    "pack": Packing,
    "smoothing": LabelSmoothing,
    "minibatch": MinibatchDiscrimination,
    "spectral": SpectralNorm,
    "joint": JointBatches,
    "weight_clip": WeightClipping,
    "simultaneous": SimultaneousSteps,
    "unroll": Unrolling,
    "matching": FeatureMatching,
    "history": HistoricalAverage,
}


# options of the first edition → the option to use now
RENAMED = {"unroll_rate": "tricks=unroll(5,rate=0.1)"}


def refuse_renamed(options: Mapping[str, object]) -> None:
    """Raise BestiaryError for an option of the first edition, with the option to use now."""
    for key in options.keys() & RENAMED.keys():
        raise BestiaryError(f"{key}= is an option of its trick now: use {RENAMED[key]}")


def parse_tricks(words: str | Iterable[str | Trick]) -> dict[str, Trick]:
    """The tricks by name, in the order of the table, from the option `tricks=`: a text, or a list of names and tricks.

    Raises BestiaryError for an unknown name or option, and for a trick that is given twice.

    >>> list(parse_tricks("noise(0.1),augment((cutout,))"))
    ['augment', 'noise']
    """
    tricks: dict[str, Trick] = {}
    if not isinstance(words, str | list | tuple):
        raise BestiaryError(f"tricks= takes words such as pack(2),noise(0.1), or a list; got {type(words).__name__}")
    for word in split_arguments(words) if isinstance(words, str) else words:
        if isinstance(word, Trick):
            name, trick = next((n for n, kind in TRICKS.items() if type(word) is kind), type(word).__name__), word
        elif not isinstance(word, str):
            raise BestiaryError(
                f"tricks= takes names and tricks; {type(word).__name__} is no Trick: derive it from one"
            )
        else:
            builder, options = parse_part("tricks", word, TRICKS)
            name, trick = word.partition("(")[0].strip(), builder(**options)
        if name in tricks:
            raise BestiaryError(f"tricks= names {name} twice: keep one of them")
        tricks[name] = trick
    order = [*TRICKS, *tricks]
    return {name: tricks[name] for name in sorted(tricks, key=order.index)}


def trick_options(words: Any) -> dict[str, Any]:
    """The first option of each trick in a text, by the trick's name; True for a trick without options.

    Tricks from Python are left out.

    >>> trick_options("pack(3),smoothing,spectral")
    {'pack': 3, 'smoothing': 0.1, 'spectral': True}
    """
    values = {}
    for word in split_arguments(words) if isinstance(words, str) else ():
        builder, arguments = parse_part("tricks", word, TRICKS)
        name, options = word.partition("(")[0].strip(), part_options(builder)
        first = next(iter(options), None)
        values[name] = True if first is None else arguments.get(first, options[first][1])
    return values
