"""The spec as validated data: pydantic models of every section, and how a tree becomes one.

The forms of a node are in `graphspec.language.forms`; blocks and groups are worked off by
`graphspec.language.blocks`, so the nodes of a `Spec` are flat and have full names.
"""

from __future__ import annotations

import hashlib
import json
import keyword
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from graphspec.errors import Code, Diagnostic, Sink, Span
from graphspec.language.blocks import Unrolled, unroll
from graphspec.language.compose import SECTIONS
from graphspec.language.expressions import ExpressionError
from graphspec.language.expressions import parse as parse_expression
from graphspec.language.forms import NodeSpec, parse_node
from graphspec.language.metric_expressions import evaluate_train
from graphspec.language.reader import Tree, mapping, walk
from graphspec.language.recipe import Data, Train
from graphspec.language.scope import (
    Scope,
    evaluate,
    has_broken,
    is_broken,
    is_expression,
    names_in,
    resolve_vars,
)
from graphspec.language.section import Section
from graphspec.language.tasks import Task
from graphspec.language.validation import report
from graphspec.language.writer import dump

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
NODE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*")
"""A node's name; dots lead into blocks and groups, as in a resolved spec."""
_NAME_HINT = "use letters, digits and `_`, not beginning with a digit; no Python keyword"


MAX_SIZE = 2**31 - 1
"""Largest size of a dimension, and most classes: torch's kernels index with 32 bits."""
MAX_SAMPLE = 2**36
"""Most numbers in one sample; a batch of them can still be counted in 64 bits."""


def _countable(shape: list[int]) -> list[int]:
    if prod(shape) > MAX_SAMPLE:
        message = f"one sample has {prod(shape):,} numbers, more than {MAX_SAMPLE:,}"
        raise ValueError(message)
    return shape


class Input(Section):
    """One input of the topology."""

    shape: Annotated[
        list[Annotated[int, Field(ge=1, le=MAX_SIZE)]],
        Field(min_length=1, max_length=8),
        AfterValidator(_countable),
    ]
    """Shape of one sample, without the batch: `[3, 32, 32]`."""
    dtype: Literal["float32", "float64", "float16", "bfloat16", "int64", "int32"] = "float32"
    """Kind of its numbers."""


class Spec(BaseModel):
    """A topology with its data and recipe, as written: names are not resolved yet."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, strict=True, allow_inf_nan=False
    )

    elsewhere: ClassVar[dict[str, str]] = {
        "study": "it in a file of its own, which `graphspec study FILE` takes",
    }

    graphspec: Literal[1]
    """Version of the language: `graphspec: 1`."""
    name: str = ""
    """Name of the topology; by default the file's."""
    description: str = ""
    """One sentence about it."""
    extends: str | list[str] | None = None
    """Files that this one is merged over, relative to it."""
    include: str | list[str] | None = None
    """Files whose `blocks` and `vars` this one may use, relative to it."""
    vars: dict[str, Any] = Field(default_factory=dict)
    """Values for expressions: `=16*width`."""
    inputs: dict[str, Input] = Field(default_factory=dict)
    """Inputs by name; come from the data set where there is one."""
    tasks: dict[str, Task] = Field(default_factory=dict)
    """Tasks by name."""
    blocks: dict[str, Any] = Field(default_factory=dict)
    """Named sub-graphs, which a node `{block: NAME}` makes an instance of."""
    nodes: dict[str, Any]
    """The graph: nodes by name, such as `trunk: {op: conv, from: image, channels: 64}`."""
    data: Data | None = None
    """The data set."""
    train: Train = Train()
    """The recipe."""

    _source: Tree = PrivateAttr()
    _tree: Tree = PrivateAttr()
    _path: Path = PrivateAttr()
    _groups: tuple[str, ...] = PrivateAttr(default=())
    _instances: Mapping[str, str] = PrivateAttr(default_factory=dict)
    _warnings: tuple[Diagnostic, ...] = PrivateAttr(default=())

    @property
    def groups(self) -> tuple[str, ...]:
        """Names that nodes have as written but not in the flat graph: groups and instances."""
        return self._groups

    @property
    def path(self) -> Path:
        """The file it was read from."""
        return self._path

    @property
    def source(self) -> Tree:
        """The composed tree before expressions, from which overrides make another spec."""
        return self._source

    @property
    def tree(self) -> Tree:
        """The composed tree after expressions."""
        return self._tree

    @property
    def instances(self) -> Mapping[str, str]:
        """The block of each instance of one, by the name that its nodes' names begin with."""
        return self._instances

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """What is allowed but probably not meant, as far as reading it could tell."""
        return self._warnings

    def with_warnings(self, warnings: tuple[Diagnostic, ...]) -> None:
        """Keep what reading it warned of, so that a later check of it says so too."""
        self._warnings = warnings

    def locate(self, *path: str | int, key: bool = False) -> Span:
        """Return where a part of the spec stands in its file."""
        return self._tree.locate(path, key)

    def resolved(self) -> dict[str, Any]:
        """Return the spec after extends, overrides, expressions and blocks, as plain data."""
        plain = self._tree.plain()
        plain["name"] = self.name
        plain["nodes"] = _escaped(plain.get("nodes"))
        ordered = {key: plain[key] for key in SECTIONS if plain.get(key) not in (None, {}, "")}
        for key in ("vars", "blocks", "include"):
            ordered.pop(key, None)
        return ordered

    def resolved_yaml(self) -> str:
        """Return `resolved` as YAML; reading it gives a spec with the same `hash`."""
        return dump(self.resolved())

    def hash(self) -> str:
        """Return a hash of what the topology says: inputs, what tasks predict, and nodes."""
        plain = self.resolved()
        classes = {name: task.classes for name, task in self.tasks.items()}
        kinds = {name: (task.type, task.shape) for name, task in self.tasks.items()}
        content = {
            "inputs": plain.get("inputs"),
            "classes": {name: count for name, count in classes.items() if count is not None},
            "nodes": plain["nodes"],
        }
        if any(kind != (None, None) for kind in kinds.values()):
            content["kinds"] = {n: kind for n, kind in kinds.items() if kind != (None, None)}
        if any(task.labels for task in self.tasks.values()):
            content["labels"] = {n: task.labels for n, task in self.tasks.items() if task.labels}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Parsed:
    """What parsing gives.

    Attributes:
        spec: The spec; a section with a mistake has its default in it.
        broken: Nodes that are not usable; what depends on them is not complained about again.
        broken_sections: Sections with a mistake.
    """

    spec: Spec
    broken: frozenset[str]
    broken_sections: frozenset[str]


