"""x of other layouts: images of any number of channels, grids of floats, sequences of tokens."""

from pathlib import Path

import numpy as np
import pytest
import torch

from bestiary.data.dataset import Dataset
from bestiary.data.load import describe, load
from bestiary.data.spec import Spec
from bestiary.errors import BestiaryError

G = np.random.default_rng(0)
N = 40
SHOWER = np.where(G.random((N, 3, 5)) < 0.5, 0.0, G.exponential(20.0, (N, 3, 5))).astype(np.float32)
MAPS = G.normal(7, 3, (N, 2, 6, 5))
TOKENS = G.integers(0, 9, (N, 5))


def whole(data: Dataset) -> Dataset:
    """The spec reads itself back, x is of its field, and back is the inverse of units."""
    assert Spec.from_dict(data.spec.to_dict()) == data.spec
    assert describe(data)["shape"] == list(data.spec.shape)
    x = data.rows(np.arange(len(data))).x
    data.spec.x.refuse(x)
    np.testing.assert_allclose(data.spec.x.to_stored(x).numpy(), data.x, rtol=1e-5, atol=1e-5)
    return data


@pytest.mark.parametrize("channels", [2, 4, 5])
def test_images_of_any_number_of_channels(channels: int) -> None:
    last = G.integers(0, 256, (9, 8, 7, channels), dtype=np.uint8)
    for array in (last, last.transpose(0, 3, 1, 2), last / 255):
        data = whole(load(array))
        assert data.spec.shape == (channels, 8, 7)
        assert data.spec.x.levels == 256
        assert np.array_equal(data.x, last)


def test_where_the_channels_are_may_have_to_be_said() -> None:
    array = G.integers(0, 256, (9, 4, 4, 7), dtype=np.uint8)
    with pytest.raises(BestiaryError, match=r"channels=first \(4 channels\) or channels=last \(7 channels\)"):
        load(array)
    assert load(array, channels="first").spec.shape == (4, 4, 7)
    assert load(array, channels="last").spec.shape == (7, 4, 4)
    assert np.array_equal(load(array, channels="first").x, array.transpose(0, 2, 3, 1))
    with pytest.raises(BestiaryError, match="channels=middle: say channels=first"):
        load(array, channels="middle")
    rgb_or_three_rows = G.integers(0, 256, (9, 3, 8, 9), dtype=np.uint8)
    assert load(rgb_or_three_rows, channels="last").spec.shape == (9, 3, 8)


@pytest.mark.parametrize(
    "array", [MAPS, MAPS[:, 0], MAPS[:, 0, 0], MAPS.reshape(N, 2, 3, 2, 5), MAPS.astype(np.float32)]
)
def test_grids_of_floats_are_stored_as_they_are(array: np.ndarray) -> None:
    data = whole(load(array, layout="grid"))
    assert data.spec.x.layout == "grid"
    assert data.spec.shape == array.shape[1:]
    assert data.spec.x.is_spatial == (array.ndim == 4)
    assert data.x.dtype == np.float32
    assert np.array_equal(data.x, array.astype(np.float32))
    train = data.spec.x.to_model(torch.from_numpy(data.part("train"))).double()
    assert float(train.mean()) == pytest.approx(0, abs=1e-5)
    assert float(train.std(unbiased=False)) == pytest.approx(1, abs=1e-5)
    assert "atom" not in data.spec.x.to_dict()


def test_a_shower_keeps_its_zeros() -> None:
    data = whole(load(SHOWER, layout="grid"))
    support = data.spec.x.support
    assert (support.low, support.atom, support.mean) == (0, 0, 0)
    train = SHOWER[data.parts["train"]].astype(np.float64)
    assert support.scale == pytest.approx(np.sqrt((train**2).mean()))
    x = data.spec.x.to_model(torch.from_numpy(data.x))
    assert torch.equal(x == 0, torch.from_numpy(SHOWER == 0))
    assert "exactly 0" in data.source["note"]
    below = load(np.where(SHOWER > 20, -1, SHOWER), layout="grid").spec.x.support
    assert (below.low, below.atom) == (None, None)  # a number below 0 is no silent cell


def test_log_scale_of_a_grid_shifts_its_density() -> None:
    """log N(raw; μ, σ²) = log N(x; 0, 1) − log_scale."""
    data = load(MAPS, layout="grid")
    support, raw = data.spec.x.support, torch.from_numpy(data.x).double()
    x = (raw - support.mean) / support.scale
    normal = torch.distributions.Normal(torch.tensor(support.mean).double(), torch.tensor(support.scale).double())
    log_x = torch.distributions.Normal(0.0, 1.0).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(log_x - data.spec.log_scale, normal.log_prob(raw).flatten(1).sum(1))


