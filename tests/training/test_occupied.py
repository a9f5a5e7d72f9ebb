"""Two processes never train in one run folder at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from graphspec.errors import SpecError
from graphspec.training import folder
from graphspec.training.observer import Silent
from graphspec.training.occupied import LOCK, occupied
from graphspec.training.run import train

HOLDER = """
import sys, time
from pathlib import Path
from graphspec.training.occupied import occupied
with occupied(Path(sys.argv[1])):
    print("in", flush=True)
    time.sleep(600)
"""


def holder(run: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(run)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "in\n"
    return process


def refusal(run: Path) -> str:
    with pytest.raises(SpecError) as error, occupied(run):
        raise AssertionError("nothing held it")
    (found,) = error.value.diagnostics
    assert found.code.value == "run-busy"
    return found.message


def test_another_process_is_refused_and_named_until_the_first_is_killed(tmp_path: Path) -> None:
    process = holder(tmp_path)
    try:
        said = json.loads((tmp_path / LOCK).read_text())
        assert said["pid"] == process.pid
        assert refusal(tmp_path) == (
            f"`{tmp_path}` is being trained by process {process.pid} on {said['host']}"
        )
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.communicate()
    assert (tmp_path / LOCK).exists()  # nobody took it away, and nobody holds it
    with occupied(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
    assert not (tmp_path / LOCK).exists()


def test_a_forked_worker_that_outlives_its_run_holds_nothing(tmp_path: Path) -> None:
    read, write = os.pipe()
    main = os.fork()
    if main == 0:
        with occupied(tmp_path):
            worker = os.fork()
            if worker == 0:
                os.read(read, 1)  # lives on until the test lets it go
                os._exit(0)
            os._exit(0)  # as by kill -9: no block is left
    os.waitpid(main, 0)
    with occupied(tmp_path):
        pass
    os.write(write, b"x")


@pytest.mark.usefixtures("no_pictures")
def test_a_run_that_still_goes_on_is_not_resumed_a_second_time(spec: Path, tmp_path: Path) -> None:
    run = train(spec, out=tmp_path / "run", epochs=1)
    assert not (run.folder / LOCK).exists()
    before = {path: path.read_bytes() for path in run.folder.iterdir() if path.is_file()}
    process = holder(run.folder)
    try:
        with pytest.raises(SpecError, match="is being trained by process"):
            train(resume=run.folder, epochs=2)
    finally:
        process.kill()
        process.communicate()
    (run.folder / LOCK).unlink()
    assert {p: p.read_bytes() for p in run.folder.iterdir() if p.is_file()} == before


@pytest.mark.usefixtures("no_pictures")
def test_not_even_by_the_process_that_trains_it(spec: Path, tmp_path: Path) -> None:
    messages: list[str] = []

    class Resuming(Silent):
        def epoch(self, records: object) -> None:
            if not messages:
                assert folder.is_run(tmp_path / "run")
                with pytest.raises(SpecError) as error:
                    train(resume=tmp_path / "run")
                messages.append(error.value.diagnostics[0].message)

    train(spec, out=tmp_path / "run", observer=Resuming())
    assert messages == [f"`{tmp_path / 'run'}` is being trained by this process"]
