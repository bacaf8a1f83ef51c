"""Models: compositions of networks, densities and objectives that list their players."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bestiary.models.zoo import MODELS, build

__all__ = ["MODELS", "build"]


def __getattr__(name: str) -> Any:
    """`MODELS` and `build`, imported (with torch) on first use."""
    if name not in __all__:
        raise AttributeError(f"module `bestiary.models` has no `{name}`; it has {', '.join(__all__)}")
    from bestiary.models import zoo

    return {"MODELS": zoo.MODELS, "build": zoo.build}[name]
