"""Whether data are those that a run was fitted to: the same fields, of the same shapes, in the same units."""

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
    """Refuse data of another shape, or in other units, than a run was fitted to."""
    was, now = Spec.from_dict(config["spec"]), dataset.spec
    fields = {f.name: f for f in (now.x, *now.beside)}
    for field in (was.x, *was.beside):
        if field.name not in fields:
            raise _other(f"{field.name} no longer comes with each example")
        if difference := _difference(field, fields[field.name]):
            raise _other(difference)


def _other(difference: str) -> BestiaryError:
    return BestiaryError(
        f"the data are not what this run was fitted to: {difference}. Fit a new run to them, or give back the old ones"
    )


def _difference(was: Field, now: Field) -> str:
    """In what two fields of one name differ, in words; empty where they do not."""
    if len(was.columns) != len(now.columns) and was.name != "x":
        return f"{len(was.columns)} numbers came with each example, and now {len(now.columns)} do"
    if (was.layout, was.shape, was.levels, was.words) != (now.layout, now.shape, now.levels, now.words):
        return f"{was.name} was {was.noun} of shape {was.shape}, it is now {now.noun} of shape {now.shape}"
    for a, b in zip(was.columns, now.columns, strict=True):
        if (a.name, a.words) != (b.name, b.words) or not _same_units(a.support, b.support):
            return f"column {b.name} has changed"
    return ""


def _same_units(a: Support, b: Support) -> bool:
    """Whether numbers are shifted and scaled alike; words have no units."""
    if not (isinstance(a, Reals) and isinstance(b, Reals)):
        return type(a) is type(b)
    return isclose(a.scale, b.scale, rel_tol=1e-4) and isclose(a.mean, b.mean, rel_tol=1e-4, abs_tol=1e-4 * a.scale)
