"""The command line as its users meet it: processes, pipes, terminals, signals."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.cli.conftest import TINY

pytestmark = pytest.mark.e2e

GRAPHSPEC = [sys.executable, "-m", "graphspec"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "", "FORCE_COLOR": ""}
MANY_EPOCHS = "100000"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tiny.yaml").write_text(TINY)
    return tmp_path


def run(folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*GRAPHSPEC, *words],
        cwd=folder,
        env={**ENVIRONMENT, **more},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_streams_and_exit_codes(folder: Path) -> None:
    done = run(folder, "validate", "tiny.yaml", "nosuch")
    assert done.returncode == 2
    assert done.stdout == "tiny.yaml: ok, 4 nodes, 6.44 k parameters, tasks fine, coarse\n"
    assert done.stderr.startswith("error[file-not-found]: there is no file `nosuch`\n")
    assert "\x1b" not in done.stderr


def test_the_installed_program(folder: Path) -> None:
    program = Path(sys.executable).with_name("graphspec")
    assert program.exists(), "graphspec is importable but not installed: run `make test`"
    done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("graphspec 0.")


def test_a_reader_that_goes_away_is_no_mistake(folder: Path) -> None:
    command = f"set -o pipefail; {' '.join(GRAPHSPEC)} ops | head -n 1"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "Kinds\n", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_told(folder: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*GRAPHSPEC, "--version"],
            cwd=folder, env=ENVIRONMENT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=99,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith(
        "error[disk-full]: the disk is full: the result was not written\n"
    )


def test_a_stream_that_cannot_say_everything(folder: Path) -> None:
    done = run(folder, "summary", "tiny.yaml", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "parameters  6,440 (6.44 k)\n" in done.stdout


def test_completion_without_torch(folder: Path) -> None:
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print('torch:', 'torch' in sys.modules, file=sys.stderr))\n"
        "sys.argv = ['graphspec']\n"
        "from graphspec.cli.main import run\n"
        "run()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={
            **ENVIRONMENT,
            "_GRAPHSPEC_COMPLETE": "complete_bash",
            "COMP_WORDS": "graphspec validate arch",
            "COMP_CWORD": "2",
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == "torch: False\n"
    assert done.stdout.split() == [f"arch{number}" for number in range(1, 7)]


def test_colours_on_a_terminal(folder: Path) -> None:
    ours, theirs = pty.openpty()
    done = subprocess.Popen(
        [*GRAPHSPEC, "validate", "nosuch"],
        cwd=folder, env={**ENVIRONMENT, "TERM": "xterm"}, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    assert done.wait(60) == 2
    shown = os.read(ours, 10_000).decode()
    os.close(theirs)
    os.close(ours)
    assert "\x1b[1;31merror[file-not-found]\x1b[0m: there is no file `nosuch`" in shown


def test_ctrl_c_saves_and_resume_goes_on(folder: Path) -> None:
    process = subprocess.Popen(
        [*GRAPHSPEC, "train", "tiny.yaml", "--epochs", MANY_EPOCHS, "--out", "a run"],
        cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # A test runner in the background ignores SIGINT, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    watchdog = threading.Timer(90, process.kill)
    watchdog.start()
    assert process.stdout is not None
    for line in process.stdout:
        if "  validation  " in line:  # the first epoch is over
            process.send_signal(signal.SIGINT)
            break
    stdout, stderr = process.communicate()
    watchdog.cancel()
    assert process.returncode == 130, stderr
    assert stderr == "go on with: graphspec train 'a run' --resume\n"
    assert "tiny on fashion-mini: interrupted after " in stdout
    assert (folder / "a run" / "last.pt").is_file()
    lines = (folder / "a run" / "metrics.jsonl").read_text().splitlines()
    epochs = json.loads(lines[-1])["epoch"]

    done = run(folder, "train", "a run", "--resume", "--epochs", str(epochs + 1))
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{epochs + 1} epochs of 48 steps of 100 images, {epochs} done; " in done.stdout
    assert "finished after" in done.stdout
    assert json.loads((folder / "a run" / "summary.json").read_text())["status"] == "finished"
