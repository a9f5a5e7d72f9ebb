"""A run that is at work already, started by a study that is gone: it is followed, not doubled."""

from __future__ import annotations

from collections.abc import Callable

from graphspec.study import claims
from graphspec.study.engines import Engine, Handle
from graphspec.study.engines.remote import Remote
from graphspec.study.jobs import GO, Job


def begin(engine: Engine, job: Job, warn: Callable[[str], None]) -> Handle:
    """Hand a run to an engine, unless some process is at work on it already.

    Args:
        engine: Who trains it.
        job: The run.
        warn: Told of such a process.
    """
    holder = claims.holder(job.claim)
    if holder is not None:
        warn(f"{job.title} is trained already, by {holder}; this study follows it")
        return Followed(engine, job)
    job.write()
    return engine.start(job)


class Followed(Remote):
    """A run that a worker of an earlier study is at work on.

    If that one ends before the run does, the run is handed to the engine as any other.
    """

    def __init__(self, engine: Engine, job: Job) -> None:
        """Prepare.

        Args:
            engine: Who goes on with the run.
            job: The run.
        """
        super().__init__(job)
        self._engine = engine
        self._own: Handle | None = None

    def poll(self) -> int | None:
        """Return the exit code, or None as long as the run is trained."""
        if self._own is not None:
            return self._own.poll()
        return super().poll()

    def stop(self) -> None:
        """Ask the worker to stop after its current step with a checkpoint."""
        if self._own is not None:
            self._own.stop()
        else:
            super().stop()

    def kill(self) -> None:
        """End the worker at once."""
        if self._own is not None:
            self._own.kill()
        else:
            super().kill()

    def gone(self) -> str | None:
        """Hand the run to the engine, as nobody is at work on it any more and it is not done."""
        if self.asked != GO:
            return "its worker is gone"
        self.job.write()
        self._own = self._engine.start(self.job)
        return None

    def withdraw(self) -> None:
        """It is in no queue."""

    def destroy(self) -> None:
        """It hears of it from its minder."""
