"""Mistakes of a researcher who uses blocks, sharing and edges: each is told once, where it is."""

from __future__ import annotations

import pytest

from graphspec import compiler
from graphspec.errors import Severity, SpecError

SPEC = """\
graphspec: 1
name: w
inputs: {image: {shape: [3, 8, 8]}}
tasks: {fine: {classes: 4}}
blocks:
  join: {parameters: {units: {type: int}}, layers: [{Linear: =units}, ReLU]}
  wrong: {output: z, nodes: {x: {op: relu, from: input}}}
nodes:
  a: {layers: [Flatten, {Linear: 8}], from: image}
  f: {op: head, from: {node: b}, task: fine}
  b: NODE
"""


def told(node: str, changes: dict[str, str] | None = None) -> list[str]:
    text = SPEC.replace("NODE", node)
    for old, new in (changes or {}).items():
        text = text.replace(old, new)
    try:
        compiler.check(compiler.load_text(text, "w.yaml"))
    except SpecError as error:
        errors = [d for d in error.diagnostics if d.severity is Severity.ERROR]
        return [f"{d.code.value}@{d.location[7:]} {d.message}" for d in errors]
    return []


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ("{share: a.2, from: a}",
         "unknown-node@11:14 `share: a.2` names no node: `a` has no layer `2`"),
        ("{copy: a.x, from: a}",
         "unknown-node@11:13 `copy: a.x` names no node: `a` has no layer `x`"),
        ("{op: Linear, from: a, out_features: 8, init: {bias: xavier_uniform}}",
         "bad-argument@11:52 `xavier_uniform` cannot fill `b.bias` of [8]"),
        ("{op: Linear, from: a, out_features: 8, init: {weight: {normal: {std: -1}}}}",
         "bad-argument@11:52 `normal` cannot fill `b.weight` of [8, 8]"),
        ("{op: Linear, from: a, out_features: 8, tie: {wieght: a.1.weight}}",
         "unknown-argument@11:51 `b` has no parameter `wieght`"),
        ("{op: Linear, from: a, out_features: 8, tie: {weight: a.1.wight}}",
         "unknown-argument@11:59 `a` has no parameter `1.wight`"),
        ("{block: join, from: a, unit: 8}",
         "unknown-argument@11:29 `unit` is not one of the parameters of the block `join`"),
        ("{block: join, from: a, units: =8*index}",
         "unknown-variable@11:39 `index` is not a variable"),
        ("{block: wrong, from: a}", "unknown-node@7:19 `output: z` names no node"),
        ("{each: {t: fine}, op: relu, from: a}",
         "wrong-type@11:17 `each.t` takes a list of values, such as `[fine, coarse]`, got the text "
         "`fine`"),
    ],
)  # fmt: skip
def test_each_is_told_once(node: str, expected: str) -> None:
    assert told(node) == [expected]


def test_a_key_of_an_edge_says_what_it_takes() -> None:
    found = told("{op: relu, from: a}", {"{node: b}": "{node: b, gradient_scale: half}"})
    assert found == [
        "wrong-type@10:49 `from.gradient_scale` takes a number, got the text `half`",
    ]


def test_a_block_of_a_node_that_is_left_out_is_used() -> None:
    text = SPEC.replace("  wrong: {output: z, nodes: {x: {op: relu, from: input}}}\n", "")
    text = text.replace("NODE", "{block: join, from: a, units: 8, repeat: 0}")
    assert compiler.check(compiler.load_text(text)).warnings == ()


def test_an_input_that_nothing_reads_is_told_where_the_spec_states_it() -> None:
    text = SPEC.replace("NODE", "{op: relu, from: a}").replace(
        "image: {", "spare: {shape: [2]}, image: {"
    )
    found = [w for w in compiler.check(compiler.load_text(text)).warnings if "input" in w.message]
    assert [w.message for w in found] == [
        "no node reads the input `spare`, so the model does not take it"
    ]


def test_a_block_that_cannot_be_chained_says_why() -> None:
    text = SPEC.replace("NODE", "{block: two, from: [a, a], repeat: 2}").replace("{node: b}", "b.u")
    block = "  two: {inputs: [x, y], outputs: [u, v], nodes: {u: {op: add, from: [x, y]}, "
    text = text.replace("nodes:\n  a:", block + "v: {op: relu, from: y}}}\nnodes:\n  a:")
    with pytest.raises(SpecError) as caught:
        compiler.check(compiler.load_text(text))
    messages = [d.message for d in caught.value.diagnostics if d.severity is Severity.ERROR]
    assert messages == [
        "`repeat` cannot chain the block `two`: its outputs (u, v) are not named as its inputs "
        "(x, y)"
    ]
