"""Check that data are those that a run was fitted to: the same fields, of the same shapes, in the same units."""

from __future__ import annotations

from collections.abc import Mapping
from math import isclose
from typing import Any

from bestiary.data.dataset import Dataset
from bestiary.data.spec import Field, Spec
from bestiary.data.support import Reals, Support
from bestiary.errors import BestiaryError

__all__ = ["check_data"]


def check_data(config: Mapping[str, Any], dataset: Dataset) -> None:
    """Raise BestiaryError if data have other fields, shapes or units than the config of a run says.

    Fields beside x that the run does not know are allowed.
    """
    saved, present = Spec.from_dict(config["spec"]), dataset.spec
    present_fields = {f.name: f for f in (present.x, *present.beside)}
    for field in (saved.x, *saved.beside):
        if field.name not in present_fields:
            raise _error(f"{field.name} no longer comes with each example")
        if difference := _difference(field, present_fields[field.name]):
            raise _error(difference)


def _error(difference: str) -> BestiaryError:
    return BestiaryError(
        f"the data are not what this run was fitted to: {difference}. Fit a new run to them, or restore the old data"
    )


def _difference(saved: Field, present: Field) -> str:
    """The difference between two fields of one name in words; empty if there is none."""
    if len(saved.columns) != len(present.columns) and saved.name != "x":
        return f"{len(saved.columns)} numbers came with each example, and now {len(present.columns)} do"
    if _shape_and_values(saved) != _shape_and_values(present):
        return (
            f"{saved.name} was {saved.noun} of shape {saved.shape}, now it is {present.noun} of shape {present.shape}"
        )
    for a, b in zip(saved.columns, present.columns, strict=True):
        if (a.name, a.words) != (b.name, b.words) or not _have_same_units(a.support, b.support):
            return f"column {b.name} has changed"
    return ""


def _shape_and_values(field: Field) -> tuple[object, ...]:
    return field.layout, field.shape, field.levels, field.words


def _have_same_units(a: Support, b: Support) -> bool:
    """Whether numbers of two supports have the same mean and scale; words have no units."""
    if not (isinstance(a, Reals) and isinstance(b, Reals)):
        return type(a) is type(b)
    return isclose(a.scale, b.scale, rel_tol=1e-4) and isclose(a.mean, b.mean, rel_tol=1e-4, abs_tol=1e-4 * a.scale)
