"""The nodes of bodies with their expressions worked out, once for all instances that say the same.

A block that is repeated ten thousand times says the same each time, but for what reads ``index`` or
a parameter that differs. Its nodes are evaluated once for each set of values that they read, and
the instances share the tree.
"""

from __future__ import annotations

from typing import Any

from graphspec.errors import Sink, Span
from graphspec.language.blocks.declare import STRUCTURE
from graphspec.language.expressions import ExpressionError, parse
from graphspec.language.reader import Tree, mapping, walk
from graphspec.language.scope import MAX_MADE, Scope, evaluate, is_expression, names_in


class Bodies:
    """Evaluates nodes as written, and remembers what came out."""

    def __init__(self) -> None:
        self._reads: dict[int, tuple[str, ...] | None] = {}
        # With what the keys refer to by identity, so that it stays alive as long as they do.
        self._known: dict[tuple[Any, ...], tuple[Tree, int, Tree, Span | None]] = {}
        self._keys: dict[tuple[int, str, int], tuple[Span, Tree, Span]] = {}

    def node(self, tree: Tree, scope: Scope, sink: Sink, via: Span | None) -> Tree:
        """Return a node evaluated, without the keys that multiply it or leave it out.

        Args:
            tree: The node as written.
            scope: The variables in reach.
            sink: Where mistakes go.
            via: For the body of a block the node that uses it.
        """
        tally = scope.tally
        key = self._key(tree, scope, via)
        found = self._known.get(key) if key is not None else None
        if found is not None and tally.made + found[1] <= MAX_MADE:
            tally.made += found[1]
            return found[0]
        before = tally.made
        whole = evaluate(without_structure(tree), scope, sink, via, names=True)
        if key is not None and not whole.broken:
            self._known[key] = (whole, tally.made - before, tree, via)
        return whole

    def key(self, body: Tree, name: str, via: Span | None) -> Span:
        """Return where the name of a node stands; the same object for the same instance."""
        if via is None:
            return body.keys[name]
        asked = (id(body), name, id(via))
        found = self._keys.get(asked)
        if found is None:
            span = body.keys[name]
            found = (Span(span.source, span.start, span.end, via), body, via)
            self._keys[asked] = found
        return found[0]

    def _key(self, tree: Tree, scope: Scope, via: Span | None) -> tuple[Any, ...] | None:
        """Return what a node and the values that it reads are known by; None where one is missing.

        Values as text: 1 and 1.0 are equal, but not the same to an op.
        """
        if id(tree) not in self._reads:
            self._reads[id(tree)] = _names_read(tree)
        reads = self._reads[id(tree)]
        if reads is None or any(name not in scope.values for name in reads):
            return None
        return (id(tree), id(via), *(repr(scope.values[name]) for name in reads))


def without_structure(tree: Tree) -> Tree:
    """Return a node without the keys that multiply it or leave it out."""
    parts = tree.mapping or {}
    if not any(word in parts for word in STRUCTURE):
        return tree
    rest = {key: child for key, child in parts.items() if key not in STRUCTURE}
    return mapping(rest, tree.span, tree.keys)


def _names_read(tree: Tree) -> tuple[str, ...] | None:
    """Return the variables that the expressions and texts of a node read; None for a mistake."""
    found: dict[str, None] = {}
    for leaf in walk(tree):
        if not isinstance(leaf.value, str):
            continue
        try:
            names = parse(leaf.value[1:]).names if is_expression(leaf) else names_in(leaf.value)
        except ExpressionError:
            return None  # reported when it is evaluated
        found.update(dict.fromkeys(names))
    return tuple(found)
