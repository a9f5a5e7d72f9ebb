"""Runs of several processes: the same curve as one, resumed by any number, and how they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from graphspec.errors import Code, SpecError
from graphspec.training.run import train

SPEC = """\
graphspec: 1
name: together
data: {source: arrays, path: data.npz, validation: 0.25}
tasks:
  kind: {class_weights: [1, 2, 0.5]}
  size: {type: regression}
nodes:
  maps: {op: conv, from: image, channels: [[4]]}
  again: {op: conv, from: maps, channels: [[4]]}
  more: {share: again, from: again}
  trunk: {op: fc, from: more, units: 8, dropout: 0}
  kind_head: {op: head, from: trunk, task: kind}
  size_head: {op: head, from: trunk, task: size}
train:
  epochs: 2
  batch_size: 23
  lr: 0.01
  optimizer: {name: SGD, momentum: 0.9}  # Adam makes whole steps of differences by rounding
  clip: 1.0
  schedule: {name: StepLR, step_size: 1}
"""


FSDP = {"train.strategy": "fsdp"}

LIMIT_S = 600.0
"""How long anything may take that a test waits for, also where the machine is busy, in seconds."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a folder with a spec and its data; what still runs in it at the end is killed."""
    import numpy as np

    generator = np.random.default_rng(0)
    image = generator.integers(0, 256, (240, 1, 8, 8), dtype=np.uint8)
    kind = (image.mean((1, 2, 3)) // 5 % 3).astype(int)
    kind[::7] = -1  # some samples have no label
    np.savez(tmp_path / "data.npz", image=image, kind=kind, size=image.mean((1, 2, 3)) / 10 - 12)
    (tmp_path / "spec.yaml").write_text(SPEC)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    while left := running(tmp_path):
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def running(folder: Path) -> list[int]:
    """Return the processes that were started in a folder, whoever their parent is."""
    import psutil

    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            ends = "resource_tracker" in " ".join(process.cmdline())  # by itself, after its parent
            if process.pid != os.getpid() and not ends and process.cwd() == str(folder):
                found.append(process.pid)
    return found


def curve(run: Path) -> list[dict[str, Any]]:
    """Return the records of a run without what depends on the clock."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    clock = ("seconds", "images_per_s", "data_wait")
    return [{k: v for k, v in json.loads(line).items() if k not in clock} for line in lines]


def assert_alike(found: Path, wanted: Path) -> None:
    """Compare two runs to rounding."""
    records, others = curve(found), curve(wanted)
    assert len(records) == len(others) > 0
    for record, other in zip(records, others, strict=True):
        assert record.pop("split") == other.pop("split")
        assert record == pytest.approx(other, rel=2e-4, abs=2e-5)
    state, other_state = (torch.load(run / "last.pt") for run in (found, wanted))
    torch.testing.assert_close(state["model"], other_state["model"], rtol=1e-3, atol=1e-4)
    assert state["optimizer"]["state"].keys() == other_state["optimizer"]["state"].keys()


def test_two_replicas_have_the_curve_of_one_process_and_resume_as_one(folder: Path) -> None:
    alone = train("spec.yaml", out="alone")
    train("spec.yaml", out="pair", epochs=1, devices=2)
    environment = json.loads((folder / "pair/environment.json").read_text())
    assert environment["choices"]["processes"] == "2 (ddp)"
    resumed = train(resume="pair", epochs=2)
    assert resumed.status == alone.status == "finished"
    assert_alike(folder / "pair", folder / "alone")


needs_shards_on_cpu = pytest.mark.skipif(
    not hasattr(torch.cpu.Stream, "record_event"), reason="FSDP2 of this torch needs a GPU"
)


def test_shards_are_refused_where_torch_cannot_make_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(torch.cpu.Stream, "record_event", raising=False)
    with pytest.raises(SpecError, match="`strategy: fsdp` does not run on a CPU with torch"):
        train("spec.yaml", overrides=FSDP | {"train.device": "cpu"}, devices=2)


@needs_shards_on_cpu
def test_shards_of_a_model_have_the_curve_of_one_process_and_resume_one(folder: Path) -> None:
    averaged = {"train.ema": {"decay": 0.9}}
    train("spec.yaml", out="alone", epochs=3, overrides=averaged)
    train("spec.yaml", out="pair", epochs=1, overrides=FSDP | averaged)
    resumed = train(resume="pair", epochs=3, devices=2)
    assert resumed.status == "finished"
    assert_alike(folder / "pair", folder / "alone")
    states = [torch.load(folder / name / "last.pt")["average"] for name in ("pair", "alone")]
    assert states[0]["updates"] == states[1]["updates"]
    torch.testing.assert_close(states[0]["model"], states[1]["model"], rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "strategy"),
    [
        pytest.param("geometric", "fsdp", marks=needs_shards_on_cpu),
        pytest.param("uncertainty", "fsdp", marks=needs_shards_on_cpu),
        ("gradnorm", "ddp"),
        ("upgrad", "ddp"),
    ],
)
def test_a_balanced_run_has_the_curve_of_one_process(
    method: str, strategy: str, folder: Path
) -> None:
    recipe: dict[str, Any] = {"train.balance": method, "train.conflicts": 2}
    alone = train("spec.yaml", out="alone", overrides=recipe)
    recipe["train.strategy"] = strategy
    train("spec.yaml", out="pair", epochs=1, devices=2, overrides=recipe)
    resumed = train(resume="pair", epochs=2, devices=2)
    assert_alike(folder / "pair", folder / "alone")
    if strategy == "fsdp":
        return
    assert len(resumed.conflicts) == len(alone.conflicts) > 0
    for record, other in zip(resumed.conflicts, alone.conflicts, strict=True):
        for key in ("node", "tasks"):
            assert record.pop(key) == other.pop(key)
        assert record == pytest.approx(other, rel=1e-2, abs=1e-3)


@pytest.mark.parametrize(
    ("overrides", "code", "message", "hint"),
    [
        (
            {"train.balance": "gradnorm", **FSDP},
            Code.BAD_VALUE,
            "`balance: gradnorm` and `strategy: fsdp` do not go together",
            "`fixed`, `uncertainty`, `dwa`, `random`, `geometric`",
        ),
        (
            {"train.optimizer": "Adafactor", **FSDP},
            Code.BAD_VALUE,
            "the optimizer `Adafactor` and `strategy: fsdp` do not go together",
            "use `Adam`, `AdamW` or `SGD`",
        ),
        (
            {"train.batch_size": 1},
            Code.BAD_VALUE,
            "`batch_size: 1` gives 2 processes too little",
            "each needs a sample of every batch",
        ),
        (
            {"train.device": "cpu:0"},
            Code.BAD_DEVICE,
            "`--devices 2` asks for several, and `device: cpu:0` is one",
            "use `--device cpu`",
        ),
    ],
)
def test_what_several_processes_cannot_do_is_said(
    overrides: dict[str, Any], code: Code, message: str, hint: str, folder: Path
) -> None:
    with pytest.raises(SpecError) as caught:
        train("spec.yaml", devices=2, overrides=overrides)
    (diagnostic,) = caught.value.diagnostics
    assert (diagnostic.code, diagnostic.message) == (code, message)
    assert diagnostic.hint is not None
    assert diagnostic.hint.endswith(hint)
    assert not (folder / "runs").exists()


def test_more_processes_than_cores_are_for_are_not_started(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    with pytest.raises(SpecError, match="asks for 99 processes, and there are 2 cores"):
        train("spec.yaml", devices=99)


def test_torchrun_and_devices_are_not_both_asked(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "1")
    with pytest.raises(SpecError, match="torchrun has started this one"):
        train("spec.yaml", devices=2)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", pytest.param("fsdp", marks=needs_shards_on_cpu)])
def test_a_run_that_diverges_says_so(strategy: str, folder: Path) -> None:
    overrides = {"train.lr": 1e30, "train.clip": None, "train.strategy": strategy}
    with pytest.raises(SpecError, match="is not finite in epoch 1") as caught:
        train("spec.yaml", out="run", devices=2, epochs=30, overrides=overrides)
    assert caught.value.diagnostics[0].code is Code.LOSS_NOT_FINITE


def command(folder: Path, *words: str, before: Sequence[str] = ()) -> subprocess.Popen[str]:
    """Start a module of Python in a folder, after the words of a command that starts another."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*before, sys.executable, "-m", *words], cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def wait_for(path: Path, lines: int, process: subprocess.Popen[str]) -> None:
    """Wait until a run has written some lines of its metrics."""
    deadline = time.monotonic() + LIMIT_S
    while not path.exists() or len(path.read_text().splitlines()) < lines:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def children(pid: int, word: str = "") -> list[int]:
    """Return the processes below one, those with a word in their command line."""
    import psutil

    below = psutil.Process(pid).children(recursive=True)
    lines = {process.pid: " ".join(process.cmdline()) for process in below}
    return [pid for pid, line in lines.items() if word in line and "resource_tracker" not in line]


@pytest.mark.slow
@pytest.mark.e2e
def test_a_dead_process_ends_the_run_and_it_goes_on(folder: Path) -> None:
    process = command(
        folder, "graphspec", "train", "spec.yaml", "--devices", "2", "--out", "run",
        "--epochs", "2000",
    )  # fmt: skip
    wait_for(folder / "run/metrics.jsonl", 4, process)
    os.kill(children(process.pid, "spawn_main")[-1], signal.SIGKILL)
    _, errors = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 2
    assert "was killed by SIGKILL, so the run stopped" in errors
    assert "Traceback" not in errors
    done = len((folder / "run/metrics.jsonl").read_text().splitlines()) // 2
    resumed = train(resume="run", overrides={"train.epochs": done + 1})
    assert resumed.status == "finished"


@pytest.mark.slow
@pytest.mark.e2e
def test_ctrl_c_ends_all_processes_with_a_checkpoint(folder: Path) -> None:
    process = command(
        folder, "graphspec", "train", "spec.yaml", "--devices", "2", "--out", "run",
        "--epochs", "2000",
    )  # fmt: skip
    wait_for(folder / "run/metrics.jsonl", 4, process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130, errors
    assert "go on with: graphspec train run --resume" in errors
    assert json.loads((folder / "run/summary.json").read_text())["status"] == "interrupted"


@pytest.mark.slow
@pytest.mark.e2e
def test_torchrun_starts_again_and_goes_on(folder: Path) -> None:
    process = command(
        folder, "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        "--max-restarts", "2", "-m", "graphspec", "train", "spec.yaml", "--out", "run",
        "--epochs", "60",
    )  # fmt: skip
    wait_for(folder / "run/metrics.jsonl", 4, process)
    os.kill(children(process.pid, "graphspec")[-1], signal.SIGKILL)
    output, errors = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, errors[-3000:]
    assert output.count("on arrays: 144 train") == 2  # the header of each start, told once
    assert output.count("on arrays: finished") == 1
    train("spec.yaml", out="alone", epochs=60)
    records = curve(folder / "run")
    assert [record["epoch"] for record in records] == [r["epoch"] for r in curve(folder / "alone")]
    assert len(json.loads((folder / "run/environment.json").read_text())["resumed"]) == 1
