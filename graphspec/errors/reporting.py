"""Where mistakes go: a stage reports into a `Sink`, and `SpecError` ends it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from graphspec.errors.diagnostics import (
    Code,
    Diagnostic,
    Related,
    Severity,
    Span,
    did_you_mean,
    sort,
)
from graphspec.errors.rendering import MAX_SHOWN, render_text


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
