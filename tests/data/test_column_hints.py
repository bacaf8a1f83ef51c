"""A hint names the option that mends the column, and is given of no column of true numbers."""

import numpy as np
import pytest

from bestiary.data.column_hints import column_hints

DRAW = np.random.default_rng(0)
N = 200


@pytest.mark.parametrize(
    ("name", "values", "hint"),
    [
        ("row", np.arange(N), "drop=row"),
        ("row", 5.0 - 2 * np.arange(N), "drop=row"),
        ("PassengerId", DRAW.permutation(N), "drop=PassengerId"),
        ("user_id", DRAW.integers(0, 50, N), "drop=user_id"),
        ("id", DRAW.permutation(10**6)[:N], "drop=id"),
        ("sign", DRAW.choice([-1.0, 1.0], N), "categories=sign"),
        ("grade", DRAW.integers(0, 10, N), "categories=grade"),
        ("half", DRAW.choice([0.5, 1.5], N), "categories=half"),
        ("mass", DRAW.normal(size=N), ""),
        ("age", DRAW.integers(0, 90, N), ""),
        ("width", np.arange(N) / 7, ""),
        ("valid", DRAW.integers(0, 90, N), ""),
        ("population", DRAW.permutation(10**6)[:N], ""),
        ("kind", DRAW.choice(["a", "b"], N), ""),
    ],
)
def test_each_sort_of_column(name: str, values: np.ndarray, hint: str) -> None:
    column = values if values.dtype.kind == "U" else values.astype(np.float64)
    hints = column_hints({name: column})
    assert [hint in text for text in hints] == [True] * bool(hint)


def test_columns_of_one_sort_share_a_sentence() -> None:
    sign = DRAW.choice([-1.0, 1.0], N)
    hints = column_hints({"a": sign, "id": np.arange(float(N)), "b": -sign, "k_id": sign, "m": DRAW.normal(size=N)})
    assert hints == [
        "id, k_id look like row numbers and are fitted as numbers: drop=id,k_id leaves them out",
        "a takes 2 values, b takes 2 values and are fitted as numbers: categories=a,b makes them classes",
    ]
    assert column_hints({"id": np.arange(5.0)}) == []
