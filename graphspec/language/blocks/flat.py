"""From members to the flat graph: every node under its full name, reading full names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from graphspec.errors import Code, Span
from graphspec.language.blocks.clones import target_of
from graphspec.language.blocks.copies import rejoin
from graphspec.language.blocks.members import Frame, Group, Instance, Leaf, Member
from graphspec.language.blocks.references import Resolver
from graphspec.language.blocks.work import Work
from graphspec.language.reader import Tree, mapping


def flatten(work: Work, frame: Frame, nodes: Tree) -> Tree:
    """Return the flat nodes."""
    resolver = Resolver(work.member, work.sink, work.broken)
    trees: dict[str, Tree] = {}
    keys: dict[str, Span] = {}
    for leaf in _leaves(frame):
        if leaf.name in trees:
            message = f"`{leaf.name}` is the name of two nodes"
            work.sink.error(Code.BAD_NAME, leaf.key, message, "rename one of them")
            continue
        tree = leaf.tree
        if leaf.reads is not None:
            read = resolver.resolve(leaf.reads, leaf.name)
            if read is None:
                work.broken.add(leaf.name)
                continue
            if read is not leaf.reads.tree or tree.get("from") is not read:
                parts = {**(tree.mapping or {}), "from": read}
                tree = mapping(parts, tree.span, {**tree.keys, "from": leaf.reads.key})
        ties = tree.get("tie")
        if ties is not None and ties.mapping is not None:
            tree = _with_ties(work, leaf, ties, tree)
        trees[leaf.name] = tree
        keys[leaf.name] = leaf.key
    rejoin(work.copies, trees)
    _check_nesting(work, trees, keys)
    return mapping(trees, nodes.span, keys)


def _with_ties(work: Work, leaf: Leaf, ties: Tree, tree: Tree) -> Tree:
    """Return a node with the targets of its ``tie`` as full names."""
    full = {}
    for name, target in (ties.mapping or {}).items():
        found = target_of(work, leaf.home, target.value) if isinstance(target.value, str) else None
        full[name] = Tree(found, target.span) if isinstance(found, str) else target
    new = mapping(full, ties.span, ties.keys)
    return mapping({**(tree.mapping or {}), "tie": new}, tree.span, tree.keys)


def _check_nesting(work: Work, trees: Mapping[str, Tree], keys: Mapping[str, Span]) -> None:
    for name in trees:
        parts = name.split(".")
        for n in range(1, len(parts)):
            head = ".".join(parts[:n])
            if head in trees:
                message = f"`{head}` is a node, so `{name}` cannot be one inside it"
                work.sink.error(Code.BAD_NAME, keys[name], message, "rename one of them")
                work.broken.add(name)
                break


def _leaves(frame: Frame) -> Iterator[Leaf]:
    """Yield the nodes of the flat graph, in the order of the text."""
    waiting: list[Member] = [frame.members[name] for name in reversed(list(frame.names))]
    while waiting:
        member = waiting.pop()
        if isinstance(member, Leaf):
            yield member
        elif isinstance(member, Group):
            waiting.extend(reversed(member.members.values()))
        elif isinstance(member, Instance):
            inside = member.frame
            waiting.extend(inside.members[name] for name in reversed(list(inside.names)))
