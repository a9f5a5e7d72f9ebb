"""The structural difference of two topologies."""

from __future__ import annotations

import pytest
from hypothesis import given

from graphspec import compiler
from graphspec.graph.difference import difference
from graphspec.graph.ir import Graph
from tests.random_specs import Drawn, drawn_specs

BASE = """\
graphspec: 1
name: base
inputs: {image: {shape: [3, 8, 8]}, other: {shape: [3, 8, 8]}}
tasks: {t: {classes: 3}, u: {classes: 2}}
nodes:
  trunk: {op: conv, from: image, channels: [[4]]}
  right: {share: trunk, from: other}
  both: {op: concat, from: [trunk, right]}
  features: {layers: [Flatten, {Linear: 8}, ReLU], from: both}
  t_label: {op: head, from: features, task: t}
  u_label: {op: head, from: {node: t_label, as: softmax, detach: true}, task: u}
"""


def graph(*changes: tuple[str, str]) -> Graph:
    text = BASE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return compiler.check(compiler.load_text(text)).graph


def test_equal_topologies_have_no_difference() -> None:
    found = difference(graph(), graph(("name: base", "name: other")))
    assert found.is_empty
    assert found.lines() == []


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        (
            ("channels: [[4]]", "channels: [[4, 6]]"),
            [
                "~ trunk: channels [[4]] -> [[4, 6]], gives [N, 4, 4, 4] -> [N, 6, 4, 4]",
                "~ right: gives [N, 4, 4, 4] -> [N, 6, 4, 4]",
                "~ both: gives [N, 8, 4, 4] -> [N, 12, 4, 4]",
                "~ features: 1.weight [8, 128] -> [8, 192]",
            ],
        ),
        (
            ("{share: trunk, from: other}", "{op: conv, from: other, channels: [[4]]}"),
            ["~ right: weights of trunk -> own"],
        ),
        (
            ("{share: trunk, from: other}", "{share: trunk, mode: parameters, from: other}"),
            ["~ right: weights of trunk -> own, parameters of trunk"],
        ),
        (
            ("{share: trunk, from: other}", "{copy: trunk, from: other}"),
            ["~ right: weights of trunk -> own, copied from trunk"],
        ),
        (
            ("  trunk: {op: conv", "  trunk: {op: conv, init: {weight: zeros}"),
            ["~ trunk: init weight zeros added"],
        ),
        (
            ("{Linear: 8}, ReLU]", "{Linear: 9}, ReLU]"),
            [
                "~ features: 1.out_features 8 -> 9, gives [N, 8] -> [N, 9]",
                "~ t_label: weight [3, 8] -> [3, 9]",
            ],
        ),
        (
            ("{Linear: 8}, ReLU]", "{Linear: 8}, ReLU, Dropout]"),
            [
                "~ features: layers [Flatten, Linear, ReLU] -> [Flatten, Linear, ReLU, Dropout]",
            ],
        ),
        (
            ("as: softmax, detach: true", "gradient_scale: 0.1"),
            ["~ u_label: from t_label as softmax detach -> t_label gradient ×0.1"],
        ),
        (
            ("from: [trunk, right]", "from: [right, trunk]"),
            ["~ both: from [trunk, right] -> [right, trunk]"],
        ),
        (
            ("u: {classes: 2}", "u: {classes: 5}"),
            [
                "task u (2 classes) -> (5 classes)",
                "~ u_label: gives [N, 2] -> [N, 5]",
            ],
        ),
        (
            ("  both: {op: concat", "  both: {op: concat, trainable: false"),
            ["~ both: trainable true -> false"],
        ),
        (
            ("features: {layers: [Flatten, {Linear: 8}, ReLU]", "features: {op: fc, units: 8"),
            ["~ features: op layers -> fc"],
        ),
    ],
)
def test_what_differs_is_named(change: tuple[str, str], lines: list[str]) -> None:
    found = difference(graph(), graph(change)).lines()
    assert found == lines


def test_nodes_added_and_removed_and_inputs() -> None:
    other = graph(
        ("  right: {share: trunk, from: other}\n", ""),
        ("from: [trunk, right]", "from: [trunk, wide]"),
        ("  both:", "  wide: {op: conv, from: image, channels: [[2]]}\n  both:"),
        (", other: {shape: [3, 8, 8]}", ""),
    )
    found = difference(graph(), other)
    assert found.lines() == [
        "input other [N, 3, 8, 8] removed",
        "- right (weights of trunk)",
        "+ wide (conv)",
        "~ both: from [trunk, right] -> [trunk, wide], gives [N, 8, 4, 4] -> [N, 6, 4, 4]",
        "~ features: 1.weight [8, 128] -> [8, 96]",
    ]
    assert not found.is_empty
    back = difference(other, graph()).lines()
    assert back[0] == "input other [N, 3, 8, 8] added"


@given(drawn_specs(), drawn_specs())
def test_topologies_of_different_hashes_differ(first: Drawn, second: Drawn) -> None:
    one, two = (compiler.load_text(each.text) for each in (first, second))
    graphs = [compiler.check(each).graph for each in (one, two)]
    assert difference(graphs[0], graphs[0]).is_empty
    if one.hash() != two.hash():
        assert difference(*graphs).lines()
        assert difference(graphs[1], graphs[0]).lines()
