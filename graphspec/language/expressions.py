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
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from simpleeval import EvalWithCompoundTypes, InvalidExpression

from graphspec.errors import did_you_mean
from graphspec.language.reader import MAX_DEPTH

MAX_LENGTH = 1000
"""Longest expression, in characters."""
MAX_ITEMS = 100_000
"""Most values in the result of one expression, nested lists counted whole."""
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
    stripped, body = parse_body(text)
    return Expression(stripped, body, free_names(body))


def parse_body(text: str) -> tuple[str, ast.expr]:
    """Return what follows the ``=`` without spaces around it, and its syntax tree.

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
    return stripped, body


def free_names(body: ast.expr) -> dict[str, int]:
    """Return the variables that a syntax tree reads, each with its first offset.

    Raises:
        ExpressionError: If it calls a function that there is not.
    """
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