def test_grids_may_be_constant_whole_numbers_or_have_their_channels_last(tmp_path: Path) -> None:
    assert load(np.full((N, 3, 4), 0.1), layout="grid").spec.x.support.scale == 1
    assert load(np.zeros((N, 3, 4)), layout="grid").spec.x.support.scale == 1
    assert load(TOKENS[..., None].repeat(2, 2), layout="grid").x.dtype == np.float32
    np.save(tmp_path / "x.npy", MAPS.astype(np.float32).transpose(0, 2, 3, 1))
    data = whole(load(tmp_path / "x.npy", layout="grid", channels="last", stream="yes"))
    assert isinstance(data.x, np.memmap)
    assert np.array_equal(data.x, MAPS.astype(np.float32))
    assert np.array_equal(load(MAPS.reshape(N, -1), layout="grid", shape="2x6x5").x, MAPS.astype(np.float32))


def test_floats_that_are_no_pixels_say_how_else_they_can_be_read() -> None:
    with pytest.raises(BestiaryError, match="layout=grid"):
        load(MAPS[:, 0])
    with pytest.raises(BestiaryError, match="layout=grid"):
        load(G.random((N, 4, 4)) * 1.5)  # a little outside of [0, 1]
    with pytest.raises(BestiaryError, match="layout=grid"):
        load(MAPS.reshape(N, 2, 3, 2, 5))
    assert load(MAPS[:, 0], layout="row").spec.shape == (30,)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_grids_with_gaps_are_refused_and_the_first_is_named(bad: float) -> None:
    maps = MAPS.copy()
    maps[4, 0, 1, 1] = bad
    with pytest.raises(BestiaryError, match="1 of 40 examples hold NaN or infinite numbers; the first is example 4"):
        load(maps, layout="grid")


def test_sequences_of_tokens_are_x(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", TOKENS)
    np.savez(tmp_path / "x.npz", x=TOKENS, y=np.arange(N) % 2)
    np.savez(tmp_path / "codes.npz", codes=TOKENS, y=np.arange(N) % 2)
    for data in (
        load(TOKENS, layout="tokens"),
        load(tmp_path / "x.npy", layout="tokens"),
        load(tmp_path / "x.npy", tokens="x"),
        load(tmp_path / "x.npz", tokens="x"),
        load(tmp_path / "codes.npz", tokens="codes"),
    ):
        assert whole(data).spec.x.layout == "sequence"
        assert data.spec.x.words == tuple("012345678")
        assert data.spec.x.support.pad is None
        assert np.array_equal(data.x, TOKENS)
    assert data.spec.names == ["y"]
    assert load(tmp_path / "x.npy", tokens="x", pad="9").spec.x.support.pad == 9
    assert load(TOKENS - 1, layout="tokens", pad=-1).spec.x.support.pad == 8


def test_whole_numbers_without_a_layout_are_vectors_and_it_is_said() -> None:
    data = load(TOKENS)
    assert data.spec.x.layout == "row"
    assert "say layout=tokens" in data.source["note"]
    assert "tokens" not in load(TOKENS, layout="row").source["note"]


@pytest.mark.parametrize(
    ("array", "options", "says"),
    [
        (TOKENS / 2, {"layout": "tokens"}, "whole numbers"),
        (MAPS, {"layout": "tokens"}, "reshape"),
        (TOKENS, {"layout": "text"}, "say layout=picture, layout=row, layout=grid or layout=tokens"),
        (TOKENS[:, 0], {"layout": "grid"}, "at least two axes"),
        (TOKENS, {"layout": "picture"}, "is no images"),
        (MAPS, {"layout": "grid", "channels": "up"}, "channels=first"),
    ],
)
def test_layouts_that_do_not_fit_are_refused(array: np.ndarray, options: dict[str, str], says: str) -> None:
    with pytest.raises(BestiaryError, match=says):
        load(array, **options)


def test_rows_keep_their_companions_as_grids_and_tokens() -> None:
    for options in ({"layout": "grid"}, {"layout": "tokens"}):
        data = load(np.arange(N)[:, None].repeat(3, 1), labels=np.arange(N), **options)
        assert np.array_equal(data.x[:, 0], data.stored["label"])
