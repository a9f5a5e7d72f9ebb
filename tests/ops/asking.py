"""Short ways to ask an op: what it builds, and what it says when it cannot."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from torch import nn

from graphspec.language.signature import TaskSpec
from graphspec.ops import load_ops
from graphspec.ops.build import build_part
from graphspec.ops.registry import Call, OpError, Site, Step
from graphspec.ops.types import BATCH, TensorType


def of(*sizes: int, dtype: str = "float32") -> TensorType:
    """The type of a batch of samples of these sizes."""
    return TensorType((BATCH, *sizes), dtype)


def build(op: str, types: TensorType | list[TensorType], **arguments: Any) -> nn.Module | Call:
    """Build an op for inputs of these types."""
    found = load_ops().get(op)
    site = Site(tuple(types) if isinstance(types, list) else (types,), {"t": TaskSpec(5)})
    return build_part(Step(found, found.Args.model_validate(arguments)), site)


def module(op: str, types: TensorType | list[TensorType], **arguments: Any) -> nn.Module:
    """Build an op that is a module."""
    part = build(op, types, **arguments)
    assert isinstance(part, nn.Module)
    return part


def call(op: str, types: TensorType | list[TensorType], **arguments: Any) -> Call:
    """Build an op that is a function."""
    part = build(op, types, **arguments)
    assert isinstance(part, Call)
    return part


def refusal(
    op: str, types: TensorType | list[TensorType], **arguments: Any
) -> tuple[str, str | None, str | None]:
    """Message, hint and argument with which an op refuses to be built."""
    with pytest.raises(OpError) as caught:
        build(op, types, **arguments)
    error = caught.value
    assert str(error) == error.message
    assert not error.message.endswith(".")
    return error.message, error.hint, error.argument


def complaints(op: str, **arguments: Any) -> dict[str, str]:
    """What an op's arguments answer to wrong values, by argument."""
    try:
        load_ops().get(op).Args.model_validate(arguments)
    except ValidationError as error:
        return {".".join(map(str, each["loc"])): each["msg"] for each in error.errors()}
    return {}
