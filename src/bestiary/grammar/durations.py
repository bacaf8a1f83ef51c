"""Time limits: 90, 90s, 5m, 1.5h, 2d → seconds."""

import re

from bestiary.errors import BestiaryError

__all__ = ["parse_duration"]

_UNITS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


def parse_duration(limit: str | float | None) -> float | None:
    """A time limit in seconds; None for none. Raises BestiaryError where it is no positive time.

    >>> parse_duration("5m"), parse_duration("1.5h"), parse_duration(None)
    (300.0, 5400.0, None)
    """
    if limit is None:
        return None
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", str(limit).lower())
    if match is None or match[2] not in _UNITS or float(match[1]) <= 0:
        raise BestiaryError(f"--time-limit {limit}: write a positive time such as 90s, 5m or 2h")
    return float(match[1]) * _UNITS[match[2]]
