"""Every test has a cache of its own, and none sees the data sets of the machine unless it asks."""

import os
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

REAL_DATA = os.environ.get("BESTIARY_DATA")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("BESTIARY_CACHE", str(cache))
    monkeypatch.delenv("BESTIARY_DATA", raising=False)
    return cache


@pytest.fixture
def real_data(monkeypatch: pytest.MonkeyPatch) -> str:
    if not REAL_DATA:
        pytest.skip("BESTIARY_DATA is not set")
    monkeypatch.setenv("BESTIARY_DATA", REAL_DATA)
    return REAL_DATA


@pytest.fixture
def peak_bytes() -> Callable[[Callable[[], object]], int]:
    """The most memory that a call takes beyond what was taken before, of Python and numpy."""

    def measure(call: Callable[[], object]) -> int:
        tracemalloc.start()
        try:
            call()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    return measure


@pytest.fixture
def png_header() -> Callable[[int, int], bytes]:
    """Makes a PNG whose header announces a size and that has no pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    def make(width: int, height: int) -> bytes:
        head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        pixels = zlib.compress(b"")
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")

    return make
