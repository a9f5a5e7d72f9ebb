"""A second use of a node, a group or an instance: ``share`` and ``copy``.

Of a group or an instance every node is gone through: the like of it shares, or starts as, the
original of the same name inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from graphspec.errors import Span
from graphspec.language.blocks.declare import STRUCTURE
from graphspec.language.blocks.inputs import inputs_of
from graphspec.language.blocks.members import (
    Alias,
    Before,
    Frame,
    Group,
    Instance,
    Leaf,
    Lost,
    Member,
    Reads,
    Source,
    Written,
)
from graphspec.language.blocks.references import split_name
from graphspec.language.blocks.work import Site, Work, reads_of
from graphspec.language.reader import Tree, mapping


@dataclass(frozen=True, slots=True)
class Second:
    """What a ``share`` or a ``copy`` of a whole block says.

    Attributes:
        form: ``share`` or ``copy``.
        tree: The node that says so.
        key: Where its name stands.
        reads: What it reads.
        span: Where the target is named.
        leaves: The nodes that were made so far.
    """

    form: str
    tree: Tree
    key: Span
    reads: Reads | None
    span: Span
    leaves: list[Leaf] = field(default_factory=list)

    def leaf_tree(self, target: str) -> Tree:
        """Return the node that uses, or starts as, one node of the target."""
        parts = {self.form: Tree(target, self.span)}
        for word in ("mode", "trainable"):
            child = self.tree.get(word)
            if child is not None:
                parts[word] = child
        return mapping(parts, self.tree.span, {k: self.tree.keys.get(k, self.key) for k in parts})


def second(work: Work, frame: Frame, tree: Tree, key: Span, site: Site, form: str) -> Member:
    """Make a node that uses, or starts as, another; blocks and groups are gone through."""
    asked = tree.get(form)
    assert asked is not None
    reads = reads_of(frame, tree, site)
    if not isinstance(asked.value, str):
        return work.leaf(frame, site, tree, key, reads)
    found = target_of(work, frame, asked.value)
    if isinstance(found, Lost):
        return work.lost(site.name)
    if found is None or isinstance(found, str):
        if found is not None and found != asked.value:
            parts = {**(tree.mapping or {}), form: Tree(found, asked.span)}
            tree = mapping(parts, tree.span, tree.keys)
        return work.leaf(frame, site, tree, key, reads)
    whole = Second(form, tree, key, reads, asked.span)
    if form == "copy":
        work.copies.append(whole.leaves)
    return _clone(work, found, site, whole)


def target_of(work: Work, frame: Frame, text: str) -> Member | str | None:
    """Return what a name means to ``share``, ``copy`` or ``tie``, from the inside outwards.

    Returns:
        A group or an instance; the full name of a node or of a layer in it; None where no
        frame knows the name.
    """
    around: Frame | None = frame
    while around is not None:
        head, rest = split_name(around, text)
        if head is not None and _is_node(around, head):
            return ".".join([around.prefix + head, *rest])
        if head is not None:
            found: Member = work.member(around, head)
            while rest and isinstance(found, (Group, Instance)):
                part = rest[0]
                if isinstance(found, Group):
                    if part not in found.members:
                        return None
                    found = found.members[part]
                else:
                    if part not in found.frame.names:
                        return None
                    found = work.member(found.frame, part)
                rest = rest[1:]
            if isinstance(found, Leaf):
                return ".".join([found.name, *rest])
            if isinstance(found, Alias):
                return Lost(found.name)
            return found
        around = around.outer
    return None


def _is_node(frame: Frame, name: str) -> bool:
    """Return whether a name is one node for certain, without looking into anything else."""
    seen: dict[str, None] = {}
    answer = True  # in a circle too, which the graph reports with its whole path
    while name not in seen and name not in frame.nodes:
        seen[name] = None
        tree = frame.names[name]
        target = tree.get("share") or tree.get("copy")
        if tree.mapping is None or any(tree.get(word) is not None for word in STRUCTURE):
            answer = False
        elif tree.get("op") is not None or tree.get("layers") is not None:
            answer = not shares_a_layer(tree)
        elif target is not None and target.value in frame.names:
            name = str(target.value)
            continue
        else:
            answer = False
        break
    answer = frame.nodes.get(name, answer)
    frame.nodes.update(dict.fromkeys(seen, answer))
    return answer


def _clone(work: Work, found: Member, site: Site, second: Second) -> Member:
    """Make the like of a group or an instance under another name and on other inputs."""
    if isinstance(found, Leaf):
        return _clone_leaf(work, found, site, second)
    if isinstance(found, Group):
        return _clone_group(work, found, site, second)
    if isinstance(found, Instance):
        return _clone_instance(work, found, site, second)
    if isinstance(found, Alias):
        return Alias(site.name, _first_replaced(second.reads, site.first), second.key)
    return work.lost(site.name)


def _clone_leaf(work: Work, found: Leaf, site: Site, second: Second) -> Member:
    work.count(second.key)
    _keep_block(work, found.name, site.name)
    reads = _first_replaced(second.reads, site.first)
    made = Leaf(site.name, second.leaf_tree(found.name), second.key, reads, found.home)
    second.leaves.append(made)
    return made


def _keep_block(work: Work, old: str, new: str) -> None:
    """Note that the like of an instance of a block of layers, one node, is one too."""
    if old in work.instances:
        work.instances[new] = work.instances[old]


def _clone_group(work: Work, found: Group, site: Site, second: Second) -> Member:
    members: dict[str, Member] = {}
    before = site.first
    for label, member in found.members.items():
        inner = Site(f"{site.name}.{label}", site.scope, before)
        members[label] = _clone(work, member, inner, second)
        if found.chain:
            before = members[label]
    return Group(site.name, members, found.chain)


def _clone_instance(work: Work, found: Instance, site: Site, second: Second) -> Member:
    """Make an instance whose nodes share, or start as, those of another, wired as they are."""
    tree = second.tree
    inputs = inputs_of(work, found.block, second.reads, tree, second.key, site)
    if inputs is None:
        return work.lost(site.name)
    old = found.frame
    frame = Frame(
        prefix=f"{site.name}.",
        body=old.body,
        scope=old.scope,
        via=second.key,
        inputs=inputs,
        outer=old.outer,
        added=old.added,
        depth=old.depth,
    )
    twins: dict[int, Member] = {}
    for name, member in old.members.items():
        frame.members[name] = _twin(work, member, old, frame, second, twins)
    work.instances[site.name] = found.block.name
    return Instance(site.name, found.block, frame, second.key)


def _twin(
    work: Work,
    member: Member,
    old: Frame,
    new: Frame,
    second: Second,
    twins: dict[int, Member],
) -> Member:
    """Return the like of a member of an instance in the like of the instance."""
    known = twins.get(id(member))
    if known is not None:
        return known
    name = new.prefix + member.name[len(old.prefix) :]

    def moved(reads: Reads | None) -> Reads | None:
        if reads is None:
            return None
        items = [(n, _moved(s, old, new, twins)) for n, s in reads.items]
        return Reads(reads.named, items, reads.tree, reads.key)

    made: Member
    if isinstance(member, Leaf):
        work.count(second.key)
        _keep_block(work, member.name, name)
        tree = second.leaf_tree(member.name)
        made = Leaf(name, tree, member.key, moved(member.reads), new)
        second.leaves.append(made)
    elif isinstance(member, Alias):
        made = Alias(name, moved(member.reads), member.key)
    elif isinstance(member, Group):
        made = Group(name, {}, member.chain)
        for label, each in member.members.items():
            made.members[label] = _twin(work, each, old, new, second, twins)
    elif isinstance(member, Instance):
        inside = member.frame
        inputs = {
            n: [_moved(s, old, new, twins) for s in sources] for n, sources in inside.inputs.items()
        }
        frame = Frame(
            f"{name}.", inside.body, inside.scope, member.key, inputs, new, inside.added,
            inside.depth,
        )  # fmt: skip
        made = Instance(name, member.block, frame, member.key)
        work.instances[name] = member.block.name
        for label, each in inside.members.items():
            frame.members[label] = _twin(work, each, inside, frame, second, twins)
    else:
        made = work.lost(name)
    twins[id(member)] = made
    return made


def shares_a_layer(tree: Tree) -> bool:
    """Return whether a layer of a sequence is another's."""
    layers = tree.get("layers")
    items = layers.items if layers is not None else None
    return any(item.get("share") is not None for item in items or ())


def _first_replaced(reads: Reads | None, first: Member | None) -> Reads | None:
    if reads is None or first is None or not reads.items:
        return reads
    items: list[tuple[str | None, Source]] = [(reads.items[0][0], Before(first)), *reads.items[1:]]
    return Reads(reads.named, items, reads.tree, reads.key)


def _moved(source: Source, old: Frame, new: Frame, twins: Mapping[int, Member]) -> Source:
    """Return the source that the like of a node reads."""
    if isinstance(source, Before):
        return Before(twins.get(id(source.member), source.member), source.output)
    return Written(new, source.tree) if source.frame is old else source
