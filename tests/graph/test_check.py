"""Cycles, heads, reserved names, and lint."""

from __future__ import annotations

import time

import networkx as nx
import pytest

from graphspec import compiler
from graphspec.errors import SpecError
from tests.strategies import HEAD, errors_of, found_in, places

LABEL = "  label: {op: head, from: x, task: fine}\n"


def found(nodes: str, head: str = HEAD) -> list[str]:
    return places(found_in(f"{head}nodes:\n{nodes}"))


def test_the_path_of_a_cycle_is_shown_whole() -> None:
    text = HEAD + (
        "nodes:\n  b: {op: add, from: [image, d]}\n  c: {op: fc, from: b, units: 3}\n"
        "  d: {op: fc, from: c, units: 3}\n" + LABEL.replace("x", "d")
    )
    (cycle,) = [d for d in found_in(text) if d.code.value == "cycle"]
    assert cycle.message == "nodes read each other in a circle: b -> c -> d -> b"
    assert [related.message for related in cycle.related] == ["`c` reads `b`", "`d` reads `c`"]


def test_a_long_cycle_is_shortened() -> None:
    nodes = "".join(f"  n{i}: {{op: fc, from: n{(i + 1) % 40}, units: 3}}\n" for i in range(40))
    text = f"{HEAD}nodes:\n{nodes}{LABEL.replace('x', 'n0')}"
    (cycle,) = [d for d in found_in(text) if d.code.value == "cycle"]
    assert cycle.message.count("->") == 11
    assert "..." in cycle.message


def test_sharing_is_no_cycle() -> None:
    nodes = "  a: {op: fc, from: image, units: 192, norm: none}\n  x: {share: a, from: a}\n"
    assert errors_of(f"{HEAD}nodes:\n{nodes}{LABEL}") == []


def test_two_cycles_are_two_messages_and_the_rest_is_checked() -> None:
    nodes = (
        "  a: {op: add, from: [image, b]}\n  b: {op: fc, from: a, units: 3}\n"
        "  c: {op: add, from: [b, d]}\n  d: {op: fc, from: c, units: 3}\n"
        "  x: {op: concat, from: [image, image], dim: 7}\n"
    )
    codes = [each.partition("@")[0] for each in errors_of(f"{HEAD}nodes:\n{nodes}{LABEL}")]
    assert codes == ["cycle", "cycle", "bad-argument"]


def test_names_of_modules_are_reserved() -> None:
    for name in ("forward", "training", "T_destination", "state_dict", "_modules", "graph"):
        nodes = f"  {name}: {{op: fc, from: image, units: 3}}\n" + LABEL.replace("x", name)
        assert any(each.startswith("reserved-name@5:3") for each in found(nodes))


def test_lint_is_not_mixed_into_mistakes_that_cause_it() -> None:
    nodes = "  side: {op: fc, from: image, units: 3}\n  x: {op: fc, from: side, unit: 3}\n"
    assert found(nodes + LABEL) == ["unknown-argument@6:27"]


def test_lint() -> None:
    nodes = (
        "  side: {op: fc, from: image, units: 3}\n"
        "  x: {op: fc, from: image, units: 3}\n  y: {share: x, from: image}\n"
        "  z: {op: add, from: [x, y]}\n" + LABEL.replace("x", "z")
    )
    assert found(nodes, HEAD + "vars: {a: 1, b: =a}\n") == [
        "untrained-task@3:29",
        "unused-variable@4:14",
        "unused-node@6:3",
        "shared-batch-norm@8:3",
    ]


def test_five_thousand_nodes_are_checked_in_seconds() -> None:
    chain = "".join(
        f"  n{i}: {{op: fc, from: {f'n{i - 1}' if i else 'image'}, units: 8}}\n"
        for i in range(5000)
    )
    wide = f"  x: {{op: concat, from: [{', '.join(f'n{i}' for i in range(0, 5000, 3))}]}}\n"
    start = time.process_time()
    graph = compiler.analyze(compiler.load_text(f"{HEAD}nodes:\n{chain}{wide}{LABEL}"))
    assert time.process_time() - start < 30  # quadratic work takes minutes
    assert len(graph.nodes) == 5001
    assert nx.is_directed_acyclic_graph(graph.digraph)


@pytest.mark.parametrize(
    "form",
    ["{op: fc, from: q%d, units: 3}", "{op: fcq%d, from: image}", "{share: q%d, from: image}"],
)
def test_three_thousand_mistakes_are_reported_in_seconds(form: str) -> None:
    nodes = "".join(f"  n{i}: {form % i}\n" for i in range(3000))
    start = time.process_time()
    with pytest.raises(SpecError) as caught:
        compiler.check(compiler.load_text(f"{HEAD}nodes:\n{nodes}"))
    assert time.process_time() - start < 20
    assert len(caught.value.diagnostics) == 3000
    assert str(caught.value).endswith("... and 2980 more")