def _escaped(value: Any) -> Any:
    """Return plain data in which a text that has a ``$`` reads back as it is."""
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    return value.replace("$", "$$") if isinstance(value, str) else value


def parse(
    tree: Tree,
    path: Path,
    sink: Sink,
    offered: Callable[[Tree], list[str] | None] = lambda data: None,
) -> Parsed:
    """Make a spec of a composed tree.

    Args:
        tree: The tree after extends and overrides.
        path: The file it came from, which gives the default name.
        sink: Where mistakes go: all of them, not the first.
        offered: Gives the tasks of the data set for the tree under ``data``, where it is known.

    Returns:
        The spec with its usable sections and nodes.
    """
    outer = Scope({"tasks": _task_names(tree, offered)})
    scope = resolve_vars(tree.get("vars"), sink, outer)
    unrolled = _unrolled(tree, scope, sink)
    full = _evaluated(tree, scope, unrolled, sink)
    _unused_variables(tree, scope, is_broken(full) or has_broken(scope.values), sink)
    _check_names(full, sink)
    nodes, broken = _nodes(full.get("nodes"), sink)
    broken |= unrolled.broken if unrolled is not None else set()
    spec, sections = _validated(full, sink)
    variables = tree.get("vars")
    declared = variables.mapping if variables is not None else None
    values: dict[str, Any] = {
        "nodes": nodes,
        "vars": {name: scope.values[name] for name in declared or {} if name in scope.values},
    }
    if not spec.name:
        values["name"] = path.name.split(".")[0] or "unnamed"
    spec = spec.model_copy(update=values)
    spec._source = tree
    spec._tree = full
    spec._path = path
    spec._groups = unrolled.groups if unrolled is not None else ()
    spec._instances = unrolled.instances if unrolled is not None else {}
    return Parsed(spec, frozenset(broken), frozenset(sections))


def _task_names(tree: Tree, offered: Callable[[Tree], list[str] | None]) -> list[str]:
    """Return what ``=tasks`` means: the tasks that the spec declares, else those of its data."""
    declared = tree.get("tasks")
    if declared is not None and declared.mapping:
        return list(declared.mapping)
    data = tree.get("data")
    return (offered(data) if data is not None else None) or []


def _unrolled(tree: Tree, scope: Scope, sink: Sink) -> Unrolled | None:
    """Work off blocks and groups; None where there are no nodes."""
    nodes, blocks = tree.get("nodes"), tree.get("blocks")
    if blocks is not None:
        _note_names(blocks, scope)
    if nodes is None or nodes.mapping is None:
        return None
    return unroll(nodes, blocks, scope, sink)


