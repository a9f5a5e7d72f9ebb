"""SIGKILL at any moment: a run killed and resumed, again and again, ends with the same bits.

The process is killed after a random time, while it starts, trains, measures or writes. It learns
with everything that has a state: schedule, moving average, accumulated batches, clipping, groups
that are unfrozen, a balancer that learns, a scaler, and checkpoints in the middle of epochs.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from graphspec.training import folder
from graphspec.training.trained import Run

from .test_resume import assert_same, timeless, weights

pytestmark = [pytest.mark.usefixtures("no_pictures"), pytest.mark.e2e]

RECIPE: dict[str, Any] = {
    "train.batch_size": 8,
    "train.accumulate": 3,
    "train.schedule": {"name": "OneCycleLR"},
    "train.clip": {"norm": 0.5, "value": 0.1},
    "train.ema": 0.9,
    "train.precision": "fp16",
    "train.balance": "uncertainty",
    "train.best": "=fine.top1 + 0.5*coarse.top1",
    "train.early_stopping": {"metric": ["train/loss", "=fine.loss"], "patience": 100},
    "train.groups": [
        {"nodes": "trunk", "unfreeze_at": 3, "lr": 0.002},
        {"nodes": "*.bias", "weight_decay": 0.01, "freeze_at": 5},
    ],
    "train.checkpoint": {"every": 5, "keep": 3},
    "data.augment": "founding",
}

SERVER = """
import json, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.training import conftest
from graphspec import compiler
from graphspec.training import curves
from graphspec.training.folder import is_run
from graphspec.training.run import train
import jinja2, torch._dynamo, torchmetrics.classification
conftest.register_tiny()
compiler.render = lambda graph, path: path.write_text("<svg/>")
curves.draw = lambda *arguments, **options: b"picture"
for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            out = Path(asked["out"])
            again = {"resume": out} if is_run(out) else {"spec": asked["spec"], "out": out}
            train(**again, overrides=None if "resume" in again else asked["recipe"])
            code = 0
        finally:
            os._exit(code)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Forks a process for each session of a run, so that torch is imported once."""


class Sessions:
    """Sessions of runs, in processes that may be killed."""

    def __init__(self, spec: Path, recipe: dict[str, Any]) -> None:
        self._asked = {"spec": str(spec), "recipe": recipe}
        self._server = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(Path(__file__).parents[2])],
            cwd=spec.parent, env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self) -> Sessions:
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.kill()
        self._server.communicate()

    def begin(self, out: Path) -> int:
        """Begin a run, or go on where there is one already; return the process."""
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps({**self._asked, "out": str(out)}) + "\n")
        self._server.stdin.flush()
        return int(self._read())

    def end(self) -> int:
        """Wait for the end of the session and return its exit code."""
        return int(self._read())

    def _read(self) -> str:
        assert self._server.stdout is not None
        line = self._server.stdout.readline()
        assert line, "the server is gone"
        return line


def killed_again_and_again(
    sessions: Sessions, out: Path, kills: int, states: int, pause_s: float, seed: int
) -> list[int]:
    """Kill a run at random moments and let it go on until it has ended.

    Returns:
        The steps that its last state had made after each kill.
    """
    generator = random.Random(seed)
    seen: list[int] = []
    while True:
        process = sessions.begin(out)
        if len(seen) < kills:
            # some states later: the speed of the machine does not matter
            for _ in range(generator.randint(0, round(states / kills))):
                _await_next(out / folder.LAST, process)
            time.sleep(pause_s * generator.random())
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        code = sessions.end()
        if code == 0:
            return seen
        assert code == -signal.SIGKILL
        if folder.is_run(out):
            seen.append(weights(Run(out, {}))["progress"]["global_step"])
        else:  # there was no run yet
            shutil.rmtree(out, ignore_errors=True)
            seen.append(0)


def _await_next(path: Path, process: int) -> None:
    """Wait until a file is another one, or the process has ended."""
    before = path.stat().st_ino if path.exists() else None
    while before == (path.stat().st_ino if path.exists() else None):
        time.sleep(0.002)
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return


def check(kills: int, epochs: int, spec: Path, tmp_path: Path, seed: int) -> None:
    recipe = {**RECIPE, "train.epochs": epochs}
    with Sessions(spec, recipe) as sessions:
        started = time.perf_counter()
        sessions.begin(tmp_path / "whole")
        assert sessions.end() == 0
        states = 3 * epochs  # in the middle of an epoch twice or more, and at its end
        pause_s = (time.perf_counter() - started) / states
        seen = killed_again_and_again(sessions, tmp_path / "run", kills, states, pause_s, seed)
    run, whole = Run.open(tmp_path / "run"), Run.open(tmp_path / "whole")
    assert run.status == whole.status == "finished"
    assert len(seen) >= kills * 2 // 3, seen
    assert len(set(seen)) > len(seen) // 4, seen  # it was killed all over the run
    assert_same(weights(run), weights(whole))
    assert_same(weights(run, "best.pt"), weights(whole, "best.pt"))
    assert timeless(run) == timeless(whole)
    for key in ("tasks", "best", "loss", "epochs", "reason"):
        assert run.summary[key] == whole.summary[key]
    assert not list(run.folder.rglob("*.part"))


def test_killed_a_few_times(spec: Path, tmp_path: Path) -> None:
    check(kills=4, epochs=12, spec=spec, tmp_path=tmp_path, seed=1)


@pytest.mark.slow
def test_killed_at_thirty_moments(spec: Path, tmp_path: Path) -> None:
    check(kills=30, epochs=60, spec=spec, tmp_path=tmp_path, seed=2)
