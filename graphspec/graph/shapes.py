"""Shape inference: every module runs once on the meta device, where nothing is allocated.

A weights owner is built for its first call in topological order; further calls must fit what was
built. The batch is symbolic (see `graphspec.ops.types`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from graphspec.errors import Code, Related, Sink, Span
from graphspec.graph.complaints import complaint
from graphspec.graph.expand import Expanded
from graphspec.graph.ir import Edge, Graph, Node, Weights
from graphspec.ops.build import as_module, build_part
from graphspec.ops.registry import Call, OpError, Site, Step
from graphspec.ops.types import TensorType


@dataclass(frozen=True, slots=True)
class _Built:
    """A weights owner on the meta device.

    Attributes:
        whole: The module or the function that a node calls.
        weights: The weights with types filled in.
        first: The node it was built for.
    """

    whole: nn.Module | Call
    weights: Weights
    first: Node


@dataclass(frozen=True, slots=True)
class _Result:
    """What a call gives: flat outputs and the path of each in the returned value."""

    types: tuple[TensorType, ...]
    ports: tuple[tuple[int, ...], ...]
    values: tuple[torch.Tensor, ...]


def infer(expanded: Expanded, sink: Sink) -> Expanded:
    """Give every node its output types and every weights owner its parameters.

    Args:
        expanded: A graph without cycles.
        sink: Where mistakes go; a node that cannot be typed is left out with all that reads it.

    Returns:
        The typed graph.
    """
    inference = _Inference(expanded.graph, sink)
    with torch.device("meta"), torch.no_grad():
        for node in expanded.graph.order:
            inference.visit(node)
    return inference.finish(expanded)


class _Inference:
    """The state of one inference."""

    def __init__(self, graph: Graph, sink: Sink) -> None:
        self._graph = graph
        self._sink = sink
        self._values: dict[str, tuple[torch.Tensor, ...]] = {
            name: (type_.meta(),) for name, type_ in graph.inputs.items()
        }
        self._nodes: dict[str, Node] = {}
        self._built: dict[str, _Built] = {}
        self._failed: set[str] = set()

    def visit(self, node: Node) -> None:
        """Type one node whose inputs are typed, or mark it as failed."""
        inputs = self._inputs(node)
        if inputs is None or node.weights in self._failed:
            self._failed.add(node.name)
            return
        result = self._call(node, inputs)
        if result is None:
            self._failed.add(node.name)
            return
        self._values[node.name] = result.values
        self._nodes[node.name] = replace(node, outputs=result.types, ports=result.ports)

    def _inputs(self, node: Node) -> list[torch.Tensor] | None:
        inputs: list[torch.Tensor] = []
        for edge in node.inputs:
            if edge.node not in self._values:
                return None
            value = self._output(edge)
            if value is None:
                return None
            inputs.append(value)
        return inputs

    def _output(self, edge: Edge) -> torch.Tensor | None:
        values = self._values[edge.node]
        if edge.port is None and len(values) == 1:
            return values[0]
        if edge.port is not None and edge.port < len(values):
            return values[edge.port]
        names = [f"{edge.node}.{port}" for port in range(len(values))]
        shapes = ", ".join(
            f"{name} {TensorType.of(value)}" for name, value in zip(names, values, strict=True)
        )
        if edge.port is None:
            message = f"`{edge.node}` has {len(values)} outputs: say which one"
        else:
            message = f"`{edge}` names no output: `{edge.node}` has {len(values)}"
        hint = f"outputs: {shapes}" if len(values) > 1 else f"write `{edge.node}`, its only output"
        self._sink.error(Code.UNKNOWN_OUTPUT, edge.span, message, hint)
        return None

    def _call(self, node: Node, inputs: list[torch.Tensor]) -> _Result | None:
        built = self._built.get(node.weights)
        types = [TensorType.of(value) for value in inputs]
        if built is None:
            return self._build(node, inputs, types)
        try:
            if len(built.weights.steps) == 1 and _alike(types, built.weights.inputs[0]):
                return _flatten(_run(built.whole, built.weights.steps[0], node, inputs))
            return _flatten(apply(built.whole, node, inputs))
        except Exception as error:
            self._report_share(node, built, types, error)
            return None

    def _build(
        self, node: Node, inputs: list[torch.Tensor], types: list[TensorType]
    ) -> _Result | None:
        """Build the weights of a first call, step by step, and run them."""
        weights = self._graph.weights[node.weights]
        parts: list[nn.Module | Call] = []
        sites: list[tuple[TensorType, ...]] = []
        result: _Result | None = None
        for index, step in enumerate(weights.steps):
            if result is not None:
                if len(result.values) != 1:
                    self._report_many(weights, index - 1, result)
                    return None
                inputs, types = list(result.values), list(result.types)
            sites.append(tuple(types))
            try:
                part = build_part(step, Site(tuple(types), self._graph.tasks))
                parts.append(part)
                result = _flatten(_run(part, step, node if index == 0 else None, inputs))
            except OpError as error:
                self._report_op(node, weights, index, types, error)
                return None
            except Exception as error:
                self._report_run(node, weights, index, types, error)
                return None
        assert result is not None
        whole = as_module(parts, weights.sequence)
        weights = replace(weights, inputs=tuple(sites), **_state(whole))
        self._built[node.weights] = _Built(whole, weights, node)
        return result

    def _report_op(
        self, node: Node, weights: Weights, index: int, types: list[TensorType], error: OpError
    ) -> None:
        """Report what an op refuses: an argument where it names one, else its inputs."""
        self._failed.add(node.weights)
        span = weights.arguments[index].get(error.argument or "")
        if error.argument is not None:
            span = span or weights.spans[index]
            message = error.message
            if f"`{weights.steps[index].op.name}`" not in message:
                message = f"`{weights.steps[index].op.name}` of `{node.name}`: {message}"
            self._sink.error(Code.BAD_ARGUMENT, span, message, error.hint)
            return
        inputs = "input" if len(types) == 1 else "inputs"
        message = f"the node `{node.name}` cannot take its {inputs}: {error.message}"
        hint = "\n".join(filter(None, [error.hint, self._ledger(node, types, index)]))
        self._sink.error(Code.SHAPE_MISMATCH, self._place(node, weights, index), message, hint)

    def _report_run(
        self, node: Node, weights: Weights, index: int, types: list[TensorType], error: Exception
    ) -> None:
        self._failed.add(node.weights)
        name = weights.steps[index].op.name
        got = " and ".join(str(type_) for type_ in types)
        said = complaint(error)
        message = f"`{name}` of the node `{node.name}` does not fit {got}: {said.text}"
        hint = "\n".join(filter(None, [said.hint, self._ledger(node, types, index)]))
        self._sink.error(Code.SHAPE_MISMATCH, self._place(node, weights, index), message, hint)

    def _place(self, node: Node, weights: Weights, index: int) -> Span:
        """Return what to point at: the layer in a sequence, else what the node reads."""
        edge = node.inputs[0].span if node.inputs else None
        if weights.sequence and index > 0:
            return weights.spans[index]
        return edge or weights.spans[index]

    def _ledger(self, node: Node, types: list[TensorType], index: int) -> str:
        """Return the shapes that lead to a node, from its inputs back."""
        if index > 0:
            return f"the layers before it give {types[0]}"
        lines = [f"{edge} {type_}" for edge, type_ in zip(node.inputs, types, strict=True)]
        return "inputs: " + ", ".join(dict.fromkeys(lines))

    def _report_many(self, weights: Weights, index: int, result: _Result) -> None:
        name = weights.steps[index].op.name
        self._failed.add(weights.name)
        self._sink.error(
            Code.UNKNOWN_OUTPUT,
            weights.spans[index],
            f"`{name}` has {len(result.values)} outputs, so a sequence cannot go on after it",
            f"make it a node of its own and read `NODE.0`, which is {result.types[0]}",
        )

    def _report_share(
        self, node: Node, built: _Built, types: list[TensorType], error: Exception
    ) -> None:
        first = [str(type_) for type_ in (built.weights.inputs[0] if built.weights.inputs else ())]
        owner = built.weights.name
        span = node.inputs[0].span if node.inputs else node.span
        self._sink.error(
            Code.SHARE_MISMATCH,
            span,
            f"`{node.name}` applies the weights of `{owner}` to {' and '.join(map(str, types))}, "
            f"but they were made for {' and '.join(first)}: {complaint(error).text}",
            "shared weights need inputs of the same size; bring this one to it first",
            (Related(built.first.span, f"`{built.first.name}` is their first call"),),
        )

    def finish(self, expanded: Expanded) -> Expanded:
        """Return the typed graph of all nodes that could be typed."""
        graph = replace(
            self._graph,
            nodes={name: self._nodes[name] for name in self._graph.nodes if name in self._nodes},
        ).keep(self._nodes)
        graph = replace(
            graph,
            weights={name: self._built[name].weights for name in graph.weights},
        )
        return replace(expanded, graph=graph, broken=expanded.broken | self._failed)


def _alike(types: Sequence[TensorType], others: Sequence[TensorType]) -> bool:
    """Return whether types agree in rank, dtype and features, which recurrent weights depend on."""
    return [(t.rank, t.dtype, t.shape[-1:]) for t in types] == [
        (t.rank, t.dtype, t.shape[-1:]) for t in others
    ]


def _run(part: nn.Module | Call, step: Step, node: Node | None, inputs: list[torch.Tensor]) -> Any:
    """Return what a part gives: by the op's own rule where running it is slow."""
    if step.op.infer is None:
        return apply(part, node, inputs)
    site = Site(tuple(TensorType.of(value) for value in inputs))
    return _meta(step.op.infer(step.args, site))


