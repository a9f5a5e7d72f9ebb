"""Python code as a tree of brackets, and its layout in lines as ruff lays it out.

A piece of code is a text that stays on its line, or brackets around further pieces. `lay_out`
breaks what is too long for a line: first the content of the brackets goes on a line of its own, and
where that is too long, each item does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

WIDTH = 100
"""Characters of a line."""

INDENT = 4


@dataclass(frozen=True, slots=True)
class Brackets:
    """Items between brackets.

    Attributes:
        head: What stands before them, the opening bracket included: ``nn.Linear(``.
        items: The items.
        tail: What stands after them, the closing bracket included.
        joint: What stands between two items; ``,`` where they are arguments.
        spread: Whether every item has a line of its own, however short they are.
        loose: Whether the brackets are left out where everything fits on the line.
    """

    head: str
    items: tuple[Code, ...]
    tail: str = ")"
    joint: str = ","
    spread: bool = False
    loose: bool = False

    @property
    def is_call(self) -> bool:
        """Whether the items are arguments."""
        return self.joint == "," and re.search(r"[\w\]]\($", self.head) is not None


@dataclass(frozen=True, slots=True)
class Prefixed:
    """A piece of code with a text before it: ``dim=``, ``"fine": ``."""

    prefix: str
    code: Code


Code: TypeAlias = "str | Brackets | Prefixed"


def flat(code: Code) -> str:
    """Return code on one line."""
    if isinstance(code, str):
        return code
    if isinstance(code, Prefixed):
        return code.prefix + flat(code.code)
    joint = f"{code.joint} " if code.joint == "," else f" {code.joint} " if code.joint else " "
    inner = joint.join(flat(item) for item in code.items)
    return inner if code.loose else f"{code.head}{inner}{code.tail}"


def lay_out(code: Code, indent: int = 0, prefix: str = "", suffix: str = "") -> list[str]:
    """Return code as lines.

    Args:
        code: The code.
        indent: Spaces before its first line.
        prefix: What stands before it on the first line: ``x = ``.
        suffix: What stands after it on the last: a comma.

    Returns:
        The lines; longer than `WIDTH` only where a text cannot be broken.
    """
    margin = " " * indent
    if isinstance(code, Prefixed):
        return lay_out(code.code, indent, prefix + code.prefix, suffix)
    line = f"{margin}{prefix}{flat(code)}{suffix}"
    if not is_spread(code) and len(line) <= WIDTH:
        return [line]
    if isinstance(code, str) or not code.items or len(f"{margin}{prefix}{code.head}") > WIDTH:
        return _on_its_own(code, indent, prefix) if prefix.endswith(" = ") else [line]
    head, tail = ("(", ")") if code.loose else (code.head, code.tail)
    return [
        f"{margin}{prefix}{head}",
        *_content(code, indent + INDENT),
        f"{margin}{tail}{suffix}",
    ]


def _on_its_own(code: Code, indent: int, prefix: str) -> list[str]:
    """Return an assignment whose value cannot begin on the line of its target."""
    margin = " " * indent
    return [f"{margin}{prefix}(", *lay_out(code, indent + INDENT), f"{margin})"]


def is_spread(code: Code) -> bool:
    """Return whether code takes several lines however short it is."""
    waiting = [code]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Prefixed):
            waiting.append(item.code)
        elif isinstance(item, Brackets):
            if item.spread and item.items:
                return True
            waiting.extend(item.items)
    return False


def _content(code: Brackets, indent: int) -> list[str]:
    """Return the lines between brackets that were broken.

    The arguments of a call may all stand on one line; anything else has a line an item.
    """
    if code.is_call and not is_spread(code):
        line = " " * indent + flat(Brackets("", code.items, ""))
        if len(line) <= WIDTH:
            return [line]
    comma = "," if code.joint == "," else ""
    if len(code.items) == 1:
        only = lay_out(code.items[0], indent)
        return only if len(only) > 1 else lay_out(code.items[0], indent, suffix=comma)
    lines: list[str] = []
    for number, item in enumerate(code.items):
        before = f"{code.joint} " if number and code.joint not in ("", ",") else ""
        lines += lay_out(item, indent, before, comma)
    return lines


def call(function: str, *arguments: Code, **named: Code) -> Brackets:
    """Return the call of a function: ``call("torch.cat", "x", dim="1")``."""
    words = [Prefixed(f"{name}=", value) for name, value in named.items()]
    return Brackets(f"{function}(", (*arguments, *words))


def listed(items: Iterable[Code], brackets: str = "[]") -> Brackets:
    """Return a list, or with ``()`` a tuple."""
    found = tuple(items)
    single = brackets == "()" and len(found) == 1
    return Brackets(brackets[0], found, ("," if single else "") + brackets[1])


def literal(value: object) -> str:
    """Return a value as Python and ruff write it.

    Raises:
        TypeError: If it has no such form.
    """
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, float):
        return repr(value) if _is_finite(value) else f'float("{value}")'
    if value is None or isinstance(value, (bool, int)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return flat(listed(map(literal, value), "[]" if isinstance(value, list) else "()"))
    if re.fullmatch(r"torch\.\w+", repr(value)):  # a dtype
        return repr(value)
    message = f"a {type(value).__name__} cannot be written as Python"
    raise TypeError(message)


def _is_finite(value: float) -> bool:
    return value - value == 0


def quoted(text: str) -> str:
    """Return a text in double quotes where it has none of its own."""
    written = repr(text)
    if written.startswith("'") and '"' not in text:
        return f'"{written[1:-1]}"'
    return written
