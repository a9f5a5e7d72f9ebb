"""What the inputs of a block stand for, by what an instance's ``from`` says."""

from __future__ import annotations

from collections.abc import Sequence

from graphspec.errors import Code, Span
from graphspec.language.blocks.declare import Block
from graphspec.language.blocks.members import Before, Member, Reads, Source, Written
from graphspec.language.blocks.work import Site, Work
from graphspec.language.reader import Tree


def inputs_of(
    work: Work, block: Block, reads: Reads | None, tree: Tree, key: Span, site: Site
) -> dict[str, list[Source]] | None:
    """Return what each input of a block stands for, or None (reported)."""
    names = block.spec.inputs
    if reads is None:
        if not names:
            return {}
        if tree.get("from") is None:
            message = f"the key `from` of `{site.name}` is missing"
            hint = f"the block `{block.name}` has {_listing(names)}"
            work.sink.error(Code.MISSING_KEY, key, message, hint)
        return None
    if reads.named:
        found = _named_inputs(work, block, reads, tree)
    elif len(names) == 1:
        found = {names[0]: [source for _, source in reads.items]}
    elif len(reads.items) == len(names):
        found = {n: [s] for n, (_, s) in zip(names, reads.items, strict=True)}
    else:
        message = f"the block `{block.name}` takes {_listing(names)}, got {len(reads.items)}"
        place = tree.locate(("from",))
        work.sink.error(Code.WRONG_INPUTS, place, message, "write `from: [a, b]`")
        return None
    if found is not None and site.first is not None:
        found = _chained(block, found, site.first)
    return found


def _listing(names: Sequence[str]) -> str:
    return f"{len(names)} input{'s' if len(names) != 1 else ''} ({', '.join(names)})"


def _named_inputs(
    work: Work, block: Block, reads: Reads, tree: Tree
) -> dict[str, list[Source]] | None:
    names = block.spec.inputs
    found: dict[str, list[Source]] = {}
    for name, source in reads.items:
        if name not in names:
            span = tree.locate(("from", str(name)), key=True)
            message = f"the block `{block.name}` has no input `{name}`"
            hint = work.sink.did_you_mean(str(name), names, "inputs")
            work.sink.error(Code.WRONG_INPUTS, span, message, hint)
            return None
        found[str(name)] = [source]
        if isinstance(source, Written) and source.tree.items is not None:
            found[str(name)] = [Written(source.frame, each) for each in source.tree.items]
    missing = [name for name in names if name not in found]
    if missing:
        message = f"the block `{block.name}` lacks its input `{missing[0]}`"
        hint = f"write `from: {{{', '.join(f'{name}: ...' for name in names)}}}`"
        work.sink.error(Code.WRONG_INPUTS, tree.locate(("from",)), message, hint)
        return None
    return found


def _chained(
    block: Block, found: dict[str, list[Source]], before: Member
) -> dict[str, list[Source]]:
    """Let an instance of a chain read the one before it: by name where outputs are inputs."""
    outputs = block.spec.outputs
    if outputs is not None and set(outputs) == set(block.spec.inputs):
        return {name: [Before(before, name)] for name in found}
    return {**found, block.spec.inputs[0]: [Before(before)]}