def _meta(types: Any) -> Any:
    if isinstance(types, TensorType):
        return types.meta()
    return tuple(_meta(each) for each in types)


def apply(part: nn.Module | Call, node: Node | None, inputs: list[torch.Tensor]) -> Any:
    """Call a module or a function on inputs, by name where the node says so."""
    if isinstance(part, Call):
        return part.apply(inputs)
    if node is not None and node.inputs and node.inputs[0].name is not None:
        return part(**{str(edge.name): x for edge, x in zip(node.inputs, inputs, strict=True)})
    return part(*inputs)


def _flatten(value: Any) -> _Result:
    """Return the tensors in what a call gave, with their paths, in order."""
    found: list[tuple[tuple[int, ...], torch.Tensor]] = []
    waiting: list[tuple[tuple[int, ...], Any]] = [((), value)]
    while waiting:
        path, item = waiting.pop()
        if isinstance(item, torch.Tensor):
            found.append((path, item))
        elif isinstance(item, (tuple, list)):
            waiting.extend((((*path, i), each) for i, each in reversed(list(enumerate(item)))))
        elif item is not None:
            message = f"it gives a {type(item).__name__}, not a tensor"
            raise TypeError(message)
    if not found:
        message = "it gives no tensor"
        raise TypeError(message)
    return _Result(
        tuple(TensorType.of(tensor) for _, tensor in found),
        tuple(path for path, _ in found),
        tuple(tensor for _, tensor in found),
    )


def _state(whole: nn.Module | Call) -> dict[str, Any]:
    if isinstance(whole, Call):
        return {"is_module": False}
    parameters: Mapping[str, torch.Tensor] = dict(whole.named_parameters())
    buffers = dict(whole.named_buffers())
    return {
        "parameters": {name: TensorType.of(p) for name, p in parameters.items()},
        "buffers": {name: TensorType.of(b) for name, b in buffers.items()},
    }
