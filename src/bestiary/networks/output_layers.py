"""What a generator ends in, by the support of what it makes (`Support.end`).

    tanh      pixels in [−1, 1]          softmax   one word of a category
    columns   numbers as they are, each category's columns through a softmax          none   numbers

Legend: B batch, F numbers of a row.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bestiary.data.spec import Field
from bestiary.networks.full_precision import Tanh, fp32

__all__ = ["RowEnd", "end_of"]


class RowEnd(nn.Module):
    """(B, F) → (B, F): numbers as they are, each category's columns through a softmax."""

    def __init__(self, field: Field) -> None:
        super().__init__()
        self.widths = [column.width for column in field.columns]
        self.category = [bool(column.words) for column in field.columns]

    def forward(self, h: Tensor) -> Tensor:
        pieces = h.split(self.widths, 1)
        return torch.cat([fp32(p).softmax(1) if c else p for p, c in zip(pieces, self.category, strict=True)], 1)


ENDS: dict[str, Callable[[Field], list[nn.Module]]] = {
    "tanh": lambda field: [Tanh()],
    "columns": lambda field: [RowEnd(field)],
    "none": lambda field: [],
}


def end_of(field: Field) -> list[nn.Module]:
    """The last layer, or none."""
    return ENDS[field.support.end](field)
