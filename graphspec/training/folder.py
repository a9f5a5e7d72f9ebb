"""The run folder: which files there are, and how they are written so that none is ever half there.

Every file but ``metrics.jsonl`` and ``conflicts.jsonl`` is replaced as a whole: written under
another name in the same folder, forced to the disk, renamed. Those two grow by whole lines; what a
crash may leave of a last line is dropped when the run goes on.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from graphspec.errors import Code, SpecError, fail
from graphspec.ops import provenance
from graphspec.training.observer import Record

SPEC = "spec.yaml"
ENVIRONMENT = "environment.json"
METRICS = "metrics.jsonl"
CONFLICTS = "conflicts.jsonl"
LAST = "last.pt"
KEPT = "checkpoints"
BEST = "best.pt"
GRAPH = "graph.svg"
CURVES = "curves.png"
REPORT = "report.html"
SUMMARY = "summary.json"

_FULL = (errno.ENOSPC, errno.EDQUOT)


def check_free(path: Path) -> None:
    """Refuse a folder that holds something already: a run is never overwritten.

    Raises:
        SpecError: ``run-exists`` if it is not empty, ``cannot-write`` if it is not a folder.
    """
    with explained_writing(path):
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            if not path.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            message = f"`{path}` is not empty, and a run is never overwritten"
            hint = f"go on with `--resume --out {path}`, or choose another `--out`"
            if not is_run(path):
                hint = "choose another `--out`"
            raise fail(Code.RUN_EXISTS, message, hint)


def create(out: Path | None, name: str) -> Path:
    """Make the folder of a new run.

    Args:
        out: Where the user wants it, or None for ``runs/NAME-YYYYMMDD-HHMMSS``.
        name: Name of the spec.

    Returns:
        The folder, empty and writable.

    Raises:
        SpecError: ``run-exists``, ``cannot-write`` or ``disk-full``.
    """
    if out is not None:
        check_free(out)
        with explained_writing(out):
            out.mkdir(parents=True, exist_ok=True)
        return out
    stem = re.sub(r"[^\w.-]+", "-", name).strip("-.") or "run"
    base = Path("runs") / f"{stem}-{datetime.now():%Y%m%d-%H%M%S}"
    for number in range(1, 1000):
        path = base if number == 1 else base.with_name(f"{base.name}-{number}")
        with explained_writing(path):
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                continue
        return path
    message = f"`{base}` and 998 more names like it are taken"
    raise fail(Code.RUN_EXISTS, message, "choose a folder with `--out`")


def is_run(path: Path) -> bool:
    """Return whether the folder is that of a run."""
    return (path / SPEC).is_file() and (path / ENVIRONMENT).is_file()


def written(path: Path) -> float:
    """Return when a run folder was last written to, in seconds since 1970.

    A run that goes on replaces its files, so one may be gone by the time it is looked at.
    """
    times = [0.0]
    with suppress(OSError):
        for file in path.iterdir():
            with suppress(OSError):
                if file.is_file():
                    times.append(file.stat().st_mtime)
    return max(times)


def require_run(path: Path) -> Path:
    """Return ``path`` if it is the folder of a run.

    Should an op of its spec not be known from now on, the error names the plugin that had it.

    Raises:
        SpecError: ``not-a-run``.
    """
    if is_run(path):
        with suppress(SpecError):  # who needs the environment says that it is damaged
            provenance.expect(read_json(path / ENVIRONMENT), path)
        return path
    if not path.exists():
        message, hint = f"`{path}` does not exist", "name the folder that `graphspec train` printed"
    else:
        message = f"`{path}` is not a run folder: it has no `{SPEC}` and `{ENVIRONMENT}`"
        runs = [p for p in path.iterdir() if is_run(p)] if path.is_dir() else []
        hint = "name the folder that `graphspec train` printed"
        if runs:
            hint = f"it holds runs, e.g. `{max(runs, key=lambda p: p.stat().st_mtime)}`"
    raise fail(Code.NOT_A_RUN, message, hint)


@contextmanager
def explained_writing(path: Path) -> Iterator[None]:
    """Turn an operating system's refusal inside the block into a diagnostic that names ``path``.

    Raises:
        SpecError: ``disk-full`` or ``cannot-write``.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            message = f"the disk is full: `{path}` was not written"
            hint = "free some space, then go on with `--resume`"
            raise fail(Code.DISK_FULL, message, hint) from error
        message = f"`{path}` cannot be written: {error.strerror or error}"
        hint = "make it writable, or choose another folder with `--out`"
        raise fail(Code.CANNOT_WRITE, message, hint) from error


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file whose content takes the place of ``path`` when the block ends well.

    Readers see the old or the new file, whole, whatever happens in between.

    Raises:
        SpecError: ``disk-full`` or ``cannot-write``.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with explained_writing(path):
        try:
            with part.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
            _sync_folder(path.parent)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def write_text(path: Path, text: str) -> None:
    """Replace a text file."""
    with replacing(path) as file:
        file.write(text.encode())


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file; numbers that JSON has no word for are an error of ours."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file of a run, which is a mapping.

    Raises:
        SpecError: ``not-a-run`` if it is missing or damaged.
    """
    try:
        found = json.loads(path.read_bytes())
        if isinstance(found, dict):
            return found
        raise ValueError
    except (OSError, ValueError, RecursionError) as error:
        message = f"`{path}` is missing or damaged"
        raise fail(Code.NOT_A_RUN, message, "train again into another folder") from error


def append_metrics(folder: Path, records: Iterable[Record]) -> None:
    """Add lines to ``metrics.jsonl`` and force them to the disk."""
    _append(folder / METRICS, records)


def append_conflicts(folder: Path, epoch: int, records: Iterable[Record]) -> None:
    """Add what was seen of the tasks' gradients in an epoch to ``conflicts.jsonl``, if anything."""
    found = [{"epoch": epoch, **record} for record in records]
    if found:
        _append(folder / CONFLICTS, found)


