"""Output layers of a generator, by the support of the data that it generates (`Support.output_layer`).

    tanh      pixels in [−1, 1]
    columns   rows of a table: numbers as they are, each category's columns through a softmax
    none      numbers as they are

Legend: B batch, F numbers of a row.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bestiary.data.spec import Field
from bestiary.networks.full_precision import Tanh, fp32

__all__ = ["RowOutput", "output_layers"]


class RowOutput(nn.Module):
    """Rows of a table, (B, F) → (B, F): numbers as they are, each category's columns through a softmax."""

    def __init__(self, field: Field) -> None:
        super().__init__()
        self.widths = [column.width for column in field.columns]
        self.is_category = [bool(column.words) for column in field.columns]

    def forward(self, h: Tensor) -> Tensor:
        pieces = h.split(self.widths, 1)
        return torch.cat([fp32(p).softmax(1) if c else p for p, c in zip(pieces, self.is_category, strict=True)], 1)


OUTPUT_LAYERS: dict[str, Callable[[Field], list[nn.Module]]] = {
    "tanh": lambda field: [Tanh()],
    "columns": lambda field: [RowOutput(field)],
    "none": lambda field: [],
}


def output_layers(field: Field) -> list[nn.Module]:
    """The layers that a generator of this field ends in: one or none."""
    return OUTPUT_LAYERS[field.support.output_layer](field)
