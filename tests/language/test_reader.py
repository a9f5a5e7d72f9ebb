"""Text to trees: scalars of YAML 1.2, positions, limits, and what is not YAML."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from graphspec.errors import Sink, Source
from graphspec.language.reader import (
    MAX_BYTES,
    MAX_DEPTH,
    Tree,
    read_file,
    read_text,
    resolve_scalar,
    walk,
)
from graphspec.language.writer import dump


def read(text: str) -> tuple[Tree | None, list[str]]:
    """Return the tree and the places of what was reported: ``code@line:column``."""
    sink = Sink()
    tree = read_text(text, Source("spec.yaml", text), sink)
    return tree, [
        f"{d.code.value}@{d.location.removeprefix('spec.yaml:')}" for d in sink.diagnostics
    ]


def plain(text: str) -> object:
    tree, found = read(text)
    assert found == []
    assert tree is not None
    return tree.plain()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[(each, None) for each in ("", "~", "null", "Null", "NULL")],
        *[(each, True) for each in ("true", "True", "TRUE")],
        *[(each, False) for each in ("false", "False", "FALSE")],
        *[(each, each) for each in ("yes", "no", "on", "off", "y", "n", "Yes", "nUll", "tRUE")],
        *[("10", 10), ("-7", -7), ("+7", 7), ("010", 10), ("0o17", 15), ("0xFf", 255)],
        *[("1_000", "1_000"), ("12:30", "12:30"), ("1:30:59", "1:30:59"), ("0b11", "0b11")],
        *[("1e-3", 1e-3), ("5E+2", 500.0), ("1.", 1.0), (".5", 0.5), ("-.5e1", -5.0)],
        *[(".inf", math.inf), ("-.INF", -math.inf), ("inf", "inf"), ("nan", "nan")],
        *[("2026-01-01", "2026-01-01"), ("1.2.3", "1.2.3"), ("-", "-"), ("+", "+"), (".", ".")],
        *[("0x", "0x"), ("e3", "e3"), ("1e", "1e"), ("٣", "٣"), ("=2*width", "=2*width")],
    ],
)
def test_plain_scalars_follow_the_core_schema(text: str, value: object) -> None:
    found = resolve_scalar(text)
    assert (found, type(found)) == (value, type(value))


def test_nan_is_read() -> None:
    number = resolve_scalar(".NaN")
    assert isinstance(number, float)
    assert math.isnan(number)


def test_quoted_scalars_are_texts() -> None:
    assert plain('["1", \'true\', "~", !!str 3]') == ["1", "true", "~", "3"]


def test_a_number_of_too_many_digits_is_reported() -> None:
    assert read("a: " + "1" * 301)[1] == ["bad-value@1:4"]


def span_text(tree: Tree | None) -> str:
    assert tree is not None
    return tree.span.source.text[tree.span.start : tree.span.end]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_positions_survive_line_ends_and_other_alphabets(newline: str) -> None:
    text = newline.join(["größe: 😀😀", "名前: {a: 'ß', b: [1, zwölf]}", ""])
    tree, found = read(text)
    assert found == []
    assert tree is not None
    assert span_text(tree.get("größe")) == "😀😀"
    inner = tree.get("名前")
    assert inner is not None
    assert span_text(inner.get("b")) == "[1, zwölf]"
    assert span_text(inner.child("b").child(1)) == "zwölf"  # type: ignore[union-attr]
    twelve = tree.locate(("名前", "b", 1))
    assert twelve.source.position(twelve.start) == (2, 21)
    assert tree.locate(("名前", "a"), key=True).start == text.index("a:")


def test_a_byte_order_mark_does_not_move_positions(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: arch\r\n")
    sink = Sink()
    tree = read_file(path, "spec.yaml", sink)
    assert tree is not None
    assert span_text(tree.get("name")) == "arch"
    assert sink.diagnostics == ()


def test_an_alias_is_the_anchored_value_at_its_own_place() -> None:
    tree, found = read("a: &x {op: fc}\nb: *x\n")
    assert found == []
    assert tree is not None
    assert tree.get("a") is tree.get("b")


def test_merge_keys_give_way_to_the_mapping_and_keep_their_places() -> None:
    tree, found = read("a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}\nc: {<<: [*x, {r: 4}]}\n")
    assert found == []
    assert tree is not None
    assert tree.plain() == {
        "a": {"p": 1, "q": 2},
        "b": {"q": 3, "p": 1},
        "c": {"p": 1, "q": 2, "r": 4},
    }
    place = tree.locate(("b", "p"))
    assert place.source.position(place.start) == (1, 11)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: 1\na: 2\n", ["duplicate-key@2:1"]),
        ("{a: 1, b: {c: 1, c: 1, c: 1}}", ["duplicate-key@1:18", "duplicate-key@1:24"]),
        ("a:\n\tb: 1\n", ["tab@2:1"]),
        ("? {a: 1}\n: 2\n", ["bad-key@1:3"]),
        ("a: !!python/name:os.system x", ["yaml-tag@1:4"]),
        ("a: !include b\nc: !x [1]\n", ["yaml-tag@1:4", "yaml-tag@2:4"]),
        ("a: *b", ["unknown-anchor@1:4"]),
        ("a: &a [*a]", ["unknown-anchor@1:8"]),
        ("a: 1\n---\nb: 2\n", ["yaml-syntax@2:1"]),
        ("a: [1, 2\n", ["yaml-syntax@1:4"]),
        ("a: b: c", ["yaml-syntax@1:5"]),
        ('a: "\x07"', ["yaml-syntax@1:5"]),
        ("a: \ud800", ["yaml-syntax@1:4"]),
        ("%YAML 3.0\n--- a", ["yaml-syntax@1:1"]),
    ],
)
def test_what_is_not_a_spec_is_reported_where_it_stands(text: str, found: list[str]) -> None:
    assert read(text)[1] == found


@pytest.mark.parametrize("bracket", ["[", "{", "- ", "[{a: ", "? "])
def test_a_hundred_thousand_brackets_are_too_deep(bracket: str) -> None:
    tree, found = read(bracket * 100_000)
    assert tree is None
    assert [each.partition("@")[0] for each in found] in (["too-deep"], ["yaml-syntax"])


def test_depth_is_limited_with_aliases_too() -> None:
    half = "[" * 40 + "]" * 40
    assert read(f"a: &a {half}\nb: {'[' * 40}*a{']' * 40}\n")[1] == ["too-deep@2:44"]
    assert read("[" * MAX_DEPTH + "]" * MAX_DEPTH)[1] == []


def test_aliases_that_explode_are_stopped() -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
    tree, found = read("\n".join(lines))
    assert tree is None
    assert [each.partition("@")[0] for each in found] == ["alias-explosion"]


def test_a_file_of_more_than_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    sink = Sink()
    assert read_file(path, "large.yaml", sink) is None
    assert [d.message for d in sink.diagnostics] == ["`large.yaml` is larger than 32 MiB"]


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "---\n", "--- \n...\n"])
def test_nothing_is_an_empty_mapping_or_null(text: str) -> None:
    assert plain(text) in ({}, None)


def test_a_list_at_the_top_is_read() -> None:
    assert plain("- 1\n- [a]\n") == [1, ["a"]]


def test_walk_gives_scalars_in_the_order_of_the_text() -> None:
    tree, _ = read("{a: [1, {b: 2}], c: 3}")
    assert tree is not None
    assert [leaf.value for leaf in walk(tree)] == [1, 2, 3]


@pytest.mark.parametrize(
    "value",
    [
        *["yes", "no", "1", "1e3", "010", "null", "~", "", " a ", "a: b", "# c", "=2*width", "é😀"],
        *["a\nb", "a\n", "\n", "'", '"', "@x", "*x", "&x", "- a", "[", "0x1F", "12:30", "<<", "\t"],
        *[0, -5, 1.5, 1e-9, 1e300, True, False, None, [], {}, [[1], []], {"a": [{"b": None}]}],
        *[2**80, math.inf, "2026-01-01", "!t", "%", "\u2028", "\x85", "a\rb"],
    ],
)
def test_dump_writes_what_is_read_back(value: object) -> None:
    assert plain(dump({"key": value})) == {"key": value}
