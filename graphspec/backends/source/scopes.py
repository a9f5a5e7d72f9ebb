"""The bodies of a graph's scopes: the modules of each, and its forward pass line by line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from graphspec import errors
from graphspec.backends.source.bodies import Body, Line
from graphspec.backends.source.calls import Applied, applied, is_pairwise, passed, target_of
from graphspec.backends.source.code import Brackets, Code, Prefixed
from graphspec.backends.source.modules import Modules
from graphspec.backends.source.names import RESERVED, Names
from graphspec.backends.source.order import Order
from graphspec.backends.source.parts import Make, Named, Part, row
from graphspec.backends.source.tree import (
    Group,
    Kind,
    Leaf,
    Read,
    Tree,
    has_module,
    is_plain,
    read_of,
)
from graphspec.graph.ir import LABELS, Node
from graphspec.ops.types import TensorType

MOST_CALLERS = 6
"""Callers of shared weights that a comment names."""


class Scopes:
    """Writes the bodies of scopes, from the inside outwards.

    Attributes:
        tree: The names.
        modules: The weights.
        order: The order of calls.
        instances: The constructor call of each scope whose class is known, by prefix.
    """

    def __init__(self, tree: Tree, modules: Modules) -> None:
        self.tree = tree
        self.modules = modules
        self.order = Order(tree, modules.is_touchy)
        self.instances: dict[str, Make] = {}

    def body(self, scope: Group, statements: Sequence[tuple[str, Code]]) -> Body:
        """Return the body of a scope; the classes of the scopes inside it are known already.

        Args:
            scope: The group of names.
            statements: What its constructor does after making the modules.
        """
        return _Scope(self, scope, statements).body

    def part_of(self, child: Leaf | Group, inside: Kind) -> Part:
        """Return the constructor call for a name: of its weights, class or container."""
        if isinstance(child, Leaf):
            return self.modules.part(child.path, in_row=inside is Kind.ROW)
        if child.kind is Kind.CLASS:
            return self.instances[child.path]
        bearing = {name: each for name, each in child.children.items() if has_module(each)}
        if child.kind in (Kind.ROW, Kind.LIST):
            parts = [self.part_of(bearing[str(i)], child.kind) for i in range(len(bearing))]
            return row(child.kind.value, parts)
        kind = "nn.ModuleDict" if child.kind is Kind.DICT else "nn.Sequential"
        return Named(kind, tuple((n, self.part_of(e, child.kind)) for n, e in bearing.items()))


class _Scope:
    """The body of one scope in the making."""

    def __init__(self, all_: Scopes, scope: Group, statements: Sequence[tuple[str, Code]]) -> None:
        self._all = all_
        self._tree = all_.tree
        self._graph = all_.tree.graph
        self._modules = all_.modules
        self._scope = scope
        self._names = Names(RESERVED | self._modules.names)
        self._values: dict[tuple[str, int], str] = {}
        self._given: dict[Read, str] = {}
        self._passed: dict[Read, str] = {}
        self._families: dict[str, int] = {}
        self._teachers: dict[str, str] = {}
        self.body = Body(scope, self._inputs(), statements=list(statements))
        self._add_entries()
        items = self._tree.items(scope)
        self._uses = self._count_uses(items)
        for item in all_.order.of(items):
            if isinstance(item, Group) and item.is_family:
                self._call_family(item)
            elif isinstance(item, Group):
                self._call_unit(item)
            else:
                self._call_node(item)
        self.body.results = self._results()

    def _inputs(self) -> tuple[str, ...]:
        if self._scope is self._tree.root:
            for name in self._graph.inputs:
                if self._names.new(name) != name:
                    message = f"the input `{name}` has a name that the file needs itself"
                    raise errors.fail(errors.Code.CANNOT_EJECT, message, "rename the input")
            names = tuple(self._graph.inputs)
            self._values.update({(name, 0): name for name in names})
            return (*names, self._names.new(LABELS)) if self._graph.takes_labels else names
        reads = list(self._tree.inputs(self._scope))
        wishes = "xyz" if len(reads) <= 3 else [f"x{i}" for i in range(len(reads))]
        self._given = {read: self._names.new(w) for read, w in zip(reads, wishes, strict=False)}
        return tuple(self._given.values())

    def _add_entries(self) -> None:
        bearing = [child for child in self._scope.children.values() if has_module(child)]
        for child in sorted(bearing, key=self._first_call):
            part = self._all.part_of(child, Kind.CLASS)
            self.body.entries.append((child.name, part, self._shared(child)))
        if self._scope is self._tree.root:
            taken = Names(name for name, _, _ in self.body.entries)
            for task, make in self._modules.teachers.items():
                self._teachers[task] = taken.new(f"{task}_teacher")
                self.body.entries.append((self._teachers[task], make, ""))

    def _first_call(self, child: Leaf | Group) -> int:
        """Return the place in the spec of the first node that is made or calls something here."""
        if isinstance(child, Group) and child.nodes:
            return self._tree.position(child)
        if isinstance(child, Leaf) and child.node is not None:
            return self._tree.position(child.node)
        inside = [child] if isinstance(child, Leaf) else list(child.children.values())
        calls = [node for each in inside for node in self._graph.calls.get(each.path, ())]
        return min(map(self._tree.position, calls), default=0)

    def _shared(self, child: Leaf | Group) -> str:
        """Return a comment on weights that are called more than once, or nothing."""
        found: list[str] = []
        waiting = [child]
        while waiting:
            each = waiting.pop()
            if isinstance(each, Group):
                if each.twins:
                    found += [self._told(each.path), *(self._told(t.path) for t in each.twins)]
                elif each.kind is not Kind.CLASS:
                    waiting += reversed(each.children.values())
            elif each.weights is not None:
                names = [node.name for node in self._graph.calls[each.path]]
                # What a whole unit shares is said where the unit is.
                names = [n for n in names if not any(g.twin for g in self._tree.around(n))]
                if len(names) > 1:
                    found += map(self._told, names)
        if len(found) > MOST_CALLERS:
            found[MOST_CALLERS - 1 :] = [f"{len(found) - MOST_CALLERS + 1} more"]
        return f"shared by {', '.join(found[:-1])} and {found[-1]}" if found else ""

    def _told(self, name: str) -> str:
        """Return a name as a comment says it."""
        return self._scope.relative(name) if self._scope.holds(name) else name

    # -- values -----------------------------------------------------------------------------------

    def _count_uses(self, items: Iterable[Node | Group]) -> dict[Read, int]:
        uses: dict[Read, int] = {}
        for item in items:
            reads = self._tree.reads(item) if isinstance(item, Group) else map(read_of, item.inputs)
            for read in reads:
                uses[read] = uses.get(read, 0) + 1
        return uses

    def _value(self, read: Read) -> str:
        """Return what a reader gets, as code; what several get in one form has its own line."""
        if read in self._given:
            return self._given[read]
        value = self._values[read[:2]]
        if is_plain(read):
            return value
        if read in self._passed:
            return self._passed[read]
        task = self._graph.nodes[read[0]].task if read[2] == "teacher" else None
        teacher = f"self.{self._teachers[str(task)]}" if task is not None else ""
        code = passed(value, read, teacher, self._modules.name_of)
        if self._uses[read] > 1:
            word = read[2] if read[2] != "logits" else "detached" if read[3] else "scaled"
            self._passed[read] = self._names.new(f"{value}_{word}")
            self.body.lines.append(Line(self._passed[read], code))
            return self._passed[read]
        return code

    def _call_node(self, node: Node) -> None:
        operands = [self._value(read_of(edge)) for edge in node.inputs]
        weights = self._graph.weights[node.weights]
        function = self._modules.function(node.weights)
        value: Applied | Code
        if function is not None:
            if not is_pairwise(function):
                operands = self._starred(operands)
            value = applied(function, operands, self._modules.name_of)
        else:
            if self._modules.flattens(node.weights, self._tree):
                operands = [f"{each}.flatten(1)" for each in operands]
            words: list[Code] = list(self._starred(operands))
            if node.inputs and node.inputs[0].name is not None:
                words = [
                    Prefixed(f"{edge.name}=", each)
                    for edge, each in zip(node.inputs, operands, strict=True)
                ]
            value = Brackets(f"{self._path(node.weights)}(", tuple(words))
        name = self._scope.relative(node.name)
        read = sorted(self._tree.ports_read(node.name)) or [0]
        names = {p: self._names.new(name if p == read[0] else f"{name}_{p}") for p in read}
        target, values = target_of(node, weights.op_name, names)
        self._values.update({(node.name, port): text for port, text in values.items()})
        remark = ""
        if function is None and node.name != node.weights:
            remark = f"shared with {self._told(node.weights)}"
        types = node.outputs[0] if len(node.outputs) == 1 else None
        self.body.lines.append(Line(target, value, remark, types))

    def _call_unit(self, unit: Group) -> None:
        owner = unit.twin or unit
        operands = tuple(self._value(read) for read in self._tree.reads(unit))
        wanted = set(self._tree.outputs(unit))
        given = [(f"{unit.path}.{name}", port) for name, port in self._tree.gives(owner)]
        targets: list[str] = []
        types: TensorType | None = None
        for name, port in given:
            if (name, port) not in wanted:
                targets.append("_")
                continue
            wish = self._tree.wish(unit, name)
            targets.append(self._names.new(self._scope.relative(wish)))
            self._values[name, port] = targets[-1]
            types = self._graph.nodes[name].outputs[port] if len(given) == 1 else None
        remark = "" if unit.twin is None else f"shared with {self._told(owner.path)}"
        code = Brackets(f"{self._path(owner.path)}(", operands)
        self.body.lines.append(Line(", ".join(targets), code, remark, types))

    def _call_family(self, family: Group) -> None:
        """Call all members of a list on the same inputs, in one line."""
        name = self._names.new(self._scope.relative(family.path))
        one = self._names.new(name[:-1] if name.endswith("s") and len(name) > 2 else "module")
        operands = ", ".join(self._value(read) for read in self._tree.reads(family))
        first = family.children["0"]
        if isinstance(first, Leaf) and self._modules.flattens(first.path, self._tree):
            operands = f"{operands}.flatten(1)"
        loop = (f"{one}({operands})", f"for {one} in {self._path(family.path)}")
        self.body.lines.append(Line(name, Brackets("[", loop, "]", joint="")))
        members = self._tree.members(family)
        self._families[name] = len(members)
        self._values.update({member: f"{name}[{i}]" for i, member in enumerate(members)})

    def _starred(self, operands: list[str]) -> list[str]:
        """Return operands with whole families in the place of their members: ``*experts``."""
        found: list[str] = []
        at = 0
        while at < len(operands):
            name, bracket, _ = operands[at].partition("[0]")
            count = self._families.get(name, 0) if bracket else 0
            if count and operands[at : at + count] == [f"{name}[{i}]" for i in range(count)]:
                found.append(f"*{name}")
                at += count
            else:
                found.append(operands[at])
                at += 1
        return found

    def _path(self, name: str) -> str:
        return self._modules.path(self._scope, name, self._tree)

    def _results(self) -> tuple[str, ...]:
        if self._scope is self._tree.root:
            return tuple(self._values[name, 0] for name in self._graph.heads.values())
        ends = self._tree.gives(self._scope)
        prefix = f"{self._scope.path}."
        return tuple(self._values[prefix + name, port] for name, port in ends)
