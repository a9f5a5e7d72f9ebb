"""When two graphs are the same: a form of a graph that depends on what it computes, not on names.

Kinds and sequences are taken apart into single calls of torch, policies of edges become calls, and
what only names or reshapes is one label. From the heads, by the names of their tasks, each call is
numbered when all that it reads is; a parameter is numbered when it is first used. Two graphs with
equal lists have the same calls with the same arguments, edges in the same order, shared and tied
parameters at the same places, and the same frozen ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from graphspec.graph.ir import Edge, Graph, Node, place_of
from graphspec.ops.build import build_part
from graphspec.ops.modules import TransposedLinear
from graphspec.ops.registry import Call, Site
from graphspec.ops.types import TensorType

_AS_LAYERS = {
    "relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "gelu": nn.GELU, "silu": nn.SiLU,
    "softplus": nn.Softplus, "softmax": nn.Softmax, "log_softmax": nn.LogSoftmax,
}  # fmt: skip
_VIEWS = ("flatten", "reshape", "unflatten", "squeeze", "unsqueeze", "Flatten", "Unflatten")


class Canonical:
    """Numbers the calls and parameters of a typed graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.records: list[Any] = []
        self._known: dict[Any, int] = {}
        self._tensors: dict[Any, int] = {}
        self._done: dict[Any, int] = {}

    def heads(self) -> dict[str, int]:
        return {task: self._number(Edge(node)) for task, node in sorted(self.graph.heads.items())}

    def _number(self, edge: Edge) -> int:
        waiting = [(edge.node, False)]
        while waiting:
            name, ready = waiting.pop()
            if name in self._done or name in self.graph.inputs:
                continue
            node = self.graph.nodes[name]
            if not ready:
                waiting.append((name, True))
                waiting += [(e.node, False) for e in reversed(node.inputs)]
                continue
            self._done[name] = self._call(node)
        return self._edge(edge)

    def _record(self, *record: Any) -> int:
        if record[:2] == ("call", "detach"):
            (before,) = record[2]
            if self.records[before][:2] == ("call", "detach"):
                return int(before)
        self.records.append(record)
        return len(self.records) - 1

    def _edge(self, edge: Edge) -> int:
        if edge.node in self.graph.inputs:
            number = self._once(("input", edge.node))
        else:
            number = self._done[edge.node]
            ports = self.graph.nodes[edge.node].ports
            if ports != ((),):
                number = self._once(("port", number, ports[edge.port or 0]))
        if edge.form in ("softmax", "sigmoid"):
            layer = nn.Softmax(1) if edge.form == "softmax" else nn.Sigmoid()
            number = self._once(("call", label(layer), (number,), ()))
        elif edge.form != "logits":
            number = self._once((edge.form, number))
        if edge.detach or edge.gradient_scale == 0.0:
            number = self._once(("call", "detach", (number,), ()))
        elif edge.gradient_scale != 1.0:
            number = self._once(("scale", edge.gradient_scale, number))
        return number

    def _once(self, record: tuple[Any, ...]) -> int:
        if record not in self._known:
            self._known[record] = self._record(*record)
        return self._known[record]

    def _call(self, node: Node) -> int:
        weights = self.graph.weights[node.weights]
        inputs = tuple(self._edge(edge) for edge in node.inputs)
        owner, prefix = weights, ""
        types = weights.inputs
        for number, step in enumerate(owner.steps):
            with torch.device("meta"):
                part = build_part(step, Site(types[number], self.graph.tasks))
            inside = f"{prefix}{number}." if weights.sequence else prefix
            last = number == len(owner.steps) - 1
            out = node.outputs[0] if last else types[number + 1][0]
            inputs = tuple(self._part(part, inputs, weights.name, inside, out))
        return inputs[0]

    def _part(
        self, part: Any, inputs: tuple[int, ...], owner: str, prefix: str, out: TensorType
    ) -> Iterator[int]:
        if isinstance(part, nn.Sequential):
            for name, child in part.named_children():
                (number,) = self._part(child, inputs, owner, f"{prefix}{name}.", out)
                inputs = (number,)
            yield inputs[0]
        elif isinstance(part, nn.Identity):
            yield inputs[0]
        elif isinstance(part, Call):
            yield self._function(part, inputs, out)
        else:
            if type(part).__name__ == "Parameter":
                inputs = ("batch",) if inputs else ()  # type: ignore[assignment]
            if type(part).__name__ in _VIEWS:
                yield self._record("view", _shape(type(part).__name__, out), inputs)
                return
            names = [n for n, _ in part.named_parameters()]
            tensors = tuple(self._tensor(owner, prefix + name) for name in names)
            buffers = tuple(
                self._buffer((owner, prefix + name)) for name, _ in part.named_buffers()
            )
            yield self._record("call", label(part), inputs, (tensors, buffers))

    def _function(self, call: Call, inputs: tuple[int, ...], out: TensorType) -> int:
        name = call.function.__name__
        if call.fold:
            number = inputs[0]
            for other in inputs[1:]:
                number = self._record("call", name, (number, other), ())
            return number
        if name in _VIEWS:
            return self._record("view", _shape(name, out), inputs)
        if name in _AS_LAYERS:
            return self._record("call", label(_AS_LAYERS[name](**call.kwargs)), inputs, ())
        if name == "detach":
            return self._once(("call", "detach", inputs, ()))
        words = {key: _dims(value) for key, value in call.kwargs.items()}
        if not words.get("keepdim", True):
            del words["keepdim"]
        return self._record("call", f"{name} {call.args} {sorted(words.items())}", inputs, ())

    def _tensor(self, owner: str, name: str) -> Any:
        place = place_of(self.graph.weights, owner, name)
        key = (place.owner, place.parameter)
        frozen = not self.graph.weights[place.owner].trainable
        return self._numbered(key), place.transposed, frozen

    def _buffer(self, key: tuple[str, str]) -> int:
        weights = self.graph.weights[key[0]]
        while weights.layer_of is not None:
            inner = weights.name[len(weights.layer_of) + 1 :]
            key = (weights.layer_of, f"{inner}.{key[1]}")
            weights = self.graph.weights[weights.layer_of]
        return self._numbered(("buffer", *key))

    def _numbered(self, key: Any) -> int:
        return self._tensors.setdefault(key, len(self._tensors))


def _shape(name: str, out: TensorType) -> Any:
    """Return the shape that a view gives; to flatten and to reshape to one row is the same."""
    return None if name.lower() == "flatten" or out.rank == 2 else out.shape


def _dims(value: Any) -> Any:
    return (value,) if isinstance(value, int) and not isinstance(value, bool) else value


def label(module: nn.Module) -> str:
    """Return what a layer computes: its class and all its settings."""
    kind = type(module)
    name = "Linear" if kind is TransposedLinear else kind.__name__
    settings = {
        key: _each(value)
        for key, value in vars(module).items()
        if not key.startswith("_") and isinstance(value, (int, float, str, tuple, list, type(None)))
    }
    settings.pop("inplace", None)
    inner = [label(child) for child in module.children()]
    return f"{name} {sorted(settings.items(), key=str)} {inner}"


def _each(value: Any) -> Any:
    """Return ``(3, 3)`` as 3, which a layer does not tell apart."""
    if isinstance(value, (tuple, list)) and len(set(value)) == 1:
        return value[0]
    return tuple(value) if isinstance(value, list) else value


def canonical(graph: Graph) -> tuple[dict[str, int], list[Any]]:
    """Return the form of a graph that two have in common if they are the same."""
    found = Canonical(graph)
    heads = found.heads()
    return heads, found.records
