"""Expressions over metrics: ``best: =fine.top1 + 0.5*coarse.top1``.

Other expressions are worked out when a spec is loaded. In these few places one may name metrics,
whose values an epoch brings; then the variables in it are replaced by their values, and the rest is
kept as a text for the trainer.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping

from graphspec.errors import Code, Sink
from graphspec.language.expressions import (
    Expression,
    ExpressionError,
    free_names,
    parse_body,
)
from graphspec.language.reader import Tree, mapping, sequence
from graphspec.language.scope import Scope, broken_tree, evaluate, has_broken

PLACES = (("best",), ("early_stopping", "metric"), ("schedule", "metric"))
"""Paths below ``train:`` at which metrics are named."""


def evaluate_train(tree: Tree, scope: Scope, sink: Sink) -> Tree:
    """Return the tree under ``train:`` with its expressions worked out, those over metrics kept.

    Args:
        tree: The section.
        scope: The variables in reach.
        sink: Where mistakes go: ``bad-expression`` and those of other expressions.
    """
    return _evaluated(tree, (), scope, sink)


def parse_metrics(text: str) -> Expression:
    """Parse what follows the ``=`` of an expression over metrics.

    Args:
        text: Such as ``fine.top1 + 0.5*coarse.top1``.

    Returns:
        The expression; the names it reads may have dots.

    Raises:
        ExpressionError: If it is not an expression.
    """
    stripped, body = parse_body(text)
    whole = _Joined().visit(body)
    return Expression(stripped, whole, free_names(whole))


def renamed(expression: Expression, names: Mapping[str, str]) -> str:
    """Return the text of an expression over metrics, ``=`` included, with other names."""
    body = _Valued({old: ast.Name(new) for old, new in names.items()}).visit(
        copy.deepcopy(expression.body)
    )
    return "=" + ast.unparse(body)


class _Joined(ast.NodeTransformer):
    """Makes a name of ``fine.top1``, which is an attribute to Python."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.value, ast.Name):
            return node
        joined = ast.Name(f"{node.value.id}.{node.attr}", node.ctx)
        return ast.copy_location(joined, node)


def _evaluated(tree: Tree, path: tuple[str, ...], scope: Scope, sink: Sink) -> Tree:
    if path in PLACES:
        return _kept(tree, scope, sink)
    inside = tree.mapping is not None and any(place[: len(path)] == path for place in PLACES)
    if not inside or tree.mapping is None:
        return evaluate(tree, scope, sink)
    values = {
        key: _evaluated(child, (*path, key), scope, sink) for key, child in tree.mapping.items()
    }
    return mapping(values, tree.span, tree.keys)


def _kept(tree: Tree, scope: Scope, sink: Sink) -> Tree:
    """Return a value, or a list of values, in which expressions over metrics are still texts."""
    if tree.items is not None:
        return sequence([_kept(item, scope, sink) for item in tree.items], tree.span)
    text = tree.value
    if not isinstance(text, str) or not text.startswith("="):
        return evaluate(tree, scope, sink)
    try:
        expression = parse_metrics(text[1:])
    except ExpressionError as error:
        sink.error(Code.BAD_EXPRESSION, tree.span, f"`{text[:60]}`: {error}")
        return broken_tree(tree.span)
    if all(name in scope.values for name in expression.names):
        return evaluate(tree, scope, sink)
    known = {name: scope.values[name] for name in expression.names if name in scope.values}
    if not known:
        return tree
    scope.used.update(known)
    if any(has_broken(value) for value in known.values()):
        return broken_tree(tree.span)
    values = {name: ast.parse(repr(value), mode="eval").body for name, value in known.items()}
    return Tree("=" + ast.unparse(_Valued(values).visit(expression.body)), tree.span)


class _Valued(ast.NodeTransformer):
    """Puts something else in the place of names."""

    def __init__(self, values: Mapping[str, ast.expr]) -> None:
        self._values = values

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._values.get(node.id, node)
