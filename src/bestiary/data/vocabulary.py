"""Captions ↔ tokens: a vocabulary of the commonest lower-case words and marks of the training captions.

    "A red ball, please."  →  a | red | ball | , | please | .  →  the numbers of these, then 0 to the field's length

    0   <pad>       behind the end
    1   <unknown>   a word that is not among the `MOST_WORDS` commonest of the training captions

Law: tokens_of(text_of(tokens)) = tokens, for tokens without a <pad> between them.

Legend: V words, T tokens of a field.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from bestiary.data.word_support import Words

__all__ = ["MOST_TOKENS", "MOST_WORDS", "Vocabulary", "vocabulary_of"]

MOST_WORDS = 4096  # words of a vocabulary: rarer ones are seen too seldom to learn
MOST_TOKENS = 64  # tokens of a caption: a longer one is cut

_PAD, _UNKNOWN = "<pad>", "<unknown>"
_PIECE = re.compile(rf"{_UNKNOWN}|\w+(?:['’]\w+)*|[^\w\s]")  # a word, its apostrophes included, or one mark
_SPACE_BEFORE_A_MARK = re.compile(r" (?=[.,;:!?](?: |$))")


@dataclass(frozen=True)
class Vocabulary(Words):
    """The words of captions, of which the first two are <pad> and <unknown>."""

    pad: int | None = 0

    config_name = "vocabulary"

    def pieces(self, text: str) -> list[str]:
        return _pieces(text)

    def number(self, word: object) -> int:
        """The number of a word; 1 for an unknown one."""
        return self.numbers.get(str(word), 1)

    def text_of(self, tokens: Iterable[int]) -> str:
        return _SPACE_BEFORE_A_MARK.sub("", super().text_of(tokens))

    def to_dict(self) -> dict[str, Any]:
        return {"support": self.config_name, "words": list(self.words)}

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> Self:
        return cls(tuple(d["words"]))


def _pieces(text: str) -> list[str]:
    """The words and marks of a text; half of a surrogate pair, which no file can hold, becomes a question mark."""
    return _PIECE.findall(text.encode("utf-8", "replace").decode().lower())


def vocabulary_of(captions: Iterable[str]) -> tuple[Vocabulary, int]:
    """The vocabulary of training captions, and the number of tokens of the longest, at least 1.

    >>> words, length = vocabulary_of(["a cat", "A dog!"])
    >>> words.words, length, words.tokens_of("a bird", 4)
    (('<pad>', '<unknown>', 'a', '!', 'cat', 'dog'), 3, [2, 1, 0, 0])
    """
    counts, longest = Counter[str](), 1
    for caption in captions:
        pieces = _pieces(caption)
        counts.update(pieces)
        longest = max(longest, len(pieces))
    del counts[_UNKNOWN]
    common = sorted(counts, key=lambda word: (-counts[word], word))[: MOST_WORDS - 2]
    return Vocabulary((_PAD, _UNKNOWN, *common)), min(longest, MOST_TOKENS)
