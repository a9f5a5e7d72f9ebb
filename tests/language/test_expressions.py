"""Expressions: what they compute, what they refuse, and that they always end."""

from __future__ import annotations

import pytest

from graphspec.errors import Sink, Source
from graphspec.language.expressions import BROKEN, ExpressionError, parse
from graphspec.language.reader import read_text
from graphspec.language.scope import resolve_vars

ENV = {"width": 64, "deep": True, "sizes": [1, 2, 3], "name": "relu"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[("16*width", 1024), ("width/2", 32), ("width//3", 21), ("width%5", 4), ("-width", -64)],
        *[("2**3**2", 512), ("2**-1", 0.5), ("7/2", 3.5), ("(1+2)*3", 9), ("+1", 1)],
        *[("[width, 2*width]", [64, 128]), ("sizes+[4]", [1, 2, 3, 4]), ("[0]*3", [0, 0, 0])],
        *[("(1, 2)", [1, 2]), ("sizes[0]", 1), ("sizes[-1]", 3), ("sizes[1:]", [2, 3])],
        *[("128 if deep else 64", 128), ("deep and width > 3", True), ("not deep", False)],
        *[("1 < 2 < 3", True), ("2 in sizes", True), ("5 not in sizes", True)],
        *[("width == 64", True), ("width != 64", False), ("name == 'relu'", True)],
        *[("[2*s for s in sizes]", [2, 4, 6]), ("[s for s in sizes if s > 1]", [2, 3])],
        *[("[width for i in range(2)]", [64, 64]), ("max(sizes)", 3), ("min(3, 2)", 2)],
        *[("sum(sizes)", 6), ("len(sizes)", 3), ("round(2.6)", 3), ("int(2.9)", 2)],
        *[("floor(2.9)", 2), ("ceil(2.1)", 3), ("sqrt(16)", 4), ("abs(-1)", 1), ("float(1)", 1)],
        *[("true", True), ("null", None), ("'a' + 'b'", "ab"), ("name", "relu"), ("True", True)],
    ],
)
def test_values(text: str, value: object) -> None:
    found = parse(text).evaluate(ENV)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "nothing follows"),
        ("16*", "not an expression"),
        ("1 2", "not an expression"),
        ("x" * 1001, "longer than 1000"),
        ("width.real", "attribute"),
        ("().__class__.__bases__", "attribute"),
        ("[].append(1)", "not allowed|no function"),
        ("open('a')", "no function `open`"),
        ("__import__('os')", "no function `__import__`"),
        ("lambda: 1", "a function is not allowed"),
        ("{1: 2}", "a mapping is not allowed"),
        ("{1, 2}", "a set is not allowed"),
        ("f'{width}'", "f-string"),
        ("'%s' % 3", "works on numbers"),
        ("(width := 3)", "assignment"),
        ("max(*sizes)", "unpacking"),
        ("1/0", "divides by zero"),
        ("1%0", "divides by zero"),
        ("9**9**9", "too large"),
        ("9**99999", "too large"),
        ("2**1000*2**1000", "too large"),
        ("[0]*10**9", "more than 100,000 values"),
        ("'a'*10**9", r"`\*` works on numbers and lists"),
        ("'a'*3", r"`\*` works on numbers and lists"),
        ("[[0]*1000]*1000", "more than 100,000 values"),
        ("range(10**9)", "more than 10,000 numbers"),
        ("[i*j for i in range(999) for j in range(999)]", "Comprehension|too|more"),
        ("[[j for j in range(9)] for i in range(9)]", "one list comprehension"),
        ("sqrt(-1)", "math domain|nonnegative"),
        ("1 + 'a'", "unsupported operand"),
        ("sizes[9]", "out of range"),
        ("len(3)", "has no len"),
        ("1j", "complex|not allowed"),
        ("b'x'", "bytes|not allowed"),
        ("~3", "not|Sorry"),
        ("1 << 9", "not|Sorry"),
        ("'\\ud800'", "surrogate"),
        ("(" * 300 + "1" + ")" * 300, "nested too deeply|not an expression"),
        ("-" * 990 + "1", "nested too deeply|recursion"),
    ],
)
def test_refusals(text: str, why: str) -> None:
    with pytest.raises(ExpressionError, match=why):
        parse(text).evaluate(ENV)


def test_names_are_the_variables_that_are_read() -> None:
    parsed = parse("max(width, [deep for item in sizes][0])")
    assert set(parsed.names) == {"width", "deep", "sizes"}


def resolve(text: str) -> tuple[dict[str, object], list[str]]:
    sink = Sink()
    tree = read_text(text, Source("spec.yaml", text), sink)
    scope = resolve_vars(tree, sink)
    return scope.values, [
        f"{d.code.value}@{d.location.partition(':')[2]}" for d in sink.diagnostics
    ]


def test_variables_use_each_other_in_any_order() -> None:
    values, found = resolve("{c: =a+b, a: =2*b, b: 3, d: [=a, {e: =c}]}")
    assert values == {"a": 6, "b": 3, "c": 9, "d": [6, {"e": 9}]}
    assert found == []


def test_a_chain_of_five_thousand_variables() -> None:
    chain = "".join(f"v{i}: =v{i - 1}+1\n" for i in range(1, 5000))
    values, found = resolve("v0: 0\n" + chain)
    assert values["v4999"] == 4999
    assert found == []


def test_a_circle_of_variables_shows_its_path() -> None:
    values, found = resolve("{a: =b, b: =c, c: =a, d: 1}")
    assert found == ["variable-cycle@1:2"]
    assert values["a"] is BROKEN


def test_a_mistake_is_reported_once_however_many_depend_on_it() -> None:
    values, found = resolve("{a: =1/0, b: =a+1, c: [=b, =a], d: =len(c)}")
    assert found == ["bad-expression@1:5"]
    assert values["b"] is BROKEN


def test_an_unknown_variable_is_marked_where_its_name_stands() -> None:
    assert resolve("{width: 3, a: =16*widht+width}")[1] == ["unknown-variable@1:19"]


def test_all_expressions_together_are_limited() -> None:
    _, found = resolve("".join(f"v{i}: '=[[0]*300]*300'\n" for i in range(20)))
    assert found == ["bad-expression@4:5"]
