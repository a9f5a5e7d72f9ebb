"""The forms of a node as data: pydantic models, and how a tree becomes one of them.

Arguments of ops stay located plain data: only the graph, which knows the registry, can check them.
What gives a spec structure without repetition (`block`, `each`, `copies`, `repeat`, `when`) is gone
when a node gets here: `graphspec.language.blocks` has worked it off.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError

from graphspec.errors import Code, Sink, Span, suggest
from graphspec.language.reader import Tree
from graphspec.language.scope import is_broken
from graphspec.language.section import Section
from graphspec.language.validation import Words, report

EdgeForm = Literal["logits", "softmax", "sigmoid", "onehot", "teacher"]


class EdgeSpec(Section):
    """One input of a node."""

    model_config = ConfigDict(populate_by_name=True)

    node: str
    """The node or input that is read; `lstm.0` names one output of a node with several."""
    form: EdgeForm = Field("logits", alias="as")
    """What is passed on: `logits` as they are, `softmax` or `sigmoid` of them, `onehot` of the
    likeliest class, or `teacher`: the true label while training, the prediction otherwise."""
    detach: bool = False
    """Whether no gradient flows back."""
    gradient_scale: float = Field(1.0, ge=0.0)
    """Factor of the gradient that flows back; the value stays."""


def _edges(value: Any) -> Any:
    """Bring the three ways to write ``from`` into one: a list of edges, or a mapping of them."""
    if value is None:
        return None
    if isinstance(value, list):
        return [_edge(item) for item in value]
    if isinstance(value, dict) and "node" not in value:
        return {name: _edge(item) for name, item in value.items()}
    return [_edge(value)]


def _edge(value: Any) -> Any:
    return {"node": value} if isinstance(value, str) else value


_OneEdge = Annotated[EdgeSpec, Words("the name of a node")]
Edges = Annotated[
    list[_OneEdge] | dict[str, _OneEdge] | None,
    BeforeValidator(_edges),
    Words("the name of a node, a list of names, or a mapping of inputs to names"),
]

InitSpec = Annotated[
    float | str | dict[str, str | dict[str, dict[str, Any] | float | None]],
    Words("a function of torch.nn.init, or a mapping of parameters to functions"),
]


class NodeSpec(Section):
    """What every form of a node has."""

    model_config = ConfigDict(populate_by_name=True)

    from_: Edges = Field(None, alias="from")
    """What it reads: a node, a list of nodes, or a mapping of named inputs."""


class OwnerSpec(NodeSpec):
    """What every form has that owns weights."""

    trainable: bool = True
    """Whether training changes its parameters; `false` freezes them."""


class OpNode(OwnerSpec):
    """`op: NAME`: every further key is an argument of the op."""

    model_config = ConfigDict(extra="allow")

    op: str
    """A kind (`conv`), a torch.nn layer (`LayerNorm`) or a function (`softmax`)."""
    init: InitSpec | None = None
    """How its parameters start: a function of torch.nn.init (`xavier_uniform`), or a mapping of
    parameters to functions: `{weight: {normal: {std: 0.02}}, bias: zeros}`."""
    tie: dict[str, str] = Field(default_factory=dict)
    """Parameters that are another node's: `{weight: embed.weight}`."""

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


class LayersNode(OwnerSpec):
    """`layers: [...]`: a sequence of ops of one input."""

    layers: Annotated[
        list[Annotated[LayerSpec, BeforeValidator(_layer), Words("a layer")]],
        Field(min_length=1),
        Words("a list of layers"),
    ]
    """Names, or mappings of one name to its arguments; `{share: NODE}` uses another's weights."""
    init: InitSpec | None = None
    """How its parameters start; names begin with the position of the layer: `{0.weight: zeros}`."""
    tie: dict[str, str] = Field(default_factory=dict)
    """Parameters that are another node's: `{0.weight: embed.weight}`."""


class ShareNode(NodeSpec):
    """`share: NODE`: the weights of that node on another input."""

    share: str
    """The node whose weights are used, an instance of a block, or one layer of a sequence."""
    mode: Literal["module", "parameters"] = "module"
    """`module`: parameters and buffers are one. `parameters`: buffers, such as the statistics of a
    batch normalisation, are its own."""


class CopyNode(OwnerSpec):
    """`copy: NODE`: the same definition and the same initial weights, separate afterwards."""

    copy_: str = Field(alias="copy")
    """The node, or the instance of a block, that it starts as."""
    tie: dict[str, str] = Field(default_factory=dict)
    """Parameters that are another node's: `{0.weight: embed.weight}`."""


FORMS: dict[str, type[NodeSpec]] = {
    "op": OpNode,
    "layers": LayersNode,
    "share": ShareNode,
    "copy": CopyNode,
}
"""Each form of a node by the key that tells it; `block` is unrolled into these."""

WRITTEN_FORMS = ("op", "layers", "block", "share", "copy")
"""The keys that tell what a node is, as people write them."""


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
    form = form_of(name, tree, key, sink)
    if form is None:
        return None
    model = FORMS[form]
    try:
        node = model.model_validate(tree.plain())
    except ValidationError as error:
        report(error, model, tree, key, sink, owner=name, unknown_hint=_UNKNOWN.get(form))
        return None
    return None if is_broken(tree) else node


def form_of(name: str, tree: Tree, key: Span, sink: Sink) -> str | None:
    """Return the one key that tells what a node is, or None (reported)."""
    parts = tree.mapping
    assert parts is not None
    forms = [form for form in WRITTEN_FORMS if form in parts]
    if len(forms) == 1:
        return forms[0]
    listing = ", ".join(f"`{form}`" for form in WRITTEN_FORMS)
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


_UNKNOWN = {
    "layers": "arguments stand with their layer: `layers: [{Linear: 64}]`",
    "share": "a node that shares weights takes their arguments over: leave this out",
    "copy": "a copy takes the arguments of its original over: leave this out",
}
"""What to do about keys that a form of a node does not have."""


def _form_hint(tree: Tree, listing: str) -> str:
    for key in tree.mapping or {}:
        near = suggest(key, WRITTEN_FORMS) if key != "from" else None
        if near is not None:
            return f"did you mean `{near}` by `{key}`? a node has one of {listing}"
    return f"a node has one of {listing}"
