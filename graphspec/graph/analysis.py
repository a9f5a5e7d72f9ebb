"""What a typed graph costs and shares: parameters, FLOPs, memory, and the memory limit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import psutil
import torch
from torch import nn

from graphspec.errors import Code, Sink, fail
from graphspec.graph.ir import Graph, Node
from graphspec.graph.parts import Builder, apply
from graphspec.graph.reachability import (
    Parameter,
    naive_parameters,
    parameters,
    size_of,
    total,
)
from graphspec.ops.registry import Call
from graphspec.ops.types import BATCH

TRAINING_COPIES = 4
"""Tensors per parameter while training: the weight, its gradient, and Adam's two moments."""

_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


@dataclass(frozen=True, slots=True)
class NodeCost:
    """What one call costs.

    Attributes:
        parameters: Parameters of its weights, whoever owns them.
        counted: Those of them that are counted here: a parameter that several nodes use is counted
            at the node that owns it, or at the first that uses it where that node is left out.
        elsewhere: The nodes at which the rest is counted.
        flops: Floating-point operations of a forward pass per sample, a multiply-add being two, as
            `torch.utils.flop_counter` counts them: matrix products, convolutions, attention.
        activation_bytes: Memory per sample of what its layers give, which training keeps.
        tasks: The tasks whose heads read it.
    """

    parameters: int
    counted: int
    elsewhere: tuple[str, ...]
    flops: int
    activation_bytes: int
    tasks: frozenset[str]


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a graph costs.

    Attributes:
        nodes: The cost of each call, in topological order.
        parameters: Parameters of the model, shared ones counted once.
        naive_parameters: Parameters if every call had weights of its own.
        frozen_parameters: Those of the model that training does not change.
        flops: Per sample and forward pass.
        activation_bytes: Per sample.
        shared: For weights that are called more than once, the calls.
        parameter_bytes: Memory of the parameters.
        state_bytes: Memory of their gradients and of the optimizer, which frozen ones need not.
    """

    nodes: Mapping[str, NodeCost]
    parameters: int
    naive_parameters: int
    frozen_parameters: int
    flops: int
    activation_bytes: int
    shared: Mapping[str, tuple[str, ...]]
    parameter_bytes: int
    state_bytes: int

    def training_bytes(self, batch: int) -> int:
        """Return the memory of training with Adam and ``batch`` samples, activations included."""
        return self.parameter_bytes + self.state_bytes + batch * self.activation_bytes


def analyse(graph: Graph) -> Analysis:
    """Count what a typed graph costs; nothing is allocated."""
    calls = {name: tuple(node.name for node in nodes_) for name, nodes_ in graph.calls.items()}
    every = parameters(graph)
    counted, elsewhere = _counted(graph, every)
    nodes: dict[str, NodeCost] = {}
    measured: dict[Any, tuple[int, int]] = {}
    builder = Builder(graph.tasks)
    with torch.device("meta"), torch.no_grad():
        for node in graph.order:
            weights = graph.weights[node.weights]
            # Equal steps are one object; what is equal costs the same and is measured once.
            reads = tuple((edge.name, graph.type_of(edge)) for edge in node.inputs)
            key = (weights.sequence, tuple(map(id, weights.steps)), weights.inputs, reads)
            if key not in measured:
                whole = builder.build(weights)
                if isinstance(whole, nn.Module):
                    # torch's counter looks for the gradient of a view of a parameter, in vain.
                    whole.requires_grad_(False)
                measured[key] = _measure(graph, node, whole)
            flops, activation_bytes = measured[key]
            nodes[node.name] = NodeCost(
                size_of(weights),
                counted.get(node.name, 0),
                tuple(elsewhere.get(node.name, ())),
                flops,
                activation_bytes,
                graph.tasks_of[node.name],
            )
    return Analysis(
        nodes,
        total(every.values()),
        naive_parameters(graph),
        total(each for each in every.values() if not each.trainable),
        sum(cost.flops for cost in nodes.values()),
        sum(cost.activation_bytes for cost in nodes.values()),
        {
            name: names
            for name, names in calls.items()
            if len(names) > 1 and graph.weights[name].is_module
        },
        sum(each.type.bytes_per_sample for each in every.values()),
        _state_bytes(every),
    )


def _counted(
    graph: Graph, every: Mapping[str, Parameter]
) -> tuple[Mapping[str, int], Mapping[str, Mapping[str, None]]]:
    """Return how many parameters are counted at each node, and where its others are counted."""
    place = {node.name: index for index, node in enumerate(graph.order)}
    counted: dict[str, int] = {}
    elsewhere: dict[str, dict[str, None]] = {}
    for parameter in every.values():
        users = [call.name for name in parameter.users for call in graph.calls[name]]
        at = parameter.owner
        if at not in graph.nodes:
            at = min(users, key=place.__getitem__)
        counted[at] = counted.get(at, 0) + parameter.count
        for user in users:
            if user != at:
                elsewhere.setdefault(user, {})[at] = None
    return counted, elsewhere


def _naive_bytes(graph: Graph) -> int:
    return sum(
        kind.bytes_per_sample
        for weights in graph.weights.values()
        for kind in weights.parameters.values()
    )


def _state_bytes(every: Mapping[str, Parameter]) -> int:
    trained = sum(each.type.bytes_per_sample for each in every.values() if each.trainable)
    return (TRAINING_COPIES - 1) * trained


def _measure(graph: Graph, node: Node, whole: nn.Module | Call) -> tuple[int, int]:
    """Run one call on the meta device; return its FLOPs and activation bytes per sample."""
    from torch.utils.flop_counter import FlopCounterMode  # it imports triton where there is one

    types = [graph.type_of(edge) for edge in node.inputs]
    steps = 1
    if graph.weights[node.weights].family == "recurrent" and types[0].rank == 3:
        # torch runs these step by step on the meta device too; all steps cost the same.
        steps = types[0].shape[1]
        types[0] = replace(types[0], shape=(types[0].shape[0], 1, types[0].shape[2]))
    meter = _Meter(whole)
    with FlopCounterMode(display=False) as counter, meter:
        meter.result(apply(whole, node, [type_.meta() for type_ in types]))
    return steps * counter.get_total_flops() // BATCH, steps * meter.bytes // BATCH


class _Meter:
    """Sums the bytes of what the leaf layers of a module give."""

    def __init__(self, whole: nn.Module | Call) -> None:
        self.bytes = 0
        self._whole = whole
        self._hooks: list[Any] = []

    def __enter__(self) -> _Meter:
        if isinstance(self._whole, nn.Module):
            for module in self._whole.modules():
                if not any(True for _ in module.children()):
                    self._hooks.append(module.register_forward_hook(self._hook))
        return self

    def __exit__(self, *exception: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def result(self, value: Any) -> None:
        """Count the result of a function, which has no hooks."""
        if isinstance(self._whole, Call):
            self._add(value)

    def _hook(self, module: nn.Module, inputs: Any, output: Any) -> None:
        self._add(output)

    def _add(self, value: Any) -> None:
        if isinstance(value, torch.Tensor):
            # A view, as of Flatten, keeps no memory of its own.
            self.bytes += 0 if value._is_view() else value.numel() * value.element_size()
        elif isinstance(value, (tuple, list)):
            for item in value:
                self._add(item)


def memory_limit(text: str | int | None) -> int:
    """Return a memory limit in bytes.

    Args:
        text: Bytes, or a text such as ``16GiB``; None for the memory of this machine.

    Raises:
        SpecError: ``bad-option`` if it is not a size.
    """
    if text is None:
        return int(psutil.virtual_memory().total)
    stripped = str(text).strip().upper()
    number = stripped.rstrip("KMGTIB ")
    unit = stripped[len(number) :].strip() or "B"
    try:
        value = float(number) * _UNITS[unit]
    except (ValueError, KeyError) as error:
        message = f"`{text}` is not an amount of memory"
        raise fail(Code.BAD_OPTION, message, "write it like `16GiB` or `800MB`") from error
    if not 0 < value < 2**63:
        raise fail(Code.BAD_OPTION, f"`{text}` is not a possible amount of memory")
    return int(value)


def check_memory(graph: Graph, limit: int, sink: Sink) -> None:
    """Report a graph whose training cannot fit in ``limit`` bytes, before allocating anything."""
    if TRAINING_COPIES * _naive_bytes(graph) <= limit:
        return  # nothing is shared or frozen in this sum, so it is fast, and no less
    every = parameters(graph)
    needed = sum(each.type.bytes_per_sample for each in every.values()) + _state_bytes(every)
    if needed <= limit:
        return
    sizes: dict[str, int] = {}
    for each in every.values():
        sizes[each.owner] = sizes.get(each.owner, 0) + each.count
    largest = sorted(sizes, key=lambda name: -sizes[name])[:3]
    listing = ", ".join(f"`{name}` {sizes[name]:,} parameters" for name in largest)
    sink.error(
        Code.OUT_OF_MEMORY,
        graph.weights[largest[0]].span,
        f"training needs {bytes_text(needed)} for parameters, gradients and the optimizer, "
        f"the limit is {bytes_text(limit)}",
        f"largest: {listing}\nmake them smaller, or raise the limit with `--memory-limit`",
    )


def bytes_text(count: int) -> str:
    """Return an amount of memory as people read it: ``1.5 GiB``."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if value < 1024 or unit == "PiB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return ""
