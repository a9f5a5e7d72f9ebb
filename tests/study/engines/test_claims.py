"""Who is at work on a run: one process at a time, whatever dies in between."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest

from graphspec.study import claims
from graphspec.study.claims import Holder, held, holder


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives until its stdin is closed."""
    command = [sys.executable, "-S", "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        yield process
        process.kill()


def claimed(path: Path, process: subprocess.Popen[bytes], machine: str | None = None) -> Holder:
    """Write the claim of another process."""
    began = psutil.Process(process.pid).create_time()
    found = Holder(machine or claims._machine(), process.pid, began)
    path.write_text(json.dumps(asdict(found)))
    return found


def test_a_claim_lasts_as_long_as_the_block(tmp_path: Path) -> None:
    path = tmp_path / "run.claim"
    assert holder(path) is None
    with held(path):
        found = holder(path)
        assert found is not None
        assert found.pid == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_a_process_of_this_machine_counts_as_long_as_it_lives(
    tmp_path: Path, other: subprocess.Popen[bytes]
) -> None:
    path = tmp_path / "run.claim"
    expected = claimed(path, other)
    os.utime(path, (0, 0))  # however long it has not been heard of
    assert holder(path) == expected
    assert str(expected) == f"process {other.pid} on {claims._machine().split()[0]}"
    other.kill()
    other.wait()
    assert holder(path) is None


def test_a_number_that_is_used_again_is_another_process(
    tmp_path: Path, other: subprocess.Popen[bytes]
) -> None:
    path = tmp_path / "run.claim"
    path.write_text(json.dumps(asdict(Holder(claims._machine(), other.pid, began=12.0))))
    assert holder(path) is None


def test_a_process_elsewhere_counts_until_its_file_is_old(
    tmp_path: Path, other: subprocess.Popen[bytes]
) -> None:
    path = tmp_path / "run.claim"
    expected = claimed(path, other, machine="node7")
    assert holder(path) == expected
    past = time.time() - claims.STALE_S - 1
    os.utime(path, (past, past))
    assert holder(path) is None


def test_the_claim_of_the_dead_is_taken_over(
    tmp_path: Path, other: subprocess.Popen[bytes]
) -> None:
    path = tmp_path / "run.claim"
    claimed(path, other)
    os.utime(path, (0, 0))
    other.kill()
    other.wait()
    with held(path):
        assert holder(path) == claims._me()


def test_a_file_whose_maker_died_at_once_is_in_nobodys_way(tmp_path: Path) -> None:
    path = tmp_path / "run.claim"
    path.touch()
    os.utime(path, (0, 0))
    with held(path):
        assert holder(path) == claims._me()


def test_one_waits_until_the_other_ends(
    tmp_path: Path, other: subprocess.Popen[bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.claim"
    claimed(path, other)
    ended: list[bool] = []

    def end() -> None:
        time.sleep(0.3)
        ended.append(True)
        other.kill()
        other.wait()

    thread = threading.Thread(target=end)
    thread.start()
    with held(path):
        assert ended == [True]
    thread.join()
    assert f"process {other.pid} on " in capfd.readouterr().out


def test_a_claim_is_kept_fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "BEAT_S", 0.01)
    path = tmp_path / "run.claim"
    with held(path):
        os.utime(path, (0, 0))
        deadline = time.monotonic() + 10
        while path.stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert path.stat().st_mtime > 0
        path.unlink()  # somebody cleaned up
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert holder(path) == claims._me()


def test_who_was_taken_for_dead_ends_without_writing(tmp_path: Path) -> None:
    script = """
import sys, time
from pathlib import Path
from graphspec.study import claims
claims.BEAT_S = 0.01
with claims.held(Path(sys.argv[1])):
    print("ready", flush=True)
    time.sleep(60)
"""
    path = tmp_path / "run.claim"
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        mine = Holder("node7", 1, 1.0)
        aside = tmp_path / "new"
        aside.write_text(json.dumps(asdict(mine)))
        aside.replace(path)
        assert process.wait(timeout=30) == claims.LOST
        assert process.stdout.read() == "process 1 on node7 has taken this run over\n"
    assert holder(path) == mine
