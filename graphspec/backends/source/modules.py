"""The weights of a graph as constructor calls, and how each is reached from where it is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from graphspec.backends.source.calls import applied, layer_of
from graphspec.backends.source.code import quoted
from graphspec.backends.source.copies import Copies
from graphspec.backends.source.layers import Recorder
from graphspec.backends.source.lean import Lean
from graphspec.backends.source.names import RESERVED, Names
from graphspec.backends.source.parts import Arg, Make, Named, Part, Row, row
from graphspec.backends.source.tree import Group, Kind, Leaf, Tree, has_module
from graphspec.graph.ir import Weights, place_of
from graphspec.ops import policies
from graphspec.ops.build import build_part
from graphspec.ops.modules import TransposedLinear
from graphspec.ops.registry import Call, Site, Step
from graphspec.ops.types import TensorType

_RANDOM: tuple[type[nn.Module], ...] = (
    nn.modules.dropout._DropoutNd,
    nn.RReLU,
    nn.FractionalMaxPool2d,
    nn.FractionalMaxPool3d,
)


class Modules:
    """The weights of a graph.

    Attributes:
        copies: What is copied into the file.
        name_of: How classes and functions are written, after making them known to the file.
        teachers: The modules of true labels by task.
        variables: Variables of the constructor for hidden weights.
    """

    def __init__(self, lean: Lean, all_: Mapping[str, Weights]) -> None:
        """Build all weights on the meta device.

        Args:
            lean: The graph.
            all_: All weights, to follow ties to their end.

        Raises:
            SpecError: ``cannot-eject`` if one cannot be written.
        """
        graph = lean.graph
        self.copies = Copies()
        self.name_of = self.copies.name_of
        self._graph = graph
        self._all = all_
        self._known: dict[Any, tuple[Part | Call, bool]] = {}
        self._parts: dict[str, Part] = {}
        self._functions: dict[str, Call] = {}
        self._touchy: set[str] = set()
        self._split = {w.layer_of for w in graph.weights.values() if w.layer_of is not None}
        for name, weights in (*graph.weights.items(), *lean.hidden.items()):
            if weights.layer_of is None:
                self._add(name, weights)
        self.teachers = {task: self._teacher(task) for task in sorted(self._passed("teacher"))}
        # What is copied must be known before a variable could take its name.
        for node in graph.nodes.values():
            function = self._functions.get(node.weights)
            if function is not None:
                applied(function, ["x"] * len(node.inputs), self.name_of)
        for form, policy in (("onehot", policies.onehot), ("scale", policies.scale_gradient)):
            if self._passed(form):
                self.name_of(policy)
        free = Names(RESERVED | self.names)
        self.variables = {name: free.new(name) for name in lean.hidden}

    @property
    def names(self) -> set[str]:
        """Names of what is copied into the file."""
        return self.copies.names

    def _passed(self, form: str) -> set[str]:
        """Return the tasks, or nodes, that some edge passes on in a form."""
        edges = [edge for node in self._graph.nodes.values() for edge in node.inputs]
        if form == "scale":
            return {e.node for e in edges if e.gradient_scale not in (0.0, 1.0) and not e.detach}
        if form == "onehot":
            return {edge.node for edge in edges if edge.form == form}
        return {str(self._graph.nodes[edge.node].task) for edge in edges if edge.form == form}

    def _teacher(self, task: str) -> Make:
        kind = getattr(self._graph.tasks[task], "type", "classification")
        args = (Arg("task", task, bare=True), Arg("type", kind, "classification", bare=True))
        return Make(self.name_of(policies.Teacher), args)

    # -- building ---------------------------------------------------------------------------------

    def _add(self, name: str, weights: Weights) -> None:
        found = [
            self._step(step, types)
            for step, types in zip(weights.steps, weights.inputs, strict=True)
        ]
        parts = [part for part, _ in found]
        if any(touchy for _, touchy in found):
            self._touchy.add(name)
        if weights.buffers and len(self._graph.calls.get(name, ())) > 1:
            self._touchy.add(name)
        transposed = {
            parameter.rpartition(".")[0]
            for parameter in (weights.parameters if weights.ties or weights.parameters_of else ())
            if place_of(self._all, name, parameter).transposed
        }
        if weights.sequence or len(parts) != 1:
            layers = [layer_of(p, self.name_of) if isinstance(p, Call) else p for p in parts]
            for path in transposed:
                layers[int(path)] = self._transposed(layers[int(path)])
            if name not in self._split:
                layers = _flattened_before(layers)
            self._parts[name] = row("nn.Sequential", layers)
        elif isinstance(parts[0], Call):
            self._functions[name] = parts[0]
        else:
            self._parts[name] = self._transposed(parts[0]) if transposed else parts[0]

    def _transposed(self, part: Part) -> Part:
        assert isinstance(part, Make)
        return replace(part, callee=self.name_of(TransposedLinear))

    def _step(self, step: Step, types: Sequence[TensorType]) -> tuple[Part | Call, bool]:
        """Return one op as a part or a function, and whether it draws random numbers."""
        # The type of the arguments too: 1 and 1.0 are equal, but not the same to an op.
        key = (step.op.name, repr(step.args), tuple(types))
        if key not in self._known:
            recorder = Recorder()
            site = Site(tuple(types), self._graph.tasks)
            built = recorder.build(lambda: build_part(step, site))
            if isinstance(built, Call):
                self._known[key] = (built, False)
            else:
                self._known[key] = (recorder.part_of(built, self.name_of), _is_random(built))
        return self._known[key]

    # -- reading ----------------------------------------------------------------------------------

    def function(self, owner: str) -> Call | None:
        """Return the function that weights are, or None where they are a module."""
        return self._functions.get(owner)

    def is_touchy(self, owner: str) -> bool:
        """Return whether the order of calls matters: random numbers, buffers of several callers."""
        return owner in self._touchy

    def part(self, owner: str, in_row: bool) -> Part:
        """Return the constructor call of weights.

        Args:
            owner: Their name.
            in_row: Whether they stand in a sequence of nodes, where nothing can be done to their
                input beforehand.
        """
        part = self._parts[owner]
        if in_row or not _begins_flat(part):
            return part
        assert isinstance(part, Named)
        return row("nn.Sequential", [each for _, each in part.items[1:]])

    def flattens(self, owner: str, tree: Tree) -> bool:
        """Return whether the input of weights is flattened where they are called."""
        part = self._parts.get(owner)
        return part is not None and _begins_flat(part) and not self._is_in_row(owner, tree)

    def _is_in_row(self, owner: str, tree: Tree) -> bool:
        return tree.groups[owner.rpartition(".")[0]].kind is Kind.ROW

    def variable_path(self, name: str) -> str | None:
        """Return the expression for hidden weights, or for what is inside them; None for others."""
        parts = name.split(".")
        for end in range(len(parts), 0, -1):
            owner = ".".join(parts[:end])
            if owner in self.variables:
                return self.variables[owner] + _inside(self._parts[owner], parts[end:])
        return None

    def path(self, scope: Group, name: str, tree: Tree) -> str:
        """Return the expression for weights, a unit or a parameter, seen from a scope around it.

        Args:
            scope: The group whose class it stands in.
            name: Its full name, inside the scope.
            tree: The tree of names.
        """
        text = "self"
        parts = scope.relative(name).split(".")
        at: Group = scope
        for number, part in enumerate(parts):
            child = at.children[part]
            text += _step(at, part)
            if isinstance(child, Leaf):
                rest = parts[number + 1 :]
                assert child.weights is not None
                inner = self.part(child.weights.name, in_row=at.kind is Kind.ROW)
                return text + _inside(inner, rest)
            at = child
        return text


def _is_random(module: nn.Module) -> bool:
    """Return whether a module may draw random numbers; of one that is not torch's nobody knows."""
    for each in module.modules():
        if isinstance(each, _RANDOM) or not type(each).__module__.startswith("torch."):
            return True
        if isinstance(getattr(each, "dropout", None), float) and each.dropout:
            return True
    return False


