"""A run as work for an engine: what a worker process is told, and what it tells.

Everything passes through small files in the study's folder, so that a worker may as well be on
another machine that sees the same folder.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

RUNS = "runs"
JOBS = "jobs"

GO, STOP, KILL = "go", "stop", "kill"
"""What a worker can be asked for: to work, to stop with a checkpoint, to end at once."""


@dataclass(frozen=True)
class Job:
    """One run that is to be trained, or gone on with.

    Attributes:
        identity: What it is: see `graphspec.study.identity`.
        label: The variant.
        seed: The seed.
        run: The folder of the run.
        spec: The file of its resolved spec.
        files: Its folder for what a worker is told and tells.
        directory: The folder in which the worker runs, as paths in the spec are relative to it.
        threads: Threads of the worker.
        plugins: Files of plugins that it loads.
    """

    identity: str
    label: str
    seed: int
    run: Path
    spec: Path
    files: Path
    directory: Path
    threads: int = 1
    plugins: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The run in words."""
        return f"{self.label}, seed {self.seed}"

    @property
    def description(self) -> Path:
        """The file that tells a worker what to do."""
        return self.files / f"{self.identity}.json"

    @property
    def progress(self) -> Path:
        """The file in which a worker tells where it is."""
        return self.files / f"{self.identity}.progress.json"

    @property
    def outcome(self) -> Path:
        """The file in which a worker tells how it ended."""
        return self.files / f"{self.identity}.outcome.json"

    @property
    def log(self) -> Path:
        """What a worker prints, warnings and tracebacks included."""
        return self.files / f"{self.identity}.log"

    @property
    def claim(self) -> Path:
        """The file in which a worker says that it is at work: see `graphspec.study.claims`."""
        return self.files / f"{self.identity}.claim"

    @property
    def control(self) -> Path:
        """The file that tells a worker on another machine to stop: see `graphspec.study.minder`."""
        return self.files / f"{self.identity}.control"

    def write(self) -> None:
        """Write what a worker is told, and clear away what an earlier one told."""
        from graphspec.training.folder import write_json

        for path in (self.progress, self.outcome):
            path.unlink(missing_ok=True)
        self.ask(GO)
        plain = {key: str(v) if isinstance(v, Path) else v for key, v in asdict(self).items()}
        write_json(self.description, plain)

    def ask(self, word: str) -> None:
        """Ask the worker for something: `GO`, `STOP` or `KILL`.

        The file is there from the start and is written over: that a file is new may be seen late
        on another machine, but not that it has changed.
        """
        self.control.write_text(word, encoding="utf-8")

    def asked(self) -> str:
        """Return what the worker is asked for."""
        try:
            return self.control.read_text(encoding="utf-8")
        except OSError:
            return GO

    def tell(self, status: str, message: str = "") -> None:
        """Say how the work ended."""
        replace(self.outcome, {"status": status, "message": message})

    @classmethod
    def read(cls, path: Path) -> Job:
        """Read what `write` wrote."""
        plain = json.loads(path.read_text(encoding="utf-8"))
        for key in ("run", "spec", "files", "directory"):
            plain[key] = Path(plain[key])
        return cls(**{**plain, "plugins": tuple(plain["plugins"])})


@dataclass(frozen=True)
class Outcome:
    """How the work on a run ended.

    Attributes:
        status: ``finished``, ``interrupted`` or ``failed``.
        message: What failed, as the user may read it.
    """

    status: str
    message: str = ""

    @classmethod
    def of(cls, job: Job, code: int) -> Outcome:
        """Return how a worker process ended.

        Args:
            job: Its work.
            code: Its exit code; that of a signal is negative.
        """
        told = read(job.outcome)
        if told.get("status") in ("finished", "interrupted", "failed"):
            return cls(str(told["status"]), str(told.get("message", "")))
        if code in (130, -signal.SIGINT):
            return cls("interrupted")  # before it had begun
        return cls("failed", death(code, job))


def read(path: Path) -> Mapping[str, Any]:
    """Return the content of a small file that another process replaces, or nothing."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def replace(path: Path, content: Mapping[str, Any]) -> None:
    """Replace a small file; readers see the old or the new one. It need not survive a crash."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(json.dumps(content), encoding="utf-8")
    part.replace(path)


def death(code: int, job: Job) -> str:
    """Return in words how a worker process ended that had no time to say so."""
    return f"{_signal(code)}; its output is in {job.log}"


def _signal(code: int) -> str:
    if code >= 0:
        return f"its process ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    why = " (perhaps for want of memory)" if name == "SIGKILL" else ""
    return f"its process was ended by {name}{why}"
