"""Diagnostics: what is wrong, where, and what to do about it; and the words of a hint."""

from __future__ import annotations

import difflib
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum


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
    DATA_DOUBTFUL = "data-doubtful"
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
    RUN_BUSY = "run-busy"
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
