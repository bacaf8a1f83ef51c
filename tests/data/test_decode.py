"""Every mode that Pillow opens becomes the bytes it should; what cannot be used says why."""

import io
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bestiary.data import decode as module
from bestiary.data.decode import MAX_PIXELS, MAX_PIXELS_PER_BYTE, Header, UnusableImage, decode, read_header


def encoded(image: Image.Image, format: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def ramp(height: int = 6, width: int = 5, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)


def test_rgb_and_grey_are_exact() -> None:
    colour, grey = ramp(), ramp(channels=1)[..., 0]
    assert np.array_equal(decode(encoded(Image.fromarray(colour)), (6, 5), grey=False), colour)
    assert np.array_equal(decode(encoded(Image.fromarray(grey)), (6, 5), grey=True)[..., 0], grey)
    as_rgb = decode(encoded(Image.fromarray(grey)), (6, 5), grey=False)
    assert np.array_equal(as_rgb, np.repeat(grey[..., None], 3, axis=2))


def test_transparency_is_laid_over_white() -> None:
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[0, 0] = (10, 20, 30, 255)
    out = decode(encoded(Image.fromarray(pixels, "RGBA")), (2, 2), grey=False)
    assert out[0, 0].tolist() == [10, 20, 30]
    assert out[1, 1].tolist() == [255, 255, 255]


def test_transparency_of_grey_and_of_palettes() -> None:
    la = np.zeros((2, 2, 2), np.uint8)
    la[0, 0] = (7, 255)
    assert decode(encoded(Image.fromarray(la, "LA")), (2, 2), grey=True)[..., 0].tolist() == [[7, 255], [255, 255]]
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    palette.putpalette([9, 9, 9, 50, 60, 70])
    assert decode(encoded(palette, transparency=0), (1, 2), grey=False)[0].tolist() == [[255] * 3, [50, 60, 70]]


def test_palettes_are_grey_only_if_their_colours_are() -> None:
    image = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    image.putpalette([0, 0, 0, 200, 200, 200])
    assert read_header(encoded(image)).grey
    image.putpalette([0, 0, 0, 200, 0, 200])
    assert not read_header(encoded(image)).grey


def test_sixteen_bits_keep_their_upper_eight() -> None:
    deep = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    raw = encoded(Image.fromarray(deep))
    assert read_header(raw).grey
    assert decode(raw, (16, 16), grey=True).reshape(-1).tolist() == list(range(256))
    assert decode(raw, (16, 16), grey=False).shape == (16, 16, 3)
    big = encoded(Image.fromarray(deep.astype(">u2")), "TIFF")
    assert decode(big, (16, 16), grey=True).reshape(-1).tolist() == list(range(256))


def test_floats_and_long_integers() -> None:
    unit = (np.arange(256, dtype=np.float32) / 255).reshape(16, 16)
    for white in (1.0, 255.0):
        raw = encoded(Image.fromarray(unit * white), "TIFF")
        assert read_header(raw).white == white
        assert decode(raw, (16, 16), True, white).reshape(-1).tolist() == list(range(256))
    long = (np.arange(256, dtype=np.int32) * 257).reshape(16, 16)
    assert decode(encoded(Image.fromarray(long), "TIFF"), (16, 16), grey=True).reshape(-1).tolist() == list(range(256))
    for bad in (unit * 1000, np.full((4, 4), np.nan, np.float32), unit - 1):
        with pytest.raises(UnusableImage, match="floating-point"):
            decode(encoded(Image.fromarray(bad), "TIFF"), (4, 4), grey=True)


@pytest.mark.parametrize("peak", [65_536, 2_000_000, -5])
def test_integers_of_32_bits_without_a_known_white_are_refused(peak: int) -> None:
    """They were clipped at 65,535, so that most pixels became white."""
    raw = encoded(Image.fromarray(np.linspace(0, peak, 256).astype(np.int32).reshape(16, 16)), "TIFF")
    for read in (read_header, lambda raw: decode(raw, (16, 16), grey=True)):
        with pytest.raises(UnusableImage, match=r"32-bit pixels between .* neither in \[0, 255\] nor in \[0, 65535\]"):
            read(raw)


def test_integers_of_32_bits_up_to_255_are_no_darker_than_bytes() -> None:
    long = np.arange(256, dtype=np.int32).reshape(16, 16)
    raw = encoded(Image.fromarray(long), "TIFF")
    assert decode(raw, (16, 16), grey=True).reshape(-1).tolist() == list(range(256))
    assert (decode(raw, (16, 16), True, white=65_535) <= 1).all()  # beside an image of 16 bits


def test_one_bit_images() -> None:
    bits = np.array([[0, 1], [1, 0]], bool)
    assert decode(encoded(Image.fromarray(bits)), (2, 2), grey=True)[..., 0].tolist() == [[0, 255], [255, 0]]


@pytest.mark.parametrize(("mode", "format"), [("CMYK", "TIFF"), ("CMYK", "JPEG"), ("YCbCr", "TIFF"), ("LAB", "TIFF")])
def test_other_colour_spaces_become_rgb(mode: str, format: str) -> None:
    plain = Image.new("RGB", (8, 8), (200, 40, 40))
    image = plain.convert(mode) if mode != "LAB" else Image.new("LAB", (8, 8), (120, 180, 170))
    out = decode(encoded(image, format), (8, 8), grey=False)
    assert out.shape == (8, 8, 3)
    r, g, b = out[4, 4].astype(int)
    assert r > g + 60
    assert r > b + 60


def test_exif_rotation_is_applied() -> None:
    pixels = ramp(4, 6)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90° clockwise to show
    raw = encoded(Image.fromarray(pixels), exif=exif)
    assert (read_header(raw).height, read_header(raw).width) == (6, 4)
    assert np.array_equal(decode(raw, (6, 4), grey=False), np.rot90(pixels, -1))


def test_the_first_frame_of_an_animation() -> None:
    frames = [Image.new("L", (3, 3), value) for value in (10, 200)]
    raw = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (decode(raw, (3, 3), grey=True) == 10).all()


def test_short_side_is_resized_and_the_centre_cut_out() -> None:
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 255
    assert decode(encoded(Image.fromarray(wide)), (5, 5), grey=False).min() > 230  # Lanczos rings a little


@pytest.mark.parametrize("size", [(32_000, 32_000), (MAX_PIXELS, 2), (9_000, 9_000)])
def test_bombs_are_refused_from_the_header(size: tuple[int, int], png_header: Callable[[int, int], bytes]) -> None:
    with pytest.raises(UnusableImage, match="pixels"):
        read_header(png_header(*size))


def empty_image(side: int, mode: str = "RGBA") -> bytes:
    """A large image of one colour, with as many bytes behind its end as make it just full enough."""
    raw = encoded(Image.new(mode, (side, side), (10, 20, 30, 128)))
    return raw + b"\0" * (side * side // MAX_PIXELS_PER_BYTE + 1 - len(raw))


def test_large_images_that_are_nearly_empty_are_refused_from_the_header() -> None:
    raw = empty_image(3000)
    assert read_header(raw).width == 3000
    with pytest.raises(UnusableImage, match=r"3,000 × 3,000 pixels in \d+,\d+ bytes: too empty"):
        read_header(raw[:-100])


def test_a_header_is_read_without_the_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow decodes a PNG to look for EXIF behind the pixels, unless it is told not to."""
    raw = encoded(Image.fromarray(ramp()))
    monkeypatch.setattr(Image.core, "zip_decoder", None)
    assert read_header(raw) == Header(6, 5, grey=False)


def test_large_images_are_decoded_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight threads that decode an image of 320 MB each would take 5 GB."""
    at_once, most, pixels = 0, 0, module._pixels

    def watched(*args: Any) -> np.ndarray:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        time.sleep(0.01)
        at_once -= 1
        return pixels(*args)

    monkeypatch.setattr(module, "_pixels", watched)
    monkeypatch.setattr(module, "_LARGE", 20)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: decode(encoded(Image.fromarray(ramp())), (6, 5), grey=False), range(4)))
    assert most == 1


@pytest.mark.parametrize("raw", [b"", b"hello", b"\0" * 500, encoded(Image.new("RGB", (20, 20)))[:30]])
def test_what_is_no_image_says_so(raw: bytes) -> None:
    with pytest.raises((UnusableImage, OSError, SyntaxError)):
        decode(raw, (4, 4), grey=False)


ORIGINALS = [
    encoded(Image.fromarray(ramp(9, 9)), format)
    for format in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA")
]


@settings(max_examples=150, deadline=None)
@given(which=st.sampled_from(ORIGINALS), data=st.data())
def test_damage_never_gives_anything_but_pixels_or_an_exception(which: bytes, data) -> None:
    """Cut short, or with bytes changed: pixels of the right shape come out, or an ordinary exception does."""
    raw = bytearray(which[: data.draw(st.integers(0, len(which)))])
    for _ in range(data.draw(st.integers(0, 4))):
        if raw:
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            out = decode(bytes(raw), (5, 4), grey=False)
        except Exception:  # whatever it is, `images` turns it into a reason
            return
    assert out.shape == (5, 4, 3)
    assert out.dtype == np.uint8
