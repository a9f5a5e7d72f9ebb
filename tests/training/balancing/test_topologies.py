"""Every method on the six, and with one task; where GradNorm measures."""

from __future__ import annotations

import functools
import math

import pytest
import torch

import graphspec as gs
from graphspec import compiler
from graphspec.training.balancing.last_shared import last_shared
from graphspec.training.balancing.methods import METHODS

from .places import Place

SIX = [f"arch{number}" for number in range(1, 7)]


@functools.cache
def place(name: str, only: str | None = None) -> Place:
    """Return one of the six at its smallest, on images of 8x8."""
    spec = gs.load(
        name,
        {
            "width": 2,
            "data": None,
            "inputs": {"image": {"shape": [3, 8, 8]}},
            "tasks": {"fine": {"classes": 6}, "coarse": {"classes": 3}},
        },
    )
    graph = gs.analyze(spec, [only] if only else None)
    return Place(graph, {"fine": 2.0} if only is None else None, size=6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", SIX)
def test_a_step_of_the_six(name: str, method: str) -> None:
    found = place(name)
    balancer = found.balancer(method)
    gradients = found.gradients(balancer)
    assert gradients.keys() == {n for n, _ in found.model.named_parameters()}
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    assert all(gradients[n].any() for n in gradients if n.endswith("label.weight"))
    weights = balancer.weights()
    assert weights.keys() == {"fine", "coarse"}
    assert all(math.isfinite(weight) for weight in weights.values())
    if METHODS.get(method).shares and not found.site.shared:
        assert name == "arch1"
        plain = found.gradients(found.balancer("fixed"))
        assert all(torch.equal(gradients[n], plain[n]) for n in plain)


@pytest.mark.parametrize("method", METHODS)
def test_one_task_alone_is_plain_training(method: str) -> None:
    found = place("arch2", "fine")
    assert set(found.graph.tasks) == {"fine"}
    plain = found.gradients(found.balancer("fixed"))
    balanced = found.gradients(found.balancer(method))
    assert balanced.keys() == plain.keys()
    for name, gradient in balanced.items():
        torch.testing.assert_close(gradient, plain[name])


@pytest.mark.parametrize(
    ("name", "node"),
    [
        ("arch2", "conv_layers"),
        ("arch3", "coarse_label"),
        ("arch4", "fine_label"),
        ("arch5", "conv_layers"),
        ("arch6", "conv_layers"),
    ],
)
def test_gradnorm_measures_where_all_gradients_come_together(name: str, node: str) -> None:
    found = place(name)
    (parameter,), tasks = last_shared(found.site)
    assert parameter.rpartition(".")[0].split(".")[0] == node
    assert parameter.endswith("weight")
    assert found.model.get_parameter(parameter).dim() > 1
    assert tasks == {"fine", "coarse"}


EXPERTS = """\
graphspec: 1
inputs: {x: {shape: [4]}}
tasks: {a: {classes: 2}, b: {classes: 2}}
nodes:
  trunk: {op: Linear, from: x, out_features: 4}
  experts: {op: fc, from: trunk, copies: 3, units: [4, 3]}
  gate: {each: {t: =tasks}, from: trunk, layers: [{Linear: 3}, {Softmax: {dim: 1}}]}
  mixed: {each: {t: =tasks}, op: weighted_sum, from: [gate.$t, experts]}
  label: {each: {t: =tasks}, op: head, from: mixed.$t, task: $t}
"""


def test_gradnorm_measures_at_the_trunk_or_at_all_experts() -> None:
    found = Place(gs.analyze(compiler.load_text(EXPERTS)))
    assert last_shared(found.site)[0] == ("trunk.weight",)
    # without a trunk there is no node on every way, but the experts are shared side by side
    bare = EXPERTS.replace("from: trunk", "from: x").replace("  trunk: ", "  # trunk: ")
    names, tasks = last_shared(Place(gs.analyze(compiler.load_text(bare))).site)
    assert [name.rpartition(".")[0].rpartition(".")[0] for name in names] == [
        "experts.0", "experts.1", "experts.2",
    ]  # fmt: skip
    assert tasks == {"a", "b"}
    assert all(name.endswith("weight") for name in names)


def test_gradnorm_prefers_a_matrix_to_a_later_norm() -> None:
    text = EXPERTS.replace(
        "  experts: {op: fc, from: trunk,",
        "  norm: {op: LayerNorm, from: trunk}\n  experts: {op: fc, from: norm,",
    )
    found = Place(gs.analyze(compiler.load_text(text)))
    assert last_shared(found.site)[0] == ("trunk.weight",)


def test_gradnorm_measures_nowhere_if_nothing_is_shared() -> None:
    assert last_shared(place("arch1").site) == ((), frozenset())


def test_gradnorm_measures_vectors_if_no_matrix_is_shared() -> None:
    text = """\
graphspec: 1
inputs: {x: {shape: [4]}}
tasks: {a: {classes: 2}, b: {classes: 2}}
nodes:
  norm: {op: LayerNorm, from: x}
  a: {op: head, from: norm, task: a}
  b: {op: head, from: norm, task: b}
"""
    found = Place(gs.analyze(compiler.load_text(text)))
    assert last_shared(found.site) == (("norm.weight", "norm.bias"), frozenset({"a", "b"}))
