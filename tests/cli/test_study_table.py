"""What the terminal shows of a study."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from graphspec.cli.study_table import ROWS, Lines, event, headline, table
from graphspec.study.board import DONE, FAILED, FINISHED, RUNNING, Board, Entry

SCORES = {"split": "validation", "loss": 9.1, "fine/top1": 0.2, "fine/top5": 0.4}
PROGRESS = {"epoch": 3, "epochs": 10, "done": 0.25, "left_s": 312.0, "scores": SCORES}


def entry(label: str, seed: int, state: str = "waiting", **fields: Any) -> Entry:
    planned: Any = SimpleNamespace(variant=SimpleNamespace(label=label), seed=seed, begun=False)
    return Entry(planned, state, **fields)


@pytest.fixture
def board() -> Board:
    return Board(
        Path("studies/two"),
        [
            entry("arch1", 0, DONE),
            entry("arch5", 0, FINISHED, progress=PROGRESS, seconds=340.0),
            entry("arch1", 1, RUNNING, progress=PROGRESS),
            entry("arch5", 1, FAILED, progress=PROGRESS, message="error[disk-full]: full\n  hint"),
            entry("arch1", 2),
        ],
        2,
        1,
    )


def shown(board: Board, width: int, height: int = 40) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False, markup=False).print(table(board, width, height))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_what_works_comes_first_and_failures_next(board: Board) -> None:
    lines = shown(board, 110)
    assert lines[0].startswith("2 of 5 runs done, 1 running, 1 failed; about ")
    words = [line.split() for line in lines[3:]]
    assert [" ".join(line[:4]) for line in words] == [
        "arch1, seed 1 running",
        "arch5, seed 1 failed",
        "arch1, seed 2 waiting",
        "arch5, seed 0 finished",
        "arch1, seed 0 done",
    ]
    assert lines[3].endswith("3/10      5:12   fine 20.0 %")
    assert lines[4].endswith("error[disk-full]: full")


def test_a_narrow_terminal_shows_states_and_epochs_whole(board: Board) -> None:
    for line in shown(board, 72)[3:6]:
        assert any(f" {state} " in line + " " for state in ("running", "failed", "waiting"))
        assert len(line) <= 72


def test_a_low_terminal_shows_what_fits(board: Board) -> None:
    board.entries += [entry("arch6", seed) for seed in range(40)]
    lines = shown(board, 110, height=12)
    assert len(lines) <= 12
    assert "; 38 more" in lines[0]
    assert len(shown(board, 110, height=200)) == ROWS + 3


def test_the_first_line_and_events(board: Board) -> None:
    assert headline(board) == (
        "5 runs, 1 of them done before; 2 at a time with 1 thread each; folder: studies/two"
    )
    assert event(board, board.entries[1]).startswith(
        "[3/5] arch5, seed 0: finished after 5 min 40 s, validation loss 9.1000  fine 20.0 %; about"
    )
    assert event(board, board.entries[2]) == "[3/5] arch1, seed 1: begins"
    assert event(board, board.entries[3]) == ("[3/5] arch5, seed 1: failed: error[disk-full]: full")


def test_a_warning_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    lines.warning("something")
    lines.warning("something")
    assert capsys.readouterr().err.count("something") == 1
