"""The spec as validated data: pydantic models of every section, and how a tree becomes one.

Arguments of ops stay located plain data here: only the graph, which knows the registry, can check
them. `block`, `repeat` and `tie` will be further node forms beside the three below.
"""

from __future__ import annotations

import hashlib
import json
import keyword
import re
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
)

from graphspec.errors import Code, Sink, Span, suggest
from graphspec.language.compose import SECTIONS
from graphspec.language.expressions import Scope, evaluate, has_broken, is_broken, resolve_vars
from graphspec.language.reader import Tree, dump, mapping
from graphspec.language.recipe import Data, Section, Train
from graphspec.language.tasks import Task
from graphspec.language.validation import Words, report

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
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


class EdgeSpec(Section):
    """One input of a node."""

    node: str
    """The node or input that is read; `lstm.0` names one output of a node with several."""


def _edges(value: Any) -> Any:
    """Bring the three ways to write ``from`` into one: a list of edges, or a mapping of them."""
    if isinstance(value, list):
        return [_edge(item) for item in value]
    if isinstance(value, dict) and "node" not in value:
        return {name: _edge(item) for name, item in value.items()}
    return [_edge(value)]


def _edge(value: Any) -> Any:
    return {"node": value} if isinstance(value, str) else value


_OneEdge = Annotated[EdgeSpec, Words("the name of a node")]
Edges = Annotated[
    list[_OneEdge] | dict[str, _OneEdge],
    BeforeValidator(_edges),
    Words("the name of a node, a list of names, or a mapping of inputs to names"),
]


class NodeSpec(Section):
    """What every form of a node has."""

    model_config = ConfigDict(populate_by_name=True)

    from_: Edges = Field(alias="from")
    """What it reads: a node, a list of nodes, or a mapping of named inputs."""


class OpNode(NodeSpec):
    """`op: NAME`: every further key is an argument of the op."""

    model_config = ConfigDict(extra="allow")

    op: str
    """A kind (`conv`), a torch.nn layer (`LayerNorm`) or a function (`softmax`)."""

    @property
    def arguments(self) -> dict[str, Any]:
        """The op's arguments as written."""
        return dict(self.model_extra or {})


def _layer(value: Any) -> Any:
    if isinstance(value, str):
        return {"op": value, "arguments": {}}
    if isinstance(value, dict) and len(value) == 1:
        ((name, arguments),) = value.items()
        return {"op": name, "arguments": {} if arguments is None else arguments}
    message = "a layer is a name, or a mapping of one name to its arguments"
    if isinstance(value, dict) and value:
        message += f", and here are {len(value)}: begin a new item for each"
    raise ValueError(message)


class LayerSpec(Section):
    """One layer of a sequence."""

    op: str
    """Name of the op."""
    arguments: Any
    """A mapping of arguments, or the value of the op's main argument."""


class LayersNode(NodeSpec):
    """`layers: [...]`: a sequence of ops of one input."""

    layers: Annotated[
        list[Annotated[LayerSpec, BeforeValidator(_layer), Words("a layer")]],
        Field(min_length=1),
        Words("a list of layers"),
    ]
    """Names, or mappings of one name to its arguments."""


class ShareNode(NodeSpec):
    """`share: NODE`: the weights of that node on another input."""

    share: str
    """The node whose weights are used."""


FORMS: dict[str, type[NodeSpec]] = {"op": OpNode, "layers": LayersNode, "share": ShareNode}
"""Each form of a node by the key that tells it."""


