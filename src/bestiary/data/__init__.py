"""Data: specs and supports, loaders for files, named sets and toys, and endless seeded batches.

A name is imported when it is first used: `import bestiary.data` costs nothing, and only batches import torch. The
function `load` is in the module of that name: `from bestiary.data.load import load`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bestiary.data.batch import Batch
    from bestiary.data.batches import Batches
    from bestiary.data.dataset import Dataset, Density, split
    from bestiary.data.load import catalogue, describe
    from bestiary.data.picture import write_picture
    from bestiary.data.spec import Field, Spec, label, numbers, pictures, rows, sequence
    from bestiary.data.support import Category, Column, Columns, Levels, Reals
    from bestiary.data.tables import to_rows, write_table
    from bestiary.data.word_support import Words

__all__ = [
    "Batch",
    "Batches",
    "Category",
    "Column",
    "Columns",
    "Dataset",
    "Density",
    "Field",
    "Levels",
    "Reals",
    "Spec",
    "Words",
    "catalogue",
    "describe",
    "label",
    "numbers",
    "pictures",
    "rows",
    "sequence",
    "split",
    "to_rows",
    "write_picture",
    "write_table",
]

_HOMES = {
    "Batch": "bestiary.data.batch",
    "Batches": "bestiary.data.batches",
    "Category": "bestiary.data.support",
    "Column": "bestiary.data.support",
    "Columns": "bestiary.data.support",
    "Dataset": "bestiary.data.dataset",
    "Density": "bestiary.data.dataset",
    "Field": "bestiary.data.spec",
    "Levels": "bestiary.data.support",
    "Reals": "bestiary.data.support",
    "Spec": "bestiary.data.spec",
    "Words": "bestiary.data.word_support",
    "catalogue": "bestiary.data.load",
    "describe": "bestiary.data.load",
    "label": "bestiary.data.spec",
    "numbers": "bestiary.data.spec",
    "pictures": "bestiary.data.spec",
    "rows": "bestiary.data.spec",
    "sequence": "bestiary.data.spec",
    "split": "bestiary.data.dataset",
    "to_rows": "bestiary.data.tables",
    "write_picture": "bestiary.data.picture",
    "write_table": "bestiary.data.tables",
}


def __getattr__(name: str) -> Any:
    """A public name, imported from its home on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module `bestiary.data` has no `{name}`; it has {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)
