"""Captions become tokens and come back; the vocabulary is of the captions that it was given, the commonest first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bestiary.data.vocabulary import MOST_TOKENS, MOST_WORDS, vocabulary_of

CAPTIONS = ["A red ball.", "a red, red house!", "the dog's ball"]


def test_words_come_in_the_order_of_their_counts() -> None:
    words, length = vocabulary_of(CAPTIONS)
    assert words.words[:5] == ("<pad>", "<unknown>", "red", "a", "ball")
    assert "dog's" in words.words
    assert length == 6
    assert words.pad == 0


def test_unknown_words_padding_and_cutting() -> None:
    words, _ = vocabulary_of(CAPTIONS)
    tokens = words.tokens_of("A blue ball", 5)
    assert tokens == [words.words.index("a"), 1, words.words.index("ball"), 0, 0]
    assert words.text_of(tokens) == "a <unknown> ball"
    assert words.tokens_of("red red red", 2) == [2, 2]
    assert words.tokens_of("", 3) == [0, 0, 0]
    assert words.text_of(words.tokens_of("A red, red house!", 6)) == "a red, red house!"


@given(st.text(st.sampled_from("aAbß'’.,!?- <>3_\n\u0130"), max_size=40))
def test_text_of_tokens_gives_the_tokens_again(text: str) -> None:
    words, length = vocabulary_of([text])
    tokens = words.tokens_of(text, length)
    assert words.tokens_of(words.text_of(tokens), length) == tokens
    assert all(0 <= token < words.n for token in tokens)
    fewer, _ = vocabulary_of([text[::2]])
    tokens = fewer.tokens_of(text, length)  # some of them unknown
    assert fewer.tokens_of(fewer.text_of(tokens), length) == tokens


def test_only_the_commonest_words_and_the_first_tokens_are_kept() -> None:
    words, length = vocabulary_of([f"w{i} w{i} the" for i in range(5000)] + ["rare " + "the " * 100])
    assert words.n == MOST_WORDS
    assert "rare" not in words.words
    assert length == MOST_TOKENS


@pytest.mark.parametrize("captions", [[], [""], ["  "]])
def test_no_words_at_all(captions: list[str]) -> None:
    words, length = vocabulary_of(captions)
    assert (words.n, length) == (2, 1)
    assert words.tokens_of("ball", 1) == [1]


def test_a_caption_may_name_the_unknown_word() -> None:
    words, _ = vocabulary_of(["<unknown> <pad> ball"])
    assert len(set(words.words)) == words.n
    assert words.tokens_of("<unknown> ball", 2) == [1, words.words.index("ball")]


def test_half_a_character_can_be_written() -> None:
    words, _ = vocabulary_of(["a \ud800"])
    assert "".join(words.words).encode()
