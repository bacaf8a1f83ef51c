"""Conditioned networks: (a, c) → net([a, r]), where a reader turns the condition c into a vector r = reader(c).

    label        its one-hot vector; zeros where the label is missing
    row          its numbers; zeros where they are missing, and one number more that is 1 where they are present
    sequence     the mean of learned vectors of its words, without the padding
    picture      two learned strided convolutions, averaged over all positions

The reader is a module of the network that it serves, since generator and critic have different owners: each learns to
read c by itself. Without a condition the network is used as it is.

Legend: B batch, w width of r, C channels, T tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from bestiary.data.spec import Field, mask_name
from bestiary.errors import BestiaryError

__all__ = [
    "NO_CONDITION", "ConditionTensors", "Conditioned", "Reader", "append_channels", "as_conditioned", "cycle_rows",
    "reader_width", "repeat_rows", "select_rows", "tensor_names",
]  # fmt: skip

ConditionTensors = Mapping[str, Tensor]  # c: tensors by the field's name, rows alike
NO_CONDITION: ConditionTensors = {}
LEARNED_WIDTH = 64  # numbers that a sequence of words or a picture is read into


def tensor_names(f: Field) -> tuple[str, ...]:
    """The names under which c holds a field: its own, and that of its mask where examples may lack the field."""
    return (f.name, mask_name(f.name)) if f.optional else (f.name,)


def select_rows(c: ConditionTensors, rows: slice | Tensor) -> dict[str, Tensor]:
    """The condition of some of the examples: the same rows of every tensor."""
    return {name: values[rows] for name, values in c.items()}


def repeat_rows(c: ConditionTensors, k: int) -> ConditionTensors:
    """The condition k times, one copy after the other: one for each of K draws of z."""
    return c if k == 1 else {name: v.repeat(k, *[1] * (v.ndim - 1)) for name, v in c.items()}


def cycle_rows(c: ConditionTensors, first: int, n: int) -> ConditionTensors:
    """n rows of the condition from row `first` on; after the last row comes the first one again."""
    if not c:
        return c
    rows = next(iter(c.values()))
    return select_rows(c, torch.arange(first, first + n, device=rows.device) % len(rows))


def append_channels(x: Tensor, r: Tensor) -> Tensor:
    """[x, r] along dimension 1: (B, F) and (B, w) → (B, F + w); (B, C, H, W) and (B, w) → (B, C + w, H, W)."""
    if x.ndim > 2:
        r = r[:, :, None, None].expand(-1, -1, *x.shape[2:])
    return torch.cat([x, r.to(x.dtype)], 1)


class SequenceReader(nn.Module):
    """(B, T) tokens → (B, w): the mean over the words; zeros where all tokens are padding."""

    def __init__(self, field: Field, width: int) -> None:
        super().__init__()
        self.pad: int | None = field.support.pad  # type: ignore[attr-defined]
        self.embed = nn.Embedding(len(field.words), width)

    def forward(self, tokens: Tensor) -> Tensor:
        mask = torch.ones_like(tokens, dtype=torch.bool) if self.pad is None else tokens != self.pad
        weight = mask / mask.sum(1, keepdim=True).clamp_min(1)
        return (self.embed(tokens) * weight[..., None]).sum(1)


class PictureReader(nn.Module):
    """(B, C, H, W) → (B, w), by two strided convolutions."""

    def __init__(self, field: Field, width: int) -> None:
        super().__init__()
        half = max(1, width // 2)
        self.net = nn.Sequential(
            nn.Conv2d(field.channels, half, 3, 2, 1), nn.SiLU(), nn.Conv2d(half, width, 3, 2, 1), nn.SiLU()
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x).mean((2, 3))


def reader_width(fields: Sequence[Field]) -> int:
    """w: how many numbers a reader makes of these fields."""
    widths = {"sequence": lambda f: LEARNED_WIDTH, "picture": lambda f: LEARNED_WIDTH, "label": lambda f: len(f.words)}
    flags = sum(f.optional and f.layout != "label" for f in fields)  # "is present", one for each optional field
    return flags + sum(widths.get(f.layout, lambda f: f.dimensions)(f) for f in fields)


class Reader(nn.Module):
    """c → (B, w). It has weights only for sequences of words and for pictures."""

    def __init__(self, fields: Sequence[Field] = ()) -> None:
        super().__init__()
        self.fields = tuple(fields)
        kinds = {"sequence": SequenceReader, "picture": PictureReader}
        # numbered, since a field may have a name that nn.ModuleDict refuses
        self.learned = nn.ModuleDict(
            {str(i): kinds[f.layout](f, LEARNED_WIDTH) for i, f in enumerate(self.fields) if f.layout in kinds}
        )

    @property
    def width(self) -> int:
        return reader_width(self.fields)

    def forward(self, c: ConditionTensors) -> Tensor:
        for name in (name for f in self.fields for name in tensor_names(f)):
            if name not in c:
                names = ", ".join(f.name for f in self.fields)
                raise BestiaryError(f"this model takes the condition {names}: give {name} of each example too")
        return torch.cat([self._read(i, f, c) for i, f in enumerate(self.fields)], 1)

    def _read(self, i: int, f: Field, c: ConditionTensors) -> Tensor:
        value = c[f.name]
        if f.layout == "label":
            # a comparison instead of F.one_hot, which waits for the device to find the largest label
            r = (value[:, None] == torch.arange(len(f.words), device=value.device)).float()
        elif str(i) in self.learned:
            r = self.learned[str(i)](value)
        else:
            r = value.flatten(1).float()
        if not f.optional:
            return r
        mask = c[mask_name(f.name)][:, None].to(r.dtype)
        return r * mask if f.layout == "label" else torch.cat([r * mask, mask], 1)


class Conditioned(nn.Module):
    """(a, c) → net([a, reader(c)]). `join`: "rows" flattens a first, "maps" turns c into maps of an image."""

    def __init__(self, net: nn.Module, fields: Sequence[Field] = (), join: Literal["rows", "maps"] = "rows") -> None:
        super().__init__()
        self.net, self.reader, self.join = net, Reader(fields), join

    def forward(self, a: Tensor, c: ConditionTensors = NO_CONDITION) -> Tensor:
        if not self.reader.fields:
            return self.net(a)
        return self.net(append_channels(a.flatten(1) if self.join == "rows" else a, self.reader(c)))


def as_conditioned(network: nn.Module) -> Conditioned:
    """The network as a function of (a, c), unless it is one: a user's network ignores c."""
    return network if isinstance(network, Conditioned) else Conditioned(network)
