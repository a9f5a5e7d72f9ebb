"""The difference of two specs as text: nodes, sizes, sharing, data and recipe, weights that fit."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from graphspec.backends.difference_lines import node_lines, prefixes
from graphspec.backends.wording import change_text, clean
from graphspec.graph.comparison import Comparison, Size
from graphspec.graph.reachability import Sharing
from graphspec.language.changes import Change

MOST_NAMES = 24
"""Names in one line before the rest are only counted."""

MANY_ROWS = 20
"""Nodes in a table from which on those of an instance of a block are one row."""

MOST_ROWS = 100
"""Rows of a table before the rest are only counted."""

_SAME = "no difference"


def lines(found: Comparison, labels: tuple[str, str]) -> list[str]:
    """Return how two specs differ, for a person.

    Args:
        found: The two side by side.
        labels: What to call them.

    Returns:
        Lines without their ends. A is the first of the two and B the second. Lines that begin with
        ``-``, ``+`` and ``~`` tell what was removed, added and changed.
    """
    shown = [f"A  {clean(labels[0])}", f"B  {clean(labels[1])}"]
    if found.is_empty:
        return [*shown, "", _SAME]
    sections = [_nodes(found)]
    if not found.structure.is_empty:
        sections += [_sizes(found), _sharing(found)]
    sections += [["data and recipe", *map(told, found.settings)]]
    if not found.structure.is_empty:
        sections += [_transfer(found)]
    for section in sections:
        shown += ["", *section] if len(section) > 1 else []
    return shown


def _nodes(found: Comparison) -> list[str]:
    structure = found.structure
    if structure.is_empty:
        return ["nodes", _SAME]
    count = len(found.new.graph.nodes) - len(structure.added)
    differ = structure.changed.keys() | structure.old_names.keys()
    same = count - len(differ)
    return [
        "nodes",
        *(told(change, "input ") for change in structure.inputs),
        *(told(change, "task ") for change in structure.tasks),
        *node_lines(found),
        f"{same or 'none'} {'are' if same > 1 else 'is'} the same",
    ]


def told(change: Change, what: str = "") -> str:
    """Return a change as a line with its sign."""
    if change.new is None:
        return f"- {what}{change.what} {change.old}"
    if change.old is None:
        return f"+ {what}{change.what} {change.new}"
    return f"~ {what}{change}"


def _sizes(found: Comparison) -> list[str]:
    old, new = found.old, found.new
    totals = [
        ("nodes", len(old.lean.nodes), len(new.lean.nodes)),
        ("parameters", old.cost.parameters, new.cost.parameters),
        ("if nothing were shared", old.cost.naive_parameters, new.cost.naive_parameters),
        ("frozen", old.cost.frozen_parameters, new.cost.frozen_parameters),
        ("FLOPs per sample", old.cost.flops, new.cost.flops),
        ("activation bytes per sample", old.cost.activation_bytes, new.cost.activation_bytes),
    ]
    shares = any(each.cost.naive_parameters != each.cost.parameters for each in (old, new))
    kept = [
        row
        for row in totals
        if (row[0] != "if nothing were shared" or shares) and (row[0] != "frozen" or any(row[1:]))
    ]
    rows = [[name, f"{a:,}", f"{b:,}", change_text(a, b)] for name, a, b in kept]
    table = _table(["size", "A", "B", "B to A"], rows)
    differ = list(_by_node(found))
    if not differ:
        return table
    rows = [[name, *_pair(a, b, "parameters"), *_pair(a, b, "flops")] for name, a, b in differ]
    header = ["by node", "parameters: A", "B", "FLOPs: A", "B"]
    shown = _table(header, rows[:MOST_ROWS])
    rest = len(rows) - MOST_ROWS
    return [*table, "", *shown, *([f"... and {rest:,} more"] if rest > 0 else [])]


def _by_node(found: Comparison) -> Iterator[tuple[str, Size | None, Size | None]]:
    """Yield what nodes cost that do not cost the same; instances of blocks together if many do."""
    differ = [row for row in found.sizes() if any(size and size.is_any for size in row[1:])]
    if len(differ) <= MANY_ROWS:
        yield from differ
        return
    blocks = (*found.new.graph.blocks, *found.old.graph.blocks)
    known = frozenset(blocks)
    groups: dict[str, list[Size | None]] = {}
    for name, *sizes in differ:
        outer = next((prefix for prefix in prefixes(name) if prefix in known), name)
        group = groups.setdefault(outer, [None, None])
        for side, size in enumerate(sizes):
            before = group[side]
            group[side] = size if before is None else before + size
    for name, (a, b) in groups.items():
        if a != b:
            yield name, a, b


def _pair(old: Size | None, new: Size | None, what: str) -> list[str]:
    return ["" if size is None else f"{getattr(size, what):,}" for size in (old, new)]


def _sharing(found: Comparison) -> list[str]:
    """Return which weights several tasks train, and which nodes use the weights of others."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, a, b in found.trained():
        shared = len(a or ()) > 1 or len(b or ()) > 1
        if shared or (a != b and None not in (a, b)):
            groups.setdefault((_tasks(a), _tasks(b)), []).append(name)
    rows = [[a, b, names(nodes)] for (a, b), nodes in groups.items()]
    shown = ["trained by several tasks"]
    shown += _table(["in A", "in B", "nodes"], rows, left=True) if rows else []
    first, second = (_uses(side.sharing) for side in (found.old, found.new))
    shown += [f"- {text}" for text in first if text not in set(second)]
    shown += [f"+ {text}" for text in second if text not in set(first)]
    return shown


def _tasks(tasks: Collection[str] | None) -> str:
    if tasks is None:
        return "-"
    return ", ".join(sorted(tasks)) or "nothing"


def _uses(sharing: Sharing) -> list[str]:
    """Return who uses whose weights."""
    return [
        f"{link.node} uses the weights of {shared.owner} ({link.what or link.how})"
        for shared in sharing.owners
        for link in shared.links
    ]


def names(found: Sequence[str]) -> str:
    """Return names in a row; only the number of those that are too many."""
    rest = len(found) - MOST_NAMES
    return ", ".join(found[:MOST_NAMES]) + (f" and {rest} more" if rest > 0 else "")


def _transfer(found: Comparison) -> list[str]:
    fits = found.transfer.lines("take", "leave", "see `--format json`", names, 1)
    return ["weights of a run of A for B (`graphspec train B --init-from RUN`)", *fits]


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], left: bool = False) -> list[str]:
    """Return aligned lines; numbers stand to the right, words to the left."""
    every = [header, *rows]
    widths = [max(len(row[i]) for row in every) for i in range(len(header))]
    return ["  ".join(_aligned(row, widths, left)).rstrip() for row in every]


def _aligned(row: Sequence[str], widths: Sequence[int], left: bool) -> Iterator[str]:
    for i, (cell, width) in enumerate(zip(row, widths, strict=True)):
        yield f"{cell:<{width}}" if left or i == 0 else f"{cell:>{width}}"
