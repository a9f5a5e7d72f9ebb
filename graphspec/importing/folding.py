"""Structure that repeats becomes blocks, and instances in a row one node with ``repeat``.

Names stay as they are: the block's instance ``layer1.0`` has the node ``layer1.0.conv1``. Whether
nothing changed is not argued but tested: `proven` compares the graph of the result with that of the
nodes one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from graphspec import compiler
from graphspec.errors import SpecError
from graphspec.graph.ir import Graph
from graphspec.importing.bodies import Block, Body, block_of, body_of, groups_of
from graphspec.importing.drafts import Draft, Ref
from graphspec.importing.items import Item
from graphspec.importing.naming import clean, snake
from graphspec.language.models import Spec


def fold(
    model: nn.Module, scopes: Mapping[str, str], drafts: Mapping[str, Draft]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return blocks and nodes as a spec writes them.

    Args:
        model: The model.
        scopes: Calls of its modules that are no layers, with their paths.
        drafts: Its nodes.
    """
    folder = _Folder({name: Item.of(draft) for name, draft in drafts.items()})
    classes: dict[str, list[str]] = {}
    for scope, path in scopes.items():
        classes.setdefault(type(model.get_submodule(path)).__name__, []).append(clean(scope))
    depth = {name: max(_height(s, scopes) for s in inside) for name, inside in classes.items()}
    for name in sorted(classes, key=lambda each: depth[each]):
        folder.fold(snake(name), classes[name])
    nodes = {name: item.written(_plain(item.inputs)) for name, item in folder.items.items()}
    return folder.written, nodes


def _height(scope: str, scopes: Mapping[str, str]) -> int:
    """Return how many levels of modules are inside a module."""
    levels = scope.count(".")
    inside = [other.count(".") - levels for other in map(clean, scopes) if _is_in(other, scope)]
    return max(inside, default=0)


def _is_in(name: str, scope: str) -> bool:
    return name.startswith(f"{scope}.")


def _plain(inputs: tuple[Ref, ...]) -> Any:
    if not inputs:
        return None
    return inputs[0].plain() if len(inputs) == 1 else [ref.plain() for ref in inputs]


