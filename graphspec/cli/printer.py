"""What printing watchers have in common: they never raise, and warn of a thing once."""

from __future__ import annotations

from graphspec.cli import terminal


class Printer:
    """Prints lines for whoever reads stdout; a reader that goes away only ends the printing."""

    def __init__(self) -> None:
        self._warned: set[str] = set()

    def warning(self, text: str) -> None:
        """Print a warning on stderr, once."""
        if text in self._warned:
            return
        self._warned.add(text)
        try:
            terminal.remark(text, "warning")
        except OSError:
            return

    def _print(self, line: str) -> None:
        try:
            print(line, flush=True)
        except OSError:
            return
