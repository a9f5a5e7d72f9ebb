"""Slurm's queue: which jobs are in it, asked for all of them at once and not too often."""

from __future__ import annotations

import re
import subprocess
import time

REFRESH_S = 20.0
"""How old an answer may be, in seconds."""

FRESH_S = 2.0
"""How old it may be where somebody waits for it."""

PATIENCE_S = 60.0
"""How long a command of Slurm may take."""

_IN_QUEUE = {
    *("PENDING", "RUNNING", "CONFIGURING", "SUSPENDED", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD"),
    *("RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED", "SPECIAL_EXIT", "RESV_DEL_HOLD"),
    *("COMPLETING", "PREEMPTED"),
}


class Queue:
    """The jobs of this user that wait or run."""

    def __init__(self) -> None:
        self._states: dict[str, str] = {}
        self._asked = float("-inf")

    def expect(self, number: str) -> None:
        """Take note of a job that was submitted just now."""
        self._states.setdefault(number, "PENDING")

    def has(self, number: str, fresh: bool = False) -> bool:
        """Return whether a job waits or runs; yes where Slurm does not answer.

        Args:
            number: The number of the job.
            fresh: Whether an answer must be new.
        """
        if time.monotonic() - self._asked > (FRESH_S if fresh else REFRESH_S):
            self._asked = time.monotonic()
            found = _states()
            if found is None:
                return True
            self._states = found
        return self._states.get(number, "") in _IN_QUEUE


def cancel_waiting(number: str) -> None:
    """Cancel a job that waits; Slurm leaves one alone that has begun meanwhile."""
    _said("scancel", "--state=PENDING", number)


def last_state(number: str) -> str:
    """Return in which state a job ended, such as NODE_FAIL, or nothing where Slurm forgot it."""
    said = _said("scontrol", "show", "job", number, "--oneliner")
    found = re.search(r"\bJobState=(\w+)", said or "")
    if found is None:  # that remembers jobs for minutes; this for long, where there is accounting
        said = _said("sacct", "--noheader", "--allocations", "--format=State", "--jobs", number)
        found = re.search(r"(\w+)", said or "")
    return found[1] if found else ""


def _states() -> dict[str, str] | None:
    """Return the state of each job of this user, or None if Slurm does not answer."""
    said = _said("squeue", "--me", "--noheader", "--format=%i %T")
    if said is None:
        return None
    return dict(line.split(maxsplit=1) for line in said.splitlines() if " " in line.strip())


def _said(*command: str) -> str | None:
    """Return what a command prints, or None if it fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.replace("\t", " ") if done.returncode == 0 else None
