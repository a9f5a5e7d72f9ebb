"""The kind `head`: which layer suits a task, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from graphspec.language.signature import TaskSpec
from graphspec.ops import load_ops
from graphspec.ops.build import build_part
from graphspec.ops.registry import OpError, Site, Step
from graphspec.ops.types import BATCH, TensorType

from .asking import complaints, of

CLASSES = TaskSpec(5)
LABELS = TaskSpec(3, type="multilabel")
NUMBER = TaskSpec(type="regression", shape=(1,))
NUMBERS = TaskSpec(type="regression", shape=(2, 3))
DEPTH = TaskSpec(type="regression", shape=(1, 4, 4))
PLACES = TaskSpec(6, type="segmentation", shape=(4, 4))
TOKENS = TaskSpec(9, type="segmentation")


def head(task: TaskSpec, kind: TensorType, **arguments: Any) -> nn.Module:
    op = load_ops().get("head")
    step = Step(op, op.Args.model_validate({"task": "t", **arguments}))
    part = build_part(step, Site((kind,), {"t": task}))
    assert isinstance(part, nn.Module)
    return part


def refusal(task: TaskSpec, kind: TensorType, **arguments: Any) -> tuple[str, str | None]:
    with pytest.raises(OpError) as caught:
        head(task, kind, **arguments)
    return caught.value.message, caught.value.hint


@pytest.mark.parametrize(
    ("task", "sizes", "layer", "outputs"),
    [
        (CLASSES, (16,), nn.Linear, (5,)),
        (LABELS, (16,), nn.Linear, (3,)),
        (NUMBER, (16,), nn.Linear, (1,)),
        (NUMBERS, (16,), nn.Sequential, (2, 3)),
        (DEPTH, (16,), nn.Sequential, (1, 4, 4)),
        (DEPTH, (8, 4, 4), nn.Conv2d, (1, 4, 4)),
        (PLACES, (8, 4, 4), nn.Conv2d, (6, 4, 4)),
        (TOKENS, (8, 7), nn.Conv1d, (9, 7)),
        (TOKENS, (8, 2, 3, 4), nn.Conv3d, (9, 2, 3, 4)),
    ],
)
def test_the_layer_suits_the_task(
    task: TaskSpec, sizes: tuple[int, ...], layer: type, outputs: tuple[int, ...]
) -> None:
    found = head(task, of(*sizes))
    assert type(found) is layer
    assert found(torch.randn(2, *sizes)).shape == (2, *outputs)
    plain = head(task, of(*sizes), bias=False)
    assert not any(name.endswith("bias") for name, _ in plain.named_parameters())
    assert type(head(task, of(*outputs), layer="none")) is nn.Identity


def test_a_linear_head_of_a_map_is_possible_by_name() -> None:
    assert type(head(DEPTH, of(16), layer="linear")) is nn.Sequential
    assert type(head(CLASSES, of(16), layer="linear")) is nn.Linear
    assert type(head(PLACES, of(8, 4, 4), layer="conv")) is nn.Conv2d


def test_what_a_head_cannot_read() -> None:
    assert refusal(CLASSES, of(8, 4, 4)) == (
        "`head` needs an input of shape [N, features], got [N, 8, 4, 4]",
        "put `op: flatten`, `op: global_pool` or `op: fc` before it",
    )
    assert refusal(CLASSES, TensorType((BATCH,)))[1] is None
    assert "floating-point" in refusal(CLASSES, of(16, dtype="int64"))[0]
    assert refusal(PLACES, of(16))[0] == (
        "`head` of the segmentation `t` needs an input of shape [N, channels, length], "
        "[N, channels, height, width] or [N, channels, depth, height, width], got [N, 16]"
    )
    for task in (PLACES, DEPTH):
        message, hint = refusal(task, of(8, 2, 2))
        assert message == "the targets of `t` have the positions [4, 4], got [N, 8, 2, 2]"
        assert "`op: upsample`" in str(hint)


def test_a_layer_that_does_not_suit_the_task() -> None:
    assert refusal(CLASSES, of(8, 4, 4), layer="conv") == (
        "`layer: conv` gives a prediction for each position, and `t` has one",
        "use `layer: linear`, or make the task's `type: segmentation`",
    )
    assert "no class for each position" in refusal(PLACES, of(16), layer="linear")[0]
    assert "did you mean `linear`?" in complaints("head", task="t", layer="lin")["layer"]


@pytest.mark.parametrize(
    ("task", "sizes", "wanted", "predicts"),
    [
        (CLASSES, (6,), "[N, 5]", "5 classes"),
        (CLASSES, (5, 1), "[N, 5]", "5 classes"),
        (LABELS, (5,), "[N, 3]", "3 labels"),
        (NUMBER, (2,), "[N, 1]", "1 number"),
        (NUMBERS, (3, 2), "[N, 2, 3]", "2x3 numbers"),
        (TOKENS, (7, 9), "[N, 9, ...]", "9 classes a position"),
        (TOKENS, (9,), "[N, 9, ...]", "9 classes a position"),
    ],
)
def test_what_is_no_prediction(
    task: TaskSpec, sizes: tuple[int, ...], wanted: str, predicts: str
) -> None:
    message, hint = refusal(task, of(*sizes), layer="none")
    assert message == f"`layer: none` needs the prediction of `t`, {wanted}, got {of(*sizes)}"
    assert hint == f"the layer before it must give {predicts}, or leave `layer` out"


def test_arguments_of_no_layer() -> None:
    assert "positions [4, 4]" in refusal(PLACES, of(6, 2, 2), layer="none")[0]
    assert refusal(CLASSES, of(5), layer="none", bias=False)[1] == "leave `bias` out"
    assert complaints("head", task=3) == {"task": "expected a string, got `3`"}
    assert complaints("head") == {"task": "Field required"}
