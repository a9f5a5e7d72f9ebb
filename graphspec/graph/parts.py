"""From ops to modules, and what an op gives: types on the meta device, without allocation.

Graphs repeat themselves, so what was found for an op, its arguments and its inputs is kept for the
next node that asks the same; torch's meta kernels take milliseconds each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from graphspec.graph.ir import Node, Weights
from graphspec.language.signature import TaskSpec
from graphspec.ops.build import as_module, build_part, plan_part
from graphspec.ops.registry import Call, Plan, Site, Step
from graphspec.ops.types import TensorType


@dataclass(frozen=True, slots=True)
class Value:
    """What a call gives.

    Attributes:
        types: Types of its tensors.
        ports: The path of each in the returned value.
    """

    types: tuple[TensorType, ...]
    ports: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One op for given inputs.

    Attributes:
        value: What it gives.
        parameters: Types of its parameters by name.
        buffers: Types of the buffers by name that a checkpoint has.
        is_module: Whether it is a module rather than a function.
    """

    value: Value
    parameters: Mapping[str, TensorType] = field(default_factory=dict)
    buffers: Mapping[str, TensorType] = field(default_factory=dict)
    is_module: bool = False


class Parts:
    """Types ops, each combination of op, arguments and inputs once."""

    def __init__(self, tasks: Mapping[str, TaskSpec]) -> None:
        self._tasks = tasks
        self._known: dict[Any, Part] = {}

    def find(self, step: Step, types: Sequence[TensorType], node: Node | None) -> Part:
        """Type one op; must run under ``torch.device("meta")``.

        Args:
            step: The op and its arguments.
            types: Types of its inputs.
            node: The node whose ``from`` may name the inputs; None inside a sequence.

        Raises:
            OpError: If the op refuses its arguments or its inputs.
            Exception: Whatever torch raises where shapes do not fit.
        """
        names = tuple(edge.name for edge in node.inputs) if node is not None else ()
        # Equal steps are one object, and stay as long as the graph of which the types are asked.
        key = (id(step), tuple(types), names)
        if key not in self._known:
            self._known[key] = self._make(step, tuple(types), node)
        return self._known[key]

    def _make(self, step: Step, types: tuple[TensorType, ...], node: Node | None) -> Part:
        site = Site(types, self._tasks)
        part = build_part(step, site)
        if step.op.infer is not None:
            value = flatten(step.op.infer(step.args, site))
        else:
            if isinstance(part, _ConvNd) and not part.transposed:
                _refuse_kernel(part, types[0])
            value = flatten(apply(part, node, [type_.meta() for type_ in types]))
        if isinstance(part, Call):
            return Part(value)
        parameters = {name: TensorType.of(each) for name, each in part.named_parameters()}
        saved = part.state_dict()
        buffers = {n: TensorType.of(each) for n, each in part.named_buffers() if n in saved}
        return Part(value, parameters, buffers, is_module=True)


class Builder:
    """Builds the weights of a graph; what equal ops on equal inputs have in common, once."""

    def __init__(self, tasks: Mapping[str, TaskSpec]) -> None:
        self._tasks = tasks
        self._plans: dict[Any, Plan] = {}

    def build(self, weights: Weights) -> nn.Module | Call:
        """Build typed weights, all their steps, on torch's default device."""
        parts = []
        for step, types in zip(weights.steps, weights.inputs, strict=True):
            key = (id(step), types)
            plan = self._plans.get(key)
            if plan is None:
                plan = self._plans[key] = plan_part(step, Site(types, self._tasks))
            parts.append(plan())
        return as_module(parts, weights.sequence)


def _refuse_kernel(part: _ConvNd, given: TensorType) -> None:
    """Say of a kernel that is larger than the padded map what torch says where it computes.

    On the meta device some versions of torch say it in other words, and torch 2.6 gives an empty
    map.

    Raises:
        RuntimeError: If it is larger.
    """
    dims = len(part.kernel_size)
    if given.rank < dims:
        return
    padding = part.padding if isinstance(part.padding, tuple) else (0,) * dims
    sizes = zip(given.shape[-dims:], padding, part.dilation, part.kernel_size, strict=True)
    spans = [(size + 2 * pad, gap * (kernel - 1) + 1) for size, pad, gap, kernel in sizes]
    if any(0 < padded < kernel for padded, kernel in spans):
        padded, kernel = (" x ".join(map(str, each)) for each in zip(*spans, strict=True))
        message = f"padded input size per channel: ({padded}). Kernel size: ({kernel})"
        raise RuntimeError(message)


def apply(part: nn.Module | Call, node: Node | None, inputs: list[torch.Tensor]) -> Any:
    """Call a module or a function on inputs, by name where the node says so."""
    if isinstance(part, Call):
        return part.apply(inputs)
    if node is not None and node.inputs and node.inputs[0].name is not None:
        return part(**{str(edge.name): x for edge, x in zip(node.inputs, inputs, strict=True)})
    return part(*inputs)


def flatten(value: Any) -> Value:
    """Return the types of the tensors in a value, with their paths, in order.

    Args:
        value: A tensor or a type, or tuples and lists of them, nested; None counts for nothing.

    Raises:
        TypeError: If there is anything else in it, or no tensor at all.
    """
    found: list[tuple[tuple[int, ...], TensorType]] = []
    waiting: list[tuple[tuple[int, ...], Any]] = [((), value)]
    while waiting:
        path, item = waiting.pop()
        if isinstance(item, torch.Tensor):
            found.append((path, TensorType.of(item)))
        elif isinstance(item, TensorType):
            found.append((path, item))
        elif isinstance(item, (tuple, list)):
            waiting.extend((((*path, i), each) for i, each in reversed(list(enumerate(item)))))
        elif item is not None:
            message = f"it gives a {type(item).__name__}, not a tensor"
            raise TypeError(message)
    if not found:
        message = "it gives no tensor"
        raise TypeError(message)
    return Value(tuple(type_ for _, type_ in found), tuple(path for path, _ in found))
