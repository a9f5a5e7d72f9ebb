"""A loss that is no longer finite: the step and the node where the first such number arose."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graphspec.errors import SpecError
from graphspec.training import loop
from graphspec.training.run import train

pytestmark = pytest.mark.usefixtures("no_pictures")

SPEC = """\
graphspec: 1
name: numbers
data: {{source: arrays, path: numbers.npz, validation: {validation}}}
tasks: {{value: {{type: regression}}}}
train: {{epochs: 3, batch_size: 4, lr: 1e-6, optimizer: SGD}}
nodes:
  {nodes}
  head: {{op: head, from: last, task: value}}
"""


def failing(nodes: list[str], values: np.ndarray[Any, Any], **splits: Any) -> str:
    """Train on some numbers until the loss is not finite; return the hint."""
    validation = splits.pop("validation", 0.0)
    Path("numbers.yaml").write_text(SPEC.format(nodes="\n  ".join(nodes), validation=validation))
    arrays = splits or {
        "train_x": values, "test_x": values[:2],
        "train_value": np.zeros(len(values)), "test_value": np.zeros(2),
    }  # fmt: skip
    np.savez("numbers.npz", **arrays)
    with pytest.raises(SpecError) as error:
        train("numbers.yaml", out="run")
    (found,) = error.value.diagnostics
    assert found.code == "loss-not-finite"
    assert found.hint is not None
    kept = torch.load("run/last.pt", weights_only=True)
    assert all(t.isfinite().all() for t in kept["model"].values())
    return found.hint.splitlines()[0]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_node_that_overflows(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.linspace(0.0, 1.0, 64, dtype=np.float32)[:, None]
    values[17] = 200.0
    steps: list[int] = []
    original = loop.step

    def stepping(job: Any, state: Any, *rest: Any) -> None:
        batch = rest[-1]
        if (batch.inputs["x"] == 200.0).any():
            steps.append(state.step + 1)
        original(job, state, *rest)

    monkeypatch.setattr(loop, "step", stepping)
    hint = failing(["same: {op: identity, from: x}", "last: {op: exp, from: same}"], values)
    assert hint == (
        f"step {steps[0]} of epoch 1 is the first to go wrong: `last` gives numbers that are not "
        "finite, from weights and inputs that are; the largest number before it is 2e+02, of `same`"
    )


def test_a_loss_that_overflows() -> None:
    values = np.full((8, 1), 1e30, np.float32)
    hint = failing(["last: {op: identity, from: x}"], values)
    assert re.fullmatch(
        r"step 1 of epoch 1 is the first to go wrong: every node is finite \(the largest number is "
        r"1e\+30, of `last`\), but not the loss of `value`",
        hint,
    )


def test_a_gradient_that_is_not_finite() -> None:
    values = np.zeros((8, 1), np.float32)  # the square root has an infinite slope there
    hint = failing(
        ["zero: {op: Linear, from: x, out_features: 3, bias: false}",
         "last: {op: sqrt, from: zero}"], values,
    )  # fmt: skip
    assert hint == (
        "step 1 of epoch 1 is the first to go wrong: its losses are finite, but not what comes "
        "back to `zero` as gradient"
    )


def test_weights_that_the_optimizer_takes_beyond_all_numbers(spec: Path) -> None:
    decay = {"name": "SGD", "weight_decay": 1000.0}
    with pytest.raises(SpecError) as error:
        train(spec, out="run", overrides={"train.optimizer": decay, "train.lr": 3e38})
    hint = str(error.value.diagnostics[0].hint)
    assert hint.startswith("step 1 of epoch 1 is the first to go wrong: its losses and gradients ")
    assert "the optimizer takes the weights of `trunk`" in hint


def test_only_the_validation_split_goes_wrong() -> None:
    nodes = ["norm: {op: BatchNorm1d, from: x}", "last: {op: exp, from: norm}"]
    values = np.linspace(0.0, 1.0, 40, dtype=np.float32)[:, None]
    Path("numbers.csv").write_text(
        "x,value,split\n"
        + "".join(f"{v[0]},0,train\n" for v in values)
        + "1e4,0,validation\n1,0,test\n"
    )
    table = "source: table, path: numbers.csv, inputs: {x: x}}\n"
    text = SPEC.format(nodes="\n  ".join(nodes), validation=0.0)
    Path("numbers.yaml").write_text(re.sub(r"source: arrays.*\n", table, text))
    with pytest.raises(SpecError, match="on the validation split") as error:
        train("numbers.yaml", out="run")
    assert str(error.value.diagnostics[0].hint).startswith(
        "batch 1 is the first to go wrong: `last` gives numbers that are not finite"
    )


def test_a_fault_in_a_later_epoch_is_found_from_the_last_checkpoint(
    spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = loop.step

    def stepping(job: Any, state: Any, *rest: Any) -> None:
        if state.global_step == 4:
            for group in state.optimizer.param_groups:
                group["lr"] = 1e38
        original(job, state, *rest)

    monkeypatch.setattr(loop, "step", stepping)
    monkeypatch.setattr("graphspec.training.fault.step", stepping)
    overrides = {"train.optimizer": "SGD", "train.checkpoint": {"every": 1, "keep": 1}}
    with pytest.raises(SpecError) as error:
        train(spec, out="run", overrides=overrides)
    hint = str(error.value.diagnostics[0].hint)
    assert hint.startswith(("step 5 of epoch 2", "step 2 of epoch 2", "step 3 of epoch 2"))