def _note_names(blocks: Tree, scope: Scope) -> None:
    """Count variables that a block reads as used, whether or not an instance of it is made."""
    for leaf in walk(blocks):
        if not isinstance(leaf.value, str):
            continue
        if is_expression(leaf):
            try:
                scope.used.update(parse_expression(leaf.value[1:]).names)
            except ExpressionError:
                continue  # reported where an instance evaluates it
        else:
            scope.used.update(names_in(leaf.value))


def _evaluated(tree: Tree, scope: Scope, unrolled: Unrolled | None, sink: Sink) -> Tree:
    values: dict[str, Tree] = {}
    for key, child in (tree.mapping or {}).items():
        if key in ("vars", "extends", "blocks", "nodes"):
            values[key] = child
        else:
            work_out = evaluate_train if key == "train" else evaluate
            values[key] = work_out(child, scope, sink)
    if unrolled is not None:
        values["nodes"] = unrolled.nodes
    return mapping(values, tree.span, tree.keys)


def _homes() -> dict[str, str]:
    """Return for each key of a section that section, for keys that stand at the wrong level."""
    homes = dict.fromkeys(Train.model_fields, "train")
    homes.update(dict.fromkeys(Data.model_fields, "data"))
    return homes


def _validated(tree: Tree, sink: Sink) -> tuple[Spec, set[str]]:
    """Return the spec without its nodes, which are checked one by one, and the wrong sections."""
    plain = {key: child.plain() for key, child in (tree.mapping or {}).items() if key != "nodes"}
    plain = {key: value for key, value in plain.items() if value is not None}
    if tree.get("nodes") is not None:
        plain["nodes"] = {}
    if plain.get("blocks") is not None:
        plain["blocks"] = {}  # unrolling looks at them
    plain["vars"] = {}
    start = Span(tree.span.source, tree.span.start, tree.span.start)
    try:
        return Spec.model_validate(plain), set()
    except ValidationError as error:
        report(error, Spec, tree, start, sink, homes=_homes())
        wrong = {str(item["loc"][0]) for item in error.errors(include_url=False)}
    # So that one run reports the mistakes of the other sections and of the nodes too.
    usable = {key: value for key, value in plain.items() if key not in wrong}
    return Spec.model_validate({**usable, "graphspec": 1, "nodes": {}}), wrong


def _unused_variables(tree: Tree, scope: Scope, broken: bool, sink: Sink) -> None:
    variables = tree.get("vars")
    if variables is None:
        return
    if variables.mapping is None:
        if variables.value is not None:
            sink.error(Code.WRONG_TYPE, variables.span, "`vars` takes a mapping of names to values")
        return
    for name, span in variables.keys.items():
        if not NAME.fullmatch(name) or keyword.iskeyword(name):
            sink.error(
                Code.BAD_NAME,
                span,
                f"`{name}` cannot be a variable",
                _NAME_HINT,
            )
        # A base file declares for all that extend it, so only the spec's own are lint; and an
        # expression with a mistake may have meant any variable.
        elif name not in scope.used and span.source is tree.span.source and not broken:
            sink.warning(
                Code.UNUSED_VARIABLE, span, f"the variable `{name}` is not used", "remove it"
            )


def _check_names(tree: Tree, sink: Sink) -> None:
    for section in ("nodes", "inputs", "tasks"):
        part = tree.get(section)
        form = NODE_NAME if section == "nodes" else NAME
        for name in (part.mapping or {}) if part is not None else {}:
            assert part is not None
            span = part.keys[name]
            if not form.fullmatch(name) or any(map(keyword.iskeyword, name.split("."))):
                sink.error(
                    Code.BAD_NAME,
                    span,
                    f"`{name}` cannot be a name in `{section}`",
                    _NAME_HINT,
                )


def _nodes(tree: Tree | None, sink: Sink) -> tuple[dict[str, NodeSpec], set[str]]:
    nodes: dict[str, NodeSpec] = {}
    broken: set[str] = set()
    if tree is None:
        return nodes, broken
    if tree.mapping is None:
        sink.error(
            Code.WRONG_TYPE,
            tree.span,
            "`nodes` takes a mapping of names to nodes",
            "write `nodes:` and below it lines such as `  trunk: {op: fc, from: image, units: 64}`",
        )
        return nodes, broken
    for name, child in tree.mapping.items():
        node = parse_node(name, child, tree.keys[name], sink)
        if node is None:
            broken.add(name)
        else:
            nodes[name] = node
    return nodes, broken
