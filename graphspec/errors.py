"""Diagnostics: what is wrong, where, and what to do about it.

Every room may import this one; it imports none. A stage takes a `Sink`, reports into it and goes
on; `Sink.raise_if_errors` ends in the one exception that graphspec raises for a user's mistake,
`SpecError`. `render_text`, `render_json` and `render_github` turn diagnostics into what is shown.
"""

from __future__ import annotations

import difflib
import json
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

MAX_SHOWN = 20
"""How many diagnostics a report lists before it says "... and N more"."""

_MAX_TEXT = 2000
"""Longest message or hint, in characters; the middle of a longer one is left out."""

_MAX_LINE = 160
"""Longest excerpt of a source line, in characters; longer lines are cut around the caret."""


class Severity(str, Enum):
    """How bad it is: an error stops the command, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


class Code(str, Enum):
    """Every code that a diagnostic may carry. Never reused; docs/errors.md explains each."""

    # reading
    FILE_NOT_FOUND = "file-not-found"
    FILE_UNREADABLE = "file-unreadable"
    YAML_SYNTAX = "yaml-syntax"
    TAB = "tab"
    DUPLICATE_KEY = "duplicate-key"
    BAD_KEY = "bad-key"
    YAML_TAG = "yaml-tag"
    TOO_LARGE = "too-large"
    TOO_DEEP = "too-deep"
    ALIAS_EXPLOSION = "alias-explosion"
    UNKNOWN_ANCHOR = "unknown-anchor"
    # composing
    EXTENDS_CYCLE = "extends-cycle"
    BAD_OVERRIDE = "bad-override"
    BAD_EXPRESSION = "bad-expression"
    UNKNOWN_VARIABLE = "unknown-variable"
    VARIABLE_CYCLE = "variable-cycle"
    # the shape of a spec
    UNKNOWN_KEY = "unknown-key"
    MISSING_KEY = "missing-key"
    WRONG_TYPE = "wrong-type"
    BAD_VALUE = "bad-value"
    AMBIGUOUS_NODE = "ambiguous-node"
    BAD_NAME = "bad-name"
    RESERVED_NAME = "reserved-name"
    # names and edges
    UNKNOWN_OP = "unknown-op"
    UNKNOWN_BLOCK = "unknown-block"
    BLOCK_RECURSION = "block-recursion"
    UNKNOWN_NODE = "unknown-node"
    UNKNOWN_TASK = "unknown-task"
    UNKNOWN_OUTPUT = "unknown-output"
    UNKNOWN_ARGUMENT = "unknown-argument"
    MISSING_ARGUMENT = "missing-argument"
    BAD_ARGUMENT = "bad-argument"
    WRONG_INPUTS = "wrong-inputs"
    SELF_REFERENCE = "self-reference"
    CYCLE = "cycle"
    SHARE_CYCLE = "share-cycle"
    SHARE_MISMATCH = "share-mismatch"
    NO_HEAD = "no-head"
    DUPLICATE_HEAD = "duplicate-head"
    NO_INPUT = "no-input"
    # shapes and sizes
    SHAPE_MISMATCH = "shape-mismatch"
    OUT_OF_MEMORY = "out-of-memory"
    # lint
    UNUSED_NODE = "unused-node"
    UNUSED_VARIABLE = "unused-variable"
    UNUSED_BLOCK = "unused-block"
    UNTRAINED_TASK = "untrained-task"
    SHARED_BATCH_NORM = "shared-batch-norm"
    BIAS_BEFORE_NORM = "bias-before-norm"
    SOFTMAX_BEFORE_LOSS = "softmax-before-loss"
    NO_GRADIENT = "no-gradient"
    CROSS_TASK_GRADIENT = "cross-task-gradient"
    # data
    UNKNOWN_DATA = "unknown-data"
    DATA_NOT_FOUND = "data-not-found"
    DATA_CORRUPT = "data-corrupt"
    DATA_CHECKSUM = "data-checksum"
    DATA_MISMATCH = "data-mismatch"
    DATA_SKIPPED = "data-skipped"
    WORKERS_FAILED = "workers-failed"
    # plugins
    PLUGIN_NOT_FOUND = "plugin-not-found"
    PLUGIN_FAILED = "plugin-failed"
    PLUGIN_CLASH = "plugin-clash"
    # training and runs
    BAD_OPTION = "bad-option"
    BAD_DEVICE = "bad-device"
    MISSING_PACKAGE = "missing-package"
    NOT_A_RUN = "not-a-run"
    RUN_EXISTS = "run-exists"
    RUN_MISMATCH = "run-mismatch"
    BAD_CHECKPOINT = "bad-checkpoint"
    CANNOT_WRITE = "cannot-write"
    DISK_FULL = "disk-full"
    LOSS_NOT_FINITE = "loss-not-finite"
    PROCESS_LOST = "process-lost"
    RENDER_FAILED = "render-failed"
    EXPORT_FAILED = "export-failed"
    CANNOT_EJECT = "cannot-eject"
    # importing
    IMPORT_NOT_FOUND = "import-not-found"
    IMPORT_FAILED = "import-failed"
    CANNOT_TRACE = "cannot-trace"
    CANNOT_IMPORT = "cannot-import"


@dataclass(frozen=True)
class Source:
    """A text that diagnostics point into: a file, or one option of the command line."""

    name: str
    """What is shown before line and column: a path as the user wrote it, or ``--set width=x``."""
    text: str = field(repr=False)
    _starts: list[int] = field(default_factory=list, repr=False, compare=False)

    def position(self, offset: int) -> tuple[int, int]:
        """Return the 1-based line and column of a character offset."""
        line = bisect_right(self._line_starts(), offset)
        return line, offset - self._starts[line - 1] + 1

    def line(self, number: int) -> str:
        """Return the text of a 1-based line, without its end."""
        starts = self._line_starts()
        end = starts[number] if number < len(starts) else len(self.text)
        return self.text[starts[number - 1] : end].rstrip("\r\n")

    def _line_starts(self) -> list[int]:
        if not self._starts:
            self._starts.append(0)
            self._starts.extend(i + 1 for i, char in enumerate(self.text) if char == "\n")
        return self._starts


@dataclass(frozen=True)
class Span:
    """A piece of a source, as character offsets; line and column are worked out when shown.

    Attributes:
        source: The text.
        start: Offset of its first character.
        end: Offset after its last.
        via: For a place inside a block, the node that uses the block here.
    """

    source: Source
    start: int
    end: int
    via: Span | None = None

    def part(self, start: int, end: int) -> Span:
        """Return the span of ``start:end`` inside this one (offsets from its beginning)."""
        limit = self.end
        first, last = min(self.start + start, limit), max(min(self.start + end, limit), 0)
        return Span(self.source, first, last, self.via)


@dataclass(frozen=True)
class Related:
    """A second place that belongs to a diagnostic, such as the first of two equal keys."""

    span: Span
    message: str


@dataclass(frozen=True)
class Diagnostic:
    """One mistake or one warning.

    The message says what is wrong with the user's own words in backticks, then what was expected
    and what was found. The hint is the edit to make.
    """

    code: Code
    severity: Severity
    span: Span | None
    message: str
    hint: str | None = None
    related: tuple[Related, ...] = ()

    @property
    def location(self) -> str:
        """``file:line:column``, or the empty string where there is no place."""
        if self.span is None:
            return ""
        line, column = self.span.source.position(self.span.start)
        return f"{self.span.source.name}:{line}:{column}"


class SpecError(Exception):
    """A user's mistake: one or more diagnostics. ``str(error)`` is the full report, as plain text.

    Attributes:
        diagnostics: Everything that was found, errors and warnings, in the order of the sources.
    """

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(sort(diagnostics))
        super().__init__(render_text(self.diagnostics))

    def __reduce__(self) -> tuple[type[SpecError], tuple[tuple[Diagnostic, ...]]]:
        return (SpecError, (self.diagnostics,))


class Sink:
    """Where a stage reports what it finds, so that one run shows every mistake."""

    def __init__(self) -> None:
        self._found: dict[Diagnostic, None] = {}
        self._inside: set[tuple[Code, str, int, int, str]] = set()

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """What was reported so far, sorted by source and offset, each once."""
        return tuple(sort(self._found))

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """The warnings among the diagnostics."""
        return tuple(d for d in self.diagnostics if d.severity is Severity.WARNING)

    @property
    def has_errors(self) -> bool:
        """Whether anything was reported that stops a command."""
        return any(d.severity is Severity.ERROR for d in self._found)

    @property
    def is_crowded(self) -> bool:
        """Whether so much was found that suggestions only cost time: nobody reads on."""
        return len(self._found) >= 2 * MAX_SHOWN

    def did_you_mean(self, word: str, choices: Iterable[str], what: str, limit: int = 12) -> str:
        """Return `did_you_mean`, without looking for what is near once the sink is crowded."""
        return f"see the {what}" if self.is_crowded else did_you_mean(word, choices, what, limit)

    def error(
        self,
        code: Code,
        span: Span | None,
        message: str,
        hint: str | None = None,
        related: tuple[Related, ...] = (),
    ) -> None:
        """Report a mistake."""
        self.add(Diagnostic(code, Severity.ERROR, span, message, hint, related))

    def warning(
        self,
        code: Code,
        span: Span | None,
        message: str,
        hint: str | None = None,
        related: tuple[Related, ...] = (),
    ) -> None:
        """Report something that is allowed but probably not meant."""
        self.add(Diagnostic(code, Severity.WARNING, span, message, hint, related))

    def add(self, diagnostic: Diagnostic) -> None:
        """Report a diagnostic; the same one twice counts once.

        One inside a block is reported for the first node that uses the block, and shows that node;
        the other instances have the same mistake.
        """
        span = diagnostic.span
        if span is not None:
            # Inside a block the names in the message differ from instance to instance.
            text = "" if span.via is not None else diagnostic.message
            key = (diagnostic.code, span.source.name, span.start, span.end, text)
            if key in self._inside:
                return
            self._inside.add(key)
        if span is not None and span.via is not None:
            users = tuple(Related(via, "used by this node") for via in _users(span))
            diagnostic = replace(diagnostic, related=(*diagnostic.related, *users))
        self._found.setdefault(diagnostic)

    def raise_if_errors(self) -> None:
        """Raise one `SpecError` with everything reported, if an error is among it.

        Raises:
            SpecError: If at least one error was reported.
        """
        if self.has_errors:
            raise SpecError(self.diagnostics)


def _users(span: Span) -> list[Span]:
    """Return the nodes that use the blocks around a place, from the innermost block outwards."""
    users: list[Span] = []
    while span.via is not None:
        span = span.via
        users.append(span)
    return users if len(users) <= 4 else [*users[:2], *users[-2:]]


def fail(code: Code, message: str, hint: str | None = None, span: Span | None = None) -> SpecError:
    """Make the exception for a single mistake."""
    return SpecError([Diagnostic(code, Severity.ERROR, span, message, hint)])


def suggest(word: str, choices: Iterable[str]) -> str | None:
    """Return the one of ``choices`` that was probably meant, or None.

    A name that differs only in case, ``-``, ``_`` or spaces wins; then the nearest by difflib.
    """
    names = list(choices)
    folded = {_fold(name): name for name in reversed(names)}
    if _fold(word) in folded:
        return folded[_fold(word)]
    near = difflib.get_close_matches(_fold(word), list(folded), n=1, cutoff=0.6)
    return folded[near[0]] if near else None


def did_you_mean(word: str, choices: Iterable[str], what: str, limit: int = 12) -> str:
    """Return the hint for an unknown name: a suggestion if there is one, then what there is."""
    names = list(choices)
    near = suggest(word, names)
    listing = ", ".join(names[:limit]) + (", ..." if len(names) > limit else "")
    known = f"{what}: {listing}" if names else f"there are no {what}"
    return f"did you mean `{near}`? {known}" if near else known


def arrows(names: Sequence[str]) -> str:
    """Return a path as messages show it: ``a -> b -> c``, its middle left out where it is long."""
    shown = [*names[:6], "...", *names[-5:]] if len(names) > 12 else names
    return " -> ".join(shown)


def _fold(word: str) -> str:
    return word.lower().replace("-", "").replace("_", "").replace(" ", "")


def sort(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Return diagnostics by source (in order of first appearance) and offset, each once."""
    unique = list(dict.fromkeys(diagnostics))
    sources: dict[str, int] = {}
    for item in unique:
        if item.span is not None:
            sources.setdefault(item.span.source.name, len(sources))
    return sorted(
        unique,
        key=lambda d: (-1, 0) if d.span is None else (sources[d.span.source.name], d.span.start),
    )


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
