"""Interrupting and going on: bit for bit the weights of a run that was never interrupted."""

from __future__ import annotations

import copy
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from graphspec.errors import SpecError
from graphspec.training import checkpoint, loop
from graphspec.training.evaluation import Evaluation
from graphspec.training.interrupts import Interrupts
from graphspec.training.run import train
from graphspec.training.summary import lines
from graphspec.training.trained import Run

from .conftest import Notes

pytestmark = pytest.mark.usefixtures("no_pictures")

EPOCHS = 2
TIMES = ("seconds", "images_per_s", "data_wait")
STEPS = 3


def weights(run: Run, name: str = "last.pt") -> dict[str, Any]:
    value = torch.load(run.folder / name, weights_only=True)
    assert isinstance(value, dict)
    return value


def assert_same(a: Any, b: Any, path: str = "") -> None:
    """Compare two checkpoints bit for bit, times excepted."""
    assert type(a) is type(b), path
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), path
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), path
        for key in a:
            if key not in ("seconds", "epoch_seconds"):
                assert_same(a[key], b[key], f"{path}/{key}")
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), path
        for number, (left, right) in enumerate(zip(a, b, strict=True)):
            assert_same(left, right, f"{path}/{number}")
    else:
        assert a == b, path


def timeless(run: Run) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in record.items() if key not in TIMES} for record in run.metrics
    ]


@pytest.fixture
def whole(spec: Path, tmp_path: Path) -> Run:
    return train(spec, out=tmp_path / "whole", overrides={"data.augment": "founding"})


def interrupted_at(
    step: int, spec: Path, out: Path, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> Run:
    """Train until the given step, counted over the epochs, where Ctrl-C is pressed."""
    original = loop.step

    def stepping(job: Any, state: Any, *rest: Any) -> None:
        original(job, state, *rest)
        if state.global_step == step:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "step", stepping)
        return train(spec, out=out, overrides={"data.augment": "founding"}, **options)


