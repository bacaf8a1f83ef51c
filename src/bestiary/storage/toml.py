"""TOML written: tables of strings, numbers, booleans and lists. (Reading is the standard library's tomllib.)"""

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["dumps"]


def dumps(tables: Mapping[str, Any]) -> str:
    """A mapping as TOML: plain values first, then one table for each mapping.

    >>> print(dumps({"version": "1", "training": {"steps": 100, "save": True}}), end="")
    version = "1"
    <BLANKLINE>
    [training]
    steps = 100
    save = true
    """
    plain = {k: v for k, v in tables.items() if not isinstance(v, Mapping)}
    out = [f"{_key(k)} = {_value(v)}\n" for k, v in plain.items() if v is not None]
    for name, table in tables.items():
        if isinstance(table, Mapping):
            lines = [f"{_key(k)} = {_value(v)}\n" for k, v in table.items() if v is not None]
            out += [f"\n[{_key(name)}]\n", *lines]
    return "".join(out)


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else _value(key)


def _value(value: Any) -> str:
    if isinstance(value, str):  # a JSON string is a TOML string, but for one control character
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)  # inf and nan are TOML too
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None) + "}"
    return _value(str(value))
