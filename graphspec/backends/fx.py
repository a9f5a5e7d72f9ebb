"""The graph as an ordinary ``nn.Module``: a `torch.fx.GraphModule` with straight-line code.

``print(model.code)`` shows the forward pass. Each weights owner is one submodule under its own
name, built once however many nodes call it.
"""

from __future__ import annotations

import itertools
import operator
from typing import Any

import torch
from torch import fx, nn

from graphspec.graph.assemble import assemble
from graphspec.graph.assemble import seed_of as seed_of
from graphspec.graph.ir import LABELS, Edge, Graph, Node
from graphspec.ops.policies import Teacher, onehot, scale_gradient
from graphspec.ops.registry import Call


class GraphModule(fx.GraphModule):
    """A compiled graph: call it with the inputs by name, get the logits by task.

    An exception inside the forward pass is raised as it came, with the node's name added to its
    message.
    """

    @property
    def takes_labels(self) -> bool:
        """Whether it takes ``labels``, the true labels by task, which training needs."""
        # every step asks, so the nodes behind the inputs are not looked at
        inputs = itertools.takewhile(lambda node: node.op == "placeholder", self.graph.nodes)
        return any(node.target == LABELS for node in inputs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the forward pass."""
        if torch.compiler.is_compiling():
            return super().__call__(*args, **kwargs)
        try:
            return super().__call__(*args, **kwargs)
        except Exception as error:
            _name_node(self, error)
            raise


def _name_node(module: fx.GraphModule, error: BaseException) -> None:
    """Put the line of the generated code at which ``error`` arose into its message."""
    trace, line = error.__traceback__, None
    while trace is not None:
        if "eval_with_key" in trace.tb_frame.f_code.co_filename:
            line = trace.tb_lineno
        trace = trace.tb_next
    code = module.code.split("\n")
    if line is None or not 0 < line <= len(code) or not error.args:
        return
    statement = code[line - 1].split(";")[0].strip()
    if isinstance(error.args[0], str) and " = " in statement and "(in node" not in error.args[0]:
        name = statement.split(" = ")[0]
        note = f" (in node `{name}`: {statement})"
        error.args = (error.args[0].rstrip() + note, *error.args[1:])


def build(graph: Graph, seed: int) -> GraphModule:
    """Compile a typed graph.

    Args:
        graph: A checked and typed graph.
        seed: Seed of the initial weights; torch's own random state is left as it was.

    Returns:
        A module whose ``forward`` takes the inputs by name, each of shape ``(N, ...)``, and returns
        a dict of logits ``(N, classes)`` by task.
    """
    root, functions = assemble(graph, seed)
    teachers = nn.Module()
    for task in sorted(_taught(graph)):
        teachers.add_module(
            task, Teacher(task, getattr(graph.tasks[task], "type", "classification"))
        )
    if any(True for _ in teachers.children()):
        root.add_module(_TEACHERS, teachers)
    return GraphModule(root, _Writer(graph, functions).write(), class_name="GraphModule")


_TEACHERS = "_teacher"
"""Child that holds the modules of ``as: teacher``; no node's name begins with it."""


def _taught(graph: Graph) -> set[str]:
    """Return the tasks whose true labels some edge passes on."""
    return {
        str(graph.nodes[edge.node].task)
        for node in graph.nodes.values()
        for edge in node.inputs
        if edge.form == "teacher"
    }


class _Writer:
    """Writes the fx graph."""

    def __init__(self, graph: Graph, functions: dict[str, Call]) -> None:
        self._graph = graph
        self._functions = functions
        self._fx = fx.Graph()
        self._values: dict[str, fx.Node] = {}
        self._ports: dict[tuple[str, tuple[int, ...]], fx.Node] = {}
        self._passed: dict[tuple[object, ...], fx.Node] = {}
        self._labels: fx.Node | None = None

    def write(self) -> fx.Graph:
        """Return the graph: placeholders, one call per node, a dict by task."""
        for name, kind in self._graph.inputs.items():
            self._values[name] = self._fx.placeholder(name)
            self._values[name].meta["val"] = kind.meta()  # as torch.export notes shapes
        if self._graph.takes_labels:
            self._labels = self._fx.placeholder(LABELS, default_value=None)
        for node in self._graph.order:
            self._values[node.name] = self._call(node)
        self._fx.output({task: self._value(Edge(name)) for task, name in self._graph.heads.items()})
        self._fx.lint()
        return self._fx

    def _call(self, node: Node) -> fx.Node:
        inputs = [self._pass(edge) for edge in node.inputs]
        call = self._functions.get(node.weights)
        if call is None:
            if node.inputs and node.inputs[0].name is not None:
                named: dict[str, Any] = {
                    str(e.name): x for e, x in zip(node.inputs, inputs, strict=True)
                }
                return self._fx.create_node("call_module", node.weights, (), named, node.name)
            return self._fx.create_node("call_module", node.weights, tuple(inputs), {}, node.name)
        if call.fold and len(inputs) > 2:
            value = inputs[0]
            for other in inputs[1:-1]:
                value = self._fx.call_function(call.function, (value, other))
            inputs = [value, inputs[-1]]
        if call.fold and len(inputs) == 1:
            return inputs[0]
        args = (inputs, *call.args) if call.packed else (*inputs, *call.args)
        kwargs = dict(call.kwargs)
        made = self._fx.create_node("call_function", call.function, args, kwargs, node.name)
        # Unpickling traces the code again: a plugin's function is one call, whatever it does.
        home = getattr(call.function, "__module__", None) or "torch"
        if home.partition(".")[0] not in ("torch", "_operator", "graphspec"):
            made.meta["is_wrapped"] = True
        return made

    def _pass(self, edge: Edge) -> fx.Node:
        """Return what a reader gets through an edge: the value under the edge's policy."""
        value = self._value(edge)
        if edge.is_plain:
            return value
        key = (value, edge.form, edge.detach, edge.gradient_scale)
        if key not in self._passed:
            value = self._formed(edge, value)
            if edge.detach or edge.gradient_scale == 0.0:
                value = self._fx.call_method("detach", (value,))
            elif edge.gradient_scale != 1.0:
                value = self._fx.call_function(scale_gradient, (value, edge.gradient_scale))
            self._passed[key] = value
        return self._passed[key]

    def _formed(self, edge: Edge, value: fx.Node) -> fx.Node:
        if edge.form == "softmax":
            return self._fx.call_function(torch.softmax, (value,), {"dim": 1})
        if edge.form == "sigmoid":
            return self._fx.call_function(torch.sigmoid, (value,))
        if edge.form == "onehot":
            return self._fx.call_function(onehot, (value,))
        if edge.form == "teacher":
            target = f"{_TEACHERS}.{self._graph.nodes[edge.node].task}"
            return self._fx.call_module(target, (value, self._labels))
        return value

    def _value(self, edge: Edge) -> fx.Node:
        """Return what an edge carries: a node's tensor, or one item of what it returns."""
        value = self._values[edge.node]
        if edge.node not in self._graph.nodes:
            return value
        path = self._graph.nodes[edge.node].ports[edge.port or 0]
        for depth in range(len(path)):
            key = (edge.node, path[: depth + 1])
            if key not in self._ports:
                self._ports[key] = self._fx.call_function(operator.getitem, (value, path[depth]))
            value = self._ports[key]
        return value
