"""Expressions: values that begin with ``=``, over ``vars``, as in a spreadsheet.

``=16*width``, ``=[width, 2*width]``, ``=128 if deep else 64``. simpleeval evaluates them, with
fewer node types and tighter limits than its own: a spec is data, and reading one must end soon
whatever it says. Variables may use each other in any order.
"""

from __future__ import annotations

import ast
import math
import operator
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from typing import Any

from simpleeval import EvalWithCompoundTypes, InvalidExpression

from graphspec.errors import Code, Related, Sink, Span, arrows, did_you_mean
from graphspec.language.reader import MAX_DEPTH, Tree, mapping, sequence, walk

MAX_LENGTH = 1000
"""Longest expression, in characters."""
MAX_ITEMS = 100_000
"""Most values in the result of one expression, nested lists counted whole."""
MAX_MADE = 300_000
"""Most values in the lists that all expressions of a spec make together."""
MAX_BITS = 1024
"""Largest whole number that an operator may make, in bits."""
_MAX_RANGE = 10_000


class Broken:
    """Stands for a value that could not be worked out; what depends on it is not reported again."""

    def __repr__(self) -> str:
        return "<broken>"


BROKEN = Broken()


class ExpressionError(Exception):
    """An expression cannot be parsed or evaluated; the message says why."""


def _power(base: Any, exponent: Any) -> Any:
    if isinstance(base, int) and isinstance(exponent, int) and exponent > 0:
        _limit_bits(base.bit_length() * exponent)
    return base**exponent


def _multiply(left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int):
        _limit_bits(left.bit_length() + right.bit_length())
    for items, count in ((left, right), (right, left)):
        if isinstance(items, str):
            # Python would repeat the text: `--set width=x` is meant as a number.
            message = "`*` works on numbers and lists"
            raise ExpressionError(message)
        if isinstance(items, list) and isinstance(count, int):
            _limit_items(len(items) * count)
    return left * right


def _add(left: Any, right: Any) -> Any:
    if isinstance(left, (list, str)) and isinstance(right, (list, str)):
        _limit_items(len(left) + len(right))
    return left + right


def _modulo(left: Any, right: Any) -> Any:
    if not isinstance(left, (int, float)):
        message = "`%` works on numbers"
        raise ExpressionError(message)
    return left % right


def _range(*bounds: int) -> list[int]:
    numbers = range(*bounds)
    if len(numbers) > _MAX_RANGE:
        message = f"range of more than {_MAX_RANGE:,} numbers"
        raise ExpressionError(message)
    return list(numbers)


def _limit_bits(bits: int) -> None:
    if bits > MAX_BITS:
        message = "the number is too large"
        raise ExpressionError(message)


def _limit_items(count: int) -> None:
    if count > MAX_ITEMS:
        message = f"more than {MAX_ITEMS:,} values"
        raise ExpressionError(message)


_OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: _add,
    ast.Sub: operator.sub,
    ast.Mult: _multiply,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: _modulo,
    ast.Pow: _power,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda item, items: item in items,
    ast.NotIn: lambda item, items: item not in items,
}

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "ceil": math.ceil,
    "float": float,
    "floor": math.floor,
    "int": int,
    "len": len,
    "max": max,
    "min": min,
    "range": _range,
    "round": round,
    "sqrt": math.sqrt,
    "sum": sum,
}
"""What an expression may call."""

_CONSTANTS = {"true": True, "false": False, "null": None}

_NODES = (
    ast.Name,
    ast.UnaryOp,
    ast.BinOp,
    ast.BoolOp,
    ast.Compare,
    ast.IfExp,
    ast.Call,
    ast.Subscript,
    ast.Slice,
    ast.Constant,
    ast.List,
    ast.Tuple,
    ast.ListComp,
)


