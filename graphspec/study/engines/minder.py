"""What an engine runs on another machine: it starts the worker there and passes on what it is told.

``python -m graphspec.study.engines.minder JOB.json`` is the same as a process.

The study writes into the run's control file what it wants; the minder, beside the worker, reads it.
So a study can stop a run wherever it is trained, without a connection to it.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import graphspec
from graphspec.study import jobs
from graphspec.study.engines.local import launch
from graphspec.study.jobs import GO, KILL, STOP, Job

LOOK_S = 0.5
"""How often the control file is read, in seconds."""

CHECKPOINT_S = 600.0
"""How long a checkpoint may take before the job is given up, in seconds."""


class Minder:
    """A run, as a function that an engine calls on the machine of its choice.

    It holds nothing but a path while it travels.
    """

    def __init__(self, description: Path) -> None:
        """Prepare.

        Args:
            description: The file that tells the worker what to do.
        """
        self.description = str(description)
        self.version = graphspec.__version__
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> int:
        """Train the run; return the exit code of its worker.

        Raises:
            RuntimeError: If this machine cannot train it, with the reason.
        """
        job = self.check()
        if job.asked() != GO:
            return 130
        jobs.replace(job.progress, {"host": socket.gethostname()})
        self._process = _start(job)
        heard = GO
        while (code := self._process.poll()) is None:
            try:
                word = job.asked()
                if word != heard and word in (STOP, KILL):
                    heard = word
                    self._process.send_signal(signal.SIGINT if word == STOP else signal.SIGKILL)
                time.sleep(LOOK_S)
            except KeyboardInterrupt:
                continue  # the control file says what is wanted; see there
        return code

    def checkpoint(self) -> Any:
        """Stop the worker with a checkpoint, as the machine is about to be taken away.

        submitit calls this in its handler of the signal that Slurm sends before it ends a job.

        Returns:
            What is to be submitted again, or None if nothing is left to do.
        """
        from submitit.helpers import DelayedSubmission

        if self._process is None:
            return DelayedSubmission(Minder(Path(self.description)))
        _stopped(self._process)
        job = Job.read(Path(self.description))
        told = jobs.read(job.outcome).get("status")
        if told in ("finished", "failed") or job.asked() != GO:
            return None
        return DelayedSubmission(Minder(Path(self.description)))

    def check(self) -> Job:
        """Return what is to be done, after a look whether it can be done here.

        Raises:
            RuntimeError: If not, with the reason.
        """
        host = socket.gethostname()
        if graphspec.__version__ != self.version:
            message = f"{host} has graphspec {graphspec.__version__}, the study {self.version}"
            raise RuntimeError(message)
        path = Path(self.description)
        if not path.is_file():
            message = f"{host} does not see `{path}`: the study must be in a folder that all "
            message += "machines see under the same path"
            raise RuntimeError(message)
        job = Job.read(path)
        if not job.directory.is_dir():
            message = f"{host} does not see `{job.directory}`, the folder that paths in the specs "
            message += "are relative to"
            raise RuntimeError(message)
        return job

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_process": None}


def _start(job: Job) -> subprocess.Popen[bytes]:
    """Start the worker so that it hears what it should.

    It is deaf to the signal by which Slurm tells all processes of a job of their end: the minder
    hears that, and gives the worker the time that it needs. SIGINT waits until the worker is ready
    for it; it would be lost if it were ignored, as it is where Ray was started in the background.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    kept_back = {signal.SIGUSR2, signal.SIGINT}
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, kept_back)
    try:
        return launch(job)  # what is blocked stays so in the new process
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


def _stopped(process: subprocess.Popen[bytes]) -> None:
    """Interrupt a process and wait for its end, in a signal handler.

    `Popen.wait` would wait for a lock that the code below the handler may hold.
    """
    deadline = time.monotonic() + CHECKPOINT_S
    try:
        os.kill(process.pid, signal.SIGINT)
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        while os.waitid(os.P_PID, process.pid, options) is None and time.monotonic() < deadline:
            time.sleep(0.05)
    except (ProcessLookupError, ChildProcessError):
        return


def apart(mind: Minder) -> int:
    """Train the run in a process of its own that minds the worker; return the exit code.

    Ray kills the processes that a task has started when the program that asked for the task is
    gone. The one killed is then the minder, and the worker notices and stops with a checkpoint.

    Raises:
        RuntimeError: If this machine cannot train the run, with the reason.
    """
    mind.check()
    command = [sys.executable, "-m", __name__, mind.description]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    while (code := process.poll()) is None:
        try:
            time.sleep(LOOK_S)
        except KeyboardInterrupt:
            continue  # how Ray cancels a task: the control file says what is wanted
    return 128 - code if code > 128 else code


if __name__ == "__main__":
    code = Minder(Path(sys.argv[1]))()
    sys.exit(code if code >= 0 else 128 - code)
