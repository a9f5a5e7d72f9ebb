"""Blocks as data: named sub-graphs with parameters, inputs and outputs.

`read_blocks` checks what a block declares; its body stays a tree, because what it says depends on
the values that an instance gives to the parameters.
"""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from graphspec.errors import Code, Sink, Span, suggest
from graphspec.language.reader import Tree, mapping
from graphspec.language.scope import Scope, has_broken, resolve_vars
from graphspec.language.section import Section
from graphspec.language.validation import report, value_text

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

STRUCTURE = ("each", "copies", "repeat", "when")
"""Keys that multiply a node or leave it out."""
RESERVED = frozenset({"block", "from", "trainable", "init", *STRUCTURE})
"""Keys of a node that uses a block, which no parameter can be called."""

Kind = Literal["int", "float", "bool", "str", "list", "any"]


class Parameter(Section):
    """A parameter of a block: a default value, or this long form."""

    model_config = ConfigDict(populate_by_name=True)

    type: Kind = "any"
    """What it takes: `int`, `float`, `bool`, `str`, `list` or `any`."""
    default: Any = None
    """Its value where an instance gives none; without a default it must be given."""
    description: str = ""
    """What it is for."""


class BlockSpec(Section):
    """A named sub-graph: a node `{block: NAME, from: ...}` makes an instance of it."""

    description: str = ""
    """One sentence about it."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Parameters by name: a default (`{units: 128}`), or `{type: int}` for one that must be given;
    `=units` is its value in the body."""
    inputs: list[str] = Field(["input"])
    """Names by which the body reads what an instance's `from` lists."""
    nodes: Any = None
    """The body: nodes by name."""
    layers: Any = None
    """The body where it is a sequence of layers."""
    output: str | None = None
    """The node that an instance hands on; by default `output`, or the one that nothing reads."""
    outputs: list[str] | dict[str, str] | None = None
    """Several nodes to hand on, read as `instance.NAME`: a list, or a mapping of names to nodes."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block whose declaration is sound.

    Attributes:
        name: Its name.
        key: Where the name stands.
        spec: What it declares.
        tree: All of it, as written.
        parameters: Each parameter's type and default (None where it must be given).
    """

    name: str
    key: Span
    spec: BlockSpec
    tree: Tree
    parameters: dict[str, tuple[Kind, Tree | None]]

    @property
    def body(self) -> Tree | None:
        """Its nodes, or None where it is a sequence."""
        return self.tree.get("nodes")


def read_blocks(tree: Tree | None, sink: Sink) -> dict[str, Block | None]:
    """Check the declarations under ``blocks:``.

    Returns:
        Blocks by name; None for one with a mistake, which was reported.
    """
    if tree is None or tree.value is None:
        return {}
    if tree.mapping is None:
        sink.error(
            Code.WRONG_TYPE,
            tree.span,
            "`blocks` takes a mapping of names to blocks",
            "write `blocks: {expert: {layers: [Flatten, {fc: 64}]}}`",
        )
        return {}
    return {
        name: _block(name, child, tree.keys[name], sink) for name, child in tree.mapping.items()
    }


def _block(name: str, tree: Tree, key: Span, sink: Sink) -> Block | None:
    if not _is_name(name):
        message = f"`{name}` cannot be the name of a block"
        sink.error(Code.BAD_NAME, key, message, "use letters, digits and `_`; no Python keyword")
        return None
    if tree.mapping is None:
        where = key if tree.value is None else tree.span
        hint = "write `{parameters: ..., nodes: ..., output: ...}` or `{layers: [...]}`"
        sink.error(Code.WRONG_TYPE, where, f"the block `{name}` takes a mapping", hint)
        return None
    plain = {k: t.plain() for k, t in tree.mapping.items() if k not in ("nodes", "layers")}
    try:
        spec = BlockSpec.model_validate(plain)
    except ValidationError as error:
        report(error, BlockSpec, tree, key, sink, owner=name)
        return None
    parameters = _parameters(name, tree.get("parameters"), sink)
    if parameters is None or not _is_sound(name, spec, tree, key, sink):
        return None
    return Block(name, key, spec, tree, parameters)


def _is_sound(name: str, spec: BlockSpec, tree: Tree, key: Span, sink: Sink) -> bool:
    """Check what the parts of a declaration mean together; return whether it can be used."""
    bodies = [part for part in ("nodes", "layers") if tree.get(part) is not None]
    if len(bodies) != 1:
        message = f"the block `{name}` has " + ("no body" if not bodies else "`nodes` and `layers`")
        sink.error(
            Code.AMBIGUOUS_NODE if bodies else Code.MISSING_KEY,
            tree.keys[bodies[1]] if bodies else key,
            message,
            "a block has `nodes:`, or `layers:` where it is a sequence",
        )
        return False
    nodes = tree.get("nodes")
    if nodes is not None and nodes.mapping is None:
        message = f"`nodes` of the block `{name}` takes a mapping of names to nodes"
        sink.error(Code.WRONG_TYPE, nodes.span, message, "write `{conv: {op: conv, ...}}`")
        return False
    if nodes is None and (spec.output or spec.outputs or spec.inputs != ["input"]):
        wrong = next(k for k in ("output", "outputs", "inputs") if tree.get(k) is not None)
        message = f"the block `{name}` is a sequence, which has one input and one output"
        sink.error(Code.BAD_VALUE, tree.keys[wrong], message, "leave this out, or write `nodes:`")
        return False
    if spec.output is not None and spec.outputs is not None:
        message = f"the block `{name}` has `output` and `outputs`"
        sink.error(Code.AMBIGUOUS_NODE, tree.keys["outputs"], message, "leave one of them out")
        return False
    return _check_inputs(name, spec, tree, sink)


