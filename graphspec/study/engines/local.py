"""Runs on this machine, each in a process of its own with its share of the threads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass

from graphspec.study.jobs import Job
from graphspec.study.worker import WATCHED

MOST = 8
"""Runs at a time at most where the user names no number: each holds the data in memory."""

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Local:
    """The engine of this machine.

    With GPUs the runs are spread over them by turns; otherwise the cores are divided.
    """

    name = "local"
    queues = False

    def __init__(self, jobs: int | None = None) -> None:
        """Prepare.

        Args:
            jobs: Runs at a time; None for one a GPU, or one a core.
        """
        self._gpus = _gpus()
        self.slots: int | None = jobs or (len(self._gpus) or min(cores(), MOST))
        self.threads = max(1, cores() // self.slots)
        self._started = 0

    def start(self, job: Job) -> Running:
        """Start a worker process."""
        environment = {}
        if len(self._gpus) > 1:
            environment["CUDA_VISIBLE_DEVICES"] = self._gpus[self._started % len(self._gpus)]
        self._started += 1
        return Running(launch(job, **environment))

    def close(self) -> None:
        """Nothing is held."""


def launch(job: Job, **environment: str) -> subprocess.Popen[bytes]:
    """Start the worker process of a run on this machine.

    Args:
        job: The run; its description is written already.
        environment: Environment variables that differ from ours.
    """
    threads = dict.fromkeys(_THREADS, str(job.threads))
    with job.log.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "graphspec.study.worker", str(job.description.resolve())],
            stdin=subprocess.PIPE,  # its closing tells the worker that we are gone
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=job.directory,
            env=os.environ | threads | {WATCHED: "1"} | environment,
            start_new_session=True,  # Ctrl-C is ours to pass on
        )


@dataclass
class Running:
    """A worker process."""

    process: subprocess.Popen[bytes]

    def poll(self) -> int | None:
        """Return its exit code, or None while it works."""
        return self.process.poll()

    def stop(self) -> None:
        """Send what Ctrl-C sends."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End it."""
        if self.process.poll() is None:
            self.process.kill()


def _gpus() -> list[str]:
    """Return the GPUs that may be used, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    listed = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return listed.split(",")[:count] if listed else [str(number) for number in range(count)]
