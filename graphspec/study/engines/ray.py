"""Runs on a Ray cluster: each is a task that starts a worker process on one of its machines."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from graphspec.errors import Code, fail
from graphspec.study import jobs
from graphspec.study.engines import options
from graphspec.study.engines.minder import Minder, apart
from graphspec.study.engines.remote import Remote
from graphspec.study.jobs import Job

GIB = 2**30


class RayOptions(options.Options):
    """Options of the engine ``ray``."""

    address: str = "auto"
    """The cluster: ``HOST:PORT``, ``auto`` for the one of RAY_ADDRESS or the one that this machine
    is part of, or ``local`` for one of this machine alone that ends with the study."""
    cpus: int = Field(1, ge=1)
    """CPUs of each run, which are also its threads."""
    gpus: float | None = Field(None, ge=0)
    """GPUs of each run, such as 1, or 0.5 for two runs a GPU; by default 1 where the cluster has
    GPUs."""
    memory: float | None = Field(None, gt=0)
    """Memory of each run in GiB, so that Ray starts no more runs on a machine than fit."""
    grows: bool = False
    """Whether the cluster starts machines on demand, so that runs may ask for more than any has."""


class Ray:
    """The engine of a Ray cluster, which queues the runs and places them on its machines.

    The runs end when the study does, each with a checkpoint: Ray ends the tasks of a program that
    has gone.
    """

    name = "ray"
    queues = True

    def __init__(self, jobs: int | None = None, given: Mapping[str, str] | None = None) -> None:
        """Connect to the cluster.

        Args:
            jobs: Runs at a time; None for as many as the cluster has room for.
            given: The options that the user wrote: those of `RayOptions`.

        Raises:
            SpecError: ``missing-package``; ``bad-option`` for a wrong option, where there is no
                cluster, or where no machine of it is large enough for a run.
        """
        options.require("ray", self.name)
        asked = options.read(RayOptions, given or {}, self.name)
        self.slots = jobs
        self.threads = asked.cpus
        self._ours = _connect(asked.address)
        try:
            self._demand = _demand(asked)
        except BaseException:
            self.close()
            raise

    def start(self, job: Job) -> Task:
        """Put a run into Ray's queue."""
        import ray

        call = ray.remote(**self._demand)(apart)
        return Task(job, call.options(name=job.title).remote(Minder(job.description)))

    def close(self) -> None:
        """Leave the cluster, if it was this engine that joined it."""
        import ray

        if self._ours:
            ray.shutdown()


class Task(Remote):
    """A run that Ray has."""

    def __init__(self, job: Job, task: Any) -> None:
        """Prepare.

        Args:
            job: The run.
            task: Ray's reference to what its task returns.
        """
        super().__init__(job)
        self._task = task

    def gone(self) -> str | None:
        """Return how the task ended, in words, or None while Ray has it."""
        import ray
        from ray import exceptions

        ready, _ = ray.wait([self._task], timeout=0)
        if not ready:
            return None
        try:
            return jobs.death(ray.get(self._task), self.job)
        except exceptions.TaskCancelledError:
            return "it was taken out of Ray's queue"
        except exceptions.RayTaskError as error:
            return str(error.cause)
        except exceptions.RayError as error:
            why = str(error).strip().split("\n")[0].split(". ")[0].rstrip(".")
            return f"Ray lost it: {why}; the next call goes on from its last checkpoint"

    def withdraw(self) -> None:
        """Cancel the task if it has not begun; were it to begin now, its minder takes no notice."""
        import ray

        if not self.begun:
            ray.cancel(self._task)

    def destroy(self) -> None:
        """End the process that minds the worker, by which the worker ends, too."""
        import ray

        ray.cancel(self._task, force=True)


def _connect(address: str) -> bool:
    """Join a cluster; return whether this was necessary.

    Raises:
        SpecError: ``bad-option`` if there is none.
    """
    import ray
    from ray.exceptions import RayError

    if ray.is_initialized():
        return False
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == "local":
        quiet["include_dashboard"] = False
    try:
        ray.init(address, **quiet)
    except (ConnectionError, RuntimeError, ValueError, OSError, RayError) as error:
        if address == "auto":
            message = "there is no Ray cluster: none runs here, and RAY_ADDRESS names none"
        else:
            first = str(error).strip().split("\n")[0]
            message = f"the Ray cluster at `{address}` cannot be joined: {first}"
        hint = "start one with `ray start --head`, and `ray start --address=HOST:6379` on each "
        hint += "further machine; or `--engine-option address=local` for this machine alone"
        raise fail(Code.BAD_OPTION, message, hint) from error
    return True


def _demand(asked: RayOptions) -> dict[str, Any]:
    """Return what Ray is asked for, for each run.

    Raises:
        SpecError: ``bad-option`` if no machine has that much.
    """
    import ray

    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = asked.gpus
    if gpus is None:
        gpus = 1.0 if any(machine.get("GPU") for machine in machines) else 0.0
    memory = None if asked.memory is None else int(asked.memory * GIB)
    demand = {"CPU": float(asked.cpus), "GPU": gpus, "memory": float(memory or 0)}
    if not asked.grows and not any(_fits(demand, machine) for machine in machines):
        most = {key: max((m.get(key, 0.0) for m in machines), default=0.0) for key in demand}
        message = "no machine of the Ray cluster is large enough for a run with "
        message += f"{_words(demand)}; the most that one has: {_words(most)}"
        hint = "ask for less, or set `--engine-option grows=true` if it starts machines on demand"
        raise fail(Code.BAD_OPTION, message, hint)
    return {
        "num_cpus": asked.cpus,
        "num_gpus": gpus,
        "memory": memory,
        "max_retries": 0,  # what has failed is for the user to see; the next call goes on
        "scheduling_strategy": "SPREAD",
    }


def _fits(demand: Mapping[str, float], machine: Mapping[str, float]) -> bool:
    return all(machine.get(key, 0.0) >= amount for key, amount in demand.items())


def _words(amount: Mapping[str, float]) -> str:
    parts = [f"{amount['CPU']:g} CPUs"]
    if amount["GPU"]:
        parts.append(f"{amount['GPU']:g} GPUs")
    if amount["memory"]:
        parts.append(f"{amount['memory'] / GIB:.3g} GiB")
    return ", ".join(parts)
