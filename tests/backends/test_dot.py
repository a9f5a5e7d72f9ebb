from __future__ import annotations

import random
import re
from dataclasses import replace
from pathlib import Path

import graphviz
import pytest
from pytest_regressions.file_regression import FileRegressionFixture

import graphspec as gs
from graphspec.backends import dot, figures, mermaid, wording
from graphspec.backends.drawing import sketch
from graphspec.backends.figures import FAINT_INK, INK, PAPER, Role
from graphspec.graph.ir import Edge, Graph
from graphspec.language.signature import TaskSpec
from graphspec.ops.types import BATCH, TensorType
from tests.backends import drawn_graphs as drawn

GOLDEN = Path(__file__).parents[1] / "golden" / "diagrams"
SPECS = Path(__file__).parents[2] / "specs"


def box(graph: Graph, name: str) -> figures.Box:
    return next(box for box in sketch(graph).boxes if box.name == name)


@pytest.mark.parametrize("number", range(1, 7))
def test_the_six_are_drawn_as_agreed(number: int, file_regression: FileRegressionFixture) -> None:
    graph = gs.analyze(gs.load(SPECS / f"arch{number}.yaml"))
    golden = GOLDEN / f"arch{number}.dot"
    file_regression.check(dot.write(graph), fullpath=golden, encoding="utf-8")


@pytest.mark.parametrize("name", ["siamese", "recurrent", "odd_names", "crowd"])
def test_other_topologies_are_drawn_as_agreed(
    name: str, file_regression: FileRegressionFixture
) -> None:
    text = dot.write(getattr(drawn, name)())
    file_regression.check(text, fullpath=GOLDEN / f"{name}.dot", encoding="utf-8")


def test_the_order_of_the_file_changes_nothing() -> None:
    graph = drawn.crowd()
    names = list(graph.nodes)
    random.Random(3).shuffle(names)
    shuffled = replace(graph, nodes={name: graph.nodes[name] for name in names})
    assert dot.write(shuffled) == dot.write(graph)


def test_boxes_say_what_a_node_does() -> None:
    graph = drawn.architecture(5)
    assert box(graph, "conv_layers").what == ("conv 64 64 64 | 128 128",)
    assert box(graph, "conv_layers").size == "297 k parameters"
    assert box(graph, "fc_layers_1").what == ("fc 1024 512",)
    assert box(graph, "fine_label").what == ("head fine: 100 classes",)
    assert box(graph, "concat").what == ()
    assert box(graph, "concat").size == ""
    assert sketch(graph).size == "18.5 M parameters"


def test_arguments_that_are_not_the_default_are_told() -> None:
    conv, lstm = drawn.CONV, drawn.LSTM
    told = wording.step_text
    assert told(drawn.step(conv, channels=64)) == "conv 64"
    assert told(drawn.step(conv, channels=[32, [64, 64], 128])) == "conv 32 (64 64) 128"
    assert told(drawn.step(conv, channels=[8], kernel_size=5, pool=None)) == (
        "conv 8 kernel_size=5 pool=none"
    )
    assert told(drawn.step(lstm, hidden_size=64, bidirectional=True)) == (
        "LSTM 64 bidirectional=true"
    )
    assert told(drawn.step(drawn.FC, units=[4], dropout=0.5)) == "fc 4 dropout=0.5"
    assert len(told(drawn.step(conv, channels=[64] * 1000))) == len("conv ") + 60


def test_arrows_carry_shapes_ports_and_input_names() -> None:
    labels = {(a.tail, a.head): a.label for a in sketch(drawn.recurrent()).arrows}
    assert labels["tokens", "embed"] == "35 int64"
    assert labels["lstm", "last"] == ".1: 2×N×64"
    book = drawn.Sketchbook({"x": drawn.tensor(8)}, {"t": TaskSpec(2)})
    book.call("a", drawn.step(drawn.CONCAT), Edge("x", name="query"), "x", out=drawn.tensor())
    book.head("t", "a")
    labels_in_order = [arrow.label for arrow in sketch(book.graph()).arrows]
    assert labels_in_order == ["query: 8", "8", "scalar"]
    assert dot.write(book.graph()).count("x -> a") == 2


def test_colours_tell_which_tasks_a_node_serves() -> None:
    graph = drawn.architecture(5)
    fine, coarse = (sketch(graph).tasks[task] for task in ("fine", "coarse"))
    assert box(graph, "fine_label").paint == fine
    assert box(graph, "coarse_label").paint == coarse
    assert box(graph, "conv_layers").tasks == ("coarse", "fine")
    assert box(graph, "conv_layers").paint == box(graph, "fc_layers").paint
    assert box(graph, "fc_layers_2").paint.line == fine.line
    assert box(graph, "fc_layers_2").paint.fill != fine.fill
    assert [key.text for key in sketch(graph).legend] == [
        "coarse: 20 classes",
        "fine: 100 classes",
        "both tasks",
    ]


def test_independent_networks_have_no_box_for_both_tasks() -> None:
    legend = sketch(drawn.architecture(1)).legend
    assert [key.text for key in legend] == ["coarse: 20 classes", "fine: 100 classes"]


def test_a_task_has_the_same_colour_in_every_variant() -> None:
    paints = [sketch(drawn.architecture(number)).tasks for number in range(1, 7)]
    assert all(list(paint.items()) == list(paints[0].items()) for paint in paints)


