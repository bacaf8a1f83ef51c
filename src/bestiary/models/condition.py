"""What a conditional generator is told: c, a label, a vector beside x, or some columns of x.

    label            c is the label, one-hot; G(z, c) makes all of x
    vector           c are the numbers that come with each example; G(z, c) makes all of x
    columns a, b     c is the columns a, b of x; G(z, c) makes the others, and the critic sees them together

The model keeps some conditions of the training data, so that samples without a condition have those of the data.

Legend: B batch, n numbers of a condition, F features.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from bestiary.data.batches import Batch
from bestiary.data.spec import Column, Spec
from bestiary.errors import BestiaryError, unknown

__all__ = ["Columns", "Condition", "Labels", "Nothing", "Vector", "condition_of", "named"]


class Nothing:
    """No condition."""

    size = 0  # numbers in c
    shown = 0  # of these, how many the critic must be shown beside x
    singles = False  # whether c may tell one example from all others: what is made of it then lies beside that example
    curved = False  # whether what c says of x need not be linear in it

    def __init__(self, spec: Spec) -> None:
        self.target = spec  # what the generator makes

    def of(self, batch: Batch) -> Tensor | None:
        """(B, n)."""
        return None

    def whole(self, made: Tensor, c: Tensor | None) -> Tensor:
        """x, of what the generator made."""
        return made

    def read(self, given: Tensor) -> Tensor:
        """A condition as a user gives it."""
        raise BestiaryError("this model takes no condition: fit one with condition=label, or with columns of a table")


class Labels(Nothing):
    """The label, one-hot."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        if not spec.classes:
            raise BestiaryError(
                "condition=label needs data with labels, and this has none"
                + (": its examples come with numbers, condition=vector" if spec.beside else "")
            )
        self.size = self.shown = len(spec.classes)

    def of(self, batch: Batch) -> Tensor | None:
        assert batch.y is not None  # the spec has classes
        return F.one_hot(batch.y, self.size).float()

    def read(self, given: Tensor) -> Tensor:
        if given.is_floating_point() and given.ndim == 2 and given.shape[1] == self.size:
            return given
        if given.ndim != 1 or given.is_floating_point() or not ((given >= 0) & (given < self.size)).all():
            raise BestiaryError(f"a condition here is a label, 0 … {self.size - 1}, for each sample: (n,) integers")
        return F.one_hot(given.long(), self.size).float()


class Vector(Nothing):
    """The numbers that come with each example."""

    singles, curved = True, True

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        if not spec.beside:
            raise BestiaryError(
                "condition=vector needs data whose examples come with numbers, (N, n) in labels= or y of an .npz"
                + (": whole numbers in one column are labels, unless they are floats (N, 1)" if spec.classes else "")
            )
        self.size = self.shown = len(spec.beside)

    def of(self, batch: Batch) -> Tensor | None:
        assert batch.y is not None  # the spec has numbers beside x
        return batch.y.float()

    def read(self, given: Tensor) -> Tensor:
        if given.ndim != 2 or given.shape[1] != self.size:
            raise BestiaryError(
                f"a condition here is {self.size} numbers for each sample: (n, {self.size}) in model units"
            )
        return given.float()


class Columns(Nothing):
    """Some columns of x."""

    singles = True

    def __init__(self, spec: Spec, names: list[str]) -> None:
        places, at = dict[str, list[int]](), 0
        columns = spec.columns or tuple(Column(str(i)) for i in range(spec.dimensions))
        for column in columns:
            places[column.name] = list(range(at, at + column.width))
            at += column.width
        for name in names:
            if name not in places:
                raise unknown("column", name, places)
        if len(set(names)) < len(names):
            raise BestiaryError(f"condition={','.join(names)} names a column twice: name each once")
        chosen = [i for name in names for i in places[name]]
        rest = [i for i in range(at) if i not in set(chosen)]
        if not rest:
            raise BestiaryError("condition= names every column: leave at least one for the generator to make")
        kept = tuple(column for column in columns if column.name not in names)
        super().__init__(Spec(spec.kind, (len(rest),), columns=kept if spec.columns else ()))
        self.size, self.names = len(chosen), names
        self.chosen, self.order = chosen, sorted(range(at), key=[*chosen, *rest].__getitem__)

    def of(self, batch: Batch) -> Tensor | None:
        return _columns(batch.x, self.chosen)

    def whole(self, made: Tensor, c: Tensor | None) -> Tensor:
        assert c is not None  # it is what the generator was told
        return _columns(torch.cat([c.to(made.dtype), made], 1), self.order)

    def read(self, given: Tensor) -> Tensor:
        if given.ndim != 2 or given.shape[1] != self.size:
            raise BestiaryError(f"a condition here is columns {', '.join(self.names)}: (n, {self.size}) in model units")
        return given.float()


def _columns(x: Tensor, places: list[int]) -> Tensor:
    """Not by a list as index, which is copied to the device at each turn: a captured one cannot do that."""
    return torch.stack([x[:, i] for i in places], 1)


Condition = Nothing
KINDS: dict[str, Callable[[Spec], Condition]] = {"none": Nothing, "label": Labels, "vector": Vector}


def condition_of(said: str, spec: Spec) -> Condition:
    """`none`, `label`, `vector`, or names of columns joined by commas."""
    if said in KINDS and not (said == "vector" and not spec.beside and said in [c.name for c in spec.columns]):
        return KINDS[said](spec)
    if spec.kind == "image":
        raise unknown("condition", said, KINDS)
    return Columns(spec, named(said, [column.name for column in spec.columns or ()]))


def named(said: str, known: Sequence[str] = ()) -> list[str]:
    """Names between commas, perhaps in brackets; one that is known as it stands is one name.

    >>> named("(a, b)"), named("length (cm)"), named("a, b", ["a, b"])
    (['a', 'b'], ['length (cm)'], ['a, b'])
    """
    whole = said.strip()
    if whole in known:
        return [whole]
    inside = whole[1:-1] if whole.startswith("(") and whole.endswith(")") else whole
    return [name.strip() for name in inside.split(",")]
