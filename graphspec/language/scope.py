"""Variables in reach, and trees with their expressions worked out.

`resolve_vars` works out ``vars:`` in whatever order they depend on each other; `evaluate` replaces
every ``=...`` of a tree by its value, and every ``$name`` in the texts of nodes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from operator import is_
from typing import Any

from graphspec.errors import Code, Related, Sink, Span, arrows
from graphspec.language.expressions import BROKEN, Broken, Expression, ExpressionError, parse
from graphspec.language.reader import Tree, mapping, sequence, walk

MAX_MADE = 300_000
"""Most values in the lists that all expressions of a spec make together."""


def is_expression(tree: Tree) -> bool:
    """Return whether a value is an expression."""
    return isinstance(tree.value, str) and tree.value.startswith("=")


def _expression_of(tree: Tree, sink: Sink) -> Expression | None:
    assert isinstance(tree.value, str)
    try:
        return parse(tree.value[1:])
    except ExpressionError as error:
        sink.error(Code.BAD_EXPRESSION, tree.span, f"`{_short(tree.value)}`: {error}")
        return None


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _name_span(tree: Tree, expression: Expression, name: str) -> Span:
    """Return where a variable's name stands in the text of its expression."""
    text = tree.span.source.text[tree.span.start : tree.span.end]
    found = text.find(expression.text)
    start = max(found, 0) + expression.names[name]
    return tree.span.part(start, start + len(name)) if found >= 0 else tree.span


@dataclass(slots=True)
class Tally:
    """What all scopes of one spec count together.

    Attributes:
        used: Names that some expression read.
        made: How many values expressions have made so far.
        known: What expressions gave for the values that they read, so that the instances of a
            block do not work out the same again.
    """

    used: set[str] = field(default_factory=set)
    made: int = 0
    known: dict[Any, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Scope:
    """The variables in reach and what was read of them.

    Attributes:
        values: Plain values by name.
        places: Where each value stands.
        tally: What was read and made, in this scope and all that belong to the same spec.
    """

    values: dict[str, Any] = field(default_factory=dict)
    places: dict[str, Span] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)

    @property
    def used(self) -> set[str]:
        """Names that some expression read."""
        return self.tally.used

    def child(self, values: Mapping[str, Any], places: Mapping[str, Span] | None = None) -> Scope:
        """Return a scope inside this one, whose values hide equal names of this one."""
        inner = {**self.values, **values}
        return Scope(inner, {**self.places, **(places or {})}, self.tally)


def resolve_vars(variables: Tree | None, sink: Sink, outer: Scope | None = None) -> Scope:
    """Work out ``vars:``, in whatever order they depend on each other.

    Args:
        variables: The mapping under ``vars``, or None.
        sink: Where mistakes go: ``variable-cycle``, ``unknown-variable``, ``bad-expression``.
        outer: What is in reach besides; equal names are hidden.

    Returns:
        The values; those that could not be worked out are `BROKEN`.
    """
    scope = Scope() if outer is None else outer.child({})
    if variables is None or variables.mapping is None:
        return scope
    declared = variables.mapping
    scope.places.update({name: tree.span for name, tree in declared.items()})
    needs: dict[str, set[str]] = {}
    for name, tree in declared.items():
        found: set[str] = set()
        for leaf in walk(tree):
            if is_expression(leaf):
                try:
                    assert isinstance(leaf.value, str)
                    found |= set(parse(leaf.value[1:]).names)
                except ExpressionError:
                    continue  # reported when it is evaluated
        needs[name] = found & set(declared)
    try:
        order = list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        cycle = list(reversed(error.args[1]))
        sink.error(
            Code.VARIABLE_CYCLE,
            variables.keys[cycle[0]],
            f"variables depend on each other: {arrows(cycle)}",
            "give one of them a value of its own",
        )
        scope.values.update(dict.fromkeys(declared, BROKEN))
        scope.used.update(declared)
        return scope
    scope.values.update(dict.fromkeys(declared, BROKEN))
    for name in order:
        tree = evaluate(declared[name], scope, sink)
        scope.values[name] = tree.plain()
    return scope


def evaluate(
    tree: Tree, scope: Scope, sink: Sink, via: Span | None = None, names: bool = False
) -> Tree:
    """Return the tree with every expression replaced by its value.

    Spans stay where the expressions are, so a later complaint points at them. An expression that
    cannot be worked out is reported and becomes `BROKEN`.

    Args:
        tree: What to evaluate.
        scope: The variables in reach.
        sink: Where mistakes go.
        via: For the body of a block the node that uses it, which every span then carries.
        names: Whether ``$t`` in a text stands for the value of ``t``.
    """
    value = tree.value
    if isinstance(value, dict):
        values = {key: evaluate(child, scope, sink, via, names) for key, child in value.items()}
        if via is not None:
            keys = {key: _moved(span, via) for key, span in tree.keys.items()}
            return mapping(values, _moved(tree.span, via), keys)
        if all(map(is_, values.values(), value.values())):
            return tree
        return mapping(values, tree.span, tree.keys)
    if isinstance(value, list):
        items = [evaluate(child, scope, sink, via, names) for child in value]
        if via is None and all(map(is_, items, value)):
            return tree
        return sequence(items, _moved(tree.span, via))
    if via is not None:
        tree = Tree(value, _moved(tree.span, via))
    if isinstance(value, str):
        if value.startswith("="):
            return _evaluated(tree, scope, sink)
        if names and "$" in value:
            return _named(tree, scope, sink)
    return tree


def _moved(span: Span, via: Span | None) -> Span:
    return span if via is None else Span(span.source, span.start, span.end, via)