class _Folder:
    """Nodes that are folded, class by class, the innermost first.

    Attributes:
        items: The nodes that are left.
        written: The blocks, as a spec writes them.
    """

    def __init__(self, items: dict[str, Item]) -> None:
        self.items = items
        self.written: dict[str, Any] = {}
        self._defaults: dict[str, dict[str, Any]] = {}

    def fold(self, name: str, scopes: list[str]) -> None:
        """Make blocks of the modules of one class, where two or more are alike."""
        inner = [s for s in scopes if not any(_is_in(other, s) for other in scopes)]
        readers = self._readers()
        bodies = [body_of(scope, self.items, readers) for scope in inner]
        for group in groups_of([body for body in bodies if body is not None]):
            if len(group.bodies) < 2:
                continue
            block = block_of(group, self._defaults)
            if block is not None:
                title = _title(group.bodies[0].scope) if name == "module" else name
                self._use(self._add(title, block), block, group.bodies)
        self._chain()

    def _add(self, name: str, block: Block) -> str:
        """Keep a block under a name of its own."""
        unique, number = name, 2
        while unique in self.written:
            unique = f"{name}_{number}"
            number += 1
        self.written[unique] = block.written
        self._defaults[unique] = block.defaults
        return unique

    def _use(self, name: str, block: Block, bodies: list[Body]) -> None:
        """Put an instance in the place of each module."""
        instances = {body.scope: body for body in bodies}
        outputs = {f"{body.scope}.{body.output}": body.scope for body in bodies}
        found: dict[str, Item] = {}
        for key, item in self.items.items():
            scope = next((s for s in _around(key) if s in instances), None)
            if scope is None:
                found[key] = item
            elif key == f"{scope}.{instances[scope].output}":
                found[scope] = self._instance(name, block, instances[scope])
        self.items = found
        self._point(outputs)

    def _instance(self, name: str, block: Block, body: Body) -> Item:
        given = block.instances[body.scope]
        values = {
            (0, key): given[key] for key in block.names if not self._is_default(block, key, given)
        }
        inputs = tuple(_ref(text, self.items) for text in body.outside)
        return Item(body.scope, (name,), "block", values, inputs)

    def _is_default(self, block: Block, key: str, given: Mapping[str, Any]) -> bool:
        default = block.defaults.get(key, _NONE)
        return type(default) is type(given[key]) and bool(default == given[key])

    def _point(self, names: Mapping[str, str]) -> None:
        for item in self.items.values():
            item.inputs = tuple(
                ref.at(names[ref.node]) if ref.node in names else ref for ref in item.inputs
            )

    def _readers(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, item in self.items.items():
            for ref in item.inputs:
                found.setdefault(ref.node, []).append(name)
        return found

    def _chain(self) -> None:
        """Make one node of instances ``a.0``, ``a.1``, ... each of which reads the one before."""
        families: dict[str, list[Item]] = {}
        for name, item in self.items.items():
            families.setdefault(name.rpartition(".")[0], []).append(item)
        readers = self._readers()
        for family, chain in families.items():
            inside = [name for name in self.items if _is_in(name, family)]
            if family and len(inside) == len(chain) and _is_chain(family, chain, readers):
                self._repeat(family, chain)

    def _repeat(self, family: str, chain: list[Item]) -> None:
        first, last = chain[0], chain[-1]
        defaults = self._defaults[first.ops[0]]
        values = {}
        for key in dict.fromkeys(key for item in chain for key in item.values):
            every = [item.values.get(key, defaults.get(key[1])) for item in chain]
            values[key] = _indexed(every)
        one = Item(family, first.ops, "block", values, first.inputs, repeat=len(chain))
        gone = {item.name for item in chain} - {last.name}
        self.items = {
            (family if name == last.name else name): (one if name == last.name else item)
            for name, item in self.items.items()
            if name not in gone
        }
        self._point({last.name: family})


_NONE = object()


def _title(scope: str) -> str:
    """Return the name of a block whose modules are of no class of their own."""
    return next((p for p in reversed(scope.split(".")) if not p.isdigit()), "block")


def _around(name: str) -> list[str]:
    """Return the names of the modules around a node, outermost first."""
    parts = name.split(".")
    return [".".join(parts[:number]) for number in range(1, len(parts))]


def _ref(text: str, items: Mapping[str, Item]) -> Ref:
    """Return what a name of a node or of one of its outputs refers to."""
    head, _, tail = text.rpartition(".")
    is_port = text not in items and head in items and tail.isdigit()
    return Ref(head, int(tail)) if is_port else Ref(text)


def _is_chain(family: str, chain: list[Item], readers: Mapping[str, list[str]]) -> bool:
    first = chain[0]
    if len(chain) < 2 or first.form != "block":
        return False
    for number, item in enumerate(chain):
        if item.name != f"{family}.{number}" or item.shape != first.shape or item.repeat:
            return False
        if number:
            before = chain[number - 1].name
            if item.inputs != (Ref(before), *first.inputs[1:]) or readers[before] != [item.name]:
                return False
    return not any(str(value).startswith("=") for item in chain for value in item.values.values())


def _indexed(values: list[Any]) -> Any:
    """Return an expression of ``index`` that gives each value in its turn."""
    first, *others = values
    if all(value == others[0] for value in others):
        if first == others[0]:
            return first
        if first is True:
            return "=index == 0"
        return f"={_text(first)} if index == 0 else {_text(others[0])}"
    return f"=[{', '.join(map(_text, values))}][index]"


def _text(value: Any) -> str:
    """Return a value as an expression writes it."""
    return repr(value)


def proven(text: str, graph: Graph, other: tuple[str, Spec]) -> tuple[str, Spec]:
    """Return a folded spec if it has the same graph as the nodes one by one, else these.

    Args:
        text: The folded spec.
        graph: The graph of the nodes one by one.
        other: The spec of the nodes one by one.
    """
    try:
        spec = compiler.load_text(text, "imported spec")
        folded = compiler.check(spec).graph
    except SpecError:
        return other
    return (text, spec) if facts(folded) == facts(graph) else other


def facts(graph: Graph) -> dict[str, Any]:
    """Return all that a graph says, without where it says so: two with the same facts are equal."""
    nodes = {
        name: (
            node.weights,
            [(str(e), e.name, e.form, e.detach, e.gradient_scale) for e in node.inputs],
            node.task,
            node.outputs,
        )
        for name, node in graph.nodes.items()
    }
    weights = {
        name: (
            [(step.op.name, repr(step.args)) for step in each.steps],
            each.sequence,
            (each.layer_of, each.parameters_of, each.copy_of, each.trainable),
            {key: (t.owner, t.parameter, t.transposed) for key, t in each.ties.items()},
        )
        for name, each in graph.weights.items()
    }
    return {"nodes": nodes, "weights": weights, "heads": dict(graph.heads)}
