"""Values as YAML text: quotes only where they are needed, brackets, long texts in several lines."""

from __future__ import annotations

import re

from graphspec.errors import Code, fail
from graphspec.language.reader import resolve_scalar
from graphspec.language.syntax import Value

MAX_KEY = 1000
"""Longest key, in characters: YAML looks no further for its colon than 1024."""

_FIRST = r"(?:[^\s\-?:,\[\]{}#&*!|>'\"%@`]|[-?:](?=[^\s,\[\]{}]))"
_PLAIN = re.compile(rf"(?!---|\.\.\.){_FIRST}(?:[^:#]|:(?=\S)|(?<=\S)#)*(?<!\s)")
"""A text that needs no quotes in a block mapping or list."""
_PLAIN_IN_BRACKETS = re.compile(r"[^,\[\]{}?]*")
"""What it may not hold besides where it stands in brackets."""
_UNPRINTABLE = re.compile(
    "[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
"""What YAML does not allow as it is, or takes for the end of a line."""


def scalar_text(value: Value, flow: bool) -> str:
    """Return a scalar or an alias in plain or quoted style.

    Args:
        value: A scalar or an alias.
        flow: Whether it stands in brackets, where commas and brackets need quotes.
    """
    if value.kind == "alias":
        return f"*{value.text}"
    text = value.text
    if not isinstance(resolve_scalar(text) if text else None, str):
        return text or "null" * flow if not value.style else f'"{text}"'
    return text_in_yaml(text, flow)


def key_text(key: Value, flow: bool) -> str:
    """Return the key of a mapping; every key is a text, so `1` and `true` need no quotes.

    Raises:
        SpecError: ``too-large`` if it is longer than `MAX_KEY`.
    """
    if key.text and not key.style and not isinstance(resolve_scalar(key.text), str):
        return key.text
    text = scalar_text(key, flow)
    if len(text) > MAX_KEY:
        raise fail(Code.TOO_LARGE, f"a key of {len(text):,} characters", "give it a shorter name")
    return text


def wrapped(value: Value, prefix: str, indent: int, width: int) -> list[str]:
    """Return the lines of an item whose value is a scalar or an alias.

    Args:
        value: The value.
        prefix: What stands before it: indentation, key and colon, or a dash.
        indent: Indentation of the item; further lines are indented by two more.
        width: Longest line, where the text has spaces at which it can be parted.
    """
    margin = " " * (indent + 2)
    if value.style and value.style in "|>":
        lines = [f"{margin}{line}" if line else "" for line in value.lines]
        return [f"{prefix} {value.style}{value.chomping}", *lines]
    text = scalar_text(value, flow=False)
    line = f"{prefix} {text}" if text else prefix
    if len(line) <= width or not text or text[0] in "\"'*" or "  " in text:
        return [line]
    lines, line = [], prefix
    for word in text.split(" "):
        if len(line) + 1 + len(word) > width and line not in (prefix, margin[1:]):
            lines.append(line)
            line = margin[1:]
        line = f"{line} {word}"
    return [*lines, line]


def in_brackets(value: Value) -> str | None:
    """Return a value in brackets, or None where a text in it has lines of its own."""
    if not value.is_collection:
        if value.style and value.style in "|>":
            return None
        return scalar_text(value, flow=True)
    parts = []
    for item in value.items:
        text = in_brackets(item.value)
        if text is None:
            return None
        text = f"&{item.value.anchor} {text}" if item.value.anchor else text
        parts.append(text if item.key is None else f"{key_text(item.key, flow=True)}: {text}")
    inside = ", ".join(parts)
    return f"{{{inside}}}" if value.kind == "mapping" else f"[{inside}]"


def is_series(value: Value) -> bool:
    """Return whether it is a list of single values without comments."""
    return (
        value.kind == "list"
        and not value.has_comments
        and not any(
            item.value.is_collection or item.value.anchor or in_brackets(item.value) is None
            for item in value.items
        )
    )


def filled(prefix: str, value: Value, indent: int, width: int) -> list[str]:
    """Return a long list of single values: as many as fit on each line, in brackets."""
    lines, line = [], f"{prefix} ["
    for number, item in enumerate(value.items):
        text = scalar_text(item.value, flow=True) + ("]" if item is value.items[-1] else ",")
        if number and len(line) + 1 + len(text) > width:
            lines.append(line)
            line = " " * (indent + 2) + text
        else:
            line += f" {text}" if number else text
    return [*lines, line]


def text_in_yaml(text: str, flow: bool = False) -> str:
    """Return a text that YAML reads as this text: plain where it can be, else in quotes.

    Args:
        text: A text; one that reads as a number or the like must be quoted by the caller.
        flow: See `scalar_text`.
    """
    odd = _UNPRINTABLE.search(text)
    if not odd and _PLAIN.fullmatch(text) and (not flow or _PLAIN_IN_BRACKETS.fullmatch(text)):
        return text
    if not odd and "'" not in text and ('"' in text or "\\" in text):
        return f"'{text}'"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return '"' + _UNPRINTABLE.sub(lambda found: _escape(ord(found[0])), escaped) + '"'


def _escape(code: int) -> str:
    if code == 0x09:
        return "\\t"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
