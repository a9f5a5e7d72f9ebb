"""Classes and functions that are not torch's, copied into an ejected file with all that they use.

What a copied text names is looked up in the file that it comes from: a definition there or in
graphspec is copied too, what is imported from elsewhere is imported in the same way.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

from graphspec.errors import Code, fail


@dataclass(frozen=True, slots=True, order=True)
class Import:
    """An import statement of one name.

    Attributes:
        module: The module.
        name: What is taken from it, or the empty string for the module itself.
        alias: The name that it gets here, where it is another.
    """

    module: str
    name: str = ""
    alias: str = ""

    @property
    def bound(self) -> str:
        """The name that it defines."""
        return self.alias or self.name or self.module.partition(".")[0]


@dataclass(frozen=True, slots=True)
class _Unit:
    """A module of Python as text: what stands at its top level, by name."""

    module: ModuleType
    text: str
    definitions: dict[str, ast.stmt]
    imports: dict[str, Import]


_BUILT_IN = ("_operator", "_functools")


class Copies:
    """Collects what is copied into one file."""

    def __init__(self) -> None:
        self._texts: dict[tuple[str, str], str] = {}
        self._names: dict[str, tuple[str, str]] = {}
        self.imports: set[Import] = set()

    @property
    def texts(self) -> list[str]:
        """The copied definitions, each after those that it uses."""
        return list(self._texts.values())

    @property
    def names(self) -> set[str]:
        """The names that they define."""
        return set(self._names)

    def name_of(self, thing: Any) -> str:
        """Return how a class or a function is written, after making it known to the file.

        Args:
            thing: A class or a function.

        Raises:
            SpecError: ``cannot-eject`` if its text is not there, or two things have one name.
        """
        public = _public(thing)
        if public is not None:
            return public
        name, module = getattr(thing, "__name__", ""), getattr(thing, "__module__", "") or ""
        module = module.removeprefix("_") if module in _BUILT_IN else module
        if name and _section(module) == 0:
            self.imports.add(Import(module, name))
            return str(name)
        if "." in getattr(thing, "__qualname__", ".") or not name.isidentifier():
            message = f"`{getattr(thing, '__qualname__', thing)}` cannot be copied into a file"
            raise fail(Code.CANNOT_EJECT, message, "define it at the top level of its module")
        self._copy(module, name)
        return name

    def _copy(self, module: str, name: str) -> None:
        """Copy a definition, after those that it uses."""
        waiting = [(module, name)]
        opened: set[tuple[str, str]] = set()
        while waiting:
            key = waiting[-1]
            if key in self._texts:
                waiting.pop()
                continue
            unit = _unit(key[0])
            statement = unit.definitions.get(key[1])
            if statement is None:
                message = f"the source text of `{key[0]}.{key[1]}` was not found"
                raise fail(Code.CANNOT_EJECT, message, "define it in a file, without tricks")
            needed = [] if key in opened else list(self._needs(unit, statement, key))
            opened.add(key)
            missing = [each for each in needed if each not in self._texts]
            if missing:
                waiting += missing
                continue
            waiting.pop()
            if self._names.setdefault(key[1], key) != key:
                message = f"`{key[1]}` is defined by `{key[0]}` and `{self._names[key[1]][0]}`"
                raise fail(Code.CANNOT_EJECT, message, "rename one of them")
            self._texts[key] = _text_of(unit, statement)

    def _needs(
        self, unit: _Unit, statement: ast.stmt, key: tuple[str, str]
    ) -> Iterator[tuple[str, str]]:
        for name in sorted(_names_in(unit, statement)):
            found = unit.imports.get(name)
            if name in unit.definitions:
                if name != key[1]:
                    yield key[0], name
            elif found is not None and found.name and _is_ours(found.module, unit):
                yield found.module, found.name
            elif found is not None:
                self.imports.add(found)
            elif not hasattr(builtins, name) and hasattr(unit.module, name):
                message = f"`{key[1]}` uses `{name}`, which `{key[0]}` does not define plainly"
                raise fail(Code.CANNOT_EJECT, message, f"define or import `{name}` at its top")


def _public(thing: Any) -> str | None:
    """Return the name by which people know a function of torch, wherever it is implemented."""
    name = getattr(thing, "__name__", "")
    for prefix, module in (
        ("torch", "torch"),
        ("F", "torch.nn.functional"),
        ("nn", "torch.nn"),
        ("torch.Tensor", "torch"),
    ):
        holder: Any = import_module(module)
        if prefix == "torch.Tensor":
            holder = holder.Tensor
        if name and getattr(holder, name, None) is thing:
            return f"{prefix}.{name}"
    return None


def _is_ours(module: str, unit: _Unit) -> bool:
    """Return whether a module's definitions are copied rather than imported."""
    package = unit.module.__name__.partition(".")[0]
    return module.partition(".")[0] in ("graphspec", package)


