"""The graph: nodes are calls, weights are what they call.

A `Node` is one call of one `Weights`; sharing means that several nodes name the same weights, so
it never makes a cycle. Values are frozen: stages and passes return new graphs. Ordered inputs live
in the node; the networkx graph is derived for algorithms only, since it keeps neither the order nor
the multiplicity of edges.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from graphspec.errors import Span
from graphspec.language.signature import TaskSpec
from graphspec.ops.registry import Step
from graphspec.ops.types import TensorType

if TYPE_CHECKING:
    import networkx as nx

LABELS = "labels"
"""The input by which a model gets the true labels, a dict by task, where an edge asks for them."""

_STOPPING = ("onehot", "teacher")
"""Forms through which no gradient flows back."""

_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Tie:
    """A parameter that is another's.

    Attributes:
        owner: The weights that own it.
        parameter: Its name among the owner's parameters.
        span: Where the spec names it.
        key: Where the spec names the parameter that it is.
        transposed: Whether it is used transposed, decided by shape inference.
    """

    owner: str
    parameter: str
    span: Span
    key: Span | None = None
    transposed: bool = False


@dataclass(frozen=True, slots=True)
class Init:
    """How a parameter starts.

    Attributes:
        parameter: Its name in the module, or a glob over names.
        function: Name in ``torch.nn.init`` without the underscore at its end.
        kwargs: Further arguments of the function.
        span: Where the spec says so.
    """

    parameter: str
    function: str
    kwargs: Mapping[str, object]
    span: Span


@dataclass(frozen=True, slots=True)
class Edge:
    """One input of a node.

    Attributes:
        node: The node or the input that is read.
        port: Which of its outputs, or None where it has one.
        span: Where the spec says so.
        name: The name of the input where the node's ``from`` is a mapping.
        form: What is passed on of a head's logits: ``logits`` as they are, ``softmax``,
            ``sigmoid``, ``onehot`` of the likeliest class, or ``teacher``, the true label while
            training and the prediction otherwise.
        detach: Whether the gradient stops here.
        gradient_scale: Factor of the gradient that flows back; the value stays.
    """

    node: str
    port: int | None = None
    span: Span | None = None
    name: str | None = None
    form: str = "logits"
    detach: bool = False
    gradient_scale: float = 1.0

    @property
    def is_plain(self) -> bool:
        """Whether it passes on what it reads as it is, gradients too."""
        return self.form == "logits" and not self.detach and self.gradient_scale == 1.0

    @property
    def passes_gradient(self) -> bool:
        """Whether any gradient flows back through it."""
        return not self.detach and self.form not in _STOPPING and self.gradient_scale != 0.0

    def __str__(self) -> str:
        return self.node if self.port is None else f"{self.node}.{self.port}"


@dataclass(frozen=True, slots=True)
class Weights:
    """The owner of parameters and buffers: what one or several nodes call.

    Attributes:
        name: Name of the node that defines it, and its prefix in the ``state_dict``.
        steps: One op, or the ops of a sequence.
        sequence: Whether it was written as ``layers:``.
        span: Where it is defined.
        spans: Where each step stands.
        arguments: For each step where its arguments stand, by name.
        inputs: Types of the inputs of each step, after shape inference.
        parameters: Type of each parameter by its name in the module, after shape inference.
        buffers: Type of each buffer that a checkpoint has, likewise.
        is_module: Whether it is a module; a single function is not and has no ``state_dict``.
        layer_of: The weights of a sequence of which this is one layer, under ``name``; it is not
            built, it is a submodule of that one.
        parameters_of: The weights whose parameters these are; buffers are its own.
        copy_of: The weights from whose initial values these start.
        ties: Single parameters that are another's, by their name here.
        inits: How parameters start where torch's own way is not meant, in order.
        trainable: Whether the optimizer changes its parameters.
    """

    name: str
    steps: tuple[Step, ...]
    sequence: bool
    span: Span
    spans: tuple[Span, ...] = ()
    arguments: tuple[Mapping[str, Span], ...] = ()
    inputs: tuple[tuple[TensorType, ...], ...] = ()
    parameters: Mapping[str, TensorType] = field(default_factory=dict)
    buffers: Mapping[str, TensorType] = field(default_factory=dict)
    is_module: bool = True
    layer_of: str | None = None
    parameters_of: str | None = None
    copy_of: str | None = None
    ties: Mapping[str, Tie] = field(default_factory=dict)
    inits: tuple[Init, ...] = ()
    trainable: bool = True

    @property
    def needs(self) -> frozenset[str]:
        """The other weights without which these cannot be built."""
        if not (self.ties or self.layer_of or self.parameters_of or self.copy_of):
            return _NONE
        others = {self.layer_of, self.parameters_of, self.copy_of}
        return frozenset(o for o in others if o) | {tie.owner for tie in self.ties.values()}

    @property
    def op_name(self) -> str:
        """The op's name, or ``layers`` for a sequence."""
        return "layers" if self.sequence else self.steps[0].op.name

    @property
    def family(self) -> str:
        """What it is drawn as (see `Op.family`)."""
        return "sequence" if self.sequence else self.steps[0].op.family

    def typed(
        self,
        inputs: tuple[tuple[TensorType, ...], ...],
        parameters: Mapping[str, TensorType],
        buffers: Mapping[str, TensorType],
        is_module: bool,
    ) -> Weights:
        """Return the weights with what shape inference finds out (see the attributes)."""
        # Field by field: `dataclasses.replace` takes several times as long, for every node.
        return Weights(
            self.name,
            self.steps,
            self.sequence,
            self.span,
            self.spans,
            self.arguments,
            inputs,
            parameters,
            buffers,
            is_module,
            self.layer_of,
            self.parameters_of,
            self.copy_of,
            self.ties,
            self.inits,
            self.trainable,
        )


