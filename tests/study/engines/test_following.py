"""A run that is at work already is followed, and handed on when that worker is gone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict

import psutil
import pytest

from graphspec.study import claims
from graphspec.study.claims import Holder
from graphspec.study.engines import following, remote
from graphspec.study.jobs import KILL, STOP, Job
from tests.study.conftest import Ended


class Counting:
    """An engine that counts."""

    name, slots, threads, queues = "counting", None, 1, True

    def __init__(self) -> None:
        self.started = 0

    def start(self, job: Job) -> Ended:
        self.started += 1
        return Ended(0)

    def close(self) -> None:
        """Nothing is held."""


@pytest.fixture
def worker(job: Job, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has the run."""
    monkeypatch.setattr(remote, "LOOK_S", 0.0)
    command = [sys.executable, "-S", "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        began = psutil.Process(process.pid).create_time()
        claim = Holder(claims._machine(), process.pid, began)
        job.claim.write_text(json.dumps(asdict(claim)))
        yield process
        process.kill()


def end(worker: subprocess.Popen[bytes]) -> None:
    worker.kill()
    worker.wait()


def test_a_run_that_nobody_is_at_work_on_begins(job: Job) -> None:
    job.tell("failed", "long ago")
    engine, told = Counting(), []
    handle = following.begin(engine, job, told.append)
    assert (handle.poll(), engine.started, told) == (0, 1, [])
    assert not job.outcome.exists()


def test_a_run_at_work_is_followed_to_its_end(job: Job, worker: subprocess.Popen[bytes]) -> None:
    engine, told = Counting(), []
    handle = following.begin(engine, job, told.append)
    host = claims._machine().split()[0]
    expected = f"shared, seed 0 is trained already, by process {worker.pid} on {host}; "
    assert told == [expected + "this study follows it"]
    assert handle.poll() is None
    job.tell("finished")
    assert handle.poll() is None  # it has yet to let go
    end(worker)
    assert (handle.poll(), engine.started) == (0, 0)


@pytest.mark.parametrize("last", ["", "interrupted"])
def test_a_run_whose_worker_goes_away_is_handed_to_the_engine(
    job: Job, worker: subprocess.Popen[bytes], last: str
) -> None:
    engine = Counting()
    handle = following.begin(engine, job, lambda _: None)
    assert handle.poll() is None
    if last:
        job.tell(last)
    end(worker)
    assert (handle.poll(), engine.started) == (None, 1)
    assert handle.poll() == 0


def test_a_run_that_is_followed_can_be_stopped(job: Job, worker: subprocess.Popen[bytes]) -> None:
    engine = Counting()
    handle = following.begin(engine, job, lambda _: None)
    handle.stop()
    assert job.asked() == STOP
    assert handle.poll() is None
    end(worker)
    assert (handle.poll(), engine.started) == (130, 0)


def test_a_run_that_cannot_be_killed_is_not_waited_for(
    job: Job, worker: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = following.begin(Counting(), job, lambda _: None)
    handle.kill()
    assert job.asked() == KILL
    assert handle.poll() is None
    monkeypatch.setattr(remote, "PATIENCE_S", -1.0)
    assert handle.poll() == 130
