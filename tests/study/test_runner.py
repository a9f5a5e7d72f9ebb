"""The loop of a study, with workers that only pretend."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from graphspec.errors import SpecError
from graphspec.language.studies import Study
from graphspec.study import ledger, plan, runner
from graphspec.study.board import Board
from graphspec.study.jobs import Job, Outcome
from graphspec.study.ledger import Planned
from graphspec.study.runner import Runner
from graphspec.study.variants import variants
from tests.study.conftest import Notes


class Pretender:
    """A worker that ends when it is told to, or after a number of looks."""

    def __init__(self, job: Job, looks: int, stubborn: bool) -> None:
        self._job, self._looks, self._stubborn = job, looks, stubborn
        self.code: int | None = None
        self.asked = 0

    def poll(self) -> int | None:
        if self.code is None and self._looks == 0:
            self.end("finished", 0)
        self._looks -= 1
        return self.code

    def end(self, status: str, code: int) -> None:
        self._job.outcome.write_text(json.dumps({"status": status, "message": ""}))
        self.code = code

    def stop(self) -> None:
        self.asked += 1
        if not self._stubborn:
            self.end("interrupted", 130)

    def kill(self) -> None:
        self.code = -9


@dataclass
class Pretenders:
    """An engine of pretending workers."""

    slots: int | None = 2
    threads: int = 1
    name: str = "pretenders"
    queues: bool = False
    looks: int = 2
    stubborn: bool = False

    def __post_init__(self) -> None:
        self.workers: list[Pretender] = []
        self.jobs: list[Job] = []
        self.most = 0

    def start(self, job: Job) -> Pretender:
        self.jobs.append(job)
        self.workers.append(Pretender(job, self.looks, self.stubborn))
        self.most = max(self.most, sum(worker.code is None for worker in self.workers))
        return self.workers[-1]

    def close(self) -> None:
        """Nothing is held."""


class Pressing(Notes):
    """A watcher that presses Ctrl-C."""

    def __init__(self, *at: int) -> None:
        super().__init__()
        self._at, self._ticks = at, 0

    def tick(self, board: Board) -> None:
        self._ticks += 1
        if self._ticks in self._at:
            raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "POLL_S", 0.0)
    monkeypatch.setattr(runner, "TICK_S", 0.0)


def planned(seeds: int = 3) -> list[Planned]:
    asked = plan.asked(Study.model_validate({"specs": ["apart.yaml", "shared.yaml"]}))
    return ledger.planned(variants(asked), range(seeds), Path("study"), lambda text: None)


def made(engine: Pretenders, watcher: Notes | None = None, **options: object) -> Runner:
    return Runner(planned(), Path("study"), engine, watcher or Notes(), **options)  # type: ignore[arg-type]


def test_as_many_at_a_time_as_there_are_slots(there: Path) -> None:
    engine = Pretenders(slots=2)
    run = made(engine)
    run.run()
    assert [entry.state for entry in run.board.entries] == ["finished"] * 6
    assert engine.most == 2


def test_an_engine_with_a_queue_gets_all_at_once(there: Path) -> None:
    engine = Pretenders(slots=None)
    made(engine).run()
    assert engine.most == 6


def test_a_run_is_queued_until_its_worker_tells_of_itself(there: Path) -> None:
    engine = Pretenders(slots=None, queues=True, looks=6)
    seen: list[tuple[bool, ...]] = []

    class Looking(Notes):
        def tick(self, board: Board) -> None:
            seen.append(tuple(entry.queued for entry in board.entries[:2]))
            if len(seen) == 2:
                engine.jobs[1].progress.write_text('{"host": "node7"}')

    run = made(engine, Looking())
    run.run()
    assert seen[0] == seen[1] == (True, True)
    assert seen[2] == (True, False)
    assert not any(entry.queued for entry in run.board.entries)


def test_ctrl_c_asks_the_workers_to_stop_and_starts_no_more(there: Path) -> None:
    engine = Pretenders(looks=1000)
    run = made(engine, Pressing(3))
    run.run()
    assert run.interrupted
    assert [worker.asked for worker in engine.workers] == [1, 1]
    states = [entry.state for entry in run.board.entries]
    assert states == ["interrupted"] * 2 + ["waiting"] * 4


def test_a_second_ctrl_c_ends_workers_that_do_not_stop(there: Path) -> None:
    engine = Pretenders(looks=1000, stubborn=True)
    run = made(engine, Pressing(3, 6))
    run.run()
    assert [worker.code for worker in engine.workers] == [-9, -9]
    assert [entry.state for entry in run.board.entries][:2] == ["failed", "failed"]


def test_time_that_is_up_stops_what_runs(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0

    def clock() -> float:
        nonlocal now
        now += 1.0
        return now

    engine = Pretenders(looks=1000)
    run = made(engine, seconds=20.0)
    monkeypatch.setattr(runner.time, "monotonic", clock)
    run._deadline = 120.0
    run.run()
    assert run.out_of_time
    assert not run.interrupted
    states = [entry.state for entry in run.board.entries]
    assert states == ["interrupted"] * 2 + ["waiting"] * 4


def test_no_worker_is_left_when_something_breaks(
    there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Pretenders(looks=1000)
    run = made(engine)

    def full(path: Path, text: str) -> None:
        if len(engine.jobs) == 1:
            raise SpecError([])

    monkeypatch.setattr(runner, "write_text", full)
    with pytest.raises(SpecError):
        run.run()
    assert [worker.asked for worker in engine.workers] == [1]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1, "its process ended with exit code 1; its output is in"),
        (-9, "its process was ended by SIGKILL (perhaps for want of memory); its output is in"),
        (-11, "its process was ended by SIGSEGV; its output is in"),
        (0, "its process ended with exit code 0; its output is in"),
    ],
)
def test_a_death_without_a_word_is_a_failure(there: Path, code: int, words: str) -> None:
    job = Job("abc", "shared", 0, there, there, there, there)
    outcome = Outcome.of(job, code)
    assert outcome.status == "failed"
    assert outcome.message.startswith(words)


def test_a_job_reads_back(there: Path) -> None:
    job = Job("abc", "a, b=1", 3, there / "run", there / "s.yaml", there, there, 2, ("p.py",))
    job.outcome.write_text("{}")
    job.write()
    assert Job.read(job.description) == job
    assert not job.outcome.exists()


def test_the_time_that_is_left(there: Path) -> None:
    run = made(Pretenders())
    board = run.board
    assert board.left_s() is None
    for entry, seconds in zip(board.entries, (10.0, 20.0), strict=False):
        entry.state, entry.seconds = "finished", seconds
    # four wait, apart and shared by turns, two at a time
    assert board.left_s() == pytest.approx((10 + 20 + 10 + 20) / 2)