def _is_differentiable(weights: Weights) -> bool:
    """Return whether a gradient flows from the outputs of these weights to their inputs."""
    if not all(step.op.differentiable for step in weights.steps):
        return False
    between = [kind for kinds in weights.inputs[1:] for kind in kinds]
    return all(kind.torch_dtype.is_floating_point for kind in between)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a parameter lives.

    Attributes:
        owner: The weights that own it.
        parameter: Its name there.
        transposed: Whether it is used transposed.
    """

    owner: str
    parameter: str
    transposed: bool = False


def place_of(weights: Mapping[str, Weights], name: str, parameter: str) -> Place:
    """Follow ties and shared parameters to where a parameter lives.

    Args:
        weights: All weights by name; one that was left out because of a mistake ends the way.
        name: The weights that use the parameter.
        parameter: Its name among theirs.

    Returns:
        The place; where ties go in a circle, the place at which the way came back.
    """
    at = Place(name, parameter)
    seen: set[tuple[str, str]] = set()
    while (at.owner, at.parameter) not in seen:
        seen.add((at.owner, at.parameter))
        each = weights[at.owner]
        tie = each.ties.get(at.parameter)
        if each.layer_of is not None:
            inside = f"{at.owner[len(each.layer_of) + 1 :]}.{at.parameter}"
            then = Place(each.layer_of, inside, at.transposed)
        elif tie is not None:
            then = Place(tie.owner, tie.parameter, at.transposed != tie.transposed)
        elif each.parameters_of is not None:
            then = Place(each.parameters_of, at.parameter, at.transposed)
        else:
            break
        if then.owner not in weights:
            break
        at = then
    return at


def needed_by(weights: Mapping[str, Weights], names: Iterable[str]) -> set[str]:
    """Return the weights of these names and all that they cannot be built without."""
    found = set(names)
    waiting = list(found)
    while waiting:
        known = weights.get(waiting.pop())
        more = known.needs if known is not None else _NONE
        if more and not more <= found:
            waiting.extend(more - found)
            found |= more
    return found


@dataclass(frozen=True, slots=True)
class Node:
    """One call.

    Attributes:
        name: Its name in the spec.
        weights: Whose weights it uses: its own name, or another's under ``share:``.
        inputs: What it reads, in order.
        task: The task it predicts where it is a head.
        span: Where its name stands in the spec.
        outputs: Types of its outputs, after shape inference.
        ports: For each output its path in the returned value, e.g. ``(1, 0)``; ``((),)`` where the
            value is one tensor.
    """

    name: str
    weights: str
    inputs: tuple[Edge, ...]
    task: str | None
    span: Span
    outputs: tuple[TensorType, ...] = ()
    ports: tuple[tuple[int, ...], ...] = ((),)

    def typed(self, outputs: tuple[TensorType, ...], ports: tuple[tuple[int, ...], ...]) -> Node:
        """Return the call with what shape inference finds out (see the attributes)."""
        return Node(self.name, self.weights, self.inputs, self.task, self.span, outputs, ports)


@dataclass(frozen=True)
class Graph:
    """A topology.

    Attributes:
        name: Name of the spec.
        description: Its description.
        inputs: Types of the inputs by name.
        tasks: The tasks of its heads, those included whose prediction only other nodes read.
        nodes: Nodes by name, in the order of the spec.
        weights: Weights by the name of their owner.
        heads: The node that predicts each task, in the order of the spec's heads.
        blocks: The block of each instance of one, by the name that its nodes' names begin with.
    """

    name: str
    description: str
    inputs: Mapping[str, TensorType]
    tasks: Mapping[str, TaskSpec]
    nodes: Mapping[str, Node]
    weights: Mapping[str, Weights]
    heads: Mapping[str, str]
    blocks: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def digraph(self) -> nx.DiGraph[str]:
        """Inputs and nodes as a networkx graph, for algorithms."""
        import networkx as nx  # most graphs need none of its algorithms

        digraph: nx.DiGraph[str] = nx.DiGraph()
        digraph.add_nodes_from(self.inputs)
        digraph.add_nodes_from(self.nodes)
        digraph.add_edges_from(
            (edge.node, node.name) for node in self.nodes.values() for edge in node.inputs
        )
        return digraph

    @cached_property
    def order(self) -> tuple[Node, ...]:
        """Nodes in topological order; ties by name, so the order in the file changes nothing.

        Nodes on a cycle, or behind one, are not in it.
        """
        return tuple(self.nodes[name] for name in _sorted(self.inputs, self.nodes))

    @cached_property
    def calls(self) -> Mapping[str, tuple[Node, ...]]:
        """For each weights owner the nodes that call it, in topological order."""
        calls: dict[str, list[Node]] = {name: [] for name in self.weights}
        for node in self.order:
            calls[node.weights].append(node)
        return {name: tuple(nodes) for name, nodes in calls.items()}

    @cached_property
    def tasks_of(self) -> Mapping[str, frozenset[str]]:
        """For each node and input the tasks whose heads read it, directly or through others."""
        reached = dict.fromkeys((*self.inputs, *self.nodes), _NONE)
        for node in reversed(self.order):
            if node.task is not None:
                reached[node.name] |= {node.task}
            for edge in node.inputs:
                _hand_on(reached, node.name, edge.node)
        return reached

    @property
    def takes_labels(self) -> bool:
        """Whether an edge passes on the true label of a task while training."""
        return any(edge.form == "teacher" for node in self.nodes.values() for edge in node.inputs)

    @cached_property
    def trained_by(self) -> Mapping[str, frozenset[str]]:
        """For each node the tasks from whose losses a gradient flows back to it."""
        reached = dict.fromkeys((*self.inputs, *self.nodes), _NONE)
        for node in reversed(self.order):
            if node.task is not None and self.heads.get(node.task) == node.name:
                reached[node.name] |= {node.task}
            if not reached[node.name] or not _is_differentiable(self.weights[node.weights]):
                continue
            for edge in node.inputs:
                if edge.passes_gradient and self.type_of(edge).torch_dtype.is_floating_point:
                    _hand_on(reached, node.name, edge.node)
        return reached

    def type_of(self, edge: Edge) -> TensorType:
        """Return the type of what an edge carries, after shape inference."""
        if edge.node in self.inputs:
            return self.inputs[edge.node]
        return self.nodes[edge.node].outputs[edge.port or 0]

    def typed(self, nodes: Mapping[str, Node], weights: Mapping[str, Weights]) -> Graph:
        """Return the graph with more known of the same nodes and weights; their order stays."""
        graph = replace(self, nodes=nodes, weights=weights)
        vars(graph)["order"] = tuple(nodes[node.name] for node in self.order)
        return graph

    def keep(self, names: Iterable[str]) -> Graph:
        """Return the graph with only these nodes and the weights that they use; itself if all."""
        kept = set(names)
        nodes = {name: node for name, node in self.nodes.items() if name in kept}
        owners = needed_by(self.weights, (node.weights for node in nodes.values()))
        weights = {name: each for name, each in self.weights.items() if name in owners}
        heads = {task: name for task, name in self.heads.items() if name in kept}
        # A head that only another node reads is still built for its task.
        heads_of = [each.steps[0] for each in weights.values()]
        predicted = {getattr(s.args, "task", None) for s in heads_of if s.op.family == "head"}
        tasks = {t: spec for t, spec in self.tasks.items() if t in predicted or t in heads}
        parts = [len(nodes), len(weights), len(tasks)]
        if parts == [len(self.nodes), len(self.weights), len(self.tasks)]:
            return self  # with all that was worked out about it
        return replace(self, nodes=nodes, weights=weights, heads=heads, tasks=tasks)


def _hand_on(reached: dict[str, frozenset[str]], node: str, to: str) -> None:
    """Add what reached a node to what reached another."""
    tasks, before = reached[node], reached[to]
    if tasks is not before and not tasks <= before:
        reached[to] = before | tasks if before else tasks  # most nodes have the same set


def _sorted(inputs: Collection[str], nodes: Mapping[str, Node]) -> list[str]:
    """Return nodes in topological order, ties by name.

    The algorithm of Kahn with a heap, as networkx has it; straight on the nodes it takes a fifth
    of the time.
    """
    readers: dict[str, list[str]] = {name: [] for name in inputs}
    waits_for: dict[str, int] = {}
    for name, node in nodes.items():
        read = {edge.node for edge in node.inputs}
        waits_for[name] = len(read)
        for each in read:
            readers.setdefault(each, []).append(name)
    ready = [name for name in readers if name not in nodes]
    ready += [name for name, count in waits_for.items() if count == 0]
    heapify(ready)
    found = []
    while ready:
        name = heappop(ready)
        if name in nodes:
            found.append(name)
        for reader in readers.get(name, ()):
            waits_for[reader] -= 1
            if waits_for[reader] == 0:
                heappush(ready, reader)
    return found