def _begins_flat(part: Part) -> bool:
    """Return whether a sequence flattens its input first, under a name of its own."""
    if not isinstance(part, Named) or part.kind != "nn.Sequential":
        return False
    (name, first), *rest = part.items
    plain = isinstance(first, Make) and first.callee == "nn.Flatten" and first.is_short
    numbered = [each for each, _ in rest] == [str(number) for number in range(len(rest))]
    return name == "flatten" and plain and numbered


def _flattened_before(layers: list[Part]) -> list[Part]:
    """Return a sequence in which a layer that flattens first leaves that to the sequence before it.

    Its own layers are then numbered like any others, and what is flattened has no weights.
    """
    found: list[Part] = []
    for layer in layers:
        before = found[-1] if found else None
        if isinstance(layer, Named) and _begins_flat(layer) and isinstance(before, Row):
            (_, flatten), *rest = layer.items
            found[-1] = Row(before.kind, (*before.runs, (flatten, 1)))
            layer = row("nn.Sequential", [each for _, each in rest])
        found.append(layer)
    return found


def _step(group: Group, name: str) -> str:
    """Return the way from a group to one of its children."""
    if group.kind is Kind.CLASS:
        return f".{name}"
    if group.kind in (Kind.ROW, Kind.LIST):
        return f"[{name}]"
    if group.kind is Kind.DICT:
        return f"[{quoted(name)}]"
    bearing = [each for each, child in group.children.items() if has_module(child)]
    return f"[{bearing.index(name)}]"


def _inside(part: Part | None, names: Sequence[str]) -> str:
    """Return the way into a module, down to one of its modules or parameters."""
    text = ""
    for name in names:
        if isinstance(part, Row):
            text += f"[{name}]"
            part = part.at(int(name))
        elif isinstance(part, Named):
            known: Mapping[str, Part] = dict(part.items)
            text += f"[{list(known).index(name)}]"
            part = known[name]
        else:
            text += f".{name}" if name.isidentifier() else f".get_submodule({quoted(name)})"
            part = None
    return text
