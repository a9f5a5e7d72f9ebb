"""Parameters, FLOPs and activation memory, against numbers worked out by hand."""

from __future__ import annotations

import pytest

import graphspec as gs
from graphspec import compiler
from graphspec.graph import analysis
from graphspec.graph.analysis import analyse

TEXT = """
graphspec: 1
inputs: {image: {shape: [3, 8, 8]}}
tasks: {t: {classes: 5}, u: {classes: 2}}
nodes:
  trunk: {op: Conv2d, from: image, out_channels: 4, kernel_size: 3, padding: 1}
  again: {op: Conv2d, from: trunk, out_channels: 4, kernel_size: 3, padding: 1}
  shared: {share: again, from: again}
  flat: {op: flatten, from: shared}
  flat_trunk: {op: flatten, from: trunk}
  label: {op: head, from: flat, task: t}
  other: {op: head, from: flat_trunk, task: u}
"""
TRUNK = 3 * 4 * 9 + 4
AGAIN = 4 * 4 * 9 + 4
LABEL = 256 * 5 + 5
OTHER = 256 * 2 + 2


@pytest.fixture(scope="module")
def found() -> analysis.Analysis:
    return analyse(gs.analyze(compiler.load_text(TEXT)))


def test_parameters_count_shared_weights_once(found: analysis.Analysis) -> None:
    assert found.parameters == TRUNK + AGAIN + LABEL + OTHER
    assert found.naive_parameters == found.parameters + AGAIN
    assert found.shared == {"again": ("again", "shared")}
    assert (found.nodes["again"].counted, found.nodes["shared"].counted) == (AGAIN, 0)
    assert found.nodes["shared"].parameters == AGAIN


def test_flops_count_every_call_and_a_multiply_add_as_two(found: analysis.Analysis) -> None:
    conv = 2 * 64 * 4 * 4 * 9
    assert found.nodes["trunk"].flops == 2 * 64 * 4 * 3 * 9
    assert found.nodes["again"].flops == found.nodes["shared"].flops == conv
    assert found.nodes["label"].flops == 2 * 256 * 5
    assert found.flops == sum(cost.flops for cost in found.nodes.values())


def test_activation_memory_is_per_sample_and_views_are_free(found: analysis.Analysis) -> None:
    assert found.nodes["trunk"].activation_bytes == 4 * 64 * 4
    assert found.nodes["flat"].activation_bytes == 0
    assert found.nodes["label"].activation_bytes == 5 * 4


def test_activation_memory_of_a_stack_counts_every_layer() -> None:
    graph = gs.analyze(gs.load("arch5", {"width": 4}))
    conv = 3 * 2 * 4 * 32 * 32 + 2 * 4 * 16 * 16  # three conv + ReLU, pool, batch-norm
    conv += 2 * 2 * 8 * 16 * 16 + 2 * 8 * 8 * 8
    assert analyse(graph).nodes["conv_layers"].activation_bytes == 4 * conv


def test_tasks(found: analysis.Analysis) -> None:
    assert found.nodes["trunk"].tasks == {"t", "u"}
    assert found.nodes["again"].tasks == {"t"}
    assert found.nodes["other"].tasks == {"u"}


class TestMemoryLimit:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("16GiB", 16 * 2**30),
            ("800MB", 800 * 10**6),
            ("1.5 gib", 3 * 2**29),
            ("4096", 4096),
            (5, 5),
        ],
    )
    def test_sizes(self, text: str | int, expected: int) -> None:
        assert analysis.memory_limit(text) == expected

    @pytest.mark.parametrize("text", ["lots", "", "-1GB", "1XB", "nan", "1e300TiB"])
    def test_what_is_no_size(self, text: str) -> None:
        with pytest.raises(gs.SpecError) as caught:
            analysis.memory_limit(text)
        assert caught.value.diagnostics[0].code is gs.Code.BAD_OPTION

    def test_a_model_too_large_is_refused_before_anything_is_allocated(self) -> None:
        text = TEXT.replace("out_channels: 4", "out_channels: 2000000")
        with pytest.raises(gs.SpecError) as caught:
            compiler.check(compiler.load_text(text))
        (found,) = caught.value.diagnostics
        assert found.code is gs.Code.OUT_OF_MEMORY
        assert "largest: `again` 36,000,002,000,000 parameters" in (found.hint or "")

    def test_the_limit_is_adjustable(self) -> None:
        spec = compiler.load_text(TEXT)
        assert compiler.check(spec, memory_limit="1MB").warnings == ()
        with pytest.raises(gs.SpecError, match=r"training needs 32\.2 KiB"):
            compiler.check(spec, memory_limit="10KB")


def test_a_long_sequence_costs_its_steps_without_running_them() -> None:
    text = """
graphspec: 1
inputs: {words: {shape: [LENGTH, 8]}}
tasks: {t: {classes: 5}}
nodes:
  lstm: {op: LSTM, from: words, hidden_size: 16}
  last: {op: mean, from: lstm.0, dim: 1}
  label: {op: head, from: last, task: t}
"""

    def cost(length: int) -> analysis.NodeCost:
        graph = gs.analyze(compiler.load_text(text.replace("LENGTH", str(length))))
        return analyse(graph).nodes["lstm"]

    assert cost(1).flops == 2 * 4 * 16 * (8 + 16)
    assert cost(50_000).flops == 50_000 * cost(1).flops


