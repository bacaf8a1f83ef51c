"""What stands beside x, as it is stored: made once the split and the rows that stay are known.

    kind       field                             stored                 where it is missing
    label      one of K words                    int64 (N,)             0
    numbers    a row, by the training rows       float32 (N, n)         0, the mean
    factors    K labels NAME1 … NAMEK            int64 (N,) each        0
    tokens     a sequence of "0" … "V−1"         int64 (N, T)           pad, or 0
    caption    a sequence of a `Vocabulary`      int64 (N, T)           0, pad
    pictures   a picture of any channels         uint8 (N, H, W, C)     0; what stays memory-mapped is as on the disk

A field that some example lacks is optional, and its mask bool (N,) is stored under `known(name)`.

Legend: N examples, K factors, T tokens, V words, n numbers.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from bestiary.data.columns import standardised
from bestiary.data.field_types import Kind, RawField
from bestiary.data.files import fingerprint, in_memory
from bestiary.data.labels import encoded
from bestiary.data.missing_values import Values, is_text
from bestiary.data.pixels import pixels_of
from bestiary.data.spec import Field, known, label, numbers
from bestiary.data.support import Levels
from bestiary.data.vocabulary import vocabulary_of
from bestiary.data.word_support import Words
from bestiary.errors import BestiaryError

__all__ = ["Beside", "How", "beside_of", "tokens_field"]

MOST_TOKENS_KNOWN = 65_536  # distinct tokens: a larger number is an address, or no token


@dataclass(frozen=True)
class How:
    """What the kinds need to know beside their values."""

    train: np.ndarray  # row numbers
    pad: int | None = None
    channels: str = ""
    stream: bool | None = None


@dataclass
class Beside:
    """Fields beside x, what is stored of each, and notes."""

    fields: list[Field] = field(default_factory=list)
    stored: dict[str, np.ndarray] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __add__(self, other: "Beside") -> "Beside":
        """One after the other."""
        return Beside(self.fields + other.fields, self.stored | other.stored, self.notes + other.notes)

    def fingerprint(self, of_x: str) -> str:
        """One digest of x and of everything beside it."""
        if not self.stored:
            return of_x
        parts = [of_x, *(f"{name} {fingerprint(values)}" for name, values in self.stored.items())]
        return hashlib.blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()


def beside_of(raws: Iterable[RawField], how: How, rows: np.ndarray | None = None) -> Beside:
    """Raw fields → what stands beside x; `rows`: those that stay, all if None. `how.train` counts rows that stay."""
    result = Beside()
    for raw in raws:
        raw = replace(raw, values=raw.values.rows(rows))
        there = _there(raw)
        if not there.any():
            result.notes.append(f"left out {raw.name}: no example has it")
            continue
        if not there.all():
            result.notes.append(f"{(~there).sum():,} of {len(there):,} examples lack {raw.name}")
        for made, stored, *notes in _MAKERS[raw.kind](raw, there, how):
            result.fields.append(made if there.all() else replace(made, optional=True))
            result.stored |= {made.name: stored} | ({} if there.all() else {known(made.name): there})
            result.notes += notes
    return result


Made = tuple[Field, np.ndarray] | tuple[Field, np.ndarray, str]  # with a note, where something is to be said


def _there(raw: RawField) -> np.ndarray:
    """Which examples have it; of numbers none with a NaN."""
    there = raw.values.mask()
    if raw.kind == "numbers" and raw.values.array.dtype.kind == "f":
        there = there & ~np.isnan(raw.values.array.reshape(len(there), -1)).any(axis=1)
    return there


def _label(raw: RawField, there: np.ndarray, how: How) -> Iterator[Made]:
    what = "labels" if raw.name == "label" else raw.name
    codes, words = encoded(raw.values.array[there], int(there.sum()), what)
    yield label(words, raw.name), _spread(codes, there, 0)


def _spread(values: np.ndarray, there: np.ndarray, filler: int) -> np.ndarray:
    """Values of the examples that have one → of all."""
    full = np.full((len(there), *values.shape[1:]), filler, values.dtype)
    full[there] = values
    return full


def _whole(raw: RawField, there: np.ndarray) -> np.ndarray:
    """(N, T) whole numbers as int64, 0 where missing."""
    array = raw.values.array
    if array.ndim != 2 or array.dtype.kind not in "biuf" or 0 in array.shape:
        raise BestiaryError(
            f"{raw.kind}={raw.name} must be whole numbers (N, T); it is an array of shape {array.shape} and type "
            f"{array.dtype}. Give {raw.name}.reshape(len({raw.name}), -1)"
        )
    values = array[there]
    if values.dtype.kind == "f" and not (values == np.round(values)).all():
        raise BestiaryError(f"{raw.kind}={raw.name} must be whole numbers; it has fractions: say numbers={raw.name}")
    return _spread(values.astype(np.int64), there, 0)


def _factors(raw: RawField, there: np.ndarray, how: How) -> Iterator[Made]:
    array = raw.values.array
    whole = _whole(raw if array.ndim != 1 else replace(raw, values=Values(array[:, None])), there)
    for k in range(whole.shape[1]):
        codes, words = encoded(whole[there, k], int(there.sum()), raw.name)
        name = raw.name if whole.shape[1] == 1 else f"{raw.name}{k + 1}"
        yield label(words, name), _spread(codes, there, 0)


def _tokens(raw: RawField, there: np.ndarray, how: How) -> Iterator[Made]:
    yield tokens_field(raw.name, _whole(raw, there), there, how.pad)


def tokens_field(name: str, tokens: np.ndarray, there: np.ndarray, pad: int | None) -> tuple[Field, np.ndarray]:
    """(N, T) whole numbers 0 … V − 1, or `pad` → a sequence of V words. A negative `pad` becomes the last word."""
    largest = int(max(tokens[there].max(), pad or 0))
    if largest >= MOST_TOKENS_KNOWN:
        raise BestiaryError(f"{name} has the token {largest:,}; {MOST_TOKENS_KNOWN:,} is the most that there may be")
    words = tuple(map(str, range(largest + 1)))
    if pad is not None and pad < 0:
        tokens, words, pad = np.where(tokens == pad, len(words), tokens), (*words, "<pad>"), len(words)
    if tokens[there].min() < 0:
        raise BestiaryError(
            f"tokens are whole numbers from 0 up; {name} has {tokens[there].min()}. If it stands behind the end of "
            f"shorter examples, say pad={tokens[there].min()}"
        )
    stored = np.where(there[:, None], tokens, pad or 0)
    return Field(name, "sequence", tokens.shape[1:], Words(words, pad)), stored


def _numbers(raw: RawField, there: np.ndarray, how: How) -> Iterator[Made]:
    array = raw.values.array
    if array.ndim not in (1, 2) or array.dtype.kind not in "biuf" or 0 in array.shape:
        raise BestiaryError(
            f"numbers={raw.name} must be numbers (N,) or (N, n); it is an array of shape {array.shape} and type "
            f"{array.dtype}"
        )
    values = np.where(there[:, None], array.reshape(len(array), -1).astype(np.float64), 0.0)
    if not np.isfinite(values).all():
        first = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise BestiaryError(f"{raw.name} is infinite in example {first}: give a number, or NaN where it is missing")
    train = how.train[there[how.train]]
    names = [raw.name] if values.shape[1] == 1 else [f"{raw.name}{i + 1}" for i in range(values.shape[1])]
    x, columns = standardised(values, names, train if len(train) else np.flatnonzero(there))
    yield numbers(columns, raw.name), np.where(there[:, None], x, np.float32(0))


def _caption(raw: RawField, there: np.ndarray, how: How) -> Iterator[Made]:
    if raw.values.array.ndim != 1 or not is_text(raw.values.array):
        raise BestiaryError(f"caption={raw.name} must be one text for each example; it is {raw.values.array.dtype}")
    texts = [t.decode("utf-8", "replace") if isinstance(t, bytes) else str(t) for t in raw.values.array.tolist()]
    words, length = vocabulary_of(texts[i] for i in how.train if there[i])
    stored = np.zeros((len(texts), length), np.int64)
    for i in np.flatnonzero(there):
        stored[i] = words.tokens_of(texts[i], length)
    yield Field(raw.name, "sequence", (length,), words), stored


def _pictures(raw: RawField, there: np.ndarray, how: How) -> Iterator[Made]:
    pixels = pixels_of(raw.values.array, how.channels, f"{raw.name}: ")
    stored = in_memory(pixels.stored, how.stream) if isinstance(pixels.stored, np.memmap) else pixels.stored
    if not there.all() and not isinstance(stored, np.memmap):
        stored = np.where(there[:, None, None, None], stored, np.uint8(0))
    height, width, channels = stored.shape[1:]
    made = Field(raw.name, "picture", (channels, height, width), Levels(pixels.levels))
    yield (made, stored, f"{raw.name}: {pixels.note}") if pixels.note else (made, stored)


_MAKERS: dict[Kind, Callable[[RawField, np.ndarray, How], Iterator[Made]]] = {
    "label": _label,
    "numbers": _numbers,
    "factors": _factors,
    "tokens": _tokens,
    "caption": _caption,
    "pictures": _pictures,
}