def _check_inputs(name: str, spec: BlockSpec, tree: Tree, sink: Sink) -> bool:
    inside = (tree.get("nodes") or Tree({}, tree.span)).mapping or {}
    for index, each in enumerate(spec.inputs):
        span = tree.locate(("inputs", index))
        if not _is_name(each) or each in spec.inputs[:index]:
            twice = each in spec.inputs[:index]
            message = f"`{each}` " + ("stands here twice" if twice else "cannot be an input's name")
            sink.error(Code.BAD_NAME, span, message, "give every input a name of its own")
            return False
        if each in inside:
            nodes = tree.get("nodes")
            assert nodes is not None
            message = f"`{each}` is an input of the block `{name}` and a node in it"
            sink.error(Code.BAD_NAME, nodes.keys[each], message, "rename the node")
            return False
    return True


def _parameters(
    block: str, tree: Tree | None, sink: Sink
) -> dict[str, tuple[Kind, Tree | None]] | None:
    found: dict[str, tuple[Kind, Tree | None]] = {}
    for name, child in ((tree.mapping or {}) if tree is not None else {}).items():
        assert tree is not None
        if not _is_name(name) or name in RESERVED:
            taken = "is a key of every node" if name in RESERVED else "cannot be a name"
            message = f"`{name}` {taken}, so the block `{block}` cannot call a parameter so"
            sink.error(Code.BAD_NAME, tree.keys[name], message, "rename the parameter")
            return None
        if child.mapping is None:
            found[name] = (_kind_of(child.value), child)
            continue
        try:
            given = {k: t.plain() for k, t in child.mapping.items() if k != "default"}
            long = Parameter.model_validate(given)
        except ValidationError as error:
            report(error, Parameter, child, tree.keys[name], sink, owner=name)
            return None
        found[name] = (long.type, child.get("default"))
    return found


def _kind_of(default: Any) -> Kind:
    """Return the type that a default implies: expressions and null may become anything."""
    if isinstance(default, str):
        return "any" if default.startswith("=") else "str"
    kinds: dict[type, Kind] = {bool: "bool", int: "int", float: "float", list: "list"}
    return kinds.get(type(default), "any")


def bind(block: Block, given: Tree, outer: Scope, key: Span, sink: Sink) -> Scope | None:
    """Return the scope of a block's body for the values that an instance gives.

    Args:
        block: The block.
        given: The arguments, evaluated where the instance stands.
        outer: What the body may read besides: the spec's variables.
        key: The name of the node that uses the block.
        sink: Where ``unknown-argument``, ``missing-argument`` and ``bad-argument`` go.
    """
    good = True
    values = dict(given.mapping or {})
    meant: set[str | None] = set()
    for name in values:
        if name not in block.parameters:
            good = False
            meant.add(suggest(name, list(block.parameters)))
            hint = sink.did_you_mean(name, block.parameters, "parameters")
            message = f"`{name}` is not one of the parameters of the block `{block.name}`"
            sink.error(Code.UNKNOWN_ARGUMENT, given.keys[name], message, hint)
    for name, (kind, default) in block.parameters.items():
        if name in values:
            good = _fits(block, name, kind, values[name], sink) and good
        elif default is not None:
            values[name] = default
        else:
            good = False
            if name in meant:
                continue  # a misspelt name is one mistake: what it was meant to be is not missing
            message = f"the parameter `{name}` of the block `{block.name}` is missing"
            sink.error(Code.MISSING_ARGUMENT, key, message, f"write `{name}: ...` with the block")
    if not good:
        return None
    known = {name: values[name] for name in block.parameters}
    scope = resolve_vars(mapping(known, given.span, dict.fromkeys(known, key)), sink, outer)
    return None if any(has_broken(scope.values[name]) for name in known) else scope


_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "bool": ((bool,), "true or false"),
    "str": ((str,), "a text"),
    "list": ((list,), "a list"),
}


def _fits(block: Block, name: str, kind: Kind, tree: Tree, sink: Sink) -> bool:
    value = tree.plain()
    if kind == "any" or has_broken(value):
        return True
    types, words = _KINDS[kind]
    if isinstance(value, types) and (kind == "bool" or not isinstance(value, bool)):
        return True
    message = f"`{name}` of the block `{block.name}` takes {words}, got {value_text(value)}"
    hint = f"to take anything, declare it as `{name}: {{type: any, default: ...}}`"
    sink.error(Code.BAD_ARGUMENT, tree.span, message, hint)
    return False


def _is_name(name: str) -> bool:
    return NAME.fullmatch(name) is not None and not keyword.iskeyword(name)
