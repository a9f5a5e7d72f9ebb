"""From a `Spec` to a `Graph`: names resolved, arguments checked, weights given to their owners.

A node with a mistake is reported and left out, and so is whatever reads it, silently: one mistake,
one message. Blocks and groups are gone already (`graphspec.language.unroll`); what nodes share, tie
and copy is worked out by `graphspec.graph.owners`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from graphspec.errors import Code, Sink, Span
from graphspec.graph.inits import inits_of
from graphspec.graph.ir import Edge, Graph, Node, Weights, needed_by
from graphspec.graph.owners import Draft, Owners
from graphspec.language.forms import EdgeSpec, LayersNode, OpNode
from graphspec.language.models import Spec
from graphspec.language.reader import Tree
from graphspec.language.signature import Signature
from graphspec.language.validation import ARGUMENTS, report
from graphspec.ops import load_ops
from graphspec.ops.registry import ONE, Arity, Op, Registry, Step
from graphspec.ops.types import BATCH, TensorType


@dataclass(frozen=True, slots=True)
class Expanded:
    """What expanding gives.

    Attributes:
        graph: The usable nodes.
        broken: Nodes that were left out because of a mistake in them or before them.
        tasks: The tasks that are offered, with a head or without.
    """

    graph: Graph
    broken: frozenset[str]
    tasks: frozenset[str]


def expand(
    spec: Spec, broken: Iterable[str], signature: Signature | None, sink: Sink
) -> Expanded | None:
    """Resolve a spec into a graph.

    Args:
        spec: The spec.
        broken: Nodes that parsing left out.
        signature: Inputs and tasks, from the data set or from the spec itself; None where a
            mistake leaves them unknown, and then only ops and their arguments are checked.
        sink: Where mistakes go.

    Returns:
        The graph of all nodes that are usable, without shapes; None without a signature.
    """
    expansion = _Expansion(spec, set(broken), signature or Signature(), sink)
    expansion.define(tasks_known=signature is not None)
    return None if signature is None else expansion.resolve()


class _Expansion:
    """One expansion; its methods run in the order in which they stand."""

    def __init__(self, spec: Spec, broken: set[str], signature: Signature, sink: Sink) -> None:
        self._spec = spec
        self._broken = broken
        self._signature = signature
        self._sink = sink
        self._ops: Registry[Op] = load_ops()
        tree = spec.tree.get("nodes")
        # Names of broken nodes too: a typo may be meant for one.
        self._names = [*signature.inputs, *((tree.mapping or {}) if tree else {})]
        self._known = {*self._names, *broken}
        self._nodes = self._names[len(signature.inputs) :]
        self._names += [name for name in spec.groups if name not in self._known]
        self._drafts: dict[str, Draft] = {}
        self._steps: dict[tuple[str, str], Step] = {}
        self._tasks_known = True

    def define(self, tasks_known: bool) -> None:
        """Check what each node is: its ops and their arguments, and the task of a head."""
        self._tasks_known = tasks_known
        nodes_tree = self._spec.tree.get("nodes")
        assert nodes_tree is not None
        trees = nodes_tree.mapping or {}
        for name, node in self._spec.nodes.items():
            if name in self._signature.inputs:
                self._broken.add(name)
                self._sink.error(
                    Code.BAD_NAME,
                    nodes_tree.keys[name],
                    f"`{name}` is the name of an input",
                    "give the node another name",
                )
                continue
            draft = Draft(name, node, trees[name], nodes_tree.keys[name])
            self._drafts[name] = draft
            self._define(draft)

    def resolve(self) -> Expanded:
        """Check what each node reads, and return the graph of those that are usable."""
        inputs = self._signature.inputs
        owners = Owners(self._spec, self._drafts, self._broken, self._nodes, inputs, self._sink)
        owners.find()
        nodes = {}
        for name, draft in self._drafts.items():
            owner = owners.of.get(name)
            edges = self._edges(draft, None if owner is None else owners.weights[owner])
            if edges is None or owner is None:
                self._broken.add(name)
            else:
                nodes[name] = Node(name, owner, edges, draft.task, draft.key)
        return self._finish(nodes, owners.weights)

    def _define(self, draft: Draft) -> None:
        """Check the ops of a node that owns weights."""
        node = draft.spec
        if isinstance(node, OpNode):
            op_tree = draft.tree.get("op")
            assert op_tree is not None
            values = {k: t for k, t in (draft.tree.mapping or {}).items() if k not in _NODE_KEYS}
            own = _argument_called_init(self._ops.find(node.op), node)
            if own:
                values["init"] = draft.tree.get("init") or draft.tree
            arguments = Tree(values, draft.tree.span, draft.tree.keys)
            step = self._step(node.op, op_tree.span, arguments, draft.key)
            if step is None:
                return
            draft.task = self._task(step, draft.tree, draft.key)
            if step.op.family == "head" and draft.task is None:
                return
            spans = {key: tree.span for key, tree in values.items()}
            draft.weights = Weights(
                draft.name,
                (step,),
                False,
                draft.key,
                (op_tree.span,),
                (spans,),
                inits=() if own else inits_of(draft.tree.get("init"), self._sink),
                trainable=node.trainable,
            )
        elif isinstance(node, LayersNode):
            self._define_sequence(draft, node)

    def _define_sequence(self, draft: Draft, node: LayersNode) -> None:
        layers = draft.tree.get("layers")
        assert layers is not None
        steps: list[Step | None] = []
        spans: list[Span] = []
        arguments: list[Mapping[str, Span]] = []
        for layer, tree in zip(node.layers, layers.items or [], strict=True):
            given = next(iter((tree.mapping or {"": Tree({}, tree.span)}).values()))
            name_span = next(iter(tree.keys.values()), tree.span)
            steps.append(self._step(layer.op, name_span, given, name_span, in_sequence=True))
            spans.append(name_span)
            arguments.append({key: child.span for key, child in (given.mapping or {}).items()})
        good = tuple(step for step in steps if step is not None)
        if len(good) == len(steps):
            draft.weights = Weights(
                draft.name,
                good,
                True,
                draft.key,
                tuple(spans),
                tuple(arguments),
                inits=inits_of(draft.tree.get("init"), self._sink),
                trainable=node.trainable,
            )

    def _step(
        self, name: str, span: Span, given: Tree, place: Span, in_sequence: bool = False
    ) -> Step | None:
        op = self._ops.find(name)
        if op is None:
            self._sink.error(
                Code.UNKNOWN_OP,
                span,
                f"there is no op `{name}`",
                None if self._sink.is_crowded else self._ops.hint(name),
            )
            return None
        if in_sequence and (op.family == "head" or op.arity.least > 1):
            why = "predicts a task" if op.family == "head" else f"takes {op.arity}"
            self._sink.error(
                Code.WRONG_INPUTS,
                span,
                f"`{name}` cannot stand in a sequence: it {why}",
                f"make it a node of its own: `{{op: {name}, from: ...}}`",
            )
            return None
        arguments = self._long_form(op, given, place)
        if arguments is None:
            return None
        plain = arguments.plain()
        # As text: 1 and 1.0 are equal, but not the same to an op.
        asked = (name, repr(plain))
        step = self._steps.get(asked)
        if step is None:
            try:
                step = Step(op, op.Args.model_validate(plain))
            except ValidationError as error:
                report(error, op.Args, arguments, place, self._sink, ARGUMENTS, name)
                return None
            self._steps[asked] = step
        return step

    def _long_form(self, op: Op, given: Tree, place: Span) -> Tree | None:
        """Return the mapping of arguments that a bare value stands for."""
        if given.mapping is not None:
            return given
        if given.value is None:
            return Tree({}, given.span)
        if op.shorthand is None:
            self._sink.error(
                Code.BAD_ARGUMENT,
                given.span,
                f"`{op.name}` takes its arguments by name",
                f"write `{{{op.name}: {{NAME: ...}}}}`; `graphspec ops {op.name}` shows them",
            )
            return None
        return Tree({op.shorthand: given}, given.span, {op.shorthand: place})

    def _task(self, step: Step, tree: Tree, key: Span) -> str | None:
        """Return the task that a head predicts, or None for another op or an unknown task."""
        if step.op.family != "head":
            return None
        task: str = getattr(step.args, "task", "")
        if task in self._signature.tasks or not self._tasks_known:
            return task
        if task in self._spec.tasks:
            return None  # told where the task is declared
        declare = "" if self._spec.data else f"; a new one: `tasks: {{{task}: {{classes: 10}}}}`"
        self._sink.error(
            Code.UNKNOWN_TASK,
            tree.locate(("task",)),
            f"`task: {task}` names no task",
            f"{self._sink.did_you_mean(task, self._signature.tasks, 'tasks here')}{declare}",
        )
        return None

    def _edges(self, draft: Draft, weights: Weights | None) -> tuple[Edge, ...] | None:
        """Return the inputs of a node, or None where one of them is unknown."""
        tree = draft.tree.get("from")
        asked = draft.spec.from_
        if tree is None or asked is None:
            return self._no_edges(draft, weights)
        edges: list[Edge] = []
        good = True
        items: list[tuple[str | None, EdgeSpec, Tree]]
        if isinstance(asked, dict):
            inside = tree.mapping or {}
            items = [(name, edge, inside[name]) for name, edge in asked.items()]
        else:
            trees = tree.items if tree.items is not None else [tree]
            items = [(None, edge, each) for edge, each in zip(asked, trees, strict=True)]
        for name, edge_spec, each in items:
            edge = self._edge(draft.name, edge_spec, each, name)
            good = good and edge is not None
            edges += [edge] if edge is not None else []
        if weights is None:
            return None
        ordered = self._ordered(draft, weights, tuple(edges), len(items))
        return ordered if good else None

    def _no_edges(self, draft: Draft, weights: Weights | None) -> tuple[Edge, ...] | None:
        if weights is None:
            return None
        arity = _arity(weights)
        if arity.least == 0:
            return ()
        names = f" ({', '.join(arity.names)})" if arity.names else ""
        self._sink.error(
            Code.MISSING_KEY,
            draft.key,
            f"the key `from` of `{draft.name}` is missing",
            f"from: What it reads; `{weights.op_name}` takes {arity}{names}",
        )
        return None

    def _edge(self, reader: str, asked: EdgeSpec, tree: Tree, name: str | None) -> Edge | None:
        target, port = asked.node, None
        span = tree.span if tree.mapping is None else tree.locate(("node",))
        if target not in self._known and "." in target:
            head, _, tail = target.rpartition(".")
            if head in self._known and tail.isascii() and tail.isdigit() and len(tail) < 5:
                target, port = head, int(tail)
        if target == reader:
            self._sink.error(
                Code.SELF_REFERENCE,
                span,
                f"the node `{reader}` reads itself",
                "a graph has no loops; to apply its weights again, add a node with "
                f"`share: {reader}`",
            )
            return None
        if target in self._known:
            if asked.form == "teacher" and not self._is_head(target, tree):
                return None
            policy = (asked.form, asked.detach, asked.gradient_scale)
            return Edge(target, port, span, name, *policy)
        self._sink.error(
            Code.UNKNOWN_NODE,
            span,
            f"`from: {asked.node}` names no node",
            self._sink.did_you_mean(asked.node, self._names, "nodes here"),
        )
        return None

    def _is_head(self, target: str, tree: Tree) -> bool:
        """Report ``as: teacher`` on what predicts no task; True where that is unknown."""
        draft = self._drafts.get(target)
        if target in self._broken or (draft is not None and draft.task is not None):
            return True
        heads = [f"`{name}`" for name, each in self._drafts.items() if each.task is not None]
        self._sink.error(
            Code.BAD_VALUE,
            tree.locate(("as",)),
            f"`as: teacher` gives the true label of a task, but `{target}` predicts none",
            f"read a head: {', '.join(heads[:8])}" if heads else "there is no head",
        )
        return False

    def _ordered(
        self, draft: Draft, weights: Weights, edges: tuple[Edge, ...], count: int
    ) -> tuple[Edge, ...] | None:
        """Check how many inputs there are, and bring named ones into the op's order."""
        arity = _arity(weights)
        if count < arity.least or (arity.most is not None and count > arity.most):
            names = f" ({', '.join(arity.names)})" if arity.names else ""
            self._sink.error(
                Code.WRONG_INPUTS,
                draft.tree.locate(("from",)),
                f"`{weights.op_name}` takes {arity}{names}, got {count}",
                _arity_hint(count, arity, weights.sequence),
            )
            return None
        if not edges or edges[0].name is None:
            return edges
        return self._named(draft, weights, edges)

    def _named(
        self, draft: Draft, weights: Weights, edges: tuple[Edge, ...]
    ) -> tuple[Edge, ...] | None:
        """Bring named inputs into the op's order; None where one is unknown or missing."""
        arity = _arity(weights)
        what = f"`{weights.op_name}`"
        known = list(arity.names)
        unknown = [edge for edge in edges if edge.name not in known]
        for edge in unknown:
            self._sink.error(
                Code.WRONG_INPUTS,
                draft.tree.locate(("from", str(edge.name)), key=True),
                f"{what} has no input `{edge.name}`",
                self._sink.did_you_mean(str(edge.name), known, "inputs")
                if known
                else "write `from:` as a name or a list",
            )
        missing = [name for name in known[: arity.least] if name not in {e.name for e in edges}]
        if missing and not unknown:
            self._sink.error(
                Code.WRONG_INPUTS,
                draft.tree.locate(("from",)),
                f"{what} lacks its input `{missing[0]}`",
                f"write `from: {{{', '.join(f'{name}: ...' for name in known)}}}`",
            )
        if unknown or missing:
            return None
        return tuple(sorted(edges, key=lambda edge: known.index(str(edge.name))))

    def _finish(self, nodes: dict[str, Node], found: Mapping[str, Weights]) -> Expanded:
        """Leave out what reads a broken node, directly or through others."""
        readers: dict[str, list[str]] = {}
        for node in nodes.values():
            for edge in node.inputs:
                readers.setdefault(edge.node, []).append(node.name)
        waiting = list(self._broken)
        while waiting:
            for reader in readers.get(waiting.pop(), ()):
                if reader not in self._broken:
                    self._broken.add(reader)
                    waiting.append(reader)
        usable = {name: node for name, node in nodes.items() if name not in self._broken}
        used = needed_by(found, (node.weights for node in usable.values()))
        weights = {name: each for name, each in found.items() if name in used}
        heads: dict[str, str] = {}
        for node in usable.values():
            if node.task is not None:
                heads.setdefault(node.task, node.name)
        graph = Graph(
            name=self._spec.name,
            description=self._spec.description,
            inputs={
                name: TensorType((BATCH, *item.shape), item.dtype)
                for name, item in self._signature.inputs.items()
            },
            tasks={task: self._signature.tasks[task] for task in heads},
            nodes=usable,
            weights=weights,
            heads=heads,
            blocks=self._spec.instances,
        )
        return Expanded(graph, frozenset(self._broken), frozenset(self._signature.tasks))


_NODE_KEYS = ("op", "from", "init", "tie", "trainable")
"""Keys of a node beside the arguments of its op."""


def _argument_called_init(op: Op | None, node: OpNode) -> bool:
    """Return whether a node's `init` is an argument of its op: the number that PReLU takes."""
    return isinstance(node.init, float) and op is not None and "init" in op.Args.model_fields


def _arity(weights: Weights) -> Arity:
    return ONE if weights.sequence else weights.steps[0].op.arity


def _arity_hint(count: int, arity: Arity, sequence: bool) -> str | None:
    if count > 1 and arity.most == 1:
        what = "a sequence reads one" if sequence else "join them first"
        return f"{what}: add a node `{{op: concat, from: [...]}}` or `{{op: add, from: [...]}}`"
    if count < arity.least:
        return "write `from: [a, b]`"
    return None
