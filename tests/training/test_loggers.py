"""Loggers: what TensorBoard, Weights & Biases and MLflow have of a run afterwards."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from graphspec.errors import Sink
from graphspec.training import folder, loggers
from graphspec.training.observer import Header, Record, Silent
from graphspec.training.run import train

HEADER = Header(
    name="tiny", folder=Path("x"), data="fashion-mini", samples={"train": 4800}, tasks={},
    weights={}, parameters=10, device="cpu", epochs=2, steps=48, batch_size=100, start_epoch=0,
    seed=0,
)  # fmt: skip
TRAIN: Record = {
    "epoch": 1, "step": 48, "split": "train", "seconds": 1.0, "loss": 0.5, "fine/top1": 0.25,
}  # fmt: skip
VALIDATION: Record = {"epoch": 1, "step": 48, "split": "validation", "loss": 0.75}
DONE = {"status": "finished"}
SPLITS = ("train", "validation", "test")
CONFIGURATION = loggers.flat({"name": "tiny", "train": {"lr": 0.5, "betas": [0.9, 0.99]}})


class Heard(Silent):
    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.records: list[Record] = []

    def epoch(self, records: Sequence[Record]) -> None:
        self.records += records

    def warning(self, text: str) -> None:
        self.warnings.append(text)


def log(name: str, run: Path, *epochs: Sequence[Record], start: int = 0) -> Heard:
    """Let a logger hear a run; nothing may go wrong."""
    watcher = Heard()
    with loggers.listening(watcher, [name], run, CONFIGURATION) as observer:
        observer.start(Header(**{**vars(HEADER), "start_epoch": start}))
        for records in epochs:
            observer.epoch(records)
        observer.end(DONE)
    assert watcher.warnings == []
    assert watcher.records == [record for records in epochs for record in records]
    return watcher


def needs(name: str) -> pytest.MarkDecorator:
    missing = importlib.util.find_spec(name) is None
    return pytest.mark.skipif(missing, reason=f"{name} is not installed")


@needs("tensorboard")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    second: Record = {**TRAIN, "epoch": 2, "step": 96, "loss": 0.25}
    log("tensorboard", tmp_path, [TRAIN, VALIDATION], [{**second, "loss": 9.0}])
    folder.append_metrics(tmp_path, [TRAIN, VALIDATION])  # the second epoch is made again
    log("tensorboard", tmp_path, [second], start=1)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(e.step, e.value) for e in events.Scalars("train/loss")] == [(48, 0.5), (96, 0.25)]
    assert [(e.step, e.value) for e in events.Scalars("validation/loss")] == [(48, 0.75)]
    assert [(e.step, e.value) for e in events.Scalars("epoch")] == [(48, 1), (96, 2)]
    first, last = (event.wall_time for event in events.Scalars("train/loss"))
    assert first <= last
    assert events.Scalars("train/fine/top1")[0].value == 0.25
    assert "configuration/text_summary" in events.Tags()["tensors"]


@needs("wandb")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
def test_weights_and_biases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    monkeypatch.setenv("WANDB_MODE", "offline")
    log("wandb", tmp_path, [TRAIN, VALIDATION])
    wandb.teardown()  # it is not on the disk before
    (file,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    until = time.monotonic() + 20
    while b"fine/top1" not in file.read_bytes():  # a process of its own writes it
        assert time.monotonic() < until
        time.sleep(0.1)
    assert file.stem == f"run-{loggers._recall(tmp_path, 'wandb')}"


@needs("wandb")
def test_rows_of_weights_and_biases_are_steps_and_never_go_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb

    rows: list[tuple[int, dict[str, float]]] = []
    made = SimpleNamespace(
        id="a", log=lambda values, step: rows.append((step, values)), finish=lambda exit_code: None
    )
    monkeypatch.setattr(wandb, "init", lambda **_: made)
    second: Record = {**TRAIN, "epoch": 2, "step": 96}
    log("wandb", tmp_path, [TRAIN, VALIDATION], [second])
    folder.append_metrics(tmp_path, [TRAIN, VALIDATION, second])
    # the weights of the first epoch are the best; the run was interrupted before their test
    log("wandb", tmp_path, [{"epoch": 1, "step": 48, "split": "test", "loss": 0.75}], start=2)
    assert [step for step, _ in rows] == [48, 96, 96]
    assert (rows[0][1]["train/loss"], rows[0][1]["validation/loss"]) == (0.5, 0.75)
    assert rows[2][1] == {"test/loss": 0.75}


@needs("mlflow")
@pytest.mark.filterwarnings("ignore")
def test_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path}/mlruns")
    log("mlflow", tmp_path, [{**TRAIN, "lr/*.bias,fc[12]": 0.125}, VALIDATION])
    first = loggers._recall(tmp_path, "mlflow")
    log("mlflow", tmp_path, [{**TRAIN, "epoch": 2, "step": 96, "loss": 0.25}], start=1)
    assert loggers._recall(tmp_path, "mlflow") == first
    client = MlflowClient()
    history = client.get_metric_history(first, "train/loss")
    assert [(metric.step, metric.value) for metric in history] == [(48, 0.5), (96, 0.25)]
    run = client.get_run(first)
    assert run.data.metrics["train/lr/_.bias_fc_12_"] == 0.125
    assert run.data.params["train.betas"] == "[0.9, 0.99]"
    assert run.info.status == "FINISHED"


@needs("tensorboard")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_run_that_goes_on_is_logged_as_one(spec: Path, tmp_path: Path, no_pictures: None) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    own = {"train.loggers": "tensorboard", "train.epochs": 1}
    run = train(spec, out=tmp_path / "run", overrides=own)
    run = train(resume=run.folder, epochs=2)
    events = EventAccumulator(str(run.folder / "tensorboard")).Reload()
    for split in ("train", "validation", "test"):
        own_records = [record for record in run.metrics if record["split"] == split]
        logged = events.Scalars(f"{split}/fine/loss")
        assert [e.step for e in logged] == [record["step"] for record in own_records]
        told = [record["fine/loss"] for record in own_records]
        assert [e.value for e in logged] == pytest.approx(told, rel=1e-6)
    assert len(events.Scalars("train/fine/weighted")) == 2


@needs("tensorboard")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_was_written_but_not_logged_is_logged_when_the_run_goes_on(
    spec: Path, tmp_path: Path, no_pictures: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    own = {"train.loggers": "tensorboard", "train.epochs": 3}
    with monkeypatch.context() as patch:  # as if it were killed right after an epoch's checkpoint
        patch.setattr(loggers.Several, "epoch", lambda *given: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(spec, out=tmp_path / "run", overrides=own)
    run = train(resume=tmp_path / "run")
    (run.folder / "summary.json").unlink()  # as if it were killed right after its test
    run = train(resume=tmp_path / "run")
    events = EventAccumulator(str(run.folder / "tensorboard")).Reload()
    steps = {split: [e.step for e in events.Scalars(f"{split}/loss")] for split in SPLITS}
    best = run.summary["best"]["step"]
    assert steps == {"train": [3, 6, 9], "validation": [3, 6, 9], "test": [best]}


class Kept(loggers.Service):
    package = "kept"

    def __init__(self, run: Path, told: Any) -> None:
        super().__init__(run, told)
        self.logged: list[tuple[int, dict[str, float]]] = []

    def log(self, values: Any, step: int) -> None:
        self.logged.append((step, dict(values)))


def test_a_service_is_told_everything_once(tmp_path: Path) -> None:
    second: Record = {**TRAIN, "epoch": 2, "step": 96}
    test: Record = {**VALIDATION, "split": "test"}
    first = Kept(tmp_path, {})
    first.epoch([TRAIN, VALIDATION])
    assert [step for step, _ in first.logged] == [48]
    assert first.logged[0][1]["train/loss"] == 0.5
    assert first.logged[0][1]["validation/loss"] == 0.75
    folder.append_metrics(tmp_path, [TRAIN, VALIDATION, second])
    again = Kept(tmp_path, {})
    again.catch_up()  # the process was killed before it told the second epoch
    assert [(step, "validation/loss" in values) for step, values in again.logged] == [(96, False)]
    again.epoch([second])  # made again from an older state
    again.epoch([test])
    again.epoch([test])
    assert [step for step, _ in again.logged] == [96, 48]
    assert set(again.logged[1][1]) == {"test/loss"}


def test_loggers_are_closed_when_a_run_fails() -> None:
    ended: list[str] = []

    class Remembering(Silent):
        def end(self, summary: Any) -> None:
            ended.append(summary["status"])

    table = loggers._Table(lambda run, told: Remembering(), "")
    loggers.LOGGERS.add("mine", table)
    try:
        with suppress(ZeroDivisionError), loggers.listening(Heard(), ["mine"], Path(), {}):
            raise ZeroDivisionError
        with loggers.listening(Heard(), ["mine"], Path(), {}) as observer:
            observer.end(DONE)
    finally:
        loggers.LOGGERS._items.pop("mine")
    assert ended == ["failed", "finished"]


class Broken(Silent):
    def epoch(self, records: Sequence[Record]) -> None:
        message = "no network\nand more"
        raise ConnectionError(message)

    def end(self, summary: Any) -> None:
        raise AssertionError


def test_a_logger_that_fails_is_left_out() -> None:
    watcher = Heard()
    observer = loggers.Several(watcher, {"mine": Broken()})
    observer.start(HEADER)
    observer.epoch([TRAIN])
    observer.epoch([TRAIN])
    observer.end(DONE)
    assert watcher.warnings == ["mine is not told any more: no network"]
    assert len(watcher.records) == 2


def test_mistakes_in_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = Sink()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    loggers.check(["tensorbord", "mlflow"], sink, lambda path, key=False: None)
    first, second = sink.diagnostics
    assert (first.code, first.message) == ("bad-value", "there is no logger `tensorbord`")
    assert first.hint == "did you mean `tensorboard`? loggers: tensorboard, wandb, mlflow"
    assert (second.code, second.hint) == ("missing-package", "pip install 'graphspec[mlflow]'")
