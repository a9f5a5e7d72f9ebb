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
    assert (found.nodes["again"].owned, found.nodes["shared"].owned) == (True, False)
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
    assert (found.nodes["above"].owned, found.nodes["again"].owned) == (False, True)


def test_memory_of_training(found: analysis.Analysis) -> None:
    expected = 4 * 4 * found.parameters + 10 * found.activation_bytes
    assert found.training_bytes(10) == expected
