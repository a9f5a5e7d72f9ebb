"""The loop of a study: hand runs to an engine, look how they are, until all have ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from graphspec.study import jobs
from graphspec.study.board import (
    DONE,
    FAILED,
    FINISHED,
    INTERRUPTED,
    RUNNING,
    WAITING,
    Board,
    Entry,
    Watcher,
)
from graphspec.study.engines import Engine, Handle, following
from graphspec.study.jobs import JOBS, Job, Outcome
from graphspec.study.ledger import Planned
from graphspec.training.folder import explained_writing, write_text

POLL_S = 0.1
"""How often it is looked whether a run has ended, in seconds."""

TICK_S = 0.5
"""How often progress is read and told, in seconds."""


@dataclass
class _Working:
    """A run that an engine has."""

    entry: Entry
    job: Job
    handle: Handle


class Runner:
    """Trains the runs of a study that are not done.

    Ctrl-C and the end of the time budget ask the runs to stop after their current step, each with
    a checkpoint; a second Ctrl-C ends them at once, and they go on from their last checkpoint.
    """

    def __init__(
        self,
        runs: Sequence[Planned],
        study: Path,
        engine: Engine,
        watcher: Watcher,
        plugins: Sequence[str] = (),
        seconds: float | None = None,
    ) -> None:
        """Prepare.

        Args:
            runs: The runs of the study.
            study: Its folder.
            engine: Who trains.
            watcher: Who is told.
            plugins: Files of plugins that workers load.
            seconds: After how long runs are asked to stop; None: never.
        """
        entries = [Entry(run, DONE if run.done else WAITING) for run in runs]
        slots = engine.slots if engine.slots is not None else max(1, len(runs))
        self.board = Board(study, entries, slots, engine.threads)
        self.interrupted = False
        self.out_of_time = False
        self._engine, self._watcher, self._plugins = engine, watcher, tuple(plugins)
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self._working: list[_Working] = []
        self._ticked = 0.0

    def run(self, notes: Sequence[str] = ()) -> None:
        """Train until every run has ended, or until it is asked to stop.

        Args:
            notes: What the watcher is told first.

        Raises:
            SpecError: ``disk-full`` or ``cannot-write``.
        """
        self._watcher.begin(self.board, notes)
        waiting = self._once([e for e in self.board.entries if e.state == WAITING])
        try:
            while waiting or self._working:
                if self._is_over():
                    self.out_of_time = True
                    waiting.clear()
                    self._each(lambda handle: handle.stop())
                while waiting and len(self._working) < self.board.slots:
                    self._start(waiting.pop(0))
                self._look()
        except KeyboardInterrupt:
            self.interrupted = True
            self._stop()
        except BaseException:
            self._stop()
            raise
        finally:
            self._settle_doubles()

    def _is_over(self) -> bool:
        """Return whether the time budget is used up just now."""
        over = self._deadline is not None and time.monotonic() >= self._deadline
        return over and not self.out_of_time

    def _once(self, entries: list[Entry]) -> list[Entry]:
        """Return entries without those whose run another one trains already."""
        return list({entry.planned.identity: entry for entry in reversed(entries)}.values())[::-1]

    def _start(self, entry: Entry) -> None:
        files = self.board.folder / JOBS
        with explained_writing(files):
            files.mkdir(parents=True, exist_ok=True)
        run = entry.planned
        job = Job(
            identity=run.identity,
            label=run.variant.label,
            seed=run.seed,
            run=run.folder.resolve(),
            spec=(files / f"{run.identity}.yaml").resolve(),
            files=files.resolve(),
            directory=Path.cwd(),
            threads=self._engine.threads,
            plugins=self._plugins,
        )
        write_text(job.spec, run.spec.resolved_yaml())
        entry.began = time.monotonic()
        entry.state, entry.queued = RUNNING, self._engine.queues
        handle = following.begin(self._engine, job, self._watcher.warning)
        self._working.append(_Working(entry, job, handle))
        self._watcher.changed(self.board, entry)

    def _look(self) -> None:
        """Wait a moment; see which runs have ended and where the others are."""
        time.sleep(POLL_S)
        for each in list(self._working):
            code = each.handle.poll()
            if code is not None:
                self._working.remove(each)
                self._end(each, code)
        now = time.monotonic()
        if now - self._ticked >= TICK_S:
            self._ticked = now
            for each in self._working:
                each.entry.heard(jobs.read(each.job.progress))
            self._watcher.tick(self.board)

    def _end(self, work: _Working, code: int) -> None:
        outcome = Outcome.of(work.job, code)
        entry = work.entry
        entry.heard(jobs.read(work.job.progress))
        entry.queued = False
        entry.state = {"finished": FINISHED, "interrupted": INTERRUPTED}.get(outcome.status, FAILED)
        entry.message = outcome.message
        entry.seconds = time.monotonic() - entry.began
        self._watcher.changed(self.board, entry)

    def _stop(self) -> None:
        """Ask the runs to stop and wait for their checkpoints; end them at a second Ctrl-C."""
        self._each(lambda handle: handle.stop())
        try:
            while self._working:
                self._look()
        except KeyboardInterrupt:
            self._each(lambda handle: handle.kill())
            while self._working:
                with suppress(KeyboardInterrupt):
                    self._look()

    def _each(self, act: Callable[[Handle], None]) -> None:
        for work in self._working:
            act(work.handle)

    def _settle_doubles(self) -> None:
        """Give runs that several variants share the state of the one that was trained."""
        states = {
            entry.planned.identity: entry for entry in self.board.entries if entry.state != WAITING
        }
        for entry in self.board.entries:
            twin = states.get(entry.planned.identity)
            if entry.state == WAITING and twin is not None:
                entry.state, entry.message, entry.seconds = twin.state, twin.message, twin.seconds
