"""Laws of supports, for all of them at once: units and back, slopes, edges, one word each, what lies on them."""

import numpy as np
import pytest
import torch

from bestiary.data.support import EDGE, Category, Column, Columns, Levels, Reals, Support
from bestiary.data.vocabulary import Vocabulary
from bestiary.data.word_support import Words
from bestiary.errors import BestiaryError

COLUMNS = Columns((Column("a", Reals(3, 2)), Column("b", Category(("x", "y", "z"))), Column("c", Reals(-1, 0.5))))
SUPPORTS: dict[str, tuple[Support, tuple[int, ...]]] = {
    "binary": (Levels(2), (7, 3, 4)),
    "digits": (Levels(17), (7, 3, 4)),
    "photographs": (Levels(256), (40, 3, 4)),
    "reals": (Reals(), (7, 5)),
    "scaled reals": (Reals(3.0, 0.25), (7, 5)),
    "a shower": (Reals(0.0, 4.0, low=0.0, atom=0.0), (40, 5)),
    "labels": (Words(("cat", "dog", "owl")), (7,)),
    "tokens": (Words(tuple("0123"), pad=3), (7, 5)),
    "captions": (Vocabulary(("<pad>", "<unknown>", "a", "ball")), (7, 5)),
    "a category": (Category(("x", "y", "z")), (7, 3)),
    "a table": (COLUMNS, (7, 5)),
    "a table of numbers": (Columns((Column("a", Reals(3, 2)),)), (7, 1)),
}
ALL = pytest.mark.parametrize(("support", "shape"), SUPPORTS.values(), ids=SUPPORTS)


