"""``graphspec study`` as its users meet it: worker processes, signals, a second call."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch

pytestmark = pytest.mark.e2e

STUDY = [sys.executable, "-m", "graphspec", "study"]
SPECS = ["apart.yaml", "shared.yaml"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "", "FORCE_COLOR": ""}
LONG = ["--seeds", "1", "--jobs", "2", "--set", "train.epochs=150"]


def run(there: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*STUDY, *words], cwd=there, env=ENVIRONMENT, capture_output=True, text=True, timeout=300
    )


def begun(there: Path, *words: str) -> subprocess.Popen[str]:
    """Start a study and wait until one of its runs has done an epoch."""
    process = subprocess.Popen(
        [*STUDY, *words], cwd=there, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
    )
    try:
        wait(lambda: any(there.glob("studies/*/runs/*/metrics.jsonl")))
    except BaseException:
        process.kill()
        raise
    return process


def wait(ready: Callable[[], bool]) -> None:
    """Wait for something that a loaded machine may take its time for."""
    until = time.monotonic() + 200
    while not ready():
        assert time.monotonic() < until
        time.sleep(0.05)


def workers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    err = process.communicate(timeout=200)[1]
    return process.returncode, err


def weights(there: Path) -> dict[str, dict[str, torch.Tensor]]:
    """Return the last weights of each run."""
    found = {}
    for path in sorted(there.glob("studies/*/runs/*/best.pt")):
        loaded = torch.load(path, weights_only=True)
        found[path.parent.name] = dict(loaded["model"])
    return found


def test_runs_are_trained_side_by_side_and_then_skipped(there: Path) -> None:
    done = run(there, *SPECS, "--seeds", "1", "--jobs", "2")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("2 runs; 2 at a time with ")
    assert lines[0].endswith("folder: studies/apart-shared")
    assert {line.split(": ")[1] for line in lines[1:3]} == {"begins"}
    assert sum(": finished after " in line for line in lines) == 2
    report = there / "studies/apart-shared/report.html"
    assert f"report: {report.relative_to(there)}" in lines
    assert report.is_file()
    again = run(there, "studies/apart-shared")
    assert again.returncode == 0
    assert again.stdout.startswith("2 runs, all done before; folder: studies/apart-shared\n")


@pytest.mark.slow
def test_ctrl_c_and_going_on_gives_the_same_weights(there: Path, tmp_path: Path) -> None:
    process = begun(there, *SPECS, *LONG)
    process.send_signal(signal.SIGINT)
    code, err = ended(process)
    assert code == 130
    assert "go on with: graphspec study studies/apart-shared" in err
    done = run(there, "studies/apart-shared")
    assert done.returncode == 0, done.stderr
    assert ": goes on\n" in done.stdout
    found = weights(there)
    (there / "studies").rename(there / "first")
    assert run(there, *SPECS, *LONG).returncode == 0
    expected = weights(there)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert all(torch.equal(found[name][key], value) for key, value in values.items())


@pytest.mark.slow
def test_a_killed_worker_is_told_and_tried_again(there: Path) -> None:
    process = begun(there, *SPECS, *LONG)
    victim = workers(process)[0]
    victim.kill()
    code, err = ended(process)
    assert code == 2
    assert "failed: its process was ended by SIGKILL (perhaps for want of memory)" in err
    assert err.count("seed 0 failed") == 1
    done = run(there, "studies/apart-shared")
    assert done.returncode == 0, done.stderr
    assert "1 of them done before" in done.stdout


@pytest.mark.slow
def test_workers_stop_when_the_study_is_killed(there: Path) -> None:
    process = begun(there, *SPECS, *LONG)
    found = workers(process)
    assert len(found) == 2
    process.kill()
    process.communicate(timeout=60)
    wait(lambda: not any(each.is_running() and each.status() != "zombie" for each in found))
    done = run(there, "studies/apart-shared")
    assert done.returncode == 0, done.stderr
    assert ": goes on\n" in done.stdout
