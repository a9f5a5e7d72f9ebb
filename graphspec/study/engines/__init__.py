"""Where the runs of a study are trained: on this machine, a Ray cluster, a Slurm cluster.

An engine starts worker processes (`graphspec.study.worker`) and tells which have ended. The files
of the study must be seen under the same path wherever a worker runs.
"""

from __future__ import annotations

from typing import Protocol

from graphspec.study.jobs import Job


class Handle(Protocol):
    """A run that was handed to an engine."""

    def poll(self) -> int | None:
        """Return the exit code of the worker, or None as long as it waits or works."""

    def stop(self) -> None:
        """Ask the worker to stop after its current step with a checkpoint."""

    def kill(self) -> None:
        """End the worker at once."""


class Engine(Protocol):
    """Who trains runs.

    Attributes:
        name: As ``--engine`` names it.
        slots: How many runs it takes at a time; None: all, as it has a queue of its own.
        threads: Threads of each run.
        queues: Whether runs may wait in a queue of its own before they begin.
    """

    name: str
    slots: int | None
    threads: int
    queues: bool

    def start(self, job: Job) -> Handle:
        """Begin with a run; its description is written already."""

    def close(self) -> None:
        """Let go of whatever the engine holds."""


def make(name: str, jobs: int | None, options: dict[str, str] | None = None) -> Engine:
    """Return an engine.

    Args:
        name: ``local``, ``ray`` or ``slurm``.
        jobs: Runs at a time; None for as many as suit the engine.
        options: What is particular to the engine, such as Slurm's partition.

    Raises:
        SpecError: ``bad-option`` or ``missing-package``.
    """
    from graphspec.errors import Code, did_you_mean, fail
    from graphspec.study.engines import options as options_
    from graphspec.study.engines.local import Local
    from graphspec.study.engines.ray import Ray
    from graphspec.study.engines.slurm import Slurm

    given = options or {}
    if name == Local.name:
        options_.none(given, name)
        return Local(jobs)
    if name == Ray.name:
        return Ray(jobs, given)
    if name == Slurm.name:
        return Slurm(jobs, given)
    hint = did_you_mean(name, (Local.name, Ray.name, Slurm.name), "engines")
    raise fail(Code.BAD_OPTION, f"there is no engine `{name}`", hint)
