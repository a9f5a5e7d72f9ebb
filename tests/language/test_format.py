"""The canonical form: comments stay where they are, meaning never changes, twice is once."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphspec.errors import Sink, Source, SpecError
from graphspec.language import format as formatting
from graphspec.language import shipped
from graphspec.language.format import format_text
from graphspec.language.reader import read_text
from tests.mutations import broken_texts
from tests.random_specs import Drawn, drawn_specs

SPECS = sorted(shipped.folder().rglob("*.yaml"))

WRITTEN = """\
# yaml-language-server: $schema=s.json
# the topology
nodes:     # all of them
    gate: {from: image, layers: [Flatten, {Linear: =n}], each: {t: =tasks}}
    trunk:

      layers:
        - Flatten      # one
        # two
        - {Linear: 64}

        -
          Conv2d: {out_channels: 4, kernel_size: 3, padding: 1, padding_mode: zeros, groups: 1,
            dilation: 1, bias: false}   # three
      repeat: 2
      from: gate


    right: {share: trunk, from: x, mode: parameters}
    up: {op: 'Upsample', mode: nearest, from: x}
    open: {op: conv,   # four
        from: image}   # five
    # the end of the nodes
  # more of it

vars:
  width: 64 # what
            # it is
  odd: "=[a, b]"
  text: |   # seven
     as
       it is

  depth: 3           # eight
name: 'x'
graphspec: 1
# the end
"""

CANONICAL = """\
# yaml-language-server: $schema=s.json
graphspec: 1
name: x

vars:
  width: 64  # what
             # it is
  odd: =[a, b]
  text: |  # seven
    as
      it is

  depth: 3  # eight

# the topology
nodes:  # all of them
  gate:  {each: {t: =tasks}, from: image, layers: [Flatten, {Linear: =n}]}
  trunk:
    from: gate
    layers:
      - Flatten  # one
      # two
      - {Linear: 64}

      - Conv2d:  # three
          out_channels: 4
          kernel_size: 3
          padding: 1
          padding_mode: zeros
          groups: 1
          dilation: 1
          bias: false
    repeat: 2

  right: {share: trunk, mode: parameters, from: x}
  up:    {op: Upsample, from: x, mode: nearest}
  open:
    op: conv     # four
    from: image  # five
  # the end of the nodes
  # more of it
