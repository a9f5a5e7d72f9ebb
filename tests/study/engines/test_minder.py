"""What runs beside a worker on another machine, with workers that only pretend."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from graphspec.study import jobs
from graphspec.study.engines import minder
from graphspec.study.engines.minder import Minder, apart
from graphspec.study.jobs import KILL, STOP, Job

OBEDIENT = """
import signal, sys, time
def end(number, frame):
    print("stopped", flush=True)
    sys.exit(130)
signal.signal(signal.SIGINT, end)
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
time.sleep(60)
"""
DEAF = OBEDIENT.replace("end)", "signal.SIG_IGN)")
QUICK = "raise SystemExit(0)"


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minder, "LOOK_S", 0.02)


def pretending(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Let workers be processes that do what a script says."""

    def launch(job: Job) -> subprocess.Popen[bytes]:
        with job.log.open("ab") as log:
            command = [sys.executable, "-S", "-c", script]
            return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    monkeypatch.setattr(minder, "launch", launch)


def later(act: Callable[[], object], after_s: float = 0.3) -> threading.Thread:
    """Do something while the minder is at work."""
    thread = threading.Thread(target=lambda: (time.sleep(after_s), act()))
    thread.start()
    return thread


def test_the_exit_code_is_the_workers(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    pretending(monkeypatch, QUICK)
    assert Minder(job.description)() == 0
    assert set(jobs.read(job.progress)) == {"host"}


@pytest.mark.parametrize(
    ("word", "script", "code"),
    [(STOP, OBEDIENT, 130), (KILL, DEAF, -signal.SIGKILL)],
)
def test_what_the_study_asks_for_is_passed_on(
    job: Job, monkeypatch: pytest.MonkeyPatch, word: str, script: str, code: int
) -> None:
    pretending(monkeypatch, script)
    thread = later(lambda: job.ask(word))
    assert Minder(job.description)() == code
    thread.join()


def test_a_run_that_was_stopped_in_the_queue_does_not_begin(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretending(monkeypatch, "raise SystemExit(7)")
    job.ask(STOP)
    assert Minder(job.description)() == 130
    assert not job.log.exists()


def test_ctrl_c_is_for_the_study_to_pass_on(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    pretending(monkeypatch, OBEDIENT)
    first = later(lambda: os.kill(os.getpid(), signal.SIGINT), 0.2)
    second = later(lambda: job.ask(STOP), 0.6)
    assert Minder(job.description)() == 130
    first.join()
    second.join()
    assert job.log.read_text() == "stopped\n"


def test_a_worker_hears_ctrl_c_where_ray_was_started_deaf_to_it(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretending(monkeypatch, OBEDIENT.replace("signal.signal(signal.SIGINT, end)", ""))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        thread = later(lambda: job.ask(STOP))
        assert Minder(job.description)() == -signal.SIGINT
        thread.join()
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def test_before_a_machine_is_taken_away_the_worker_writes_a_checkpoint(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("submitit")
    pretending(monkeypatch, OBEDIENT)
    mind = pickle.loads(pickle.dumps(Minder(job.description)))
    again: list[object] = []
    previous = signal.signal(signal.SIGUSR2, lambda *_: again.append(mind.checkpoint()))
    try:
        thread = later(lambda: os.kill(os.getpid(), signal.SIGUSR2))
        assert mind() == 130
    finally:
        signal.signal(signal.SIGUSR2, previous)
    thread.join()
    assert job.log.read_text() == "stopped\n"
    [submission] = again
    assert isinstance(submission.function, Minder)  # type: ignore[attr-defined]
    assert submission.function.description == str(job.description)  # type: ignore[attr-defined]


def test_what_is_done_or_stopped_is_not_submitted_again(job: Job) -> None:
    pytest.importorskip("submitit")
    mind = Minder(job.description)
    mind._process = subprocess.Popen([sys.executable, "-S", "-c", QUICK])
    mind._process.wait()
    assert mind.checkpoint() is not None
    job.tell("finished")
    assert mind.checkpoint() is None
    job.tell("interrupted")
    assert mind.checkpoint() is not None
    job.ask(STOP)
    assert mind.checkpoint() is None


def test_a_machine_without_the_study_says_so(job: Job, tmp_path: Path) -> None:
    mind = Minder(tmp_path / "elsewhere" / "abcd.json")
    with pytest.raises(RuntimeError, match=r"does not see `.*abcd\.json`: the study must be in a"):
        apart(mind)
    mind = Minder(job.description)
    mind.version = "0.0.7"
    with pytest.raises(RuntimeError, match=r"has graphspec .*, the study 0\.0\.7"):
        mind()


@pytest.mark.slow
def test_a_minder_of_its_own_tells_how_the_worker_died(job: Job) -> None:
    job.spec.write_text("graphspec: 1\nnodes: {}\n")  # nothing to train: the worker says so
    assert apart(Minder(job.description)) == 2
    assert jobs.read(job.outcome)["status"] == "failed"
