"""What a reader finds a row by: of a table its most extreme value with its column, else its number among those judged.

Legend: N examples, F components of a row.
"""

from torch import Tensor

from bestiary.data.columns import to_columns
from bestiary.data.spec import Spec
from bestiary.measures.dominance import RowName

__all__ = ["row_names"]


def row_names(spec: Spec, x: Tensor, noun: str) -> RowName:
    """Names of the rows of x (N, F), which are called `noun`. Numbers are counted from 0 in the order of judging."""

    def name(row: int) -> str:
        number = f"{noun} {row} of those judged"
        if not spec.x.columns:
            return number
        numeric = [(i, title) for i, title in enumerate(spec.x.component_names) if title in column_names]
        if not numeric:
            return number
        values = x[row, [i for i, _ in numeric]]
        extreme = int(values.abs().argmax())
        title, deviations = numeric[extreme][1], float(values[extreme])
        raw = to_columns(spec, x[row : row + 1].cpu().numpy())[title][0]
        return f"the {noun} with {title} = {raw:g} ({deviations:+.3g} standard deviations from the mean)"

    column_names = {column.name for column in spec.x.columns if not column.words}
    return name
