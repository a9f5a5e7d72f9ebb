"""Two topologies in one diagram: golden files, and what a reader must be able to tell."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from pytest_regressions.file_regression import FileRegressionFixture

import graphspec as gs
from graphspec import compiler
from graphspec.backends import difference_data, difference_text, dot, mermaid
from graphspec.backends.figures import INK, LINES, PAPER, Mark, Sketch
from graphspec.backends.overlay import _PAINTS, overlay
from graphspec.compiler import Checked
from graphspec.graph.comparison import Comparison, compare
from tests.backends import drawn_graphs as drawn
from tests.backends.test_dot import contrast
from tests.random_specs import Drawn, drawn_specs

GOLDEN = Path(__file__).parents[1] / "golden" / "differences"

PAIRS = [
    ("arch1", "arch2", None),
    ("arch2", "arch5", None),
    ("arch3", "arch4", None),
    ("arch3", "arch3_detach", None),
    ("hard_sharing", "cross_stitch", 0),
    ("cgc", "ple", None),
]


POLICIES = Path(__file__).parents[2] / "docs" / "study" / "policies"


def located(name: str) -> str | Path:
    """Return where a spec is: shipped, or beside the study of edge policies."""
    own = POLICIES / f"{name}.yaml"
    return own if own.is_file() else name


@cache
def compared(first: str, second: str) -> Comparison:
    return compiler.compare(compiler.check(located(first)), compiler.check(located(second)))


@pytest.mark.parametrize("suffix", ["txt", "json", "dot", "mmd"])
@pytest.mark.parametrize(("first", "second", "depth"), PAIRS, ids=lambda value: str(value))
def test_pairs_are_told_and_drawn_as_agreed(
    first: str,
    second: str,
    depth: int | None,
    suffix: str,
    file_regression: FileRegressionFixture,
) -> None:
    found, labels = compared(first, second), (first, second)
    if suffix == "txt":
        text = "\n".join(difference_text.lines(found, labels)) + "\n"
    elif suffix == "json":
        text = json.dumps(difference_data.record(found, labels), indent=1) + "\n"
    else:
        sketch = overlay(found, labels, depth)
        text = dot.draw(sketch) if suffix == "dot" else mermaid.draw(sketch)
    golden = GOLDEN / f"{first}-{second}.{suffix}"
    file_regression.check(text, fullpath=golden, encoding="utf-8")


def marks(sketch: Sketch) -> dict[str, Mark | None]:
    return {box.name: box.mark for box in sketch.boxes}


def test_every_box_and_arrow_has_its_mark() -> None:
    sketch = overlay(compared("arch2", "arch5"), ("arch2", "arch5"))
    assert marks(sketch) == {
        "image": Mark.SAME,
        "conv_layers": Mark.SAME,
        "fc_layers_fine": Mark.REMOVED,
        "fc_layers": Mark.CHANGED,
        "coarse_label": Mark.SAME,
        "fc_layers_1": Mark.ADDED,
        "concat": Mark.ADDED,
        "fc_layers_2": Mark.ADDED,
        "fine_label": Mark.CHANGED,
    }
    changes = {box.name: box.changes for box in sketch.boxes if box.changes}
    assert changes == {"fc_layers": ("was fc_layers_coarse",), "fine_label": ("rewired",)}
    arrows = {(a.tail, a.head): a for a in sketch.arrows}
    assert arrows["fc_layers_fine", "fine_label"].mark is Mark.REMOVED
    assert arrows["fc_layers_fine", "fine_label"].label == "− 128"
    assert arrows["coarse_label", "concat"].mark is Mark.ADDED
    assert arrows["conv_layers", "fc_layers"].mark is Mark.SAME
    assert [key.text for key in sketch.legend] == ["+ added", "− removed", "~ changed", "unchanged"]


def test_an_edge_that_passes_on_something_else_is_one_arrow() -> None:
    sketch = overlay(compared("arch3", "arch3_detach"), ("a", "b"))
    (arrow,) = [a for a in sketch.arrows if a.mark]
    assert (arrow.label, arrow.mark) == ("~ 20 (as it is → detach)", Mark.CHANGED)
    assert arrow.stopped
    assert sketch.legend[-1].text == "dotted: no gradient flows back"
    assert '"~ 20 (as it is → detach)"' in mermaid.draw(sketch)


def test_what_is_gone_does_not_turn_the_diagram_around() -> None:
    """`arch3` hands on coarse to fine and `arch4` fine to coarse: both together are a cycle."""
    sketch = overlay(compared("arch3", "arch4"), ("arch3", "arch4"))
    loose = {(a.tail, a.head) for a in sketch.arrows if a.loose}
    assert loose == {("coarse_label", "concat"), ("fc_layers_2", "fine_label")}
    text = dot.draw(sketch)
    assert text.count("constraint=false") == 2


def test_a_closed_block_says_how_much_in_it_differs() -> None:
    sketch = overlay(compared("resnet18", "resnet50"), ("a", "b"), 0)
    (box,) = [box for box in sketch.boxes if box.name == "layer1"]
    assert box.changes == (
        "basic_block → bottleneck",
        "×2 → ×3",
        "nodes inside: 6 changed, 17 added",
    )
    assert box.size == "148 k → 216 k parameters"


def test_a_renamed_instance_keeps_its_frame() -> None:
    spec = """\
