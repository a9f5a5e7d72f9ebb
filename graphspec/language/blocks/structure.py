"""Structure without repetition, worked off: from nodes as written to a flat graph.

`unroll` takes the trees under ``nodes:`` and ``blocks:`` and gives nodes with full names
(``stage2.1.conv_a``), each an op, a sequence, a share or a copy, whose ``from`` names such nodes.
First every name gets its `Member`, which fixes all full names; then every ``from`` is resolved
(`graphspec.language.blocks.flat`). Names that the spec's own nodes read and nobody has are left as
they are: they may be inputs of the data set, which only the graph knows.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from typing import Annotated, Any

from pydantic import Field, ValidationError

from graphspec.errors import Code, Sink, Span
from graphspec.language.blocks.bodies import without_structure
from graphspec.language.blocks.clones import second, shares_a_layer
from graphspec.language.blocks.declare import STRUCTURE, read_blocks
from graphspec.language.blocks.flat import flatten
from graphspec.language.blocks.instances import declare, instance_of
from graphspec.language.blocks.members import Alias, Frame, Group, Leaf, Lost, Member
from graphspec.language.blocks.sequences import split
from graphspec.language.blocks.work import MAX_NODES, Site, TooManyError, Work, reads_of
from graphspec.language.forms import form_of
from graphspec.language.reader import Tree, mapping
from graphspec.language.scope import Scope, evaluate, is_broken
from graphspec.language.section import Section
from graphspec.language.validation import Words, report


class Structure(Section):
    """What multiplies a node or leaves it out; `each` outermost, then `copies`, then `repeat`."""

    each: Annotated[
        dict[str, Annotated[list[Any], Words("a list of values, such as `[fine, coarse]`")]] | None,
        Words("a mapping of a name to a list of values, such as `{t: [fine, coarse]}`"),
    ] = None
    """One node per value: `{t: [fine, coarse]}` makes `NAME.fine` and `NAME.coarse`, in which `$t`
    in a text and `=t` in an expression are the value. Several names make every combination."""
    copies: Annotated[int | None, Words("a whole number")] = Field(None, ge=0, le=MAX_NODES)
    """So many side by side on the same input, `NAME.0`, `NAME.1`, ...; `=index` counts them."""
    repeat: Annotated[int | None, Words("a whole number")] = Field(None, ge=0, le=MAX_NODES)
    """A chain of so many, each reading the one before: `NAME.0`, `NAME.1`, ...; `NAME` is the last
    and `=index` counts them."""
    when: bool = True
    """`false` leaves the node out: what reads it reads its first input instead."""


@dataclass(frozen=True, slots=True)
class Unrolled:
    """What unrolling gives.

    Attributes:
        nodes: The flat nodes by full name, as trees.
        broken: Names that stand for nothing because of a mistake, which was reported.
        groups: Names of the spec's own nodes that stand for several or none, for suggestions.
        instances: The block of each instance of one, by the instance's full name.
    """

    nodes: Tree
    broken: frozenset[str]
    groups: tuple[str, ...]
    instances: Mapping[str, str] = field(default_factory=dict)


def unroll(nodes: Tree, blocks: Tree | None, scope: Scope, sink: Sink) -> Unrolled:
    """Work off blocks, groups, repeats and conditions.

    Args:
        nodes: The mapping under ``nodes:``.
        blocks: What is under ``blocks:``, or None.
        scope: The variables.
        sink: Where mistakes go.
    """
    work = Work(read_blocks(blocks, sink), sink, lambda frame, name: _member(work, frame, name))
    frame = Frame("", nodes, scope)
    try:
        declare(work, frame)
        flat = flatten(work, frame, nodes)
    except TooManyError as error:
        hint = f"a graph has at most {MAX_NODES:,} nodes"
        sink.error(Code.TOO_LARGE, error.span, "the blocks unroll to too many nodes", hint)
        return Unrolled(mapping({}, nodes.span, {}), frozenset(frame.names), ())
    except RecursionError:
        sink.error(Code.TOO_DEEP, nodes.span, "blocks and groups lead into each other too deeply")
        return Unrolled(mapping({}, nodes.span, {}), frozenset(frame.names), ())
    _unused_blocks(work, nodes, sink)
    groups = tuple(name for name, member in frame.members.items() if not isinstance(member, Leaf))
    return Unrolled(flat, frozenset(work.broken), groups, work.instances)


def _unused_blocks(work: Work, nodes: Tree, sink: Sink) -> None:
    for name, block in work.blocks.items():
        # Included files are libraries, of which a spec uses what it needs.
        if block is None or name in work.used or block.key.source is not nodes.span.source:
            continue
        if not sink.has_errors:
            message = f"the block `{name}` is not used"
            sink.warning(Code.UNUSED_BLOCK, block.key, message, "remove it, or write `block:`")


def _member(work: Work, frame: Frame, name: str) -> Member:
    """Return what stands under a name of a body, looking into it if need be."""
    found = frame.members.get(name)
    if found is not None:
        return found
    tree, key = frame.names[name], work.bodies.key(frame.body, name, frame.via)
    if name in frame.open:
        message = f"`{name}` shares the weights of a node inside itself"
        work.sink.error(Code.SHARE_CYCLE, key, message, "name another node")
        return Lost(frame.prefix + name)
    frame.open.add(name)
    full = frame.prefix + name
    if tree.mapping is None:
        tree = evaluate(tree, frame.scope, work.sink, frame.via)
        made: Member = work.leaf(frame, Site(full, frame.scope), tree, key, None)
    elif frame.depth and not _is_path(name):
        hint = "use letters, digits and `_`, not beginning with a digit; no Python keyword"
        work.sink.error(Code.BAD_NAME, key, f"`{name}` cannot be a name in a block", hint)
        made = Lost(full)
    else:
        multiplied = any(word in tree.mapping for word in STRUCTURE)
        make = _each if multiplied else _one
        made = make(work, frame, tree, key, Site(full, frame.scope))
    frame.open.discard(name)
    frame.members[name] = made
    return made


def _each(work: Work, frame: Frame, tree: Tree, key: Span, site: Site) -> Member:
    if tree.get("each") is None:
        return _copies(work, frame, tree, key, site)
    values = _structure(work, frame, tree, "each", site, key)
    if values is _BROKEN:
        return work.lost(site.name)
    if values is None:
        return _copies(work, frame, tree, key, site)
    names = list(values)
    members: dict[str, Member] = {}
    for combination in product(*values.values()):
        labels = [_label(value, values[n]) for n, value in zip(names, combination, strict=True)]
        label = ".".join(labels)
        if label in members:
            span = tree.locate(("each",))
            message = f"`each` of `{site.name}` gives `{label}` twice"
            work.sink.error(Code.BAD_VALUE, span, message, "remove one of the two")
            return work.lost(site.name)
        scope = site.scope.child(dict(zip(names, combination, strict=True)))
        members[label] = _copies(work, frame, tree, key, Site(f"{site.name}.{label}", scope))
    return Group(site.name, _nested(site.name, members), chain=False)


def _copies(work: Work, frame: Frame, tree: Tree, key: Span, site: Site) -> Member:
    if tree.get("copies") is None:
        return _repeat(work, frame, tree, key, site)
    count = _structure(work, frame, tree, "copies", site, key)
    if count is _BROKEN:
        return work.lost(site.name)
    if count is None:
        return _repeat(work, frame, tree, key, site)
    members: dict[str, Member] = {}
    for index in range(count):
        inner = Site(f"{site.name}.{index}", site.scope.child({"index": index}))
        members[str(index)] = _repeat(work, frame, tree, key, inner)
    return Group(site.name, members, chain=False)


def _repeat(work: Work, frame: Frame, tree: Tree, key: Span, site: Site) -> Member:
    if tree.get("repeat") is None:
        return _one(work, frame, tree, key, site)
    count = _structure(work, frame, tree, "repeat", site, key)
    if count is _BROKEN:
        return work.lost(site.name)
    if count is None:
        return _one(work, frame, tree, key, site)
    if count == 0:
        return _alias(work, frame, tree, key, site)
    members: dict[str, Member] = {}
    before: Member | None = None
    for index in range(count):
        inner = Site(f"{site.name}.{index}", site.scope.child({"index": index}), before)
        before = _one(work, frame, tree, key, inner)
        members[str(index)] = before
    return Group(site.name, members, chain=True)


_BROKEN = object()
"""What stands for a value with a mistake."""


def _structure(work: Work, frame: Frame, tree: Tree, word: str, site: Site, key: Span) -> Any:
    """Return the value of `each`, `copies`, `repeat` or `when`, or `_BROKEN` (reported).

    Null says what leaving the key out says, as it does for every other key.
    """
    given = tree.get(word)
    assert given is not None
    value = evaluate(given, site.scope, work.sink, frame.via, names=True)
    if is_broken(value):
        return _BROKEN
    whole = mapping({word: value}, tree.span, {word: tree.keys[word]})
    try:
        found = getattr(Structure.model_validate(whole.plain()), word)
    except ValidationError as error:
        report(error, Structure, whole, key, work.sink, owner=site.name)
        return _BROKEN
    if word == "each":
        for name in found or ():
            if not _is_name(name):
                span = value.keys[name]
                message = f"`{name}` cannot be a variable of `each`"
                work.sink.error(Code.BAD_NAME, span, message, "write `each: {t: [...]}`")
                return _BROKEN
    return found


def _one(work: Work, frame: Frame, tree: Tree, key: Span, site: Site) -> Member:
    if tree.get("when") is not None:
        wanted = _structure(work, frame, tree, "when", site, key)
        if wanted is _BROKEN:
            return work.lost(site.name)
        if not wanted:
            return _alias(work, frame, tree, key, site)
    if frame.via is None and site.scope is frame.scope:  # there is one of it
        whole = evaluate(without_structure(tree), site.scope, work.sink, names=True)
    else:
        whole = work.bodies.node(tree, site.scope, work.sink, frame.via)
    whole = _with_added(whole, frame.added)
    form = form_of(site.name, whole, key, work.sink)
    if form is None:
        return work.lost(site.name)
    if form == "block":
        return instance_of(work, frame, whole, key, site)
    if form in ("share", "copy"):
        return second(work, frame, whole, key, site, form)
    if form == "layers" and shares_a_layer(whole):
        return split(work, frame, whole, key, site)
    return work.leaf(frame, site, whole, key, reads_of(frame, whole, site))


def _alias(work: Work, frame: Frame, tree: Tree, key: Span, site: Site) -> Member:
    block = tree.get("block")
    if block is not None and isinstance(block.value, str):
        work.used.add(block.value)
    read = tree.get("from")
    only = {} if read is None else {"from": read}
    whole = mapping(only, tree.span, tree.keys)
    whole = evaluate(whole, site.scope, work.sink, frame.via, names=True)
    reads = reads_of(frame, whole, site)
    if reads is None or not reads.items:
        message = f"`{site.name}` is left out, but it has no input to pass on"
        hint = "a node that `when` or `repeat: 0` leaves out passes on its first input"
        work.sink.error(Code.WRONG_INPUTS, tree.locate(("from",)), message, hint)
        return work.lost(site.name)
    return Alias(site.name, reads, key)


def _with_added(tree: Tree, added: Mapping[str, tuple[Span, Tree]]) -> Tree:
    """Return a node with the keys that the instance around it gives; its own win."""
    if not added or tree.get("share") is not None:
        return tree
    new = {k: t for k, (_, t) in added.items() if tree.get(k) is None}
    if tree.get("copy") is not None:
        new.pop("init", None)
    if not new:
        return tree
    keys = {k: span for k, (span, _) in added.items() if k in new}
    return mapping({**(tree.mapping or {}), **new}, tree.span, {**tree.keys, **keys})


def _label(value: Any, values: list[Any]) -> str:
    """Return the part of a name that a value of ``each`` gives: itself, or its position."""
    text = str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    if re.fullmatch(r"[A-Za-z0-9_]+", text) and not keyword.iskeyword(text):
        return text
    return str(next(i for i, each in enumerate(values) if each is value or each == value))


def _nested(name: str, members: dict[str, Member]) -> dict[str, Member]:
    """Return members by the first part of their labels, where ``each`` has several names."""
    if not any("." in label for label in members):
        return members
    found: dict[str, dict[str, Member]] = {}
    for label, member in members.items():
        head, _, rest = label.partition(".")
        found.setdefault(head, {})[rest] = member
    return {
        head: Group(f"{name}.{head}", _nested(f"{name}.{head}", inside), chain=False)
        for head, inside in found.items()
    }


@lru_cache(maxsize=4096)
def _is_path(name: str) -> bool:
    head, *rest = name.split(".")
    return _is_name(head) and all(re.fullmatch(r"[A-Za-z0-9_]+", part) for part in rest)


def _is_name(name: str) -> bool:
    return re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) is not None and not keyword.iskeyword(name)
