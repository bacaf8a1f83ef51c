"""Numbers of a judgement: value with interval, unit, floor, ceiling, protocol and a sentence; and the verdict.

The floor of a distance is what real data gets against real data. The floor of −log p(x) is the entropy of π, if π is
known. A judgement is a list of numbers under one shared protocol. Its verdict is made of their plain sentences.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from math import isfinite
from typing import Any, Literal

from bestiary.errors import BestiaryError

__all__ = [
    "ALARM",
    "OTHER_REAL",
    "Judgement",
    "Number",
    "Reference",
    "doubt_better_than_real",
    "feature_title",
    "percent",
]

SENTENCES = 4  # of a verdict
ALARM = 100  # the weight of a number that makes all others doubtful, as copies do: it stands above them
OTHER_REAL = "other real examples in place of samples"  # most floors and ceilings


@dataclass(frozen=True)
class Reference:
    """A floor or a ceiling: the value to compare a number with."""

    value: float
    low: float | None = None
    high: float | None = None
    says: str = ""


@dataclass(frozen=True)
class Number:
    """One measured number, with all that is needed to read it and to measure it again."""

    name: str
    title: str
    value: float | None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    better: Literal["lower", "higher", ""] = ""
    floor: Reference | None = None
    ceiling: Reference | None = None
    protocol: Mapping[str, object] = field(default_factory=dict)
    says: str = ""  # how to read the value
    plain: str = ""  # a sentence for the verdict, for a person who knows no statistics
    weight: int = 0  # the verdict has the sentences with the largest weights, in this order; 0: not in the verdict
    detail: bool = False  # the report folds it away: another number says the same as a whole
    equals_at_best: bool = False  # of a distance whose floor no honest samples are below
    largest: str = ""  # of a number over columns or pairs of them: those that differ most, with their values

    def __repr__(self) -> str:
        value = "undefined" if self.value is None else f"{self.value:.4g}"
        interval = "" if self.low is None or self.high is None else f" [{self.low:.4g}, {self.high:.4g}]"
        return f"Number({self.name} = {value}{interval}{f' {self.unit}' if self.unit else ''})"


@dataclass(frozen=True)
class Judgement:
    """The numbers of one case, their shared protocol, and notes for the reader."""

    numbers: tuple[Number, ...]
    protocol: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    made: str = ""  # the time, ISO 8601

    def __getitem__(self, name: str) -> Number:
        return {number.name: number for number in self.numbers}[name]

    def __repr__(self) -> str:
        main = ", ".join(f"{n.name} = {'undefined' if n.value is None else f'{n.value:.4g}'}" for n in self.numbers[:5])
        more = f" and {len(self.numbers) - 5} more" if len(self.numbers) > 5 else ""
        return f"Judgement({main}{more}; .verdict in words, .to_frame() as a table)"

    def to_rows(self) -> list[dict[str, Any]]:
        """A dictionary for each number: its fields, floor and ceiling as values, and the protocol as one text."""
        rows = []
        for number in self.numbers:
            ends = {end: r and r.value for end, r in (("floor", number.floor), ("ceiling", number.ceiling))}
            protocol = ", ".join(f"{key}={value}" for key, value in {**self.protocol, **number.protocol}.items())
            rows.append({f.name: getattr(number, f.name) for f in fields(number)} | ends | {"protocol": protocol})
        return rows

    def to_frame(self) -> Any:
        """`to_rows` as a pandas data frame with the numbers' names as index. Raises BestiaryError without pandas."""
        try:
            import pandas as pd
        except ImportError as error:
            raise BestiaryError("to_frame() needs pandas: pip install pandas, or take to_rows()") from error
        return pd.DataFrame(self.to_rows()).set_index("name")

    @property
    def verdict(self) -> tuple[str, ...]:
        """The few sentences that a person reads first: those of the numbers with the largest weights."""
        candidates = sorted((n for n in self.numbers if n.plain and n.weight), key=lambda n: -n.weight)
        return tuple(n.plain for n in candidates[:SENTENCES])

    def to_dict(self) -> dict[str, Any]:
        """The contents of judgement.json. A number that is not finite becomes null."""
        return _json_value(
            {
                "made": self.made,
                "verdict": list(self.verdict),
                "protocol": dict(self.protocol),
                "numbers": [asdict(number) for number in self.numbers],
                "notes": list(self.notes),
            }
        )

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> "Judgement":
        """The judgement that `to_dict` wrote."""

        def reference(r: Mapping[str, Any] | None) -> Reference | None:
            return None if r is None else Reference(**r)

        numbers = [
            Number(**{**n, "floor": reference(n["floor"]), "ceiling": reference(n["ceiling"])}) for n in d["numbers"]
        ]
        return cls(tuple(numbers), d["protocol"], tuple(d["notes"]), d["made"])


def _is_better_than_real(number: Number) -> bool:
    """Whether a distance of samples to data lies, with its interval, below that of other real examples."""
    floor = number.floor
    if not number.equals_at_best or floor is None or number.high is None or floor.low is None:
        return False
    return number.high < floor.low


def doubt_better_than_real(numbers: Sequence[Number]) -> list[Number]:
    """The numbers; those that are better than real examples can be say so, and the first of them says it as an alarm.

    Honest samples are at best as far from the data as other real examples. Nearer ones have been copied, or the real
    examples are not independent of one another.
    """
    doubted = [number for number in numbers if _is_better_than_real(number)]

    def doubt(number: Number) -> Number:
        first = number is doubted[0]
        return replace(
            number,
            says=f"{number.says} Suspicious: nearer to the data than other real examples are.",
            plain=f"Suspicious: by {len(doubted)} of the numbers samples are more like the real examples than other"
            " real examples are. Look for copies, or for real examples that depend on one another." if first else "",
            weight=ALARM if first else 0,
        )  # fmt: skip

    return [doubt(number) if number in doubted else number for number in numbers]


def _json_value(value: Any) -> Any:
    """The value with null for NaN and infinity, which JSON does not have."""
    if type(value) is dict:
        return {k: _json_value(v) for k, v in value.items()}
    if type(value) in (list, tuple):
        return [_json_value(v) for v in value]
    return None if isinstance(value, float) and not isfinite(value) else value  # NumPy's float64 is a float


def feature_title(measure: str, features: str) -> str:
    """The title of a number that is measured in features. The hash of their network is left to the protocol.

    >>> feature_title("precision", "random@53be6270"), feature_title("precision", "columns")
    ('precision, random features', 'precision, columns')
    """
    name = features.partition("@")[0]
    words = {"pixels": "pixels", "columns": "columns", "labels": "features of the labels"}
    return f"{measure}, {words.get(name, f'{name} features')}"


def percent(share: float) -> str:
    """A share in words.

    >>> percent(0.853), percent(0.004), percent(0.999)
    ('85%', 'less than 1%', 'more than 99%')
    """
    if 0 < share < 0.01:
        return "less than 1%"
    return "more than 99%" if 0.99 < share < 1 else f"{100 * share:.0f}%"
