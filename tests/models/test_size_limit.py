"""A model that is larger than the memory is refused before it is allocated, with the option to change."""

import re

import pytest

from bestiary.data.spec import pictures, rows
from bestiary.errors import BestiaryError
from bestiary.models.zoo import build

DIGITS = pictures((1, 8, 8), 17)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("vae", {"hidden": (100_000, 100_000)}, "hidden=100000,100000 makes it too large: this machine has"),
        ("vae", {"latent": 100_000, "hidden": (100_000,)}, "Use latent=20"),
        ("vae", {"network": "conv", "width": 100_000}, "Use width=32"),
        ("vae", {"samples": 100_000, "latent": 10_000}, "Use samples=1"),
        ("gan", {"network": "mlp", "tricks": "pack(100000)"}, "tricks=pack(100000) makes it too large"),
        ("two-stage", {"first": "vae(latent=100000,hidden=100000)", "until": 100}, "Use first=vae"),
    ],
)
def test_the_largest_option_is_named(name: str, options: dict, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bestiary.models.size_limit.machine_memory", lambda: 8 << 30)
    with pytest.raises(BestiaryError, match=re.escape(says)):
        build(name, DIGITS, **options)


def test_large_examples_are_named_where_no_option_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bestiary.models.size_limit.machine_memory", lambda: 1 << 30)
    with pytest.raises(BestiaryError, match="too little for examples of 1,000,000 numbers"):
        build("vae", rows(1_000_000))
