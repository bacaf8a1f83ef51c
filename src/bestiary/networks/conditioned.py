"""Networks that are told something: (a, c) → net(a beside r), r = reader(c).

    label        its one-hot vector; zeros where it is not known
    row          the numbers as they are; zeros where they are not known, and a number that says so
    sequence     the mean of learned vectors of its words, padding left out
    picture      learned: two strided convolutions, their mean over all places

What puts c into a network is a module of that network, so that generator and critic, which have different owners, each
learn to read by themselves. A network whose model is told nothing is used as it is.

Legend: B batch, w width of r, C channels, T tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from bestiary.data.spec import Field, known
from bestiary.errors import BestiaryError

__all__ = ["NOTHING", "Conditioned", "Fields", "Reader", "beside", "of_field", "repeated", "rows_of", "width_of"]

Fields = Mapping[str, Tensor]  # c: tensors by the field's name, rows alike
NOTHING: Fields = {}
LEARNED = 64  # width of what words and pictures are read into


def of_field(f: Field) -> tuple[str, ...]:
    """The names of its tensors in c: its own, and that of its mask where examples may lack it."""
    return (f.name, known(f.name)) if f.optional else (f.name,)


def rows_of(c: Fields, rows: slice | Tensor) -> dict[str, Tensor]:
    """Some rows of a condition."""
    return {name: values[rows] for name, values in c.items()}


def repeated(c: Fields, k: int) -> Fields:
    """All rows k times, one copy after the other: of K draws of z for each x."""
    return c if k == 1 else {name: v.repeat(k, *[1] * (v.ndim - 1)) for name, v in c.items()}


def beside(x: Tensor, r: Tensor) -> Tensor:
    """[x, r]: (B, F) and (B, w) → (B, F + w); (B, C, H, W) and (B, w) → (B, C + w, H, W)."""
    if x.ndim > 2:
        r = r[:, :, None, None].expand(-1, -1, *x.shape[2:])
    return torch.cat([x, r.to(x.dtype)], 1)


class Words(nn.Module):
    """(B, T) tokens → (B, w): the mean over those that are no padding; zeros where all are."""

    def __init__(self, field: Field, width: int) -> None:
        super().__init__()
        self.pad: int | None = field.support.pad  # type: ignore[attr-defined]
        self.embed = nn.Embedding(len(field.words), width)

    def forward(self, tokens: Tensor) -> Tensor:
        there = torch.ones_like(tokens, dtype=torch.bool) if self.pad is None else tokens != self.pad
        weight = there / there.sum(1, keepdim=True).clamp_min(1)
        return (self.embed(tokens) * weight[..., None]).sum(1)


class Picture(nn.Module):
    """(B, C, H, W) → (B, w)."""

    def __init__(self, field: Field, width: int) -> None:
        super().__init__()
        half = max(1, width // 2)
        self.net = nn.Sequential(
            nn.Conv2d(field.channels, half, 3, 2, 1), nn.SiLU(), nn.Conv2d(half, width, 3, 2, 1), nn.SiLU()
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x).mean((2, 3))


def width_of(fields: Sequence[Field]) -> int:
    """w of a reader of these fields."""
    own = {"sequence": lambda f: LEARNED, "picture": lambda f: LEARNED, "label": lambda f: len(f.words)}
    return sum(own.get(f.layout, lambda f: f.dimensions)(f) + int(f.optional and f.layout != "label") for f in fields)


class Reader(nn.Module):
    """c → (B, w). It has weights only where there are words or pictures to read."""

    def __init__(self, fields: Sequence[Field] = ()) -> None:
        super().__init__()
        self.fields = tuple(fields)
        kinds = {"sequence": Words, "picture": Picture}
        # by number: a field's name may be anything
        self.learned = nn.ModuleDict(
            {str(i): kinds[f.layout](f, LEARNED) for i, f in enumerate(self.fields) if f.layout in kinds}
        )

    @property
    def width(self) -> int:
        return width_of(self.fields)

    def forward(self, c: Fields) -> Tensor:
        for name in (name for f in self.fields for name in of_field(f)):
            if name not in c:
                told = ", ".join(f.name for f in self.fields)
                raise BestiaryError(f"this model is told {told}: give {name} of each example too")
        return torch.cat([self._read(i, f, c) for i, f in enumerate(self.fields)], 1)

    def _read(self, i: int, f: Field, c: Fields) -> Tensor:
        value = c[f.name]
        if f.layout == "label":
            # a comparison, not F.one_hot, which waits for the device to look at the largest
            read = (value[:, None] == torch.arange(len(f.words), device=value.device)).float()
        elif str(i) in self.learned:
            read = self.learned[str(i)](value)
        else:
            read = value.flatten(1).float()
        if not f.optional:
            return read
        there = c[known(f.name)][:, None].to(read.dtype)
        return read * there if f.layout == "label" else torch.cat([read * there, there], 1)


class Conditioned(nn.Module):
    """(a, c) → net(a beside reader(c)); `join`: c stands in the rows of a flattened a, or as maps of a."""

    def __init__(self, net: nn.Module, fields: Sequence[Field] = (), join: Literal["rows", "maps"] = "rows") -> None:
        super().__init__()
        self.net, self.reader, self.join = net, Reader(fields), join

    def forward(self, a: Tensor, c: Fields = NOTHING) -> Tensor:
        if not self.reader.fields:
            return self.net(a)
        return self.net(beside(a.flatten(1) if self.join == "rows" else a, self.reader(c)))