graphspec: 1
name: x
inputs: {image: {shape: [8]}}
tasks: {t: {classes: 3}}
blocks:
  tower: {nodes: {a: {op: Linear, from: input, out_features: 8}, b: {op: ReLU, from: a}}}
nodes:
  left: {block: tower, from: image}
  label: {op: head, from: left, task: t}
"""
    first, second = (
        compiler.check(compiler.load_text(text)) for text in (spec, spec.replace("left", "right"))
    )
    found = compiler.compare(first, second)
    assert dict(found.structure.renamed) == {"left.a": "right.a", "left.b": "right.b"}
    sketch = overlay(found, ("a", "b"))
    assert [(frame.name, frame.mark) for frame in sketch.clusters] == [("right", Mark.SAME)]
    assert difference_text.lines(found, ("a", "b"))[4] == "~ left.* -> right.* (2 nodes)"
    closed = overlay(found, ("a", "b"), 0)
    assert marks(closed) == {"image": Mark.SAME, "right": Mark.CHANGED, "label": Mark.SAME}


def test_the_same_twice_is_all_grey_and_said_so() -> None:
    found = compared("arch5", "arch5")
    sketch = overlay(found, ("arch5", "arch5"))
    assert set(marks(sketch).values()) == {Mark.SAME}
    assert sketch.description == ("nodes: 7 the same",)
    assert difference_text.lines(found, ("x", "y")) == ["A  x", "B  y", "", "no difference"]


def test_text_is_readable_on_every_ground() -> None:
    for mark, paint in _PAINTS.items():
        assert contrast(INK, paint.fill) > 10
        if mark:
            assert contrast(LINES[mark], PAPER) > 4.5


@pytest.mark.parametrize("name", ["crowd", "odd_names", "recurrent", "siamese"])
def test_odd_topologies_against_each_other(name: str) -> None:
    first = getattr(drawn, name)()
    for other in (drawn.siamese(), drawn.odd_names()):
        for pair in ((first, other), (other, first)):
            sides = compare_drawn(*pair)
            both = {*pair[0].nodes, *pair[0].inputs, *pair[1].nodes, *pair[1].inputs}
            sketch = overlay(sides, ("a", "b"))
            assert {box.name for box in sketch.boxes} == both
            assert dot.draw(sketch).startswith("digraph")
            assert mermaid.draw(sketch).startswith("flowchart")


def compare_drawn(first: gs.Graph, second: gs.Graph) -> Comparison:
    """Return a comparison of graphs that were built by hand, whose ops cannot be run."""
    from unittest import mock

    from graphspec.graph import comparison
    from graphspec.graph.analysis import Analysis

    nothing = Analysis({}, 0, 0, 0, 0, 0, {}, 0, 0)
    with mock.patch.object(comparison, "analyse", return_value=nothing):
        return compare(first, second)


@given(drawn_specs(), drawn_specs())
def test_any_two_are_told_and_drawn(first: Drawn, second: Drawn) -> None:
    sides = [compiler.check(compiler.load_text(each.text)) for each in (first, second)]
    same = compiler.compare(sides[0], sides[0])
    assert same.is_empty
    assert set(marks(overlay(same, ("a", "a"))).values()) == {Mark.SAME}
    found = compiler.compare(*sides)
    for depth in (None, 0):
        sketch = overlay(found, ("a", "b"), depth)
        names = [box.name for box in sketch.boxes]
        assert len(set(names)) == len(names)
        assert {a.tail for a in sketch.arrows} | {a.head for a in sketch.arrows} <= set(names)
        frames = {""} | {frame.name for frame in sketch.clusters}
        assert {box.frame for box in sketch.boxes} <= frames
        _all_arrows(sides, found, sketch, depth)
        dot.draw(sketch)
        mermaid.draw(sketch)
    text = difference_text.lines(found, ("a", "b"))
    assert (text[-1] == "no difference") == found.is_empty
    json.dumps(difference_data.record(found, ("a", "b")))


def _all_arrows(sides: list[Checked], found: Comparison, sketch: Sketch, depth: int | None) -> None:
    """With all blocks open every edge of both is drawn, and has the mark of its side."""
    if depth is not None:
        return
    counts = [sum(len(node.inputs) for node in side.graph.nodes.values()) for side in sides]
    kinds = [arrow.mark for arrow in sketch.arrows]
    assert len(kinds) - kinds.count(Mark.ADDED) == counts[0]
    assert len(kinds) - kinds.count(Mark.REMOVED) == counts[1]
    assert (
        marks(sketch).keys() - found.new.graph.nodes.keys() - found.new.graph.inputs.keys()
    ) == {
        *found.structure.removed,
        *(found.old.graph.inputs.keys() - found.new.graph.inputs.keys()),
    }
