"""Blocks in diagrams: frames, closed boxes, and numbers that add up."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pytest_regressions.file_regression import FileRegressionFixture

import graphspec as gs
from graphspec import compiler
from graphspec.backends import dot, mermaid, picture
from graphspec.backends.drawing import sketch
from graphspec.backends.figures import Box, Role, Sketch
from graphspec.backends.ownership import ownership
from graphspec.graph.ir import Graph

GOLDEN = Path(__file__).parents[1] / "golden" / "diagrams"

SPEC = """\
graphspec: 1
name: nested
description: Blocks in blocks, on two inputs that share weights.
inputs: {left: {shape: [8]}, right: {shape: [8]}}
tasks: {one: {classes: 2}, two: {classes: 3}}
blocks:
  layer: {layers: [{Linear: 8}, ReLU]}
  residual:
    nodes:
      inner: {block: layer, from: input, repeat: 2}
      sum: {op: add, from: [inner, input]}
nodes:
  stage: {block: residual, from: left, repeat: 3}
  again: {share: stage, from: right}
  both: {op: concat, from: [stage, again]}
  expert: {block: layer, from: both, copies: 2}
  mixed: {op: concat, from: [expert, {node: both, detach: true}]}
  narrow: {op: Linear, from: mixed, out_features: 8}
  own: {each: {t: [one, two]}, block: residual, from: narrow}
  head: {each: {t: [one, two]}, op: head, from: own.$t, task: $t}
"""


@pytest.fixture(scope="module")
def graph() -> Graph:
    return gs.analyze(compiler.load_text(SPEC))


def boxes(drawn: Sketch) -> dict[str, Box]:
    return {box.name: box for box in drawn.boxes}


@pytest.mark.parametrize("depth", [0, 1, None])
def test_drawn_as_agreed(
    graph: Graph, depth: int | None, file_regression: FileRegressionFixture
) -> None:
    name = f"nested-{'all' if depth is None else depth}"
    file_regression.check(dot.write(graph, depth), fullpath=GOLDEN / f"{name}.dot")


def test_drawn_as_agreed_by_mermaid(graph: Graph, file_regression: FileRegressionFixture) -> None:
    file_regression.check(mermaid.write(graph, 1), fullpath=GOLDEN / "nested-1.mmd")


def test_closed_instances_of_a_group_are_one_box(graph: Graph) -> None:
    drawn = sketch(graph, depth=0)
    found = boxes(drawn)
    assert list(found) == [
        "left", "right", "again", "stage", "both", "expert", "mixed", "narrow", "own.one",
        "head.one", "own.two", "head.two",
    ]  # fmt: skip
    stage, again = found["stage"], found["again"]
    assert (stage.role, stage.what, stage.count) == (Role.BLOCK, ("residual",), "×3")
    assert (stage.size, again.size) == ("432 parameters", "weights of stage")
    assert stage.badge == again.badge == "shared ×2"
    assert stage.paint.line == again.paint.line != found["expert"].paint.line
    assert (found["own.one"].count, found["own.one"].tasks) == ("", ("one",))
    assert drawn.clusters == ()
    arrows = [(arrow.tail, arrow.head, arrow.stopped) for arrow in drawn.arrows]
    assert [a for a in arrows if a[1] == "mixed"] == [
        ("expert", "mixed", False), ("both", "mixed", True),
    ]  # fmt: skip
    assert ("stage", "stage", False) not in arrows


def test_open_instances_are_frames_in_frames(graph: Graph) -> None:
    drawn = sketch(graph, depth=1)
    assert [(each.name, each.block, each.size, each.parent) for each in drawn.clusters][-2:] == [
        ("own.one", "residual", "144 parameters", ""),
        ("own.two", "residual", "144 parameters", ""),
    ]
    inner = boxes(drawn)["stage.1.inner"]
    assert (inner.title, inner.count, inner.frame) == (("inner",), "×2", "stage.1")
    whole = sketch(graph)
    assert not any(box.role is Role.BLOCK for box in whole.boxes)
    assert boxes(whole)["stage.1.inner.0"].title == ("inner.0",)


@pytest.mark.parametrize("depth", [0, 1, 2, None])
def test_every_box_stands_once_and_in_its_frame(graph: Graph, depth: int | None) -> None:
    drawn = sketch(graph, depth)
    text = dot.write(graph, depth)
    for name, box in boxes(drawn).items():
        pattern = rf'(\t+)"?{re.escape(name)}"? \['
        (tabs,) = filter(None, (re.match(pattern, line) for line in text.splitlines()))
        levels = 1
        frame = box.frame
        while frame:
            levels += 1
            frame = next(each.parent for each in drawn.clusters if each.name == frame)
        assert len(tabs[1]) == levels, name
    frames = [each.name for each in drawn.clusters]
    assert text.count("subgraph cluster_") == len(frames) == len(set(frames))
    assert mermaid.write(graph, depth).count("subgraph f") == len(frames)


def test_a_block_with_a_head_says_what_it_predicts() -> None:
    text = """\
graphspec: 1
name: branch
inputs: {x: {shape: [8]}}
tasks: {t: {classes: 2}}
blocks:
  branch:
    parameters: {task: {type: str}}
    nodes: {fc: {op: fc, from: input, units: 4}, out: {op: head, from: fc, task: =task}}
nodes:
  exit: {block: branch, from: x, task: t}
"""
    drawn = sketch(gs.analyze(compiler.load_text(text)), depth=0)
    assert boxes(drawn)["exit"].what == ("branch", "predicts t")
    assert boxes(drawn)["exit"].paint == drawn.tasks["t"]


@pytest.mark.parametrize("name", ["gpt", "autoencoder", "siamese", "recurrent_refinement"])
def test_numbers_add_up_whatever_is_shared(name: str) -> None:
    graph = gs.analyze(name)
    model = gs.compile(graph)
    assert sum(ownership(graph).counts.values()) == sum(p.numel() for p in model.parameters())


def test_tied_weights_are_said_and_counted_once() -> None:
    found = boxes(sketch(gs.analyze("gpt")))
    assert (found["scores"].size, found["scores"].badge) == ("weights of embed", "shared ×2")
    assert (found["embed"].size, found["embed"].badge) == ("16.4 k parameters", "shared ×2")


@pytest.mark.parametrize("depth", [0, None])
def test_every_engine_draws_frames(graph: Graph, depth: int | None) -> None:
    for engine in picture.engines():
        svg = picture._run(engine, dot.write(graph, depth), "-Tsvg").decode()
        assert svg.count('class="cluster"') == len(sketch(graph, depth).clusters), engine.name
