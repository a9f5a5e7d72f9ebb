"""Runs on a Slurm cluster: each is a job that submitit submits, and submits again at its limit."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from graphspec.errors import Code, fail
from graphspec.study import jobs
from graphspec.study.engines import options
from graphspec.study.engines.local import cores
from graphspec.study.engines.minder import Minder
from graphspec.study.engines.queue import Queue, cancel_waiting, last_state
from graphspec.study.engines.remote import Remote
from graphspec.study.jobs import GO, Job

PASSED_ON = "sbatch."
"""Begin of the options that are handed to sbatch as they are."""

_TIME = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d\d?))?(?::(\d\d?))?")
_MEMORY = re.compile(r"(\d+(?:\.\d+)?) *(?:([kmgt])(?:i?b)?)?", re.IGNORECASE)
_IN_GB = {"k": 2**-20, "m": 2**-10, "g": 1.0, "t": 2**10}


def _minutes(value: object) -> int:
    """Return a time as sbatch writes it, in minutes."""
    found = _TIME.fullmatch(str(value).strip())
    if found is None:
        message = "it is not a time"
        raise ValueError(message)
    days, *parts = found.groups()
    first, second, third = (int(part or 0) for part in parts)
    if days is not None:
        minutes = (int(days) * 24 + first) * 60 + second + third / 60
    elif parts[2] is not None:
        minutes = first * 60 + second + third / 60
    else:
        minutes = first + second / 60
    if minutes < 1:
        message = "a job takes a minute at least"
        raise ValueError(message)
    return round(minutes)


def _gigabytes(value: object) -> float:
    """Return an amount of memory as sbatch writes it, in GB; without a unit it is in GB."""
    found = _MEMORY.fullmatch(str(value).strip())
    if found is None or float(found[1]) == 0:
        message = "it is not an amount of memory"
        raise ValueError(message)
    return float(found[1]) * _IN_GB[(found[2] or "g").lower()]


class SlurmOptions(options.Options):
    """Options of the engine ``slurm``."""

    executor: Literal["slurm", "local"] = "slurm"
    """``local`` starts the jobs on this machine, to try what a cluster is going to do."""
    partition: str | None = None
    """Partition."""
    time: Annotated[int, BeforeValidator(_minutes)] = 240
    """Longest time of a job, in minutes or like 4:00:00 or 1-12:00; a run that takes longer stops
    with a checkpoint and is put into the queue again."""
    requeues: int = Field(20, ge=0)
    """How often a run is put into the queue again at most."""
    cpus: int = Field(1, ge=1)
    """CPUs of each run, which are also its threads."""
    gpus: int = Field(0, ge=0)
    """GPUs of each run."""
    mem: Annotated[float, BeforeValidator(_gigabytes)] | None = None
    """Memory of each run, in GB or like 16G or 800M."""
    account: str | None = None
    """Account that pays."""
    qos: str | None = None
    """Quality of service."""
    constraint: str | None = None
    """Features that machines must have."""
    gres: str | None = None
    """Generic resources, such as gpu:a100:1."""
    exclude: str | None = None
    """Machines that are not to be used."""
    nodelist: str | None = None
    """Machines that are to be used."""
    setup: str | None = None
    """A line of the shell before each run, such as ``module load cuda``."""
    warn_s: int = Field(90, ge=1)
    """How long before its end a job is told to write a checkpoint, in seconds."""


class Slurm:
    """The engine of a Slurm cluster, which queues the runs and places them on its machines.

    Jobs go on when the study goes away (a connection that breaks, a login node that is started
    again); the next call finds them, waits with them and hands in what is missing. Ctrl-C stops
    them: those in the queue are cancelled, those at work write a checkpoint.
    """

    name = "slurm"
    queues = True

    def __init__(self, jobs: int | None = None, given: Mapping[str, str] | None = None) -> None:
        """Prepare.

        Args:
            jobs: Runs in the queue or at work at a time; None for all.
            given: The options that the user wrote: those of `SlurmOptions`, and any of sbatch with
                ``sbatch.`` before its name.

        Raises:
            SpecError: ``missing-package``; ``bad-option`` for a wrong option, or if this machine
                has no Slurm.
        """
        options.require("submitit", self.name)
        given = given or {}
        n = len(PASSED_ON)
        self._passed_on = {k[n:]: v for k, v in given.items() if k.startswith(PASSED_ON)}
        own = {key: value for key, value in given.items() if not key.startswith(PASSED_ON)}
        self._asked = options.read(SlurmOptions, own, self.name)
        self._queue = None if self._asked.executor == "local" else Queue()
        self.threads = self._asked.cpus
        self.slots = jobs
        if self._queue is None and jobs is None:
            self.slots = max(1, cores() // self.threads)
        self._executor(Path())  # a machine without Slurm is told now

    def start(self, job: Job) -> Submitted:
        """Submit a run, unless it is in the queue already."""
        folder = job.files / self.name
        return Submitted(job, self._waiting(job, folder) or self._submit(job, folder), self._queue)

    def close(self) -> None:
        """Nothing is held."""

    def _submit(self, job: Job, folder: Path) -> Any:
        """Return a new job of submitit.

        Raises:
            SpecError: ``bad-option`` if Slurm refuses it.
        """
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        executor = self._executor(folder)
        executor.update_parameters(name=job.run.name)
        try:
            made = executor.submit(Minder(job.description))
        except (FailedJobError, FailedSubmissionError, OSError) as error:
            said = re.search(r"error: (?!Batch job submission failed: Unspec)(.*)", str(error))
            message = f"Slurm refuses {job.title}: {said[1] if said else error}"
            hint = "see what the cluster offers with `sinfo` and `sacctmgr show qos`, and change "
            raise fail(Code.BAD_OPTION, message, hint + "the `--engine-option`s") from error
        jobs.replace(_record(job), {"job": made.job_id, "submitted": str(made.paths.folder)})
        return made

    def _waiting(self, job: Job, folder: Path) -> Any:
        """Return the job of an earlier call that is still in the queue, or None."""
        from submitit import SlurmJob

        number = jobs.read(_record(job)).get("job")
        if self._queue is None or not number or not self._queue.has(number, fresh=True):
            return None
        found: SlurmJob[int] = SlurmJob(folder, number)
        return None if found.paths.result_pickle.exists() else found

    def _executor(self, folder: Path) -> Any:
        """Return what submits jobs.

        Raises:
            SpecError: ``bad-option`` if this machine has no Slurm.
        """
        from submitit import AutoExecutor

        asked = self._asked
        retries = {f"{kind}_max_num_timeout": asked.requeues for kind in ("slurm", "local")}
        try:
            executor = AutoExecutor(folder, cluster=asked.executor, **retries)
        except RuntimeError as error:
            message = "this machine has no Slurm: there is no `srun`"
            hint = "call it on a login node of the cluster, or try it here with "
            hint += "`--engine-option executor=local`"
            raise fail(Code.BAD_OPTION, message, hint) from error
        executor.update_parameters(
            timeout_min=asked.time,
            nodes=1,
            tasks_per_node=1,
            cpus_per_task=asked.cpus,
            gpus_per_node=asked.gpus or None,
            mem_gb=asked.mem,
            stderr_to_stdout=True,
        )
        executor.update_parameters(**self._only_slurm())
        return executor

    def _only_slurm(self) -> dict[str, Any]:
        """Return the parameters of submitit that only a real cluster has."""
        asked = self._asked
        named = ("partition", "account", "qos", "constraint", "gres", "exclude", "nodelist")
        found: dict[str, Any] = {f"slurm_{name}": getattr(asked, name) for name in named}
        kind = asked.executor
        return found | {
            f"{kind}_setup": [asked.setup] if asked.setup else None,
            "slurm_signal_delay_s": asked.warn_s,
            "slurm_additional_parameters": {"requeue": True, **self._passed_on},
            # Since Slurm 22.05 srun does not take this over from sbatch.
            "slurm_srun_args": [f"--cpus-per-task={asked.cpus}"],
        }


class Submitted(Remote):
    """A run that is a job of Slurm."""

    def __init__(self, job: Job, submitted: Any, queue: Queue | None) -> None:
        """Prepare.

        Args:
            job: The run.
            submitted: submitit's view of the job.
            queue: The queue of Slurm; None for submitit's local executor.
        """
        super().__init__(job)
        self._submitted = submitted
        self._queue = queue
        if queue is not None:
            queue.expect(submitted.job_id)

    def gone(self) -> str | None:
        """Return how the job ended, in words, or None while it is in the queue or at work."""
        from submitit.core.utils import UncompletedJobError

        if self._submitted.paths.result_pickle.exists():
            try:
                return jobs.death(self._submitted.result(), self.job)
            except UncompletedJobError as error:
                return _last_line(str(error))
        number = self._submitted.job_id
        if self._queue is None:
            gone, state = self._submitted.done(), ""
        else:
            gone = not self._queue.has(number, fresh=self.asked != GO)
            state = last_state(number) if gone else ""
        if not gone:
            return None
        known = f", as {state}" if state else ""
        text = f"its job {number} was ended{known}; what it printed is in "
        return f"{text}{self._submitted.paths.stdout}"

    def withdraw(self) -> None:
        """Cancel the job if it has not begun."""
        if self._queue is not None:
            cancel_waiting(self._submitted.job_id)

    def destroy(self) -> None:
        """Cancel the job."""
        try:
            self._submitted.cancel(check=False)
        except OSError:
            return  # it has ended already, or there is no scancel


def _record(job: Job) -> Path:
    return job.files / f"{job.identity}.slurm.json"


def _last_line(trace: str) -> str:
    """Return the exception in the text that submitit makes of one."""
    found = re.findall(r"^(?:[\w.]+(?:Error|Exception)): (.*)$", trace, re.MULTILINE)
    return found[-1] if found else trace.strip().split(os.linesep)[-1]
