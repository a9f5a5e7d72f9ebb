"""What a run depended on besides its spec: versions, machine, command, commit."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

import graphspec
from graphspec.ops import provenance

_PACKAGES = ("torch", "torchvision", "torchmetrics", "numpy", "pydantic", "networkx")
_GIT_TIMEOUT_S = 5


def now() -> str:
    """Return the time in UTC, to the second, in ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def collect(folder: Path) -> dict[str, Any]:
    """Describe the environment of this process.

    Args:
        folder: A folder inside the user's repository, whose commit is recorded if it has one.

    Returns:
        Plain data for ``environment.json``.
    """
    return {
        "started": now(),
        "command": list(sys.argv),
        "working_directory": str(Path.cwd()),
        "graphspec": graphspec.__version__,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "plugins": provenance.records(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "cuda": torch.version.cuda,
        "git": git(folder),
    }


def remark(began: Mapping[str, Any], now: Mapping[str, Any], together: bool) -> str | None:
    """Return what is to be said of a run that goes on where numbers may be rounded otherwise.

    Args:
        began: What ``environment.json`` says of the beginning.
        now: What `collect` gives.
        together: Whether several processes train together now; then threads say nothing.
    """
    pairs = {
        "torch": [(each.get("packages") or {}).get("torch") for each in (began, now)],
        "processor": [each.get("processor") for each in (began, now)],
        "threads": [each.get("threads") for each in (began, now)],
    }
    if together:
        del pairs["threads"]
    told = [
        f"{name} {first}, now {second}"
        for name, (first, second) in pairs.items()
        if None not in (first, second) and first != second
    ]
    if not told:
        return None
    return (
        f"the run began elsewhere ({'; '.join(told)}), so its numbers may differ in the last "
        "digits from those of a run that was not interrupted"
    )


def git(folder: Path) -> dict[str, Any] | None:
    """Return the commit that ``folder`` is at and whether files differ from it, or None."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    return {"commit": commit, "changed": bool(_git(folder, "status", "--porcelain", "-uno"))}


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_GIT_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    """Return the processor's name; Linux has it in a file only."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
