"""The whole text: copied definitions, classes from the inside outwards, imports, first lines."""

from __future__ import annotations

import ast
from collections.abc import Hashable, Sequence

from graphspec.backends.source.bodies import Body
from graphspec.backends.source.classes import Class, class_of
from graphspec.backends.source.copies import Import, import_lines
from graphspec.backends.source.lean import lean
from graphspec.backends.source.modules import Modules
from graphspec.backends.source.names import class_name
from graphspec.backends.source.optional import align
from graphspec.backends.source.relations import statements
from graphspec.backends.source.scopes import Scopes
from graphspec.backends.source.text import docstring, text_of
from graphspec.backends.source.tree import Tree
from graphspec.backends.source.units import decide, levels
from graphspec.graph.ir import Graph

_IMPORTS = {
    "torch": Import("torch"),
    "F": Import("torch.nn.functional", "", "F"),
    "nn": Import("torch", "nn"),
    "Tensor": Import("torch", "Tensor"),
    "OrderedDict": Import("collections", "OrderedDict"),
    "Mapping": Import("collections.abc", "Mapping"),
    "operator": Import("operator"),
    "partial": Import("functools", "partial"),
    "reduce": Import("functools", "reduce"),
}
"""What a file may import, by the name that it uses."""


def write(graph: Graph, version: str = "", is_part: bool = False) -> str:
    """Return a typed graph as the text of a Python file.

    Args:
        graph: A checked, typed and pruned graph.
        version: Version of graphspec, for the first lines.
        is_part: Whether tasks were left out, so that a checkpoint holds more than the model.

    Raises:
        SpecError: ``cannot-eject`` if a plugin's code cannot be copied.
    """
    return _File(graph, version, is_part).text()


class _File:
    def __init__(self, graph: Graph, version: str, is_part: bool) -> None:
        self._whole = graph
        self._lean = lean(graph)
        self._version = version
        self._is_part = is_part
        self._graph = self._lean.graph
        self._modules = Modules(self._lean, graph.weights)
        self._tree = Tree(self._graph)
        decide(self._tree)
        self._scopes = Scopes(self._tree, self._modules)
        self._classes: list[Class] = []
        self._names = set(self._modules.names) | _IMPORTS.keys()

    def text(self) -> str:
        """Return the whole file."""
        whole = self._new_name(class_name(self._graph.name))
        said = statements(self._whole, self._lean, self._tree, self._modules)
        for level in levels(self._tree):
            bodies = [self._scopes.body(scope, said.get(scope.path, [])) for scope in level]
            self._make_classes(bodies, whole)
        texts = (text_of(made, self._tree) for made in self._classes)
        body = "\n\n\n".join([*self._modules.copies.texts, *texts])
        return f"{self._header()}\n\n{self._imports(body)}\n\n\n{body}\n"

    def _make_classes(self, bodies: Sequence[Body], whole: str) -> None:
        """Make the classes of bodies whose inner classes are known; alike ones become one."""
        kinds: dict[Hashable, dict[Hashable, list[Body]]] = {}
        for body in bodies:
            shape, block = body.shape(), self._graph.blocks.get(body.group.path)
            kinds.setdefault(block or shape, {}).setdefault(shape, []).append(body)
        for kind in kinds.values():
            for aligned in align(list(kind.values())):
                is_whole = aligned.bodies[0].group is self._tree.root
                name = whole if is_whole else self._new_name(self._class_name(aligned.bodies))
                made, calls = class_of(aligned, name)
                for body, call in zip(aligned.bodies, calls, strict=True):
                    self._scopes.instances[body.group.path] = call
                self._classes.append(made)

    def _new_name(self, wish: str) -> str:
        name, number = wish, 2
        while name in self._names:
            name, number = f"{wish}{number}", number + 1
        self._names.add(name)
        return name

    def _class_name(self, bodies: Sequence[Body]) -> str:
        """Return a name for a class: its block's, else one made from the prefixes."""
        path = bodies[0].group.path
        if path in self._graph.blocks:
            return class_name(self._graph.blocks[path])
        words = [word for word in path.split(".") if not word.isdigit()]
        name = words[-1] if words else path
        if len(bodies) > 1:
            name = name.rstrip("0123456789_") or name
        return class_name(name)

    def _header(self) -> str:
        name = self._classes[-1].name
        about = " ".join(f"{self._graph.name}: {self._graph.description}".split()).rstrip(":")
        by = f"graphspec {self._version}".strip()
        more = ", strict=False)  # tasks were left out" if self._is_part else ")"
        lines = [
            about,
            "",
            f"Written by `graphspec eject` ({by}). It needs torch alone. To load a run's weights:",
            "",
            "    import torch",
            f"    model = {name}()",
            '    checkpoint = torch.load("runs/NAME/best.pt", "cpu", weights_only=True)',
            f'    model.load_state_dict(checkpoint["model"]{more}',
            "    model.eval()",
        ]
        return "\n".join(docstring("\n".join(lines), 0))

    def _imports(self, body: str) -> str:
        used = {node.id for node in ast.walk(ast.parse(body)) if isinstance(node, ast.Name)}
        found = {each for name, each in _IMPORTS.items() if name in used}
        copied = {each for each in self._modules.copies.imports if each.bound in used}
        lines = import_lines(found | copied)
        if self._modules.copies.texts:
            lines = ["from __future__ import annotations", "", *lines]
        return "\n".join(lines)