class Spec(BaseModel):
    """A topology with its data and recipe, as written: names are not resolved yet."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, strict=True, allow_inf_nan=False
    )

    graphspec: Literal[1]
    """Version of the language: `graphspec: 1`."""
    name: str = ""
    """Name of the topology; by default the file's."""
    description: str = ""
    """One sentence about it."""
    extends: str | list[str] | None = None
    """Files that this one is merged over, relative to it."""
    vars: dict[str, Any] = Field(default_factory=dict)
    """Values for expressions: `=16*width`."""
    inputs: dict[str, Input] = Field(default_factory=dict)
    """Inputs by name; come from the data set where there is one."""
    tasks: dict[str, Task] = Field(default_factory=dict)
    """Tasks by name."""
    nodes: dict[str, Any]
    """The graph: nodes by name, such as `trunk: {op: conv, from: image, channels: 64}`."""
    data: Data | None = None
    """The data set."""
    train: Train = Train()
    """The recipe."""

    _source: Tree = PrivateAttr()
    _tree: Tree = PrivateAttr()
    _path: Path = PrivateAttr()

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

    def locate(self, *path: str | int, key: bool = False) -> Span:
        """Return where a part of the spec stands in its file."""
        return self._tree.locate(path, key)

    def resolved(self) -> dict[str, Any]:
        """Return the spec after extends, overrides and expressions, as plain data."""
        plain = self._tree.plain()
        plain["name"] = self.name
        ordered = {key: plain[key] for key in SECTIONS if plain.get(key) not in (None, {}, "")}
        ordered.pop("vars", None)
        return ordered

    def resolved_yaml(self) -> str:
        """Return `resolved` as YAML; reading it gives a spec with the same `hash`."""
        return dump(self.resolved())

    def hash(self) -> str:
        """Return a hash of what the topology says: inputs, tasks' classes and nodes."""
        plain = self.resolved()
        classes = {name: task.classes for name, task in self.tasks.items()}
        content = {
            "inputs": plain.get("inputs"),
            "classes": {name: count for name, count in classes.items() if count is not None},
            "nodes": plain["nodes"],
        }
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


def parse(tree: Tree, path: Path, sink: Sink) -> Parsed:
    """Make a spec of a composed tree.

    Args:
        tree: The tree after extends and overrides.
        path: The file it came from, which gives the default name.
        sink: Where mistakes go: all of them, not the first.

    Returns:
        The spec with its usable sections and nodes.
    """
    scope = resolve_vars(tree.get("vars"), sink)
    full = _evaluated(tree, scope, sink)
    _unused_variables(tree, scope, is_broken(full) or has_broken(scope.values), sink)
    _check_names(full, sink)
    nodes, broken = _nodes(full.get("nodes"), sink)
    spec, sections = _validated(full, sink)
    values: dict[str, Any] = {"nodes": nodes, "vars": scope.values}
    if not spec.name:
        values["name"] = path.name.split(".")[0] or "unnamed"
    spec = spec.model_copy(update=values)
    spec._source = tree
    spec._tree = full
    spec._path = path
    return Parsed(spec, frozenset(broken), frozenset(sections))


def _evaluated(tree: Tree, scope: Scope, sink: Sink) -> Tree:
    values = {
        key: child if key in ("vars", "extends") else evaluate(child, scope, sink)
        for key, child in (tree.mapping or {}).items()
    }
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
        for name, span in (part.keys if part is not None else {}).items():
            if not NAME.fullmatch(name) or keyword.iskeyword(name):
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


def parse_node(name: str, tree: Tree, key: Span, sink: Sink) -> NodeSpec | None:
    """Make one node of its tree, or return None where a mistake (reported) makes it unusable."""
    if tree.mapping is None:
        if is_broken(tree):
            return None
        sink.error(
            Code.WRONG_TYPE,
            key if tree.value is None else tree.span,
            f"the node `{name}` takes a mapping",
            "write `{op: ..., from: ...}`",
        )
        return None
    forms = [form for form in FORMS if form in tree.mapping]
    if len(forms) != 1:
        listing = ", ".join(f"`{form}`" for form in FORMS)
        if forms:
            both = " and ".join(f"`{form}`" for form in forms)
            sink.error(
                Code.AMBIGUOUS_NODE,
                tree.keys[forms[1]],
                f"the node `{name}` has {both}",
                f"a node has one of {listing}",
            )
        else:
            sink.error(
                Code.MISSING_KEY,
                key,
                f"the node `{name}` does not say what it is",
                _form_hint(tree, listing),
            )
        return None
    model = FORMS[forms[0]]
    try:
        node = model.model_validate(tree.plain())
    except ValidationError as error:
        report(error, model, tree, key, sink, owner=name, unknown_hint=_UNKNOWN.get(forms[0]))
        return None
    return None if is_broken(tree) else node


_UNKNOWN = {
    "layers": "arguments stand with their layer: `layers: [{Linear: 64}]`",
    "share": "a node that shares weights takes their arguments over: leave this out",
}
"""What to do about keys that a form of a node does not have."""


def _form_hint(tree: Tree, listing: str) -> str:
    for key in tree.mapping or {}:
        near = suggest(key, FORMS) if key != "from" else None
        if near is not None:
            return f"did you mean `{near}` by `{key}`? a node has one of {listing}"
    return f"a node has one of {listing}"
