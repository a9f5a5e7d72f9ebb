"""What a typed graph costs and shares: parameters, FLOPs, memory, and the memory limit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import psutil
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from graphspec.errors import Code, Sink, fail
from graphspec.graph.ir import Graph, Node, Weights
from graphspec.graph.parts import apply, build_weights
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
        parameters: Parameters of its weights; a further call of the same weights adds none.
        owned: Whether its weights are counted here: at the node that defines them, or at their
            first call where that node is left out.
        flops: Floating-point operations of a forward pass per sample, a multiply-add being two, as
            `torch.utils.flop_counter` counts them: matrix products, convolutions, attention.
        activation_bytes: Memory per sample of what its layers give, which training keeps.
        tasks: The tasks whose heads read it.
    """

    parameters: int
    owned: bool
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
        flops: Per sample and forward pass.
        activation_bytes: Per sample.
        shared: For weights that are called more than once, the calls.
        parameter_bytes: Memory of the parameters.
    """

    nodes: Mapping[str, NodeCost]
    parameters: int
    naive_parameters: int
    flops: int
    activation_bytes: int
    shared: Mapping[str, tuple[str, ...]]
    parameter_bytes: int

    def training_bytes(self, batch: int) -> int:
        """Return the memory of training with Adam and ``batch`` samples, activations included."""
        return TRAINING_COPIES * self.parameter_bytes + batch * self.activation_bytes


def analyse(graph: Graph) -> Analysis:
    """Count what a typed graph costs; nothing is allocated."""
    calls = {name: tuple(node.name for node in nodes_) for name, nodes_ in graph.calls.items()}
    nodes: dict[str, NodeCost] = {}
    built: dict[str, nn.Module | Call] = {}
    with torch.device("meta"), torch.no_grad():
        for node in graph.order:
            weights = graph.weights[node.weights]
            if node.weights not in built:
                built[node.weights] = build_weights(weights, graph.tasks)
            owner = node.weights if node.weights in graph.nodes else calls[node.weights][0]
            flops, activation_bytes = _measure(graph, node, built[node.weights])
            nodes[node.name] = NodeCost(
                parameters_of(weights),
                node.name == owner,
                flops,
                activation_bytes,
                graph.tasks_of[node.name],
            )
    return Analysis(
        nodes,
        sum(parameters_of(weights) for weights in graph.weights.values()),
        sum(cost.parameters for cost in nodes.values()),
        sum(cost.flops for cost in nodes.values()),
        sum(cost.activation_bytes for cost in nodes.values()),
        {
            name: names
            for name, names in calls.items()
            if len(names) > 1 and graph.weights[name].is_module
        },
        sum(map(_bytes_of, graph.weights.values())),
    )


def _measure(graph: Graph, node: Node, whole: nn.Module | Call) -> tuple[int, int]:
    """Run one call on the meta device; return its FLOPs and activation bytes per sample."""
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


def parameters_of(weights: Weights) -> int:
    """Return the number of parameters of one weights owner."""
    return sum(type_.size_per_sample for type_ in weights.parameters.values())


def _bytes_of(weights: Weights) -> int:
    """Return the memory of the parameters of one weights owner."""
    return sum(type_.bytes_per_sample for type_ in weights.parameters.values())


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
    sizes = {name: _bytes_of(weights) for name, weights in graph.weights.items()}
    needed = TRAINING_COPIES * sum(sizes.values())
    if needed <= limit:
        return
    largest = sorted(sizes, key=lambda name: -sizes[name])[:3]
    listing = ", ".join(
        f"`{name}` {parameters_of(graph.weights[name]):,} parameters" for name in largest
    )
    sink.error(
        Code.OUT_OF_MEMORY,
        graph.weights[largest[0]].span,
        f"training needs {bytes_text(needed)} for parameters, gradients and the optimizer, "
        f"the limit is {bytes_text(limit)}",
        f"largest: {listing}\nmake them smaller, or raise the limit with `--memory-limit`",
    )


def check_shared(graph: Graph, sink: Sink) -> None:
    """Warn of batch normalisation that several calls share: its statistics mix their inputs."""
    for name, calls in graph.calls.items():
        weights = graph.weights[name]
        if len(calls) > 1 and any(buffer.endswith("running_mean") for buffer in weights.buffers):
            names = " and ".join(f"`{node.name}`" for node in calls[:3])
            sink.warning(
                Code.SHARED_BATCH_NORM,
                calls[1].span,
                f"{names} share a batch normalisation, whose running statistics mix their inputs",
                "use `norm: group` or `norm: layer` in shared weights",
            )


def bytes_text(count: int) -> str:
    """Return an amount of memory as people read it: ``1.5 GiB``."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if value < 1024 or unit == "PiB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return ""
