"""What is warned of, and what is not: each rule at its edges. The messages are golden files."""

from __future__ import annotations

import pytest

import graphspec as gs
from graphspec import compiler
from tests.strategies import HEAD


def warned(nodes: str) -> list[str]:
    """Return the warnings of a graph as ``code@line``; its first node stands on line 5."""
    found = compiler.check(compiler.load_text(f"{HEAD}nodes:\n{nodes}")).warnings
    return [f"{d.code.value}@{d.location.split(':')[1]}" for d in found]


def maps(*layers: str) -> str:
    return f"""\
  a: {{layers: [{", ".join(layers)}], from: image}}
  flat: {{op: flatten, from: a}}
  fine: {{op: head, from: flat, task: fine}}
  coarse: {{op: head, from: flat, task: coarse}}
"""


CONV = "{Conv2d: {out_channels: 4, kernel_size: 3%s}}"


@pytest.mark.parametrize(
    ("layers", "count"),
    [
        ((CONV % "", "BatchNorm2d"), 1),
        ((CONV % "", "InstanceNorm2d"), 1),
        ((CONV % "", "norm"), 1),
        ((CONV % "", "BatchNorm2d", CONV % "", "BatchNorm2d"), 2),
        ((CONV % ", bias: false", "BatchNorm2d"), 0),
        ((CONV % ", bias: true", "BatchNorm2d"), 0),
        ((CONV % "", "ReLU", "BatchNorm2d"), 0),
        ((CONV % "", "{norm: layer}"), 0),
        (("{conv: {channels: [[4]], activation: none, pool: none}}",), 0),
        # Linear layers over the last dimension, statistics over the channels.
        (("{Linear: 4}", "BatchNorm2d"), 0),
    ],
)
def test_a_bias_before_a_normalisation(layers: tuple[str, ...], count: int) -> None:
    assert warned(maps(*layers)) == ["bias-before-norm@5"] * count


def test_a_bias_has_its_use_where_anything_else_reads_it() -> None:
    nodes = """\
  a: {op: Conv2d, from: image, out_channels: 4, kernel_size: 3}
  b: {op: BatchNorm2d, from: a}
  c: {op: add, from: [b, OTHER]}
  flat: {op: flatten, from: c}
  fine: {op: head, from: flat, task: fine}
  coarse: {op: head, from: flat, task: coarse}
"""
    assert warned(nodes.replace("OTHER", "b")) == ["bias-before-norm@5"]
    assert warned(nodes.replace("OTHER", "a")) == []


SOFTMAX = """\
  x: {op: fc, from: image, units: 5}
  a: {A, from: x}
  fine: {op: head, from: a, task: fine LAYER}
  coarse: {op: head, from: x, task: coarse}
"""


@pytest.mark.parametrize(
    ("op", "layer", "warns"),
    [
        ("op: softmax, dim: 1", "", True),
        ("op: LogSoftmax, dim: 1", "", True),
        ("layers: [{Linear: 8}, {Softmax: {dim: 1}}]", "", True),
        ("layers: [{Softmax: {dim: 1}}, {Linear: 8}]", "", False),
        ("op: sigmoid", "", False),  # a hidden layer as any other
        ("op: sigmoid", ", layer: none", True),
        ("op: Linear, out_features: 5", ", layer: none", False),
    ],
)
def test_softmax_before_a_head(op: str, layer: str, warns: bool) -> None:
    nodes = SOFTMAX.replace("A", op, 1).replace(" LAYER", layer)
    assert warned(nodes) == ["softmax-before-loss@6"] * warns


def test_the_probabilities_of_another_head_are_meant() -> None:
    nodes = """\
  x: {op: fc, from: image, units: 5}
  coarse: {op: head, from: x, task: coarse}
  known: {op: softmax, from: coarse}
  fine: {op: head, from: known, task: fine}
"""
    assert warned(nodes) == []


GRADIENT = """\
  a: {op: fc, from: image, units: 5}
  b: {op: fc, from: a, units: 5}
  both: {op: concat, from: [a, b]}
  fine: {op: head, from: a, task: fine}
  coarse: {op: head, from: b, task: coarse}
"""


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "", []),
        ("from: b, task", "from: {node: b, detach: true}, task", ["no-gradient@9"]),
        ("from: b, task", "from: {node: b, gradient_scale: 0}, task", ["no-gradient@9"]),
        ("from: b, task", "from: {node: b, as: onehot}, task", ["no-gradient@9"]),
        ("from: b, task", "from: {node: b, gradient_scale: 0.1}, task", []),
        # A gradient on one way is enough, and `a` has it from the other head.
        ("from: a, units", "from: {node: a, detach: true}, units", []),
        # Frozen weights are meant to stay, whether or not a gradient passes.
        ("b: {op: fc, from: a, units: 5}", "b: {op: fc, from: a, units: 5, trainable: false}", []),
    ],
)
def test_parameters_that_no_loss_reaches(old: str, new: str, expected: list[str]) -> None:
    nodes = GRADIENT.replace("  both: {op: concat, from: [a, b]}\n", "  # nothing\n")
    assert warned(nodes.replace(old, new, 1) if old else nodes) == expected


def test_what_is_left_out_anyway_is_not_warned_of_again() -> None:
    nodes = GRADIENT.replace("from: [a, b]", "from: [{node: a, detach: true}, b]")
    assert warned(nodes) == ["unused-node@7"]


def test_weights_that_another_call_trains_are_trained() -> None:
    nodes = """\
  a: {op: Linear, from: image, out_features: 8}
  b: {share: a, from: {node: a, detach: true}}
  flat: {op: flatten, from: {node: b, detach: true}}
  also: {op: flatten, from: a}
  fine: {op: head, from: flat, task: fine}
  coarse: {op: head, from: also, task: coarse}
"""
    assert warned(nodes) == []
    assert warned(
        nodes.replace("flatten, from: a}", "flatten, from: {node: a, detach: true}}")
    ) == ["no-gradient@7"]


def test_a_mistake_elsewhere_keeps_the_warnings_that_need_the_whole_graph() -> None:
    nodes = GRADIENT.replace("from: b, task", "from: {node: b, detach: true}, task")
    with pytest.raises(gs.SpecError) as caught:
        compiler.check(compiler.load_text(f"{HEAD}nodes:\n{nodes}  c: {{op: nothing, from: a}}\n"))
    assert {d.code.value for d in caught.value.diagnostics} == {"unknown-op"}


def test_a_head_that_another_loss_trains_is_a_note_and_no_warning() -> None:
    assert compiler.check("arch6").warnings == ()
    (note,) = gs.sharing("arch6").notes
    assert note.code is gs.Code.CROSS_TASK_GRADIENT
    assert note.location.endswith("arch6.yaml:11:3")
    assert note.message == "the head `fine_label` also receives the gradient of `coarse`"
    assert note.hint == "to keep it for `fine` alone: `from: {node: fine_label, detach: true}`"
    spec = gs.load("zoo/policies/arch6", {"detach": True})
    assert gs.sharing(spec).notes == ()
    assert gs.sharing("arch6", ["fine"]).notes == ()
