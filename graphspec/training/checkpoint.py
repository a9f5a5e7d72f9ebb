"""Checkpoints as files: written whole or not at all, with checksums that reading verifies.

Files are read with ``weights_only=True``: a checkpoint is data and runs no code. The newest state
is ``last.pt``; the ones before it stay in ``checkpoints/`` as far as the recipe wants them, so that
one damaged file does not end a run.
"""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from graphspec.errors import Code, SpecError, fail
from graphspec.training.folder import KEPT, LAST, explained_writing, replacing
from graphspec.training.seal import is_whole, sealing
from graphspec.training.state import FORMAT, Origin, State, weights_of

_SEALED = "sealed"
"""Key of what was saved with a seal, so that one that has lost it is not taken for an older one."""


def save(value: Mapping[str, Any], path: Path) -> None:
    """Write a checkpoint in the place of the old one.

    Raises:
        SpecError: ``disk-full`` or ``cannot-write``; the old checkpoint is still there.
    """
    with replacing(path) as file:
        try:
            with sealing(file) as sealed:
                torch.save({**value, _SEALED: True}, sealed)
        except RuntimeError as error:
            # torch's zip writer hides the system's refusal behind an error of its own
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def keep(state: State, origin: Origin, run: Path, number: int) -> None:
    """Save a state as ``last.pt`` and keep what that was; several processes must do it together.

    The old file gets a second name before the new one takes its place, so at no moment there is
    less than one whole state.

    Args:
        state: The state.
        origin: Of which topology it is.
        run: The run folder.
        number: How many states are kept, this one included.

    Raises:
        SpecError: ``disk-full`` or ``cannot-write``; the old states are still there.
    """
    value = state.capture(origin)
    with state.strategy.world.led() as leads:
        if leads:
            _replace(value, run, number, state.saved_step)
    state.saved_step = state.global_step


def _replace(value: Mapping[str, Any], run: Path, number: int, saved_step: int | None) -> None:
    """Write ``last.pt`` and give what that was a second name."""
    last, kept = run / LAST, run / KEPT
    moved = saved_step not in (None, value["progress"]["global_step"])
    if number > 1 and moved and last.is_file():
        with explained_writing(kept):
            kept.mkdir(exist_ok=True)
            _second_name(last, kept / f"step-{saved_step:09d}.pt")
    save(value, last)
    for old in kept_states(run)[max(0, number - 1) :]:
        old.unlink(missing_ok=True)


def kept_states(run: Path) -> list[Path]:
    """Return the states of a run that are older than ``last.pt``, newest first."""
    return sorted((run / KEPT).glob("step-*.pt"), reverse=True)


def latest(run: Path, origin: Origin) -> tuple[dict[str, Any], Path, list[Path]] | None:
    """Read the newest state of a run that is whole.

    Args:
        run: The run folder.
        origin: The topology that it must be of.

    Returns:
        The state, its file, and newer files that are missing or damaged; None where the run has no
        state at all.

    Raises:
        SpecError: ``bad-checkpoint`` if none is whole, ``run-mismatch``.
    """
    files = [run / LAST, *kept_states(run)]
    if not any(path.exists() for path in files):
        return None
    passed: list[Path] = []
    first: SpecError | None = None
    for path in files:
        try:
            return load(path, origin), path, passed
        except SpecError as error:
            if error.diagnostics[0].code is not Code.BAD_CHECKPOINT:
                raise
            first = first or error
            passed.append(path)
    assert first is not None
    raise first


def load(path: Path, origin: Origin | None = None) -> dict[str, Any]:
    """Read a checkpoint into the CPU's memory.

    Args:
        path: The file.
        origin: The topology that it must be of, or None for any.

    Raises:
        SpecError: ``bad-checkpoint`` if it is missing, damaged or no checkpoint of graphspec,
            ``run-mismatch`` if it belongs to another topology.
    """
    if not path.is_file():
        message = f"there is no checkpoint `{path}`"
        raise fail(Code.BAD_CHECKPOINT, message, "train the run first")
    try:
        value = _verified(path)
    except Exception as error:  # a damaged file fails in as many ways as there are bytes
        raise _damaged(path) from error
    if not isinstance(value, dict) or not {"format", "kind", "model"} <= value.keys():
        raise _damaged(path)
    if value["format"] != FORMAT:
        message = f"`{path}` has the format {value['format']}; this graphspec reads {FORMAT}"
        raise fail(Code.BAD_CHECKPOINT, message, "use the graphspec that wrote it")
    if origin is not None and value.get("spec_hash") != origin.spec_hash:
        from graphspec.training.mismatch import another_topology

        raise another_topology(path, str(value.get("spec", "")), origin.spec)
    return value


def _verified(path: Path) -> Any:
    """Read a file if its checksum is right; give None where it is not."""
    whole = is_whole(path)
    if whole is None:  # of an older version, with the checksums of the archive's members alone
        with zipfile.ZipFile(path) as archive:
            whole = archive.testzip() is None
        value = torch.load(path, map_location="cpu", weights_only=True) if whole else None
        return None if isinstance(value, dict) and _SEALED in value else value
    return torch.load(path, map_location="cpu", weights_only=True) if whole else None


def load_weights(run: Path, name: str, origin: Origin | None) -> dict[str, Any]:
    """Read the weights that a run is judged by.

    Args:
        run: The run folder.
        name: ``best`` or ``last``.
        origin: The topology that they must be of, or None for any.

    Returns:
        ``model``, the weights by name; ``epoch``, the epoch they are of; and what else is there.

    Raises:
        SpecError: See `load`.
    """
    saved = load(run / f"{name}.pt", origin)
    epoch = saved["epoch"] if "epoch" in saved else saved["progress"]["epoch"]
    return {**saved, "model": weights_of(saved), "epoch": epoch}


def _second_name(path: Path, other: Path) -> None:
    """Give a file a second name, or where the file system has no such thing, copy it."""
    other.unlink(missing_ok=True)
    try:
        os.link(path, other)
    except OSError:
        part = other.with_name(f".{other.name}.part")
        shutil.copyfile(path, part)
        part.replace(other)


def _damaged(path: Path) -> SpecError:
    message = f"`{path}` is damaged or no checkpoint"
    hint = f"`{path.parent}` may hold another one (`last.pt`, `best.pt`); otherwise train again"
    return fail(Code.BAD_CHECKPOINT, message, hint)