def _evaluated(tree: Tree, scope: Scope, sink: Sink) -> Tree:
    """Return the value of one expression."""
    expression = _expression_of(tree, sink)
    if expression is None:
        return _tree(BROKEN, tree.span)
    unknown = [name for name in expression.names if name not in scope.values]
    for name in unknown:
        _report_unknown(_name_span(tree, expression, name), name, scope, sink)
    scope.used.update(expression.names)
    tally = scope.tally
    # Once lists have become too many, which was reported, no further expression is worked out.
    if (
        unknown
        or tally.made > MAX_MADE
        or any(has_broken(scope.values[name]) for name in expression.names)
    ):
        return _tree(BROKEN, tree.span)
    try:
        made = _tree(_value(expression, scope), tree.span)
        tally.made += made.size - 1  # a list's; a number is no larger than its expression
        if tally.made > MAX_MADE:
            message = f"expressions make lists of more than {MAX_MADE:,} values"
            raise ExpressionError(message)
    except ExpressionError as error:
        given = ", ".join(f"{n} = {_short(repr(scope.values[n]))}" for n in expression.names)
        assert isinstance(tree.value, str)
        sink.error(
            Code.BAD_EXPRESSION,
            tree.span,
            f"`{_short(tree.value)}`: {error}",
            f"with {given}" if given else None,
            _set_elsewhere(tree, expression, scope),
        )
        return _tree(BROKEN, tree.span)
    return made


def _value(expression: Expression, scope: Scope) -> Any:
    """Return the value of an expression, from memory where its variables had these values."""
    read = [scope.values[name] for name in expression.names]
    if not all(isinstance(value, (int, float, str)) for value in read):
        return expression.evaluate(scope.values)
    key = (expression.text, *((type(value), value) for value in read))
    if key not in scope.tally.known:
        scope.tally.known[key] = expression.evaluate(scope.values)
    return scope.tally.known[key]


def _report_unknown(span: Span, name: str, scope: Scope, sink: Sink) -> None:
    known = sorted(scope.values, key=lambda each: each == "tasks")  # the user's own first
    hint = sink.did_you_mean(name, known, "variables") + "; declare it under `vars:`"
    if name == "index":
        hint = "`index` counts the nodes of a `repeat` or `copies`, and this one has neither"
    sink.error(Code.UNKNOWN_VARIABLE, span, f"`{name}` is not a variable", hint)


_DOLLAR = re.compile(r"\$(\$|[A-Za-z_][A-Za-z0-9_]*|\{[A-Za-z_][A-Za-z0-9_]*\})")


def names_in(text: str) -> list[str]:
    """Return the names whose values a text takes in with ``$``."""
    return [match[1].strip("{}") for match in _DOLLAR.finditer(text) if match[1] != "$"]


def _named(tree: Tree, scope: Scope, sink: Sink) -> Tree:
    """Return a text with ``$t`` and ``${t}`` replaced by the values of ``t``, ``$$`` by ``$``."""
    text = tree.value
    assert isinstance(text, str)
    made: list[str] = []
    at = 0
    for match in _DOLLAR.finditer(text):
        made.append(text[at : match.start()])
        at = match.end()
        name = match[1].strip("{}")
        if match[1] == "$":
            made.append("$")
            continue
        if name not in scope.values:
            _report_unknown(_part_span(tree, match[0]), name, scope, sink)
            return _tree(BROKEN, tree.span)
        scope.used.add(name)
        value = scope.values[name]
        if has_broken(value):
            return _tree(BROKEN, tree.span)
        if isinstance(value, (list, dict, float)) or value is None:
            message = f"`{match[0]}` in a name stands for a text or a whole number"
            shown = f"`{name}` is `{_short(repr(value))}`; for the value itself write `={name}`"
            sink.error(Code.BAD_VALUE, _part_span(tree, match[0]), message, shown)
            return _tree(BROKEN, tree.span)
        made.append(str(value).lower() if isinstance(value, bool) else str(value))
    return Tree("".join([*made, text[at:]]), tree.span)


def _part_span(tree: Tree, part: str) -> Span:
    at = tree.span.source.text[tree.span.start : tree.span.end].find(part)
    return tree.span if at < 0 else tree.span.part(at, at + len(part))


def _set_elsewhere(tree: Tree, expression: Expression, scope: Scope) -> tuple[Related, ...]:
    """Return where the variables of an expression are set, if not in its own file."""
    places = {name: scope.places[name] for name in expression.names if name in scope.places}
    return tuple(
        Related(place, f"`{name}` is set here")
        for name, place in places.items()
        if place.source is not tree.span.source
    )


def has_broken(value: Any) -> bool:
    """Return whether plain data, or a part of it, could not be worked out."""
    if isinstance(value, list):
        return any(has_broken(item) for item in value)
    if isinstance(value, dict):
        return any(has_broken(item) for item in value.values())
    return isinstance(value, Broken)


def is_broken(tree: Tree) -> bool:
    """Return whether a value, or a part of it, could not be worked out."""
    return tree.broken


def broken_tree(span: Span) -> Tree:
    """Return what stands for a value that could not be worked out, which was reported."""
    return _tree(BROKEN, span)


def _tree(value: Any, span: Span) -> Tree:
    if isinstance(value, list):
        return sequence([_tree(item, span) for item in value], span)
    if isinstance(value, dict):
        values = {key: _tree(item, span) for key, item in value.items()}
        return mapping(values, span, dict.fromkeys(value, span))
    return Tree(value, span, broken=isinstance(value, Broken))
