"""Shape inference: every module runs once on the meta device, where nothing is allocated.

A weights owner is built for its first call in topological order; further calls must fit what was
built. The batch is symbolic (see `graphspec.ops.types`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from graphspec.errors import Code, Related, Sink, Span
from graphspec.graph import relations
from graphspec.graph.complaints import complaint, is_overflow
from graphspec.graph.expand import Expanded
from graphspec.graph.ir import Edge, Graph, Node, Weights
from graphspec.graph.parts import Builder, Part, Parts, Value, apply, flatten
from graphspec.ops.registry import Call, OpError, Site
from graphspec.ops.types import TensorType

_SHOWN_OUTPUTS = 12


@dataclass(slots=True)
class _Built:
    """A weights owner whose first call was typed.

    Attributes:
        weights: The weights with types filled in.
        value: What the first call gives.
        first: The node of the first call.
        whole: What further calls of other types run, made for the first of them.
    """

    weights: Weights
    value: Value
    first: Node
    whole: nn.Module | Call | None = field(default=None)


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
        self._parts = Parts(graph.tasks)
        self._types: dict[str, tuple[TensorType, ...]] = {
            name: (type_,) for name, type_ in graph.inputs.items()
        }
        self._nodes: dict[str, Node] = {}
        self._built: dict[str, _Built] = {}
        self._failed: set[str] = set()

    def visit(self, node: Node) -> None:
        """Type one node whose inputs are typed, or mark it as failed."""
        types = self._inputs(node)
        value = None
        if types is not None and node.weights not in self._failed:
            value = self._call(node, types)
        if value is None:
            self._failed.add(node.name)
            return
        self._types[node.name] = value.types
        self._nodes[node.name] = node.typed(value.types, value.ports)

    def _inputs(self, node: Node) -> list[TensorType] | None:
        types: list[TensorType] = []
        for edge in node.inputs:
            type_ = self._output(edge) if edge.node in self._types else None
            if type_ is None or not self._fits_policy(edge, type_):
                return None
            types.append(type_)
        return types

    def _fits_policy(self, edge: Edge, type_: TensorType) -> bool:
        """Report a policy on what has no gradient or no classes."""
        if edge.is_plain:
            return True
        shown = f"`{edge}` is {type_}"
        if not type_.torch_dtype.is_floating_point:
            message, hint = f"{shown}: whole numbers have no gradient", "leave the policy out"
        elif edge.form in ("softmax", "onehot") and type_.rank < 2:
            message, hint = f"{shown}, which has no classes in dimension 1", "leave `as` out"
        else:
            return True
        self._sink.error(Code.SHAPE_MISMATCH, edge.span, message, hint)
        return False

    def _output(self, edge: Edge) -> TensorType | None:
        types = self._types[edge.node]
        if edge.port is None and len(types) == 1:
            return types[0]
        if edge.port is not None and edge.port < len(types):
            return types[edge.port]
        outputs = [f"{edge.node}.{port} {type_}" for port, type_ in enumerate(types)]
        more = ", ..." if len(outputs) > _SHOWN_OUTPUTS else ""
        hint = f"outputs: {', '.join(outputs[:_SHOWN_OUTPUTS])}{more}"
        if edge.port is None:
            message = f"`{edge.node}` has {len(types)} outputs: say which one"
        else:
            message = f"`{edge}` names no output: `{edge.node}` has {len(types)}"
        if len(types) == 1:
            hint = f"write `{edge.node}`, its only output"
        self._sink.error(Code.UNKNOWN_OUTPUT, edge.span, message, hint)
        return None

    def _call(self, node: Node, types: list[TensorType]) -> Value | None:
        built = self._built.get(node.weights)
        if built is None:
            return self._build(node, types)
        if tuple(types) == built.weights.inputs[0] and not _named(node):
            return built.value
        try:
            return self._again(built, node, types)
        except Exception as error:
            self._report_share(node, built, types, error)
            return None

    def _again(self, built: _Built, node: Node, types: list[TensorType]) -> Value:
        """Type a further call of weights that were made for other types."""
        weights, only = built.weights, built.weights.steps[0]
        if len(weights.steps) == 1 and only.op.infer and _alike(types, weights.inputs[0]):
            return flatten(only.op.infer(only.args, Site(tuple(types), self._graph.tasks)))
        if built.whole is None:
            built.whole = Builder(self._graph.tasks).build(weights)
        return flatten(apply(built.whole, node, [type_.meta() for type_ in types]))

    def _build(self, node: Node, types: list[TensorType]) -> Value | None:
        """Type the first call of weights, step by step."""
        weights = self._graph.weights[node.weights]
        parts: list[Part] = []
        sites: list[tuple[TensorType, ...]] = []
        for index, step in enumerate(weights.steps):
            if index > 0:
                if len(parts[-1].value.types) != 1:
                    self._report_many(weights, index - 1, parts[-1].value)
                    return None
                types = list(parts[-1].value.types)
            sites.append(tuple(types))
            try:
                parts.append(self._parts.find(step, types, node if index == 0 else None))
            except OpError as error:
                self._report_op(node, weights, index, types, error)
                return None
            except Exception as error:
                self._report_run(node, weights, index, types, error)
                return None
        weights = weights.typed(
            tuple(sites),
            _joined([part.parameters for part in parts], weights.sequence),
            _joined([part.buffers for part in parts], weights.sequence),
            weights.sequence or parts[0].is_module,
        )
        self._built[node.weights] = _Built(weights, parts[-1].value, node)
        return parts[-1].value

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
        if is_overflow(error):
            name = weights.steps[index].op.name
            message = f"`{name}` of `{node.name}` has more parameters than torch can count"
            self._sink.error(Code.OUT_OF_MEMORY, weights.spans[index], message, "make it smaller")
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

    def _report_many(self, weights: Weights, index: int, value: Value) -> None:
        name = weights.steps[index].op.name
        self._failed.add(weights.name)
        self._sink.error(
            Code.UNKNOWN_OUTPUT,
            weights.spans[index],
            f"`{name}` has {len(value.types)} outputs, so a sequence cannot go on after it",
            f"make it a node of its own and read `NODE.0`, which is {value.types[0]}",
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

    def _add_uncalled_layers(self) -> None:
        """Type layers of sequences that no node calls by themselves, but others copy."""
        for name, weights in self._graph.weights.items():
            parent = self._built.get(weights.layer_of or "")
            if parent is None or name in self._built:
                continue
            prefix = name[len(str(weights.layer_of)) + 1 :] + "."
            parts = [
                {k[len(prefix) :]: t for k, t in each.items() if k.startswith(prefix)}
                for each in (parent.weights.parameters, parent.weights.buffers)
            ]
            inputs = (parent.weights.inputs[int(prefix[:-1])],)
            typed = replace(weights, inputs=inputs, parameters=parts[0], buffers=parts[1])
            self._built[name] = _Built(typed, parent.value, parent.first)

    def _check_relations(self) -> None:
        """Check that shared, copied and tied parameters have the shapes of their owners'."""
        self._add_uncalled_layers()
        types = {name: built.weights for name, built in self._built.items()}
        for name, built in list(self._built.items()):
            if not (built.weights.needs or built.weights.inits):
                continue
            unknown = [other for other in built.weights.needs if other not in types]
            weights = None
            if not unknown:
                weights = relations.check(built.weights, types, self._sink)
            if weights is None:
                self._failed.add(name)
                self._nodes = {n: node for n, node in self._nodes.items() if node.weights != name}
                del self._built[name]
            else:
                built.weights = weights

    def finish(self, expanded: Expanded) -> Expanded:
        """Return the typed graph of all nodes that could be typed."""
        self._check_relations()
        graph = self._graph.keep(self._nodes)
        weights = {name: self._built[name].weights for name in graph.weights if name in self._built}
        graph = graph.typed({name: self._nodes[name] for name in graph.nodes}, weights)
        return replace(expanded, graph=graph, broken=expanded.broken | self._failed)


def _alike(types: Sequence[TensorType], others: Sequence[TensorType]) -> bool:
    """Return whether types agree in rank, dtype and features, which recurrent weights depend on."""
    return [(t.rank, t.dtype, t.shape[-1:]) for t in types] == [
        (t.rank, t.dtype, t.shape[-1:]) for t in others
    ]


def _named(node: Node) -> bool:
    return any(edge.name is not None for edge in node.inputs)


def _joined(each: Sequence[Mapping[str, TensorType]], sequence: bool) -> Mapping[str, TensorType]:
    """Return the types by the names that they have in the module that joins the parts."""
    if not sequence:
        return each[0]
    return {f"{i}.{name}": type_ for i, one in enumerate(each) for name, type_ in one.items()}