def read_conflicts(folder: Path) -> list[Record]:
    """Return the records of ``conflicts.jsonl``; a last line cut off by a crash is left out."""
    return _read(folder / CONFLICTS, {"epoch", "node", "tasks"})


def _append(path: Path, records: Iterable[Record]) -> None:
    lines = [json.dumps(r, allow_nan=False, ensure_ascii=False) + "\n" for r in records]
    with explained_writing(path), path.open("ab") as file:
        file.write("".join(lines).encode())
        file.flush()
        os.fsync(file.fileno())


def read_metrics(folder: Path) -> list[Record]:
    """Return the records of ``metrics.jsonl``; a last line cut off by a crash is left out."""
    return _read(folder / METRICS, {"epoch", "split"})


def _read(path: Path, keys: set[str]) -> list[Record]:
    records: list[Record] = []
    try:
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    except OSError as error:
        message = f"`{path}` cannot be read: {error.strerror or error}"
        raise fail(Code.NOT_A_RUN, message, "make it readable, or move it away") from error
    for line in text.split("\n"):
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and keys <= record.keys():
            records.append(record)
    return records


def rewind(folder: Path, epoch: int) -> list[int]:
    """Bring a folder back to the end of an epoch: drop later lines, tests and leftovers.

    Args:
        folder: The run folder.
        epoch: Epochs that the checkpoint has done.

    Returns:
        The epochs until then whose lines are missing or damaged.
    """
    kept = [r for r in read_metrics(folder) if r["epoch"] <= epoch and r["split"] != "test"]
    _rewrite(folder / METRICS, kept)
    if (folder / CONFLICTS).exists():
        _rewrite(folder / CONFLICTS, [r for r in read_conflicts(folder) if r["epoch"] <= epoch])
    with explained_writing(folder):
        for part in (*folder.glob(".*.part"), *(folder / KEPT).glob(".*.part")):
            part.unlink(missing_ok=True)
        (folder / SUMMARY).unlink(missing_ok=True)
    there = [{r["epoch"] for r in kept if r["split"] == s} for s in ("train", "validation")]
    both = there[0] & there[1] if there[1] else there[0]
    return [number for number in range(1, epoch + 1) if number not in both]


def _rewrite(path: Path, records: Iterable[Record]) -> None:
    lines = [json.dumps(r, allow_nan=False, ensure_ascii=False) + "\n" for r in records]
    write_text(path, "".join(lines))


def _sync_folder(folder: Path) -> None:
    """Force a rename to the disk, where the system lets a folder be opened."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