def test_a_box_for_some_of_many_tasks_says_so() -> None:
    graph = drawn.crowd()
    assert box(graph, "both").what[-1] == "for 3 of 8 tasks"
    assert [key.text for key in sketch(graph).legend][-2:] == ["all tasks", "several tasks"]


def test_calls_of_shared_weights_look_alike_and_count_once() -> None:
    graph = drawn.siamese()
    left, right = box(graph, "left"), box(graph, "right")
    assert left.badge == right.badge == "shared ×2"
    assert left.paint == right.paint != box(graph, "left_vector").paint
    assert (left.size, right.size) == ("4.80 k parameters", "weights of left")
    assert sketch(graph).size == "407 k parameters"
    assert sketch(graph).legend[-1].text == "shared weights"
    assert dot.write(graph).count(">shared ×2<") == 4


def test_pruned_owner_leaves_its_parameters_to_the_first_call() -> None:
    graph = drawn.siamese()
    kept = [name for name in graph.nodes if name not in ("left", "left_vector", "concat")]
    right_only = replace(graph.keep(kept), tasks={}, heads={})
    nodes = {name: n for name, n in right_only.nodes.items() if n.task is None}
    assert box(replace(right_only, nodes=nodes), "right").size == "4.80 k parameters"
    assert box(replace(right_only, nodes=nodes), "right").badge == ""


def test_sharing_without_weights_is_not_called_sharing() -> None:
    book = drawn.Sketchbook({"x": drawn.tensor(8)}, {"t": TaskSpec(2)})
    book.call("a", drawn.step(drawn.RELU), "x", out=drawn.tensor(8))
    book.share("b", "a", "a")
    book.head("t", "b")
    assert box(book.graph(), "b").badge == ""


def test_a_node_without_a_task_is_dashed() -> None:
    graph = drawn.recurrent()
    assert box(graph, "unread").tasks == ()
    line = next(x for x in dot.write(graph).splitlines() if x.startswith("\tunread "))
    assert "dashed" in line
    assert sketch(graph).legend[-1].text == "no task"


def test_names_stay_names_whatever_they_contain() -> None:
    graph = drawn.odd_names()
    text = dot.write(graph)
    assert "\x07" not in text
    assert "&lt;&lt;B&gt;x&lt;/B&gt;&gt;" in text
    assert 'digraph "odd \\"graph\\" <b>"' in text
    ids = re.findall(r"^\t(\S+|\"[^\"]*\") \[label", text, flags=re.MULTILINE)
    assert len(set(ids)) == len(graph.nodes) + len(graph.inputs)
    assert graphviz.Source(text).source.strip() == text.strip()


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.00 k"),
        (12_345, "12.3 k"),
        (99_949, "99.9 k"),
        (99_950, "100 k"),
        (999_499, "999 k"),
        (999_500, "1.00 M"),
        (18_499_000, "18.5 M"),
        (7_000_000_000, "7.00 B"),
        (123_456_000_000_000_000, "123456 T"),
    ],
)
def test_counts_have_three_digits(count: int, shown: str) -> None:
    assert wording.count_text(count) == shown


def test_shapes_leave_the_batch_out() -> None:
    assert wording.shape_text(drawn.tensor(64, 16, 16)) == "64×16×16"
    assert wording.shape_text(TensorType((4 * BATCH, 8))) == "4N×8"
    assert wording.shape_text(TensorType((BATCH,), "bool")) == "scalar bool"


def test_long_names_break_where_they_can_and_lose_their_middle() -> None:
    assert wording.wrap("fc_layers", 32) == ("fc_layers",)
    assert wording.wrap("tower.task_with_a_name.level_1", 16) == (
        "tower.task_with_",
        "a_name.level_1",
    )
    assert wording.wrap("one two three", 8) == ("one two", "three")
    lines = wording.wrap("x" * 100 + "end", 20)
    assert [len(line) for line in lines] == [20, 20, 20]
    assert lines[-1].startswith("…")
    assert lines[-1].endswith("end")
    assert wording.wrap("  ", 8) == ()
    assert wording.wrap("tab\there \x00", 20) == ("tab here �",)


def test_text_can_be_read_on_every_fill() -> None:
    for graph in (drawn.crowd(), drawn.siamese(), drawn.recurrent()):
        for drawn_box in sketch(graph).boxes:
            assert contrast(INK, drawn_box.paint.fill) >= 7
            if drawn_box.role is not Role.HEAD:
                assert contrast(FAINT_INK, drawn_box.paint.fill) >= 5.5
            assert contrast(FAINT_INK, drawn_box.paint.fill) >= 3.5
            if drawn_box.badge:
                assert contrast(PAPER, drawn_box.paint.line) >= 4.5


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours after WCAG 2.1, from 1 to 21."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_only_large_diagrams_are_hurried() -> None:
    assert "nslimit" not in dot.write(drawn.crowd())
    assert "nslimit" in dot.write(drawn.crowd(tasks=30, depth=10))


def test_where_no_gradient_flows_back_the_arrow_is_dashed() -> None:
    spec = gs.load("policies/arch5", {"policy": "teacher"})
    drawn = [line for line in dot.write(gs.analyze(spec)).splitlines() if "->" in line]
    dashed = [line for line in drawn if "style=dashed" in line]
    assert len(dashed) == 1
    assert "teacher" in dashed[0]
    text = mermaid.write(gs.analyze(spec))
    assert text.count("-.->") == 1
