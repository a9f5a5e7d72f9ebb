"""Who watches a study for the command line: a live table on a terminal, lines in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from graphspec.cli import terminal
from graphspec.cli.printer import Printer
from graphspec.cli.progress import clock, scores_text
from graphspec.study.board import (
    DONE,
    FAILED,
    FINISHED,
    INTERRUPTED,
    RUNNING,
    WAITING,
    Board,
    Entry,
    Watcher,
)
from graphspec.training.summary import duration

if TYPE_CHECKING:
    from rich.table import Table

    from graphspec.study.ledger import Planned

ROWS = 24
"""Runs that the live table shows at most: those at work first."""


@contextmanager
def following() -> Iterator[Watcher]:
    """Give the watcher that suits stdout, and leave the terminal tidy in the end."""
    if not terminal.is_terminal(sys.stdout):
        yield Lines()
        return
    live = LiveTable()
    try:
        yield live
    finally:
        live.close()


class Lines(Printer):
    """A watcher that prints a line when a run begins or ends."""

    def begin(self, board: Board, notes: Sequence[str]) -> None:
        """Print what is going to happen."""
        for note in notes:
            self._print(note)
        self._print(headline(board))

    def tick(self, board: Board) -> None:
        """Print nothing: a pipe is read later."""

    def changed(self, board: Board, entry: Entry) -> None:
        """Print what a run does now."""
        self._print(event(board, entry))


class LiveTable(Lines):
    """A watcher that keeps a table of the runs at the bottom of the terminal."""

    def __init__(self) -> None:
        super().__init__()
        from rich.live import Live

        self._live = Live(console=terminal.console(), transient=True, refresh_per_second=4)

    def begin(self, board: Board, notes: Sequence[str]) -> None:
        """Print what is going to happen and show the table."""
        super().begin(board, notes)
        self._live.start()
        self.tick(board)

    def tick(self, board: Board) -> None:
        """Show the table as it is now."""
        self._live.update(table(board, *self._live.console.size))

    def changed(self, board: Board, entry: Entry) -> None:
        """Print what has ended above the table."""
        if entry.state not in (RUNNING, WAITING):
            self._live.console.print(event(board, entry))
        self.tick(board)

    def close(self) -> None:
        """Clear the table away."""
        self._live.stop()


def headline(board: Board) -> str:
    """Return what is done and what is to be done, in a line."""
    done, count = board.count(DONE), len(board.entries)
    before = f", {done} of them done before" if done else ""
    if done == count:
        return f"{count} {_runs(count)}, all done before; folder: {board.folder}"
    threads = f"{board.threads} {'thread' if board.threads == 1 else 'threads'}"
    at_once = min(board.slots, count - done)
    return (
        f"{count} {_runs(count)}{before}; {at_once} at a time with {threads} each; "
        f"folder: {board.folder}"
    )


def event(board: Board, entry: Entry) -> str:
    """Return what happened to a run, in a line."""
    number = board.count(DONE, FINISHED, FAILED)
    place = f"[{number}/{len(board.entries)}]"
    if entry.state == RUNNING:
        verb = "goes on" if entry.planned.begun else "begins"
        verb = "is in the queue" if entry.queued else verb
        return f"{place} {entry.title}: {verb}"
    left = board.left_s()
    rest = f"; about {clock(left)} left" if left and board.count(WAITING, RUNNING) else ""
    if entry.state == FINISHED:
        scores = _scores(entry.progress)
        return f"{place} {entry.title}: finished after {duration(entry.seconds)}, {scores}{rest}"
    reason = entry.message.strip().splitlines()[0] if entry.message.strip() else ""
    return f"{place} {entry.title}: {entry.state}" + (f": {reason}" if reason else "")


def table(board: Board, width: int, height: int) -> Table:
    """Return the live table for a terminal of some columns and lines."""
    from rich import box
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    order = (RUNNING, FAILED, INTERRUPTED, WAITING, FINISHED, DONE)
    chosen = sorted(board.entries, key=lambda entry: (order.index(entry.state), entry.queued))
    shown = chosen[: max(1, min(ROWS, height - 5))]
    left = board.left_s()
    done = board.count(DONE, FINISHED)
    queued = sum(entry.queued for entry in board.entries)
    caption = f"{done} of {len(board.entries)} runs done, {board.count(RUNNING) - queued} running"
    caption += f", {queued} queued" if queued else ""
    if board.count(FAILED):
        caption += f", {board.count(FAILED)} failed"
    if len(shown) < len(chosen):
        caption += f"; {len(chosen) - len(shown)} more"
    caption += f"; about {clock(left)} left" if left is not None else ""
    result = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, expand=True)
    result.title, result.title_justify, result.title_style = caption, "left", ""
    longest = max(len(entry.title) for entry in shown)
    result.add_column("run", overflow="ellipsis", no_wrap=True, width=min(longest, width // 3))
    result.add_column("state", no_wrap=True, width=len(INTERRUPTED))
    result.add_column("progress", width=max(4, min(20, width // 8)))
    result.add_column("epoch", justify="right", no_wrap=True, min_width=7)
    result.add_column("left", justify="right", no_wrap=True, min_width=7)
    result.add_column("latest on validation", overflow="ellipsis", no_wrap=True, ratio=1)
    for entry in shown:
        progress = entry.progress
        epoch = f"{progress['epoch']}/{progress['epochs']}" if "epoch" in progress else ""
        rest = "" if entry.left_s is None else clock(entry.left_s)
        bar = ProgressBar(total=1.0, completed=entry.part, width=None)
        latest = _scores(progress, short=True)
        if entry.state == FAILED:
            latest = entry.message.split("\n")[0]
        state = "queued" if entry.queued else entry.state
        result.add_row(entry.title, state, bar, epoch, rest, latest)
    return result


def planned_table(runs: Sequence[Planned]) -> Table:
    """Return which runs a study has and which are done."""
    from rich import box
    from rich.table import Table

    result = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for title in ("variant", "seed", "state", "what differs", "folder"):
        result.add_column(title, overflow="fold", justify="right" if title == "seed" else "left")
    for run in runs:
        state = "done" if run.done else "begun" if run.begun else "to do"
        note = run.variant.note
        result.add_row(run.variant.label, str(run.seed), state, note, str(run.folder))
    return result


def _runs(count: int) -> str:
    return "run" if count == 1 else "runs"


def _scores(progress: Mapping[str, Any], short: bool = False) -> str:
    """Return what a run reached last on validation or test data."""
    scores = progress.get("scores", {})
    if not scores:
        return ""
    numbers = {key: value for key, value in scores.items() if "/" in key}
    if short:
        return scores_text(numbers, short=True)
    return f"{scores['split']} {scores_text({**numbers, 'loss': scores['loss']}, short=True)}"
