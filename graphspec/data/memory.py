"""How much memory there is for data, and whether pictures are kept in it or streamed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from graphspec.errors import Code, fail

CGROUPS = Path("/sys/fs/cgroup")
"""Where Linux tells the limits of containers and services."""

_COPIES = 2
"""How often data are in memory at most: whole, and once more while they are split."""

_PART = 0.8
"""Part of the free memory that data may take, the rest is for the training."""


def available() -> int:
    """Return how many bytes this process may still take, within the limits of its cgroups."""
    import psutil

    return min([int(psutil.virtual_memory().available), *_limits(_own_groups())])


def trainers() -> int:
    """Return how many processes train together on this machine, as ``torchrun`` tells each."""
    told = os.environ.get("LOCAL_WORLD_SIZE", "1")
    return max(1, int(told)) if told.isdecimal() else 1


def is_kept(size: int, wanted: Literal["auto", "ram", "stream"]) -> bool:
    """Return whether pictures are read into memory.

    Args:
        size: Their size, decoded.
        wanted: What the spec says; ``auto`` keeps them if twice their size is at most 0.8 of what
            is free, or of this process's part of it where several train together.

    Raises:
        SpecError: ``out-of-memory`` if they must be kept and cannot.
    """
    if wanted == "stream":
        return False
    free = available() // trainers()
    if wanted == "auto":
        return _COPIES * size <= _PART * free
    if size > free:
        message = f"the pictures take {size / 2**30:.1f} GiB in memory, and {free / 2**30:.1f} GiB "
        message += "are free"
        raise fail(Code.OUT_OF_MEMORY, message, "stream them: `memory: stream`, or leave it out")
    return True


def _own_groups() -> list[Path]:
    """Return the folders of the cgroups that this process is in, the innermost first."""
    try:
        lines = Path("/proc/self/cgroup").read_text("utf-8").splitlines()
    except OSError:
        return []
    own = next((line[3:].strip("/") for line in lines if line.startswith("0::")), "")
    inner = CGROUPS / own
    return [inner, *(up for up in inner.parents if CGROUPS in (up, *up.parents))]


def _limits(groups: list[Path]) -> list[int]:
    """Return how much each of the groups may still take, where it has a limit."""
    found = []
    for group in groups:
        try:
            most = (group / "memory.max").read_text("utf-8").strip()
            used = int((group / "memory.current").read_text("utf-8"))
            cached = _cached(group)
        except (OSError, ValueError):
            continue
        if most.isdigit():
            found.append(max(0, int(most) - used + cached))
    return found


def _cached(group: Path) -> int:
    """Return how much of a group's memory is copies of files, which give way."""
    lines = (group / "memory.stat").read_text("utf-8").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
