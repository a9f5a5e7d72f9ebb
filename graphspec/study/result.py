"""A finished run as a comparison sees it: what its folder says, read without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphspec.errors import Code, fail
from graphspec.training import folder
from graphspec.training.observer import Record

_SPLITS = ("test", "validation")


@dataclass(frozen=True)
class Entry:
    """One run of a comparison.

    Attributes:
        variant: What it is a run of, such as ``arch5`` or ``arch5, width=16``: a row of the table.
        seed: Its seed, by which it is paired with a run of the baseline.
        folder: Its folder.
    """

    variant: str
    seed: int
    folder: Path


@dataclass(frozen=True)
class Result:
    """A finished run.

    Attributes:
        entry: Which run it is.
        summary: Its ``summary.json``.
        environment: Its ``environment.json``.
    """

    entry: Entry
    summary: Mapping[str, Any]
    environment: Mapping[str, Any]

    @property
    def splits(self) -> list[str]:
        """The splits that its best weights were measured on, the one to compare by first."""
        return [split for split in _SPLITS if split in self.summary["loss"]]

    def scores(self, split: str) -> dict[str, float]:
        """Return what the best weights reach on a split, by ``TASK/METRIC``; numbers only."""
        return {
            f"{task}/{name}": float(value)
            for task, found in self.summary["tasks"].items()
            for name, value in found.get(split, {}).items()
            if isinstance(value, (int, float))
        }

    @property
    def data(self) -> tuple[str, str]:
        """Name and fingerprint of its data."""
        return self.environment["data"]["name"], self.environment["data"]["fingerprint"]

    @property
    def predicts(self) -> dict[str, str]:
        """What each task predicts, in words that differ where two cannot be compared."""
        return {
            name: f"{task['type']}, {task['classes']} classes"
            if task["classes"]
            else str(task["type"])
            for name, task in self.summary["tasks"].items()
        }

    def records(self) -> list[Record]:
        """Return the lines of its ``metrics.jsonl``."""
        return folder.read_metrics(self.entry.folder)

    def conflicts(self) -> list[Record]:
        """Return the lines of its ``conflicts.jsonl``."""
        return folder.read_conflicts(self.entry.folder)

    @property
    def diagram(self) -> Path | None:
        """Its diagram, if it has one."""
        path = self.entry.folder / folder.GRAPH
        return path if path.is_file() else None


def is_finished(run: Path) -> bool:
    """Return whether a run has come to its end and its best weights are measured."""
    path = run / folder.SUMMARY
    return path.is_file() and folder.read_json(path).get("status") == "finished"


def read(entry: Entry) -> Result:
    """Read a finished run.

    Args:
        entry: Which.

    Raises:
        SpecError: ``not-a-run`` if it is none, is not finished or is damaged.
    """
    run = folder.require_run(entry.folder)
    if not is_finished(run):
        message = f"`{run}` is not finished"
        raise fail(Code.NOT_A_RUN, message, "go on with it: `graphspec train SPEC --resume`")
    summary = folder.read_json(run / folder.SUMMARY)
    found = Result(entry, summary, folder.read_json(run / folder.ENVIRONMENT))
    try:
        # whatever a comparison is made of is looked at once, so that later stages can rely on it
        _ = (found.data, found.predicts, found.scores("test"), found.splits)
        _ = (summary["seconds"], summary["parameters"], summary["hierarchy"], summary["confusion"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        message = f"`{run}` holds something unexpected ({type(error).__name__}: {error})"
        raise fail(Code.NOT_A_RUN, message, "train again into another folder") from error
    return found
