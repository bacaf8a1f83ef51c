"""Data: what it is, where it comes from, and endless seeded batches of it.

Names are resolved when first used: `import bestiary.data` costs nothing, and only batches import torch. The
function `load` lives in the module of that name: `from bestiary.data.load import load`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bestiary.data.batches import Batch, Batches, model_units, stored_units
    from bestiary.data.dataset import Dataset, Density, split
    from bestiary.data.load import catalogue, describe
    from bestiary.data.picture import write_picture
    from bestiary.data.spec import Column, Spec
    from bestiary.data.tables import to_rows, write_table

__all__ = [
    "Batch",
    "Batches",
    "Column",
    "Dataset",
    "Density",
    "Spec",
    "catalogue",
    "describe",
    "model_units",
    "split",
    "stored_units",
    "to_rows",
    "write_picture",
    "write_table",
]

_HOMES = {
    "Batch": "bestiary.data.batches",
    "Batches": "bestiary.data.batches",
    "Column": "bestiary.data.spec",
    "Dataset": "bestiary.data.dataset",
    "Density": "bestiary.data.dataset",
    "Spec": "bestiary.data.spec",
    "catalogue": "bestiary.data.load",
    "describe": "bestiary.data.load",
    "model_units": "bestiary.data.batches",
    "split": "bestiary.data.dataset",
    "stored_units": "bestiary.data.batches",
    "to_rows": "bestiary.data.tables",
    "write_picture": "bestiary.data.picture",
    "write_table": "bestiary.data.tables",
}


def __getattr__(name: str) -> Any:
    """A public name, imported from its home on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module `bestiary.data` has no `{name}`; it has {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)