@pytest.mark.parametrize("step", range(1, EPOCHS * STEPS + 1))
def test_interrupted_at_any_step_and_resumed(
    step: int, spec: Path, tmp_path: Path, whole: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = interrupted_at(step, spec, tmp_path / "run", monkeypatch)
    assert run.status == "interrupted"
    assert not (run.folder / "report.html").exists()
    saved = weights(run)
    assert saved["progress"]["global_step"] == step
    assert saved["progress"]["epoch"] == (step - 1) // STEPS
    notes = Notes()
    resumed = train(resume=run.folder, observer=notes)
    assert resumed.status == "finished"
    assert_same(weights(resumed), weights(whole))
    assert_same(weights(resumed, "best.pt"), weights(whole, "best.pt"))
    assert timeless(resumed) == timeless(whole)
    assert notes.headers[0].start_epoch == (step - 1) // STEPS
    environment = json.loads((run.folder / "environment.json").read_text())
    assert [again["epoch"] for again in environment["resumed"]] == [(step - 1) // STEPS]


def test_interrupted_while_validating_and_while_testing(
    spec: Path, tmp_path: Path, whole: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = loop.evaluate
    calls: list[int] = []

    def pressing(*arguments: Any) -> Evaluation | None:
        calls.append(1)
        if len(calls) in (1, 4, 6):
            os.kill(os.getpid(), signal.SIGINT)
        return original(*arguments)

    monkeypatch.setattr(loop, "evaluate", pressing)
    overrides = {"data.augment": "founding"}
    run = train(spec, out=tmp_path / "run", overrides=overrides)
    assert (run.status, run.summary["epochs"], run.summary["step"]) == ("interrupted", 0, STEPS)
    assert "interrupted after 0 epochs and 3 of 3 steps of 2 epochs" in lines(run)
    run = train(resume=run.folder)
    assert (run.status, run.summary["epochs"]) == ("interrupted", EPOCHS)
    assert "interrupted after 2 epochs before its test" in lines(run)
    run = train(resume=run.folder)
    assert run.status == "interrupted"
    run = train(resume=run.folder)
    assert run.status == "finished"
    assert_same(weights(run), weights(whole))
    assert timeless(run) == timeless(whole)


def test_interrupted_while_saving_at_an_epochs_end(
    spec: Path, tmp_path: Path, whole: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = checkpoint.save
    calls: list[Path] = []

    def pressing(value: Any, path: Path) -> None:
        calls.append(path)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        original(value, path)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", pressing)
        overrides = {"data.augment": "founding"}
        run = train(spec, out=tmp_path / "run", overrides=overrides)
    assert run.status == "interrupted"
    run = train(resume=run.folder)
    assert_same(weights(run), weights(whole))
    assert timeless(run) == timeless(whole)


def test_what_a_killed_process_leaves_behind_is_dropped(
    spec: Path, tmp_path: Path, whole: Run
) -> None:
    run = train(spec, out=tmp_path / "run", epochs=1, overrides={"data.augment": "founding"})
    with (run.folder / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 2, "split": "train", "loss": 1.0}\n{"epoch": 2, "split": "tra')
    (run.folder / ".last.pt.1.part").write_bytes(b"half")
    (run.folder / "checkpoints" / ".step-000000003.pt.part").write_bytes(b"half")
    resumed = train(resume=run.folder, epochs=EPOCHS)
    assert_same(weights(resumed), weights(whole))
    assert timeless(resumed) == timeless(whole)
    assert not list(run.folder.rglob("*.part"))


def test_killed_before_the_first_step(spec: Path, tmp_path: Path, whole: Run) -> None:
    out = tmp_path / "run"
    run = train(spec, out=out, epochs=1, overrides={"data.augment": "founding"})
    shutil.rmtree(run.folder / "checkpoints")
    for path in run.folder.iterdir():
        if path.name not in ("spec.yaml", "environment.json"):
            path.unlink()
    resumed = train(resume=out, epochs=EPOCHS)
    assert_same(weights(resumed), weights(whole))


def test_more_epochs_go_on_where_it_ended(spec: Path, tmp_path: Path, whole: Run) -> None:
    run = train(spec, out=tmp_path / "run", epochs=1, overrides={"data.augment": "founding"})
    resumed = train(spec, resume=run.folder, epochs=EPOCHS)
    assert_same(weights(resumed), weights(whole))
    assert timeless(resumed) == timeless(whole)
    again = train(resume=run.folder)
    assert again.summary == resumed.summary


def test_fewer_epochs_than_have_begun_are_refused(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = interrupted_at(STEPS + 1, spec, tmp_path / "run", monkeypatch)
    with pytest.raises(SpecError, match="the run is in epoch 2, so it cannot end after 1"):
        train(resume=run.folder, epochs=1)
    run = interrupted_at(1, spec, tmp_path / "other", monkeypatch)
    assert train(resume=run.folder, epochs=1).summary["epochs"] == 1


def test_a_finished_run_stays_as_it_is_and_says_so(whole: Run) -> None:
    before = {path.name: path.read_bytes() for path in whole.folder.iterdir() if path.is_file()}
    notes = Notes()
    again = train(resume=whole.folder, observer=notes)
    assert again.status == "finished"
    assert notes.warnings == [
        f"`{whole.folder}` is finished after 2 epochs and stays as it is; "
        "ask for more with `--epochs 12`"
    ]
    assert not notes.headers
    assert {
        path.name: path.read_bytes() for path in whole.folder.iterdir() if path.is_file()
    } == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"overrides": {"nodes.features.units": [13]}}, "has not the topology of the run"),
        ({"overrides": {"train.lr": 0.5}}, "`train.lr: 0.01`, not `0.5`"),
        ({"overrides": {"data.augment": "none"}}, "`data.augment: founding`, not `none`"),
        ({"seed": 7}, "`train.seed: 0`, not `7`"),
        ({"data": "fashion-mini"}, "`data.source: tiny`, not `fashion-mini`"),
    ],
)
def test_another_topology_recipe_or_data_is_refused(
    options: dict[str, Any], words: str, spec: Path, whole: Run
) -> None:
    with pytest.raises(SpecError) as error:
        train(spec, resume=whole.folder, **{"epochs": 5, **options})
    assert [item.code.value for item in error.value.diagnostics] == ["run-mismatch"]
    assert words in str(error.value)


def test_early_stopped_run_goes_on_only_when_asked(spec: Path, tmp_path: Path) -> None:
    rule = {"metric": "validation/fine/top1", "patience": 1, "min_delta": 0.99}
    overrides = {"train.early_stopping": rule, "train.epochs": 5}
    run = train(spec, out=tmp_path / "run", overrides=overrides)
    assert run.summary["epochs"] == 2
    assert train(resume=run.folder).summary == run.summary
    assert train(resume=run.folder, epochs=4).summary["epochs"] == 3


def test_optimizer_state_in_another_memory_order_is_brought_into_line() -> None:
    from graphspec.training import optimizers

    def trained(order: torch.memory_format) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        module = torch.nn.Conv2d(3, 5, 3).to(memory_format=order)
        return module, torch.optim.Adam(module.parameters(), fused=True)

    def step(module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        generator = torch.Generator().manual_seed(1)
        for parameter in module.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.grad = torch.empty_like(parameter).copy_(noise)
        optimizer.step()

    first, first_optimizer = trained(torch.channels_last)
    step(first, first_optimizer)
    second, second_optimizer = trained(torch.contiguous_format)
    second.load_state_dict(first.state_dict())
    optimizers.restore(second_optimizer, copy.deepcopy(first_optimizer.state_dict()))
    step(first, first_optimizer)
    step(second, second_optimizer)
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_second_ctrl_c_stops_at_once_and_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interrupts() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