@cache
def _unit(name: str) -> _Unit:
    module = sys.modules[name]
    try:
        text = inspect.getsource(module)
        tree = ast.parse(text)
    except (OSError, TypeError, SyntaxError) as error:
        message = f"the source text of the module `{name}` was not found"
        raise fail(Code.CANNOT_EJECT, message, "define the op in a file") from error
    definitions: dict[str, ast.stmt] = {}
    imports: dict[str, Import] = {}
    for statement in tree.body:
        for defined in _defined(statement):
            definitions[defined] = statement
    for node in ast.walk(tree):
        for found in _imports(node, module):
            imports.setdefault(found.bound, found)
    return _Unit(module, text, definitions, imports)


def _defined(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, (ast.ClassDef, ast.FunctionDef)):
        yield statement.name
    elif isinstance(statement, ast.Assign):
        for target in statement.targets:
            if isinstance(target, ast.Name):
                yield target.id
    elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        yield statement.target.id


def _imports(node: ast.AST, module: ModuleType) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        for each in node.names:
            yield Import(each.name, "", each.asname or "")
    elif isinstance(node, ast.ImportFrom) and node.module != "__future__":
        source = node.module or ""
        if node.level:
            package = (module.__package__ or "").split(".")
            around = package[: len(package) - node.level + 1]
            source = ".".join([*around, *([source] if source else [])])
        for each in node.names:
            yield Import(source, each.name, each.asname or "")


def _decorators(unit: _Unit, statement: ast.stmt) -> list[ast.expr]:
    """Return the decorators of a definition but those that make it an op of graphspec."""
    kept = []
    for each in getattr(statement, "decorator_list", []):
        root = each
        while isinstance(root, (ast.Call, ast.Attribute)):
            root = root.func if isinstance(root, ast.Call) else root.value
        found = unit.imports.get(root.id) if isinstance(root, ast.Name) else None
        if found is None or found.module.partition(".")[0] != "graphspec":
            kept.append(each)
    return kept


def _names_in(unit: _Unit, statement: ast.stmt) -> set[str]:
    """Return the names that a definition reads or binds."""
    dropped = set(getattr(statement, "decorator_list", [])) - set(_decorators(unit, statement))
    roots = (child for child in ast.iter_child_nodes(statement) if child not in dropped)
    nodes = (node for root in roots for node in ast.walk(root))
    return {node.id for node in nodes if isinstance(node, ast.Name)}


def _text_of(unit: _Unit, statement: ast.stmt) -> str:
    """Return a definition as it stands in its file, without remarks for the tools used there."""
    lines = unit.text.splitlines()[statement.lineno - 1 : statement.end_lineno]
    decorators = [
        f"@{ast.get_source_segment(unit.text, each)}" for each in _decorators(unit, statement)
    ]
    plain = [re.sub(r"\s+# (type: ignore|noqa).*$", "", line) for line in lines]
    return "\n".join([*decorators, *plain])


def import_lines(imports: Iterable[Import]) -> list[str]:
    """Return import statements in the order of isort: standard library, then what is installed."""
    sections: dict[int, list[tuple[bool, str, str]]] = {0: [], 1: []}
    taken: dict[str, set[str]] = {}
    for each in imports:
        if each.name:
            alias = f" as {each.alias}" if each.alias and each.alias != each.name else ""
            taken.setdefault(each.module, set()).add(each.name + alias)
            continue
        alias = f" as {each.alias}" if each.alias and each.alias != each.module else ""
        sections[_section(each.module)].append((False, each.module, f"import {each.module}{alias}"))
    for module, names in taken.items():
        listed = ", ".join(sorted(names, key=_isorted))
        sections[_section(module)].append((True, module, f"from {module} import {listed}"))
    blocks = [[text for _, _, text in sorted(found)] for found in sections.values() if found]
    return [line for block in blocks for line in ("", *block)][1:]


def _section(module: str) -> int:
    return 0 if module.partition(".")[0] in sys.stdlib_module_names else 1


def _isorted(name: str) -> tuple[int, str]:
    """Constants first, then classes, then the rest."""
    return (0 if name.isupper() else 1 if name[:1].isupper() else 2, name)
