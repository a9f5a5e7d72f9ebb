"""Expressions: Python's own, on variables."""

from __future__ import annotations

import builtins
import math
import re
from collections.abc import Mapping
from typing import Any

Env = Mapping[str, Any]

_WORDS = ("abs", "ceil", "float", "floor", "int", "len", "max", "min", "round", "sqrt", "sum")
_FUNCTIONS: dict[str, Any] = {
    name: getattr(math, name, None) or getattr(builtins, name) for name in _WORDS
}
_FUNCTIONS |= {"range": lambda *a: list(range(*a)), "true": True, "false": False, "null": None}


def value_of(data: Any, env: Env) -> Any:
    """Return data with every ``=...`` and ``$name`` replaced."""
    if isinstance(data, dict):
        return {key: value_of(child, env) for key, child in data.items()}
    if isinstance(data, list):
        return [value_of(child, env) for child in data]
    if isinstance(data, str) and data.startswith("="):
        value = eval(data[1:].strip(), {"__builtins__": {}}, {**_FUNCTIONS, **env})
        return int(value) if isinstance(value, float) and value.is_integer() else value
    if isinstance(data, str) and "$" in data:
        return re.sub(r"\$([A-Za-z_]\w*)", lambda found: str(env[found[1]]), data)
    return data


def variables(given: Mapping[str, Any], env: Env) -> dict[str, Any]:
    """Return variables that may use each other in any order."""
    waiting = dict(given)
    known = {name: value for name, value in env.items() if name not in waiting}
    while waiting:
        for name in list(waiting):
            try:
                known[name] = value_of(waiting[name], known)
            except NameError:
                continue
            del waiting[name]
    return known
