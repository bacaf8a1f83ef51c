"""Encode the fields beside x: from the user's values of each kind to a field and a stored array.

    kind       field                             stored                 where it is missing
    label      one of K words                    int64 (N,)             0
    numbers    a row, by the training rows       float32 (N, n)         0, the mean
    factors    K labels NAME1 … NAMEK            int64 (N,) each        0
    tokens     a sequence of "0" … "V−1"         int64 (N, T)           pad, or 0
    caption    a sequence of a `Vocabulary`      int64 (N, T)           0, pad
    pictures   a picture of any channels         uint8 (N, H, W, C)     0, or as on the disk if memory-mapped

Encoding needs the split, since numbers are standardised by the training rows, and the rows that are kept. A field that
some examples lack is optional, and its mask bool (N,) is stored under `mask_name(name)`.

Legend: N examples, K factors, T tokens, V words, n numbers.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from bestiary.data.columns import standardise
from bestiary.data.field_types import Kind, RawField
from bestiary.data.files import fingerprint, in_memory
from bestiary.data.labels import encode_labels
from bestiary.data.missing_values import Values, is_text
from bestiary.data.pixels import to_pixels
from bestiary.data.spec import Field, label, mask_name, numbers
from bestiary.data.support import Levels
from bestiary.data.vocabulary import vocabulary_of
from bestiary.data.word_support import Words
from bestiary.errors import BestiaryError

__all__ = ["EncodedFields", "EncodingOptions", "encode_fields", "tokens_field"]

MOST_DISTINCT_TOKENS = 65_536  # a larger number is no token


@dataclass(frozen=True)
class EncodingOptions:
    """What an encoder needs besides the values."""

    train: np.ndarray  # the numbers of the training rows
    pad: int | None = None
    channels: str = ""
    stream: bool | None = None


@dataclass
class EncodedFields:
    """The fields beside x, the stored array of each by name, and notes."""

    fields: list[Field] = field(default_factory=list)
    stored: dict[str, np.ndarray] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __add__(self, other: "EncodedFields") -> "EncodedFields":
        """The fields of both."""
        return EncodedFields(self.fields + other.fields, self.stored | other.stored, self.notes + other.notes)

    def fingerprint(self, of_x: str) -> str:
        """One digest of x, given its own, and of every field beside it."""
        if not self.stored:
            return of_x
        parts = [of_x, *(f"{name} {fingerprint(values)}" for name, values in self.stored.items())]
        return hashlib.blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()


def encode_fields(raws: Iterable[RawField], options: EncodingOptions, rows: np.ndarray | None = None) -> EncodedFields:
    """Encode raw fields. `rows` are the row numbers to keep (None: all); `options.train` counts within the kept rows.

    A field that no example has is left out, with a note. Raises BestiaryError where values do not fit their kind.
    """
    result = EncodedFields()
    for raw in raws:
        raw = replace(raw, values=raw.values.rows(rows))
        present = _present(raw)
        if not present.any():
            result.notes.append(f"left out {raw.name}: no example has it")
            continue
        if not present.all():
            result.notes.append(f"{(~present).sum():,} of {len(present):,} examples lack {raw.name}")
        for encoded, stored, *notes in _ENCODERS[raw.kind](raw, present, options):
            result.fields.append(encoded if present.all() else replace(encoded, optional=True))
            result.stored |= {encoded.name: stored} | ({} if present.all() else {mask_name(encoded.name): present})
            result.notes += notes
    return result


Encoded = tuple[Field, np.ndarray] | tuple[Field, np.ndarray, str]  # with a note


def _present(raw: RawField) -> np.ndarray:
    """Which examples have the field, bool (N,); a number that is NaN is missing."""
    present = raw.values.mask()
    if raw.kind == "numbers" and raw.values.array.dtype.kind == "f":
        present = present & ~np.isnan(raw.values.array.reshape(len(present), -1)).any(axis=1)
    return present


def _encode_label(raw: RawField, present: np.ndarray, options: EncodingOptions) -> Iterator[Encoded]:
    name = "labels" if raw.name == "label" else raw.name
    codes, words = encode_labels(raw.values.array[present], int(present.sum()), name)
    yield label(words, raw.name), _fill(codes, present, 0)


def _fill(values: np.ndarray, present: np.ndarray, filler: int) -> np.ndarray:
    """Values of the examples that have one → of all, `filler` where they are missing."""
    full = np.full((len(present), *values.shape[1:]), filler, values.dtype)
    full[present] = values
    return full


def _whole_numbers(raw: RawField, present: np.ndarray) -> np.ndarray:
    """(N, T) whole numbers as int64, 0 where missing."""
    array = raw.values.array
    if array.ndim != 2 or array.dtype.kind not in "biuf" or 0 in array.shape:
        raise BestiaryError(
            f"{raw.kind}={raw.name} must be whole numbers (N, T); it is an array of shape {array.shape} and type "
            f"{array.dtype}. Give {raw.name}.reshape(len({raw.name}), -1)"
        )
    values = array[present]
    if values.dtype.kind == "f" and not (values == np.round(values)).all():
        raise BestiaryError(
            f"{raw.kind}={raw.name} must be whole numbers, and it has fractions: say numbers={raw.name}"
        )
    return _fill(values.astype(np.int64), present, 0)


def _encode_factors(raw: RawField, present: np.ndarray, options: EncodingOptions) -> Iterator[Encoded]:
    array = raw.values.array
    factors = _whole_numbers(raw if array.ndim != 1 else replace(raw, values=Values(array[:, None])), present)
    for k in range(factors.shape[1]):
        codes, words = encode_labels(factors[present, k], int(present.sum()), raw.name)
        name = raw.name if factors.shape[1] == 1 else f"{raw.name}{k + 1}"
        yield label(words, name), _fill(codes, present, 0)


def _encode_tokens(raw: RawField, present: np.ndarray, options: EncodingOptions) -> Iterator[Encoded]:
    yield tokens_field(raw.name, _whole_numbers(raw, present), present, options.pad)


def tokens_field(name: str, tokens: np.ndarray, present: np.ndarray, pad: int | None) -> tuple[Field, np.ndarray]:
    """(N, T) whole numbers 0 … V − 1, or `pad` → a sequence of V words. A negative `pad` becomes the last word.

    Raises BestiaryError for a number that is too large, or negative and not `pad`.
    """
    largest = int(max(tokens[present].max(), pad or 0))
    if largest >= MOST_DISTINCT_TOKENS:
        raise BestiaryError(
            f"{name} has the token {largest:,}: tokens are whole numbers below {MOST_DISTINCT_TOKENS:,}"
        )
    words = tuple(map(str, range(largest + 1)))
    if pad is not None and pad < 0:
        tokens, words, pad = np.where(tokens == pad, len(words), tokens), (*words, "<pad>"), len(words)
    if tokens[present].min() < 0:
        raise BestiaryError(
            f"tokens are whole numbers from 0 up, and {name} has {tokens[present].min()}. If it pads shorter examples, "
            f"say pad={tokens[present].min()}"
        )
    stored = np.where(present[:, None], tokens, pad or 0)
    return Field(name, "sequence", tokens.shape[1:], Words(words, pad)), stored


def _encode_numbers(raw: RawField, present: np.ndarray, options: EncodingOptions) -> Iterator[Encoded]:
    array = raw.values.array
    if array.ndim not in (1, 2) or array.dtype.kind not in "biuf" or 0 in array.shape:
        raise BestiaryError(
            f"numbers={raw.name} must be numbers (N,) or (N, n); it is an array of shape {array.shape} and type "
            f"{array.dtype}"
        )
    values = np.where(present[:, None], array.reshape(len(array), -1).astype(np.float64), 0.0)
    if not np.isfinite(values).all():
        first = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise BestiaryError(f"{raw.name} is infinite in example {first}: give a number, or NaN where it is missing")
    train = options.train[present[options.train]]
    names = [raw.name] if values.shape[1] == 1 else [f"{raw.name}{i + 1}" for i in range(values.shape[1])]
    x, columns = standardise(values, names, train if len(train) else np.flatnonzero(present))
    yield numbers(columns, raw.name), np.where(present[:, None], x, np.float32(0))


def _encode_caption(raw: RawField, present: np.ndarray, options: EncodingOptions) -> Iterator[Encoded]:
    if raw.values.array.ndim != 1 or not is_text(raw.values.array):
        raise BestiaryError(f"caption={raw.name} must be one text for each example; it is {raw.values.array.dtype}")
    texts = [t.decode("utf-8", "replace") if isinstance(t, bytes) else str(t) for t in raw.values.array.tolist()]
    words, length = vocabulary_of(texts[i] for i in options.train if present[i])
    stored = np.zeros((len(texts), length), np.int64)
    for i in np.flatnonzero(present):
        stored[i] = words.tokens_of(texts[i], length)
    yield Field(raw.name, "sequence", (length,), words), stored


def _encode_pictures(raw: RawField, present: np.ndarray, options: EncodingOptions) -> Iterator[Encoded]:
    pixels = to_pixels(raw.values.array, options.channels, f"{raw.name}: ")
    stored = in_memory(pixels.stored, options.stream) if isinstance(pixels.stored, np.memmap) else pixels.stored
    if not present.all() and not isinstance(stored, np.memmap):
        stored = np.where(present[:, None, None, None], stored, np.uint8(0))
    height, width, channels = stored.shape[1:]
    picture = Field(raw.name, "picture", (channels, height, width), Levels(pixels.levels))
    yield (picture, stored, f"{raw.name}: {pixels.note}") if pixels.note else (picture, stored)


_ENCODERS: dict[Kind, Callable[[RawField, np.ndarray, EncodingOptions], Iterator[Encoded]]] = {
    "label": _encode_label,
    "numbers": _encode_numbers,
    "factors": _encode_factors,
    "tokens": _encode_tokens,
    "caption": _encode_caption,
    "pictures": _encode_pictures,
}
