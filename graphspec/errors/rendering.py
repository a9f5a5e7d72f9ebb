"""How diagnostics are shown: as text with excerpts, as JSON, as annotations of GitHub."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable

from graphspec.errors.diagnostics import Diagnostic, Severity, Span, sort

MAX_SHOWN = 20
"""How many diagnostics a report lists before it says "... and N more"."""

_MAX_TEXT = 2000
"""Longest message or hint, in characters; the middle of a longer one is left out."""

_MAX_LINE = 160
"""Longest excerpt of a source line, in characters; longer lines are cut around the caret."""

_PLAIN = dict.fromkeys(("bold", "error", "warning", "dim", "hint", "end"), "")
_ANSI = {
    "bold": "\x1b[1m",
    "error": "\x1b[1;31m",
    "warning": "\x1b[1;33m",
    "dim": "\x1b[2m",
    "hint": "\x1b[36m",
    "end": "\x1b[0m",
}


def render_text(diagnostics: Iterable[Diagnostic], colour: bool = False) -> str:
    """Return the report that a person reads.

    Args:
        diagnostics: What to show; they are sorted and at most `MAX_SHOWN` are listed, errors first
            where not all fit.
        colour: Whether to use ANSI colours.

    Returns:
        One block per diagnostic, without a final newline.
    """
    found = sort(diagnostics)
    style = _ANSI if colour else _PLAIN
    shown = found
    if len(found) > MAX_SHOWN:
        errors = [d for d in found if d.severity is Severity.ERROR]
        shown = (errors + [d for d in found if d.severity is not Severity.ERROR])[:MAX_SHOWN]
    blocks = [_block(item, style) for item in shown]
    if len(found) > len(shown):
        blocks.append(f"... and {len(found) - len(shown)} more")
    return "\n".join(blocks)


def _block(item: Diagnostic, style: dict[str, str]) -> str:
    place = f"{style['bold']}{_shown(item.location)}:{style['end']} " if item.span else ""
    level = item.severity.value
    code = f"{style[level]}{level}[{item.code.value}]{style['end']}"
    lines = [f"{place}{code}: {_shown(item.message)}"]
    if item.span is not None:
        lines += _excerpt(item.span, style, level)
    for related in item.related:
        line, column = related.span.source.position(related.span.start)
        place = f"{related.span.source.name}:{line}:{column}"
        lines.append(_shown(f"   {place}: {related.message}"))
        lines += _excerpt(related.span, style, "dim")
    if item.hint:
        lines += [
            f"   {style['hint']}{text}{style['end']}" for text in _shown(item.hint).split("\n")
        ]
    return "\n".join(lines)


def _shown(text: str) -> str:
    """Return a text that is safe to print: what would steer the terminal becomes its picture."""
    if len(text) > _MAX_TEXT:
        text = f"{text[: _MAX_TEXT // 2]} ... {text[-_MAX_TEXT // 4 :]}"
    return text if text.isprintable() else "".join(map(_picture, text))


def _picture(char: str) -> str:
    if char.isprintable() or char == "\n":
        return char
    if ord(char) < 0x20:
        return chr(0x2400 + ord(char))
    return " " if char.isspace() else "\ufffd"


def _width(text: str) -> int:
    """Return how many cells a terminal needs for a text."""
    if text.isascii():
        return len(text)
    wide = sum(1 for char in text if unicodedata.east_asian_width(char) in "WF")
    return len(text) + wide - sum(1 for char in text if unicodedata.combining(char))


def _excerpt(span: Span, style: dict[str, str], level: str) -> list[str]:
    number, column = span.source.position(span.start)
    text = span.source.line(number).replace("\t", " ")
    length = max(1, min(span.end - span.start, len(text) - column + 1))
    if len(text) > _MAX_LINE:
        cut = max(0, min(column - 1 - _MAX_LINE // 4, len(text) - _MAX_LINE))
        text = ("..." if cut else "") + text[cut : cut + _MAX_LINE]
        column = column - cut + (3 if cut else 0)
        length = max(1, min(length, len(text) - column + 1))
    text = _shown(text)
    gutter = f"{number:5d} | "
    before, marked = text[: column - 1], text[column - 1 : column - 1 + length]
    caret = " " * (len(gutter) + _width(before))
    caret += style[level] + "^" * max(1, _width(marked)) + style["end"]
    return [f"{style['dim']}{gutter}{style['end']}{text}".rstrip(), caret]


def render_json(diagnostics: Iterable[Diagnostic]) -> str:
    """Return diagnostics as a JSON array; lines and columns count from 1."""
    return json.dumps([_record(item) for item in sort(diagnostics)], indent=2, ensure_ascii=False)


def _record(item: Diagnostic) -> dict[str, object]:
    return {
        "code": item.code.value,
        "severity": item.severity.value,
        "message": item.message,
        "hint": item.hint,
        **_place(item.span),
        "related": [{"message": r.message, **_place(r.span)} for r in item.related],
    }


def _place(span: Span | None) -> dict[str, object]:
    if span is None:
        return dict.fromkeys(("file", "line", "column", "end_line", "end_column"))
    line, column = span.source.position(span.start)
    end_line, end_column = span.source.position(max(span.start, span.end))
    return {
        "file": span.source.name,
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
    }


def render_github(diagnostics: Iterable[Diagnostic]) -> str:
    """Return diagnostics as workflow commands, which GitHub shows beside the line of a change."""
    lines = []
    for item in sort(diagnostics):
        where = _place(item.span)
        place = (
            f"file={_property(str(where['file']))},line={where['line']},col={where['column']},"
            if item.span
            else ""
        )
        text = item.message + (f"\n{item.hint}" if item.hint else "")
        lines.append(f"::{item.severity.value} {place}title={item.code.value}::{_data(text)}")
    return "\n".join(lines)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
