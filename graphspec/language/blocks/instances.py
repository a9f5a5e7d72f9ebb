"""Instances of blocks: parameters bound, inputs wired, the body made a frame."""

from __future__ import annotations

from dataclasses import replace

from graphspec.errors import Code, Sink, Span
from graphspec.language.blocks.clones import shares_a_layer
from graphspec.language.blocks.declare import Block, bind
from graphspec.language.blocks.inputs import inputs_of
from graphspec.language.blocks.members import Frame, Instance, Member, Reads
from graphspec.language.blocks.sequences import split
from graphspec.language.blocks.work import ADDED, Site, Work, reads_of
from graphspec.language.reader import Tree, mapping
from graphspec.language.scope import Scope, evaluate, is_broken

MAX_BLOCKS_DEEP = 64
"""Most blocks inside each other."""


def instance_of(work: Work, frame: Frame, tree: Tree, key: Span, site: Site) -> Member:
    """Make an instance of the block that a node names."""
    asked = tree.get("block")
    assert asked is not None
    name = asked.value
    if is_broken(asked) or (isinstance(name, str) and work.blocks.get(name, 1) is None):
        return work.lost(site.name)
    block = work.blocks.get(name) if isinstance(name, str) else None
    if block is None:
        message = f"`block: {asked.plain()}` names no block"
        hint = work.sink.did_you_mean(str(name), work.blocks, "blocks")
        work.sink.error(Code.UNKNOWN_BLOCK, asked.span, message, hint)
        return work.lost(site.name)
    work.used.add(block.name)
    if frame.depth >= MAX_BLOCKS_DEEP:
        message = f"the block `{block.name}` is inside itself, more than {MAX_BLOCKS_DEEP} deep"
        hint = "a block that uses itself needs a `when:` that becomes false"
        work.sink.error(Code.BLOCK_RECURSION, key, message, hint)
        return work.lost(site.name)
    work.count(key)
    work.instances[site.name] = block.name
    given = {k: t for k, t in (tree.mapping or {}).items() if k not in ("block", "from", *ADDED)}
    arguments = mapping(given, tree.span, tree.keys)
    scope = bind(block, arguments, _around(frame, site), key, work.sink)
    if scope is None:
        return work.lost(site.name)
    reads = reads_of(frame, tree, site)
    if block.body is None:
        return _layers_block(work, block, frame, tree, key, site, scope, reads)
    inputs = inputs_of(work, block, reads, tree, key, site)
    if inputs is None:
        return work.lost(site.name)
    added = _added(tree, scope, key, work.sink)
    inner = Frame(
        prefix=f"{site.name}.",
        body=block.body,
        scope=scope,
        via=key,
        inputs=inputs,
        outer=frame,
        added={**frame.added, **added},
        depth=frame.depth + 1,
    )
    instance = Instance(site.name, block, inner, key)
    declare(work, inner)
    return instance


def _around(frame: Frame, site: Site) -> Scope:
    """Return what a block may read besides its parameters: variables, and ``index``."""
    top = frame
    while top.outer is not None:
        top = top.outer
    index = site.scope.values.get("index")
    return top.scope if index is None else top.scope.child({"index": index})


def _layers_block(
    work: Work,
    block: Block,
    frame: Frame,
    tree: Tree,
    key: Span,
    site: Site,
    scope: Scope,
    reads: Reads | None,
) -> Member:
    layers = block.tree.get("layers")
    assert layers is not None
    body = evaluate(layers, scope, work.sink, via=key, names=True)
    parts, keys = {"layers": body}, {"layers": key}
    for word in ("from", *ADDED):
        child = tree.get(word)
        if child is not None:
            parts[word], keys[word] = child, tree.keys[word]
    whole = mapping(parts, tree.span, keys)
    if shares_a_layer(whole):
        return split(work, frame, whole, key, site)
    return work.leaf(frame, site, whole, key, reads)


def _added(tree: Tree, scope: Scope, key: Span, sink: Sink) -> dict[str, tuple[Span, Tree]]:
    """Return the keys that every node inside an instance gets, marked as coming from it."""
    found = {}
    for word in ADDED:
        child = tree.get(word)
        if child is not None:
            span = replace(tree.keys[word], via=key)
            found[word] = (span, evaluate(child, scope, sink, via=key))
    return found


def declare(work: Work, frame: Frame) -> None:
    """Find out what stands under every name of a body."""
    for name in frame.names:
        work.member(frame, name)