# the end
"""


def plain(text: str) -> object:
    sink = Sink()
    tree = read_text(text, Source("text", text), sink)
    sink.raise_if_errors()
    assert tree is not None
    return tree.plain()


def test_the_canonical_form() -> None:
    assert format_text(WRITTEN) == CANONICAL
    assert format_text(CANONICAL) == CANONICAL
    assert format_text("\ufeff" + WRITTEN.replace("\n", "\r\n")) == CANONICAL


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_shipped_specs_are_in_canonical_form(path: object) -> None:
    text = path.read_text("utf-8")  # type: ignore[attr-defined]
    assert format_text(text) == text


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        # quotes only where YAML 1.2 needs them
        ("a: 'no'", "a: no"),
        ("a: '12:30'", "a: 12:30"),
        ("a: '1e3'", 'a: "1e3"'),
        ("a: ''", 'a: ""'),
        ("a: 'x: y'", 'a: "x: y"'),
        ('a: "it\'s"', "a: it's"),
        ("a: '\"x\" #1'", "a: '\"x\" #1'"),
        ("a: ['x, y', \"=[1]\"]", 'a: ["x, y", "=[1]"]'),
        ('a: "tab\\tline\\n"', 'a: "tab\\tline\\n"'),
        ("a: !!str 5", 'a: "5"'),
        # numbers and nothing as they are written
        ("a: [5e-4, 0x1F, ~, .inf, 010]", "a: [5e-4, 0x1F, ~, .inf, 010]"),
        ("a: {b: , c}", "a: {b: null, c: null}"),
        ("a:\nb: {}", "a:\nb: {}"),
        # brackets and lines as the author chose, nodes on one line
        ("data:\n  source: x", "data:\n  source: x"),
        ("tasks: {t: {classes: 2}}", "tasks: {t: {classes: 2}}"),
        ("nodes: {a: {from: x, op: fc}}", "nodes:\n  a: {op: fc, from: x}"),
        ("vars:\n- 1\n-   - 2\n    - 3", "vars:\n  - 1\n  - - 2\n    - 3"),
        ("x: {a: 1, a2: [b: 1]}", "x: {a: 1, a2: [{b: 1}]}"),
        # anchors keep the order of the file
        (
            "nodes: {a: &n {from: x, op: fc}, b: *n}\nname: y",
            "nodes:\n  a: &n {from: x, op: fc}\n  b: *n\n\nname: y",
        ),
        ("b: &b {x: 1}\nc: {<<: *b, y: 2}", "b: &b {x: 1}\nc: {<<: *b, y: 2}"),
        # comments in odd places
        ("a:\n  # c\n  1", "# c\na: 1"),
        ("a: # c\n  b", "a: b  # c"),
        ("a: { # c\n  }", "a: {}  # c"),
        ("a:\n- b\n# c", "a:\n  - b\n# c"),
        ("a:\n- # c\n  b: 1 # d", "a:\n  # c\n  - b: 1  # d"),
        ("a: [1, # c\n  2] # d", "a:\n  - 1  # c\n  - 2  # d"),
        ("--- # c\na: 1\n...\n# d", "# c\na: 1\n# d"),
        ("a: |-\n  x\n # c\nb: >\n  y\n\n  z\n", "a: |-\n  x\n# c\nb: >\n  y\n\n  z"),
        ("a: |+\n  x\n\nb: |2\n   y\n", 'a: "x\\n\\n"\n\nb: " y\\n"'),
        ("# only", "# only"),
        ("\n\n# c\n\n\n\nb: 1\n\n\na: 2", "# c\n\nb: 1\n\na: 2"),
        # comments beside neighbours are aligned, not where one line is much longer
        ("a: 1 # x\nbbb: 2 # y\nc: 3", "a: 1    # x\nbbb: 2  # y\nc: 3"),
        (f"a: 1 # x\nb: {'2' * 60} # y", f"a: 1  # x\nb: {'2' * 60}  # y"),
    ],
)
def test_details(written: str, expected: str) -> None:
    assert format_text(written) == f"{expected}\n"
    assert format_text(f"{expected}\n") == f"{expected}\n"


def test_long_texts_and_lists_take_several_lines() -> None:
    words = "word " * 30
    numbers = ", ".join(["1000000"] * 20)
    text = format_text(f"description: {words}\ntrain: {{x: [{numbers}]}}\n")
    assert max(map(len, text.splitlines())) <= 100
    assert text.splitlines()[1].startswith("  word word")
    assert text.splitlines()[4:6] == [
        f"  x: [{', '.join(['1000000'] * 10)},",
        f"    {', '.join(['1000000'] * 10)}]",
    ]
    assert format_text(text) == text


def test_names_of_very_different_lengths_are_not_aligned_across_groups() -> None:
    long = "a_very_long_name_of_a_node"
    text = (
        f"nodes:\n  a: {{op: x}}\n  bbb: {{op: x}}\n\n  {long}: {{op: x}}\n  {long}s: {{op: x}}\n"
    )
    expected = text.replace("  a: ", "  a:   ").replace(f"{long}: ", f"{long}:  ")
    assert format_text(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "error[yaml-syntax]: not valid YAML"),
        ("a: 1\na: 2", "text:2:1: error[duplicate-key]: `a` stands here twice"),
        ("- a", "text:1:1: error[wrong-type]: a spec is a mapping of sections"),
        (f"? {'k' * 1200}\n: 1", "error[too-large]: a key of 1,200 characters"),
    ],
)
def test_what_is_no_spec_text_is_told(text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        format_text(text, "text")
    assert message in str(caught.value)


def test_a_result_that_says_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formatting, "_joined", lambda lines: ["a: 1.0"])
    with pytest.raises(AssertionError, match="would change its data"):
        format_text("a: 1")
    monkeypatch.setattr(formatting, "_joined", lambda lines: ["a: 1"])
    with pytest.raises(AssertionError, match="would change its comments"):
        format_text("a: 1 # c")


def _disturbed(drawn: Drawn, seed: int) -> str:
    """Return a spec with comments, blank lines and line breaks at random places."""
    draw = random.Random(seed)
    lines = []
    for number, line in enumerate(drawn.text.splitlines()):
        indent = " " * draw.randint(0, 8)
        kind = draw.randint(0, 6)
        if kind == 0:
            lines.append(f"{indent}# above {number}")
        elif kind == 1:
            lines.append("")
        elif kind == 2:
            line += f"{indent} # beside {number}"
        elif kind == 3:
            line = line.replace(", ", f", # inside {number}\n    {indent}", draw.randint(1, 3))
        elif kind == 4:
            line = line.replace(", ", f",\n{indent}# own {number}\n    ", 1)
        lines.append(line)
    return "\n".join(lines)


@given(drawn_specs(), st.integers(0, 1 << 30))
def test_comments_and_meaning_survive_and_twice_is_once(drawn: Drawn, seed: int) -> None:
    text = _disturbed(drawn, seed)
    once = format_text(text)
    assert plain(once) == plain(text)
    for kind in ("above", "beside", "inside", "own"):
        assert once.count(f"# {kind} ") == text.count(f"# {kind} ")
    assert format_text(once) == once


@given(broken_texts())
def test_a_broken_text_is_formatted_or_diagnosed(text: str) -> None:
    try:
        once = format_text(text)
    except SpecError:
        return
    assert format_text(once) == once
