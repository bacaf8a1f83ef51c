"""A number as a judge states it: value, interval, unit, floor, ceiling and protocol. Never a bare float.

The floor of a distance is what real data gets against real data; the floor of −log p(x) is the entropy of π where π is
known. A judgement is a list of such numbers under one shared protocol.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Any, Literal

__all__ = ["OTHER_REAL", "Judgement", "Number", "Reference", "percent", "titled"]

SENTENCES = 4  # of a verdict
OTHER_REAL = "other real examples in place of samples"  # most floors and ceilings


@dataclass(frozen=True)
class Reference:
    """What a number is held against."""

    value: float
    low: float | None = None
    high: float | None = None
    says: str = ""


@dataclass(frozen=True)
class Number:
    """One measured number with all that is needed to repeat and to read it."""

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
    says: str = ""
    plain: str = ""  # what it means, in a sentence for a person who knows no statistics
    weight: int = 0  # how much that person wants to know it: the verdict is made of the weightiest sentences
    detail: bool = False  # whether it says in detail what another number says as a whole


@dataclass(frozen=True)
class Judgement:
    """All numbers of one judging."""

    numbers: tuple[Number, ...]
    protocol: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    made: str = ""  # when, ISO 8601

    def __getitem__(self, name: str) -> Number:
        return {number.name: number for number in self.numbers}[name]

    @property
    def verdict(self) -> tuple[str, ...]:
        """The few sentences that a person reads first, the weightiest number's before the others."""
        spoken = sorted((n for n in self.numbers if n.plain and n.weight), key=lambda n: -n.weight)
        return tuple(n.plain for n in spoken[:SENTENCES])

    def to_dict(self) -> dict[str, Any]:
        """For judgement.json; a number that is not finite becomes null."""
        return _plain(
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
        def reference(r: Mapping[str, Any] | None) -> Reference | None:
            return None if r is None else Reference(**r)

        numbers = [
            Number(**{**n, "floor": reference(n["floor"]), "ceiling": reference(n["ceiling"])}) for n in d["numbers"]
        ]
        return cls(tuple(numbers), d["protocol"], tuple(d["notes"]), d["made"])


def _plain(value: Any) -> Any:
    """JSON has no NaN."""
    if type(value) is dict:
        return {k: _plain(v) for k, v in value.items()}
    if type(value) in (list, tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not isfinite(value) else value  # NumPy's float64 is a float


def titled(what: str, features: str) -> str:
    """The title of a number of features; which network made them (name@hash) is in the protocol.

    >>> titled("precision", "random@53be6270")
    'precision, random features'
    """
    name = features.partition("@")[0]
    known = {"pixels": "pixels", "labels": "features of the labels"}
    return f"{what}, {known.get(name, f'{name} features')}"


def percent(share: float) -> str:
    """A share in words.

    >>> percent(0.853), percent(0.004), percent(0.999)
    ('85%', 'less than 1%', 'more than 99%')
    """
    if 0 < share < 0.01:
        return "less than 1%"
    return "more than 99%" if 0.99 < share < 1 else f"{100 * share:.0f}%"