class _Evaluator(EvalWithCompoundTypes):  # type: ignore[misc]
    """simpleeval with our node types only: no attributes, f-strings, dicts or assignments."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        super().__init__(operators=_OPERATORS, functions=dict(FUNCTIONS), names=dict(names))
        self.nodes: dict[type, Any] = {
            kind: handle for kind, handle in self.nodes.items() if kind in _NODES
        }


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression.

    Attributes:
        text: What follows the ``=``.
        body: Its syntax tree.
        names: The variables it reads, each with its first offset in ``text``.
    """

    text: str
    body: ast.expr
    names: Mapping[str, int]

    def evaluate(self, env: Mapping[str, Any]) -> Any:
        """Return the value, as plain data (lists for tuples, ints for whole floats).

        Raises:
            ExpressionError: If it cannot be worked out.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                names = {name: env[name] for name in self.names}
                value = _Evaluator({**_CONSTANTS, **names}).eval(self.text, self.body)
        except ExpressionError:
            raise
        except ZeroDivisionError as error:
            message = "it divides by zero"
            raise ExpressionError(message) from error
        except InvalidExpression as error:
            raise ExpressionError(_reworded(str(error))) from error
        except (
            TypeError,
            ValueError,
            KeyError,
            IndexError,
            OverflowError,
            RecursionError,
            AttributeError,
            MemoryError,
        ) as error:
            raise ExpressionError(str(error) or type(error).__name__) from error
        return _plain(value)


_WORDS = {
    "Attribute": "an attribute (`a.b`)",
    "Dict": "a mapping",
    "DictComp": "a mapping",
    "GeneratorExp": "a generator (write a list, `[...]`)",
    "JoinedStr": "an f-string",
    "Lambda": "a function",
    "NamedExpr": "an assignment",
    "Set": "a set",
    "SetComp": "a set",
    "Starred": "unpacking (`*a`)",
}


def _reworded(message: str) -> str:
    text = message.removeprefix("Sorry, ").removesuffix(".")
    match = re.match(r"(\w+) is not available in this evaluator", text)
    return f"{_WORDS.get(match[1], match[1])} is not allowed here" if match else text


def _plain(value: Any) -> Any:
    """Return the value as YAML could have written it, its values and depth counted first."""
    count = 0
    level: list[Any] = [value]
    depth = 0
    while level:
        count += len(level)
        depth += 1
        if count > MAX_ITEMS or depth > MAX_DEPTH:
            message = f"more than {MAX_ITEMS:,} values or {MAX_DEPTH} levels"
            raise ExpressionError(message)
        below: list[Any] = []
        for item in level:
            if isinstance(item, (list, tuple)):
                below.extend(item)
            elif isinstance(item, dict):
                below.extend(item.values())
            elif isinstance(item, str) and not item.isascii() and not _is_text(item):
                message = "half of a surrogate pair is no character"
                raise ExpressionError(message)
            elif not isinstance(item, (bool, int, float, str, type(None), Broken)):
                message = f"the result is a {type(item).__name__}"
                raise ExpressionError(message)
        level = below
    return _normalised(value)


def _is_text(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _normalised(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_normalised(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


@lru_cache(maxsize=4096)
def parse(text: str) -> Expression:
    """Parse what follows the ``=``.

    Raises:
        ExpressionError: If it is not an expression.
    """
    if len(text) > MAX_LENGTH:
        message = f"it is longer than {MAX_LENGTH} characters"
        raise ExpressionError(message)
    stripped = text.strip()
    if not stripped:
        message = "nothing follows the `=`"
        raise ExpressionError(message)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            body = ast.parse(stripped, mode="eval").body
    except SyntaxError as error:
        message = "it is not an expression" + (f": {error.msg}" if error.msg else "")
        raise ExpressionError(message) from error
    except (ValueError, RecursionError, MemoryError) as error:
        message = "it is nested too deeply or has characters that do not belong"
        raise ExpressionError(message) from error
    return Expression(stripped, body, _free_names(body))


def _free_names(body: ast.expr) -> dict[str, int]:
    names: dict[str, int] = {}
    bound: set[str] = set()
    comprehensions = 0
    for node in ast.walk(body):
        if isinstance(node, ast.ListComp):
            comprehensions += 1
            for generator in node.generators:
                bound |= {n.id for n in ast.walk(generator.target) if isinstance(n, ast.Name)}
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id not in FUNCTIONS:
                hint = did_you_mean(node.func.id, FUNCTIONS, "functions")
                message = f"there is no function `{node.func.id}`; {hint}"
                raise ExpressionError(message)
            bound.add(node.func.id)
        elif isinstance(node, ast.Name):
            names[node.id] = min(names.get(node.id, node.col_offset), node.col_offset)
    if comprehensions > 1:
        message = "one list comprehension at most"
        raise ExpressionError(message)
    return {n: at for n, at in names.items() if n not in bound and n not in _CONSTANTS}


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
class Scope:
    """The variables in reach and what was read of them.

    Attributes:
        values: Plain values by name.
        places: Where each value stands.
        used: Names that some expression read.
        made: How many values expressions have made so far.
    """

    values: dict[str, Any] = field(default_factory=dict)
    places: dict[str, Span] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    made: int = 0


def resolve_vars(variables: Tree | None, sink: Sink) -> Scope:
    """Work out ``vars:``, in whatever order they depend on each other.

    Args:
        variables: The mapping under ``vars``, or None.
        sink: Where mistakes go: ``variable-cycle``, ``unknown-variable``, ``bad-expression``.

    Returns:
        The values; those that could not be worked out are `BROKEN`.
    """
    scope = Scope()
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


def evaluate(tree: Tree, scope: Scope, sink: Sink) -> Tree:
    """Return the tree with every expression replaced by its value.

    Spans stay where the expressions are, so a later complaint points at them. An expression that
    cannot be worked out is reported and becomes `BROKEN`.
    """
    if isinstance(tree.value, dict):
        values = {key: evaluate(child, scope, sink) for key, child in tree.value.items()}
        if all(values[key] is child for key, child in tree.value.items()):
            return tree
        return mapping(values, tree.span, tree.keys)
    if isinstance(tree.value, list):
        items = [evaluate(child, scope, sink) for child in tree.value]
        if all(new is old for new, old in zip(items, tree.value, strict=True)):
            return tree
        return sequence(items, tree.span)
    if not is_expression(tree):
        return tree
    expression = _expression_of(tree, sink)
    if expression is None:
        return _tree(BROKEN, tree.span)
    unknown = [name for name in expression.names if name not in scope.values]
    for name in unknown:
        sink.error(
            Code.UNKNOWN_VARIABLE,
            _name_span(tree, expression, name),
            f"`{name}` is not a variable",
            sink.did_you_mean(name, scope.values, "variables") + "; declare it under `vars:`",
        )
    scope.used.update(expression.names)
    # Once lists have become too many, which was reported, no further expression is worked out.
    if (
        unknown
        or scope.made > MAX_MADE
        or any(has_broken(scope.values[name]) for name in expression.names)
    ):
        return _tree(BROKEN, tree.span)
    try:
        result = expression.evaluate(scope.values)
        made = _tree(result, tree.span)
        scope.made += made.size - 1  # a list's; a number is no larger than its expression
        if scope.made > MAX_MADE:
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
    return any(isinstance(leaf.value, Broken) for leaf in walk(tree))


def _tree(value: Any, span: Span) -> Tree:
    if isinstance(value, list):
        return sequence([_tree(item, span) for item in value], span)
    if isinstance(value, dict):
        values = {key: _tree(item, span) for key, item in value.items()}
        return mapping(values, span, dict.fromkeys(value, span))
    return Tree(value, span)
