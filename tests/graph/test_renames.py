"""Nodes that have another name in another topology and are else the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphspec as gs
from graphspec import compiler
from graphspec.graph.difference import Difference, difference
from graphspec.graph.ir import Edge, Graph, Weights
from graphspec.language.changes import Change
from tests.random_specs import Drawn, drawn_specs

BASE = """\
graphspec: 1
name: base
inputs: {image: {shape: [3, 8, 8]}}
tasks: {t: {classes: 3}, u: {classes: 2}}
nodes:
  trunk: {op: conv, from: image, channels: [[4]]}
  a: {op: fc, from: trunk, units: [8]}
  b: {op: fc, from: a, units: [6]}
  t_label: {op: head, from: b, task: t}
  c: {op: fc, from: trunk, units: [8]}
  u_label: {op: head, from: c, task: u}
"""


def renamed(*changes: tuple[str, str]) -> Difference:
    text = BASE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    graphs = [compiler.check(compiler.load_text(each)).graph for each in (BASE, text)]
    return difference(*graphs)


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ([("  b:", "  bb:"), ("from: b,", "from: bb,")], {"b": "bb"}),
        (
            [(" a:", " x:"), (": a,", ": x,"), (" b:", " y:"), (": b,", ": y,")],
            {"a": "x", "b": "y"},
        ),
        ([("t_label:", "head_t:")], {"t_label": "head_t"}),
        ([("trunk", "stem")], {"trunk": "stem"}),
    ],
    ids=["one", "chain", "head", "trunk"],
)
def test_a_name_alone_is_told_as_such(
    changes: list[tuple[str, str]], names: dict[str, str]
) -> None:
    found = renamed(*changes)
    assert dict(found.renamed) == names
    assert (found.added, found.removed, found.changed) == ({}, {}, {})
    assert found.lines() == [f"~ {old} -> {new}" for old, new in names.items()]


def test_alike_is_not_enough_where_it_stands_elsewhere() -> None:
    """`a` and `c` are alike; their place among the others tells them apart, or nothing does."""
    swapped = renamed((" a:", " x:"), (": a,", ": x,"), (" c:", " z:"), (": c,", ": z,"))
    assert dict(swapped.renamed) == {"a": "x", "c": "z"}
    both = difference(gs.analyze("arch1"), gs.analyze("arch2"))
    assert not both.renamed  # two trunks became one
    assert list(both.removed) == ["conv_layers_fine", "conv_layers_coarse"]
    assert list(both.added) == ["conv_layers"]


def test_who_reads_it_may_change_if_a_reader_stays() -> None:
    found = renamed(
        ("trunk:", "stem:"), ("from: trunk, units: [8]}\n  b", "from: stem, units: [8]}\n  b"),
        ("from: trunk", "from: image"),
    )  # fmt: skip
    assert dict(found.renamed) == {"trunk": "stem"}
    assert {name: [c.what for c in each] for name, each in found.changed.items()} == {"c": ["from"]}


def test_what_else_changed_with_the_name_is_told() -> None:
    found = renamed(("  a:", "  x:"), ("from: a, units", "from: {node: x, detach: true}, units"))
    assert found.lines() == ["~ a -> x", "~ b: from a -> x detach"]
    found = renamed((" b:", " y:"), (": b,", ": y,"), ("t: {classes: 3}", "t: {classes: 4}"))
    assert dict(found.renamed) == {"b": "y"}
    assert list(found.changed) == ["t_label"]


def test_arch2_and_arch5() -> None:
    found = difference(gs.analyze("arch2"), gs.analyze("arch5"))
    assert dict(found.renamed) == {"fc_layers_coarse": "fc_layers"}
    back = difference(gs.analyze("arch5"), gs.analyze("arch2"))
    assert dict(back.renamed) == {"fc_layers": "fc_layers_coarse"}


def mirrored(found: Difference) -> Difference:
    """Return the difference in the other direction."""

    def turned(changes: tuple[Change, ...]) -> tuple[Change, ...]:
        return tuple(sorted((Change(c.what, c.new, c.old) for c in changes), key=str))

    before = found.old_names
    return Difference(
        found.removed,
        found.added,
        {before.get(name, name): turned(each) for name, each in found.changed.items()},
        turned(found.tasks),
        turned(found.inputs),
        before,
    )


def plain(found: Difference) -> Difference:
    """Return the difference with its changes in an order that does not depend on the direction."""
    return mirrored(mirrored(found))


@given(drawn_specs(), drawn_specs())
def test_the_other_direction_is_the_mirror_image(first: Drawn, second: Drawn) -> None:
    graphs = [compiler.check(compiler.load_text(each.text)).graph for each in (first, second)]
    assert plain(difference(*reversed(graphs))) == mirrored(difference(*graphs))


@given(drawn_specs(), st.data())
def test_one_other_edge_is_found_where_it_is(drawn: Drawn, data: st.DataObject) -> None:
    graph = compiler.check(compiler.load_text(drawn.text)).graph
    name = data.draw(st.sampled_from([n for n, node in graph.nodes.items() if node.inputs]))
    node = graph.nodes[name]
    place = data.draw(st.integers(0, len(node.inputs) - 1))
    edges = list(node.inputs)
    edges[place] = replace(edges[place], detach=not edges[place].detach)
    changed = replace(graph, nodes={**graph.nodes, name: replace(node, inputs=tuple(edges))})
    found = difference(graph, changed)
    assert {n: [c.what for c in each] for n, each in found.changed.items()} == {name: ["from"]}
    assert (found.added, found.removed, found.renamed) == ({}, {}, {})


@given(drawn_specs(), st.data())
def test_one_other_name_is_found(drawn: Drawn, data: st.DataObject) -> None:
    graph = compiler.check(compiler.load_text(drawn.text)).graph
    name = data.draw(st.sampled_from(list(graph.nodes)))
    found = difference(graph, with_name(graph, name, "quite_another"))
    assert dict(found.renamed) == {name: "quite_another"}
    assert (found.added, found.removed, found.changed) == ({}, {}, {})


def with_name(graph: Graph, old: str, new: str) -> Graph:
    """Return the graph with another name of one node, wherever it is named."""

    def named(name: str) -> str:
        return (
            new if name == old else new + name[len(old) :] if name.startswith(f"{old}.") else name
        )

    def own(name: str) -> str:
        """Layers of a sequence are weights whose names begin with that of the sequence."""
        return (
            named(name) if name in graph.weights and name not in graph.nodes else plain_name(name)
        )

    def plain_name(name: str) -> str:
        return new if name == old else name

    def weights(each: Weights) -> Weights:
        return replace(
            each,
            name=own(each.name),
            layer_of=each.layer_of and own(each.layer_of),
            parameters_of=each.parameters_of and own(each.parameters_of),
            copy_of=each.copy_of and own(each.copy_of),
            ties={key: replace(tie, owner=own(tie.owner)) for key, tie in each.ties.items()},
        )

    def edge(each: Edge) -> Edge:
        return replace(each, node=plain_name(each.node))

    nodes = {
        plain_name(name): replace(
            node,
            name=plain_name(name),
            weights=own(node.weights),
            inputs=tuple(map(edge, node.inputs)),
        )
        for name, node in graph.nodes.items()
    }
    return replace(
        graph,
        nodes=nodes,
        weights={own(name): weights(each) for name, each in graph.weights.items()},
        heads={task: plain_name(name) for task, name in graph.heads.items()},
    )
