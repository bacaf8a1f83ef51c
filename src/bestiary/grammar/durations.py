"""Time limits: 90, 90s, 5m, 1.5h, 2d → seconds."""

import re

from bestiary.errors import BestiaryError

__all__ = ["seconds_of"]

_UNITS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


def seconds_of(limit: str | float | None) -> float | None:
    """A time limit in seconds; None for none. Raises BestiaryError where it is no positive time.

    >>> seconds_of("5m"), seconds_of("1.5h"), seconds_of(None)
    (300.0, 5400.0, None)
    """
    if limit is None:
        return None
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", str(limit).lower())
    if match is None or match[2] not in _UNITS or float(match[1]) <= 0:
        raise BestiaryError(f"--time-limit {limit}: write a positive time such as 90s, 5m or 2h")
    return float(match[1]) * _UNITS[match[2]]
