"""A process that trains one run of a study: ``python -m graphspec.study.worker JOB.json``.

It is the only one at work on its run, and waits as long as another is. It tells where it is in a
small file about once a second. If the process that started it goes away
(its end of stdin closes), it stops after the current step with a checkpoint, as by Ctrl-C.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from graphspec.errors import SpecError, render_text
from graphspec.study import claims, jobs
from graphspec.study.jobs import Job
from graphspec.training.observer import Header, Progress, Record

TELL_S = 1.0
"""How often progress is told, in seconds."""

WATCHED = "GRAPHSPEC_STUDY_WATCHED"
"""Environment variable that says that stdin closes when the study goes away."""


class Teller:
    """An observer that writes where a run is into a file, and lines into the log."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._told = 0.0
        self._state: dict[str, Any] = {}

    def start(self, header: Header) -> None:
        """Tell how long it is going to be."""
        self._state = {
            "epoch": header.start_epoch + 1,
            "epochs": header.epochs,
            "step": 0,
            "steps": header.steps,
            "done": header.start_epoch / header.epochs,
            "left_s": None,
            "scores": {},
        }
        print(f"{header.name} on {header.data}, seed {header.seed}: {header.folder}", flush=True)
        self._tell()

    def step(self, progress: Progress) -> None:
        """Tell where it is, now and then."""
        part = progress.step / max(1, progress.steps) if progress.stage == "train" else 1.0
        self._state |= {
            "epoch": progress.epoch,
            "step": progress.step,
            "steps": progress.steps,
            "stage": progress.stage,
            "done": (progress.epoch - 1 + part) / progress.epochs,
            "left_s": progress.seconds_left,
        }
        if time.monotonic() - self._told >= TELL_S:
            self._tell()

    def epoch(self, records: Sequence[Record]) -> None:
        """Tell what the epoch reached."""
        for record in records:
            print(record, flush=True)
            if record["split"] == "train":  # steps of short epochs are not told of
                epoch = int(record["epoch"])
                self._state |= {"epoch": epoch, "done": epoch / self._state["epochs"]}
            if record["split"] in ("validation", "test"):
                self._state["scores"] = record
        self._tell()

    def warning(self, text: str) -> None:
        """Keep it in the log; the run's folder has it too."""
        print(f"warning: {text}", flush=True)

    def end(self, summary: Mapping[str, Any]) -> None:
        """Tell nothing: the outcome does."""

    def _tell(self) -> None:
        self._told = time.monotonic()
        try:
            jobs.replace(self._path, self._state)
        except OSError:
            return  # a full disk: the run itself will say so


def work(job: Job) -> int:
    """Train a run, or go on with it, as the only one that does; return the exit code."""
    try:
        with claims.held(job.claim):
            job.outcome.unlink(missing_ok=True)  # of an earlier attempt of the same job
            return _worked(job)
    except KeyboardInterrupt:
        return 130  # while another one was at work on the run


def _worked(job: Job) -> int:
    """Train, and tell how it ended; return the exit code."""
    status, message, code = "failed", "", 2
    try:
        status = _trained(job)
        code = 0 if status == "finished" else 130
    except SpecError as error:
        message = render_text(error.diagnostics)
        print(message, flush=True)
    except KeyboardInterrupt:
        status, code = "interrupted", 130
    except Exception as error:
        traceback.print_exc()
        message = f"{type(error).__name__}: {error}; the traceback is in {job.log}"
        code = 1
    job.tell(status, message)
    return code


def _trained(job: Job) -> str:
    """Train and return the status of the run."""
    from graphspec.ops.plugins import load_plugin
    from graphspec.training import folder
    from graphspec.training.run import train

    for name in job.plugins:
        load_plugin(name)
    teller = Teller(job.progress)
    if folder.is_run(job.run):
        return train(resume=job.run, observer=teller).status
    _clear(job.run)
    return train(job.spec, out=job.run, observer=teller).status


def _clear(path: Path) -> None:
    """Remove what a worker left that died before its run had begun."""
    import shutil

    if path.is_dir():
        shutil.rmtree(path)


def _stop_with_parent() -> None:
    """Interrupt this process when nobody holds the other end of stdin any more."""

    def watch() -> None:
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=watch, daemon=True).start()


def _hear_interrupts() -> None:
    """Let Ctrl-C be heard, which we send ourselves: Ray and shells may have made us deaf to it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def main() -> int:
    """Do what the file named on the command line says."""
    _hear_interrupts()
    if os.environ.pop(WATCHED, None):
        _stop_with_parent()
    return work(Job.read(Path(sys.argv[1])))


if __name__ == "__main__":
    sys.exit(main())
