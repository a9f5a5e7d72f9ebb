"""The catalogue as text: what `graphspec ops` lists and `graphspec ops NAME` shows."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from pydantic.fields import FieldInfo

from graphspec.ops import load_ops, places
from graphspec.ops.arguments import Expected, OneOf, shown
from graphspec.ops.registry import Op

CATEGORIES = {
    "kind": "Kinds",
    "layer": "Layers of torch.nn",
    "function": "Functions",
    "plugin": "From plugins",
}
"""The parts of the catalogue, in the order in which they are shown, with their titles."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of an op, as text.

    Attributes:
        name: Its name.
        type: What it takes, in words.
        default: Its default as a spec writes it, or the empty string where it must be given.
        description: What it means.
    """

    name: str
    type: str
    default: str
    description: str


@dataclass(frozen=True, slots=True)
class OpPage:
    """The page of one op.

    Attributes:
        name: Its name.
        summary: What it computes, in one sentence.
        details: Further paragraphs: shapes, differences from torch, the source paper; maybe empty.
        category: ``kind``, ``layer``, ``function`` or ``plugin``.
        inputs: How many inputs it takes, and their names.
        shorthand: The argument that a bare value stands for, or None.
        arguments: Its arguments in order.
        example: A complete spec, as YAML, or just a node where a plugin gives none.
        origin: Where a plugin defines it, as ``file:line``; empty for a built-in one.
    """

    name: str
    summary: str
    details: str
    category: str
    inputs: str
    shorthand: str | None
    arguments: tuple[Argument, ...]
    example: str
    origin: str


def catalogue() -> dict[str, list[Op]]:
    """Return all ops by category, in the order of `CATEGORIES`, sorted by name within each.

    Those that installed packages offer are loaded for it, and all of plugins stand together.
    """
    registry = load_ops()
    registry.discover()
    found: dict[str, list[Op]] = {category: [] for category in CATEGORIES}
    for name in sorted(registry):
        op = registry.get(name)
        found.setdefault(category_of(op), []).append(op)
    return found


def category_of(op: Op) -> str:
    """Return the category under which an op is listed: ``plugin`` for all that are not built in."""
    return "plugin" if origin_of(op) else op.category


def origin_of(op: Op) -> str:
    """Return where a plugin defines an op, as ``file:line``, or the empty string."""
    file = places.file_of(op.origin)
    return "" if not file or places.is_ours(file) else places.shown(op.origin)


def document(op: Op) -> OpPage:
    """Return the page of an op.

    Args:
        op: The op, built in or registered by a plugin.
    """
    fields = op.Args.model_fields.items()
    return OpPage(
        op.name,
        op.summary,
        _details(op),
        category_of(op),
        inputs_text(op),
        op.shorthand,
        tuple(_argument(name, field) for name, field in fields),
        op.example or _node(op),
        origin_of(op),
    )


def inputs_text(op: Op) -> str:
    """Return how many inputs an op takes, e.g. ``1 to 3 inputs: query, key, value``."""
    names = ", ".join(op.arity.names)
    return f"{op.arity}: {names}" if names else str(op.arity)


def _node(op: Op) -> str:
    """Return how a node of an op without an example begins."""
    words = [f"op: {op.name}"]
    if op.arity.most != 0:
        few = max(op.arity.least, 1)
        words.append(f"from: [{', '.join(['...'] * few)}]" if few > 1 else "from: ...")
    words += [f"{n}: ..." for n, field in op.Args.model_fields.items() if field.is_required()]
    return f"nodes:\n  result: {{{', '.join(words)}}}\n"


def _details(op: Op) -> str:
    """The docstring of the build function after its first line, plain."""
    if op.category == "layer":
        lines = ["Arguments are those of torch; sizes that follow from the input are inferred."]
        return " ".join(lines)
    text = inspect.getdoc(op.build) or ""
    return text.partition("\n")[2].strip().replace("``", "`")


def _argument(name: str, field: FieldInfo) -> Argument:
    default = "" if field.is_required() else shown(field.get_default())
    if field.default is None and _is_optional_name(field):
        default = "none"
    description = " ".join((field.description or "").split())
    return Argument(name, type_text(field), default, description)


def type_text(field: FieldInfo) -> str:
    """Return what an argument takes, in words."""
    for annotation in field.metadata:
        if isinstance(annotation, (Expected, OneOf)):
            return annotation.text
    return _plain_type(field.annotation)


def _plain_type(annotation: Any) -> str:
    """The type of a plugin's argument, which may be any that pydantic knows."""
    words = {int: "an integer", float: "a number", bool: "true or false", str: "a string"}
    name = getattr(annotation, "__name__", str(annotation))
    return words.get(annotation, name if isinstance(annotation, type) else str(annotation))


def _is_optional_name(field: FieldInfo) -> bool:
    return any(isinstance(each, OneOf) and each.optional for each in field.metadata)
