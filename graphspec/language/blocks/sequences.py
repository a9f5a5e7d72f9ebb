"""Sequences in which a layer is another's: ``layers: [{share: stem.0}, ReLU]``."""

from __future__ import annotations

from graphspec.errors import Span
from graphspec.language.blocks.clones import second
from graphspec.language.blocks.members import Frame, Group, Member
from graphspec.language.blocks.work import Site, Work, reads_of
from graphspec.language.reader import Tree, mapping, sequence


def split(work: Work, frame: Frame, tree: Tree, key: Span, site: Site) -> Member:
    """Make a chain of a sequence in which a layer is another's: a node for each stretch."""
    layers = tree.get("layers")
    assert layers is not None
    assert tree.mapping is not None
    stretches: list[Tree] = []
    for item in layers.items or []:
        shared = item.get("share") is not None
        if shared:
            stretches.append(mapping(dict(item.mapping or {}), item.span, item.keys))
        elif stretches and stretches[-1].get("layers") is not None:
            last = stretches[-1].get("layers")
            assert last is not None
            whole = sequence([*(last.items or []), item], last.span)
            stretches[-1] = mapping({"layers": whole}, item.span, {"layers": item.span})
        else:
            whole = sequence([item], item.span)
            stretches.append(mapping({"layers": whole}, item.span, {"layers": item.span}))
    members: dict[str, Member] = {}
    before = site.first
    for index, stretch in enumerate(stretches):
        read = tree.get("from")
        if read is not None:
            parts = {**(stretch.mapping or {}), "from": read}
            keys = {**stretch.keys, "from": tree.keys["from"]}
            stretch = mapping(parts, stretch.span, keys)
        inner = Site(f"{site.name}.{index}", site.scope, before)
        if stretch.get("share") is not None:
            before = second(work, frame, stretch, key, inner, "share")
        else:
            reads = reads_of(frame, stretch, inner)
            before = work.leaf(frame, inner, stretch, key, reads)
        members[str(index)] = before
    return Group(site.name, members, chain=True)