def test_weights_are_counted_at_the_node_that_defines_them() -> None:
    text = TEXT.replace("from: again}", "from: trunk}").replace("shared:", "above:")
    text = text.replace("from: shared}", "from: above}")
    text = text.replace("again: {op: Conv2d, from: trunk", "again: {op: Conv2d, from: above")
    text = text.replace("flat: {op: flatten, from: above}", "flat: {op: flatten, from: again}")
    found = analyse(gs.analyze(compiler.load_text(text)))
    assert (found.nodes["above"].counted, found.nodes["again"].counted) == (0, AGAIN)


def test_memory_of_training(found: analysis.Analysis) -> None:
    expected = 4 * 4 * found.parameters + 10 * found.activation_bytes
    assert found.training_bytes(10) == expected


MIXED = """
graphspec: 1
inputs: {image: {shape: [8]}}
tasks: {t: {classes: 5}, u: {classes: 2}}
nodes:
  a: {op: Linear, from: image, out_features: 8}
  own_statistics: {share: a, mode: parameters, from: a}
  tied: {op: Linear, from: own_statistics, out_features: 8, tie: {weight: a.weight}}
  twice: {layers: [{Linear: 8}, ReLU], from: tied}
  layer: {share: twice.0, from: twice}
  started: {copy: a, from: layer, trainable: false}
  label: {op: head, from: started, task: t}
  other: {op: head, from: own_statistics, task: u}
"""


def test_every_parameter_is_counted_once_however_it_is_shared() -> None:
    graph = gs.analyze(compiler.load_text(MIXED))
    found = analyse(graph)
    one, label, other = 8 * 8 + 8, 8 * 5 + 5, 8 * 2 + 2
    model = gs.compile(graph)
    assert found.parameters == sum(p.numel() for p in model.parameters())
    assert found.parameters == one + 8 + one + one + label + other
    assert found.naive_parameters == 6 * one + label + other
    assert found.frozen_parameters == one
    assert {name: cost.counted for name, cost in found.nodes.items()} == {
        "a": one, "own_statistics": 0, "tied": 8, "twice": one, "layer": 0, "started": one,
        "label": label, "other": other,
    }  # fmt: skip
    assert sum(cost.counted for cost in found.nodes.values()) == found.parameters
    assert sum(cost.parameters for cost in found.nodes.values()) == found.naive_parameters


def test_frozen_parameters_need_no_gradient_and_no_optimizer() -> None:
    found = analyse(gs.analyze(compiler.load_text(MIXED)))
    trained = found.parameters - found.frozen_parameters
    assert found.training_bytes(0) == 4 * (4 * trained + found.frozen_parameters)
    spec = compiler.load_text(MIXED)
    compiler.check(spec, memory_limit=found.training_bytes(0))
    with pytest.raises(gs.SpecError) as caught:
        compiler.check(spec, memory_limit=found.training_bytes(0) - 1)
    (mistake,) = caught.value.diagnostics
    assert mistake.code is gs.Code.OUT_OF_MEMORY
    assert (mistake.hint or "").startswith("largest: `a` 72 parameters, `twice` 72 parameters")


def test_the_first_user_counts_what_an_owner_without_a_call_leaves() -> None:
    graph = gs.analyze(compiler.load_text(MIXED.replace("from: tied}", "from: image}")), ["t"])
    found = analyse(graph)
    assert set(found.nodes) == {"twice", "layer", "started", "label"}
    assert found.nodes["started"].counted == 8 * 8 + 8
    assert found.parameters == sum(p.numel() for p in gs.compile(graph).parameters())
    text = MIXED.replace("from: twice}", "from: image}")
    graph = gs.analyze(compiler.load_text(text), ["t"])
    found = analyse(graph)
    assert (found.nodes["layer"].counted, "twice" in found.nodes) == (8 * 8 + 8, False)
    assert found.parameters == sum(p.numel() for p in gs.compile(graph).parameters())
    assert gs.reachability(graph).keys() == dict(gs.compile(graph).named_parameters()).keys()


def test_a_parameter_once_a_sample_is_a_view_without_a_cost() -> None:
    """torch's counter asked for the gradient function of such a view, which has none."""
    text = """
graphspec: 1
inputs: {words: {shape: [6, 8]}}
tasks: {t: {classes: 5}}
nodes:
  token: {op: parameter, from: words, shape: [1, 8]}
  all: {op: concat, from: [token, words], dim: 1}
  flat: {op: flatten, from: all}
  label: {op: head, from: flat, task: t}
"""
    found = analyse(gs.analyze(compiler.load_text(text)))
    assert (found.nodes["token"].parameters, found.nodes["token"].flops) == (8, 0)
    assert found.nodes["token"].activation_bytes == 0
    assert found.nodes["all"].activation_bytes == 4 * 7 * 8
