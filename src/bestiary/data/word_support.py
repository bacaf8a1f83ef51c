"""Words: the support of labels, tokens and codes, each one of V words, stored by its number.

Torch is imported only inside functions: reports read supports without it. Legend: V words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from bestiary.data.support import Support
from bestiary.errors import BestiaryError, unknown_name

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Words"]

LISTED = 64  # a config lists at most this many words that are the numbers 0, 1, …; of more it holds the count


@dataclass(frozen=True)
class Words(Support):
    """One of V words by its number: a label, a token, an index of a codebook. `pad`: the word behind the end."""

    words: tuple[str, ...]
    pad: int | None = None

    config_name, stored, values, discrete, is_integer = "words", "int64", "words", True, True

    @property
    def n(self) -> int:
        return len(self.words)

    def likelihoods(self, channels: int = 1) -> tuple[str, ...]:
        return ("tokens",)

    def to_model(self, stored: Tensor) -> Tensor:
        return stored.long()

    def to_stored(self, x: Tensor) -> Tensor:
        return x.long()

    def random_points(self, shape: Sequence[int]) -> Tensor:
        import torch

        return torch.randint(self.n, tuple(shape))

    def random_stored(self, shape: Sequence[int], draw: np.random.Generator) -> np.ndarray:
        return draw.integers(0, self.n, tuple(shape))

    def contains(self, x: Tensor) -> bool:
        return not x.is_floating_point() and bool(((x >= 0) & (x < self.n)).all())

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Word → number."""
        return {word: i for i, word in enumerate(self.words)}

    def number(self, word: object) -> int:
        """The number of a word; what is no word is taken as a number. Raises BestiaryError where it is neither."""
        if str(word) in self.numbers:
            return self.numbers[str(word)]
        try:
            number = int(word)  # type: ignore[call-overload]
        except (TypeError, ValueError, OverflowError):
            number = -1
        if not 0 <= number < self.n or (not isinstance(word, str) and number != word):
            raise unknown_name("label", str(word), self.words)
        return int(number)

    def pieces(self, text: str) -> list[str]:
        """Split a text into words."""
        return text.split()

    def tokens_of(self, text: str, length: int) -> list[int]:
        """A text → `length` numbers of words: a longer text is cut, a shorter one is filled with `pad`.

        Raises BestiaryError where a word is unknown, or where the text is shorter and there is no `pad`.
        """
        tokens = [self.number(piece) for piece in self.pieces(text)][:length]
        if self.pad is None and len(tokens) < length:
            raise BestiaryError(
                f"`{text}` has {len(tokens)} tokens: give {length}, since there is no token to pad with"
            )
        return tokens + [self.pad or 0] * (length - len(tokens))

    def text_of(self, tokens: Iterable[int]) -> str:
        """The words of tokens as a text, without `pad`."""
        return " ".join(self.words[token] for token in tokens if token != self.pad)

    def file_values(self, stored: np.ndarray) -> np.ndarray:
        return np.array(self.words)[stored]

    def to_dict(self) -> dict[str, Any]:
        """For config.toml; more than LISTED words that are their own numbers are written as a count."""
        pad = {} if self.pad is None else {"pad": self.pad}
        counted = self.n > LISTED and self.words == tuple(map(str, range(self.n)))
        return {"support": self.config_name, **({"count": self.n} if counted else {"words": list(self.words)}), **pad}

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> Self:
        return cls(tuple(d["words"] if "words" in d else map(str, range(d["count"]))), d.get("pad"))
