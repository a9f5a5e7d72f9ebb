"""The runs in a folder: what each trained, on what, how far it came, what it reached."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphspec.errors import Code, SpecError, fail
from graphspec.training import folder, measures
from graphspec.training.occupied import is_occupied


@dataclass(frozen=True)
class Listed:
    """One run.

    Attributes:
        folder: Its folder.
        spec: Name of its spec.
        data: Name of its data set.
        state: ``running``, ``finished``, ``interrupted``, ``unfinished`` (it died, or runs where
            the system does not tell) or ``damaged``.
        epochs: Epochs that are done.
        epochs_asked: Epochs that it was to have at most.
        seed: Its seed.
        parameters: Trainable parameters.
        split: What the metrics are of: ``test``, else ``validation`` or ``train``.
        metrics: The first metric of each task, e.g. ``{"fine/top1": 0.83}``.
        best: The metric that chose the best weights and its value, or None before there is one.
        seconds: Time of training so far.
        written: When it was last written to, in seconds since 1970.
        why: What is wrong with a damaged one.
    """

    folder: Path
    spec: str
    data: str = ""
    state: str = "damaged"
    epochs: int = 0
    epochs_asked: int = 0
    seed: int | None = None
    parameters: int | None = None
    split: str = ""
    metrics: Mapping[str, float] | None = None
    best: tuple[str, float] | None = None
    seconds: float = 0.0
    written: float = 0.0
    why: str = ""


def runs(where: str | Path = "runs") -> list[Listed]:
    """Return the runs in a folder and the folders below it, the one written to last first.

    Args:
        where: The folder, or that of one run.

    Raises:
        SpecError: ``not-a-run`` if there is no such folder.
    """
    root = Path(where)
    if not root.is_dir():
        message = f"there is no folder `{root}`"
        hint = "`graphspec train` makes `runs/`; name another folder that holds runs"
        raise fail(Code.NOT_A_RUN, message, hint)
    found = [_listed(path) for path in _folders(root)]
    return sorted(found, key=lambda run: run.written, reverse=True)


def _folders(root: Path) -> list[Path]:
    """Return the run folders at and below a folder; what is inside of one is not looked at."""
    found: list[Path] = []
    waiting = [root]
    while waiting:
        path = waiting.pop()
        if (path / folder.SPEC).is_file() and (path / folder.ENVIRONMENT).exists():
            found.append(path)
            continue
        try:
            waiting += [p for p in path.iterdir() if p.is_dir() and not p.is_symlink()]
        except PermissionError:
            continue
    return found


def _listed(path: Path) -> Listed:
    written = folder.written(path)
    try:
        return _read(path, written)
    except SpecError as error:
        why = error.diagnostics[0].message
        if str(path) not in why:
            why = f"`{path / folder.SPEC}` is damaged: {why}"
    except (KeyError, TypeError, ValueError, OSError) as error:
        why = f"`{path}` holds something unexpected ({type(error).__name__}: {error})"
    return Listed(path, path.name, written=written, why=why)


def _read(path: Path, written: float) -> Listed:
    """Read one run.

    Raises:
        SpecError: ``not-a-run`` if a file of it is damaged.
    """
    from graphspec import compiler

    environment = folder.read_json(path / folder.ENVIRONMENT)
    spec = compiler.load(path / folder.SPEC)
    records = folder.read_metrics(path)
    has_summary = (path / folder.SUMMARY).is_file()
    summary = folder.read_json(path / folder.SUMMARY) if has_summary else {}
    trained = [record for record in records if record["split"] == "train"]
    split, metrics = _reached(records, summary)
    best = summary.get("best", {})
    return Listed(
        folder=path,
        spec=spec.name,
        data=environment["data"]["name"],
        state="running" if is_occupied(path) else summary.get("status", "unfinished"),
        epochs=summary.get("epochs", len(trained)),
        epochs_asked=spec.train.epochs,
        seed=environment["seed"],
        parameters=environment["parameters"],
        split=split,
        metrics=metrics,
        best=(best["metric"], best["value"]) if best.get("value") is not None else None,
        seconds=summary.get("seconds", sum(float(r["seconds"]) for r in records)),
        written=written,
    )


def _reached(
    records: list[dict[str, Any]], summary: Mapping[str, Any]
) -> tuple[str, dict[str, float]]:
    """Return the split that says most of a run, and the first metric of each task on it."""
    for split in ("test", "validation", "train"):
        fitting = [record for record in records if record["split"] == split]
        if not fitting:
            continue
        record = fitting[-1]
        best = summary.get("best", {}).get("epoch")
        if split != "test" and best is not None:
            record = next((r for r in fitting if r["epoch"] == best), record)
        tasks = measures.found(record)
        names = {task: names[0] for task, names in tasks.items() if names}
        return split, {f"{task}/{name}": record[f"{task}/{name}"] for task, name in names.items()}
    return "", {}


def ago(written: float, now: float | None = None) -> str:
    """Return how long ago something was, in words: ``5 min``, ``3 h``, ``2 d``."""
    seconds = max(0.0, (time.time() if now is None else now) - written)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