def stored_values(support: Support, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.as_tensor(support.random_stored(shape, np.random.default_rng(0)))


@ALL
def test_back_is_the_inverse_of_units_on_stored_values(support: Support, shape: tuple[int, ...]) -> None:
    stored = stored_values(support, shape)
    assert stored.shape == shape
    assert str(stored.numpy().dtype) == support.stored
    back = support.to_stored(support.to_model(stored.clone()))
    assert back.dtype == stored.dtype
    torch.testing.assert_close(back, stored, rtol=1e-6, atol=1e-6)
    if not stored.is_floating_point():
        assert torch.equal(back, stored)


def test_an_atom_comes_back_exactly() -> None:
    support, shape = SUPPORTS["a shower"]
    stored = stored_values(support, shape)
    assert 0 < (stored == 0).float().mean() < 1
    assert torch.equal(support.to_stored(support.to_model(stored)) == 0, stored == 0)
    assert support.to_stored(torch.tensor([-2.0])).item() == 0  # none lies below


@pytest.mark.parametrize("support", [Reals(), Reals(3.0, 0.25), Reals(0.0, 4.0, low=0.0, atom=0.0)])
def test_log_scale_is_the_log_derivative_of_back(support: Reals) -> None:
    x = torch.tensor([0.5, 2.0], requires_grad=True)
    (slope,) = torch.autograd.grad(support.to_stored(x).sum(), x)
    torch.testing.assert_close(slope.log(), torch.full((2,), support.log_scale))


@pytest.mark.parametrize("name", ["a table", "a table of numbers"])
def test_log_scale_of_columns_is_that_of_the_file(name: str) -> None:
    """Σ log |d file / d x|, by a step of 1 in each number."""
    support, (n, width) = SUPPORTS[name]
    x = support.random_stored((n, width), np.random.default_rng(0))
    before, after = support.to_columns(x), support.to_columns(x + 1)
    slopes = [after[c.name] - before[c.name] for c in support.columns if not c.words]
    np.testing.assert_allclose(sum(np.log(slope) for slope in slopes), support.log_scale, atol=1e-5)


@pytest.mark.parametrize("name", [name for name, (support, _) in SUPPORTS.items() if not support.is_integer])
def test_onto_maps_every_number_onto_the_support_with_a_slope(name: str) -> None:
    support, shape = SUPPORTS[name]
    a = (0.2 * torch.randn(shape, generator=torch.Generator().manual_seed(0))).requires_grad_()
    x = support.from_unbounded(a)
    assert support.contains(x)
    weights = torch.randn(shape, generator=torch.Generator().manual_seed(1))  # Σ softmax alone is constant
    (slope,) = torch.autograd.grad((weights * x).sum(), a)
    assert (slope != 0).all()


@ALL
def test_into_is_the_inverse_of_onto_within_the_edges(support: Support, shape: tuple[int, ...]) -> None:
    x = support.to_model(stored_values(support, shape))
    inside = x.clamp(EDGE, 1 - EDGE) if support.config_name == "levels" else x
    hot = slice(*{"category": (0, 3), "columns": (1, 4 if x.shape[1:] == (5,) else 1)}.get(support.config_name, (0, 0)))
    if hot.stop > hot.start:
        inside = x.clone()
        inside[:, hot] = (x[:, hot] + 0.1) / 1.3
    torch.testing.assert_close(support.from_unbounded(support.to_unbounded(inside)), inside, rtol=1e-4, atol=1e-5)


@ALL
def test_settled_is_idempotent_and_leaves_what_is_stored(support: Support, shape: tuple[int, ...]) -> None:
    x = support.to_model(stored_values(support, shape))
    assert torch.equal(support.round_categories(x), x)
    if not support.is_integer:
        noisy = x + 0.3 * torch.rand(shape)
        once = support.round_categories(noisy)
        assert torch.equal(support.round_categories(once), once)


@ALL
def test_what_is_on_the_support(support: Support, shape: tuple[int, ...]) -> None:
    x = support.to_model(stored_values(support, shape))
    assert support.contains(x)
    assert support.contains(support.to_model(support.to_stored(support.random_points(shape))))
    torch.testing.assert_close(support.from_signed(support.to_signed(x)), x, rtol=1e-6, atol=1e-6)
    if x.is_floating_point():
        assert not support.contains(torch.where(torch.arange(x.numel()).view(shape) == 3, torch.nan, x))


@pytest.mark.parametrize(("name", "wrong"), [("digits", 1.01), ("digits", -0.01), ("labels", 3), ("tokens", -1)])
def test_what_is_beside_the_support(name: str, wrong: float) -> None:
    support, shape = SUPPORTS[name]
    x = support.to_model(stored_values(support, shape))
    x.view(-1)[2] = wrong
    assert not support.contains(x)
    assert not SUPPORTS["labels"][0].contains(torch.rand(7))


def test_what_is_written_to_a_file() -> None:
    assert Levels(17).file_values(np.array([0, 8, 16], np.uint8)).tolist() == [0, 128, 255]
    assert Words(("cat", "dog")).file_values(np.array([1, 0])).tolist() == ["dog", "cat"]


def test_words_by_name_by_number_and_unknown() -> None:
    words = Words(("cat", "7", "dog"))
    assert [words.number(word) for word in ("dog", "7", 7.0 - 7, "2", np.int64(1))] == [2, 1, 0, 2, 1]
    for wrong in ("dgo", 3, -1, 0.5, None):
        with pytest.raises(BestiaryError, match="cat"):
            words.number(wrong)


def test_tokens_from_text_and_back() -> None:
    words = Words(tuple("0123"), pad=3)
    assert words.tokens_of("2 0 1", 5) == [2, 0, 1, 3, 3]
    assert words.tokens_of("2 0 1", 2) == [2, 0]
    assert words.text_of([2, 0, 1, 3, 3]) == "2 0 1"
    with pytest.raises(BestiaryError, match="give 5, since there is no token to pad with"):
        Words(tuple("0123")).tokens_of("2 0 1", 5)


@pytest.mark.parametrize("n", [1, 257])
def test_pixels_have_two_to_256_levels(n: int) -> None:
    with pytest.raises(BestiaryError, match="2 to 256 levels"):
        Levels(n)
