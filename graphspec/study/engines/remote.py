"""A run on another machine, as the study sees it: by its files, and by what its engine says."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

from graphspec.study import claims, jobs
from graphspec.study.jobs import GO, KILL, STOP, Job

LOOK_S = 0.5
"""How often it is looked how a run is, in seconds."""

PATIENCE_S = 10.0
"""How long the study waits for a run that it has killed, in seconds."""

CODES = {"finished": 0, "interrupted": 130, "failed": 2}


class Remote(ABC):
    """A run that was handed to an engine with machines of its own.

    A run has ended when the engine says so and no worker is at work on it any more: engines may
    say so early, when the process that minds the worker is gone but not the worker.
    """

    def __init__(self, job: Job) -> None:
        """Prepare.

        Args:
            job: The run.
        """
        self.job = job
        self.asked = GO
        self._looked = float("-inf")
        self._killed = float("inf")

    @abstractmethod
    def gone(self) -> str | None:
        """Return why the engine has the run no more, in words, or None while it has it."""

    @abstractmethod
    def withdraw(self) -> None:
        """Take the run out of the engine's queue, if it is still there."""

    @abstractmethod
    def destroy(self) -> None:
        """Let the engine end the run at once."""

    @property
    def begun(self) -> bool:
        """Whether a machine has begun with the run."""
        return bool(jobs.read(self.job.progress))

    def poll(self) -> int | None:
        """Return the exit code, or None as long as the run waits or is trained."""
        now = time.monotonic()
        if now - self._looked < LOOK_S:
            return None
        self._looked = now
        late = now - self._killed > PATIENCE_S
        if not late and claims.holder(self.job.claim) is not None:
            return None
        status = self._status()
        if status in ("finished", "failed") or (status and self.asked != GO):
            return CODES[status]
        reason = "it was killed" if late else self.gone()
        if reason is None:
            return None
        return CODES[status or self._settle(reason)]

    def stop(self) -> None:
        """Ask the worker to stop after its current step with a checkpoint."""
        if self.asked == GO:
            self.asked = STOP
            self.job.ask(STOP)
            self.withdraw()

    def kill(self) -> None:
        """End the worker at once."""
        self.asked = KILL
        self._killed = time.monotonic()
        self.job.ask(KILL)
        self.destroy()

    def _status(self) -> str:
        """Return how the worker says that it ended, or nothing."""
        status = jobs.read(self.job.outcome).get("status")
        return str(status) if status in CODES else ""

    def _settle(self, reason: str) -> str:
        """Say how a run ended whose worker does not say so."""
        claims.refresh(self.job.files)
        status = self._status()
        if not status:
            status = "failed" if self.asked == GO else "interrupted"
            self.job.tell(status, reason if status == "failed" else "")
        return status
