"""Which losses reach which parameters, held against autograd; and who shares what."""

from __future__ import annotations

import pytest
import torch

import graphspec as gs
from graphspec import compiler
from graphspec.graph.ir import Graph
from graphspec.graph.reachability import Link, count_parameters, parameters
from graphspec.language import shipped
from tests.backends.ejected import labels_of
from tests.strategies import HEAD

TIED = """\
graphspec: 1
inputs: {image: {shape: [8]}, right: {shape: [8]}}
tasks: {fine: {classes: 5}, coarse: {classes: 3}}
nodes:
  left: {op: fc, from: image, units: 8}
  other: {share: left, mode: parameters, from: right}
  both: {op: add, from: [left, other]}
  deep: {layers: [{Linear: 8}, ReLU, {Linear: 8}], from: both}
  again: {share: deep.2, from: deep}
  start: {copy: deep, from: both}
  untied: {op: Linear, out_features: 8, from: again, tie: {weight: deep.0.weight}}
  cold: {op: Linear, out_features: 8, from: untied, trainable: false}
  coarse_label: {op: head, from: start, task: coarse}
  joint: {op: concat, from: [cold, {node: coarse_label, as: teacher}]}
  fine_label: {op: head, from: joint, task: fine}
"""


def agrees_with_autograd(graph: Graph) -> None:
    """Compare with the gradients of the model, on the meta device: nothing is computed."""
    with torch.device("meta"):
        model = gs.compile(graph)
        inputs = {
            name: torch.zeros(4, *kind.shape[1:], dtype=kind.torch_dtype)
            for name, kind in graph.inputs.items()
        }
        labels = {task: labels_of(graph, task, 4) for task in graph.tasks}
        outputs = model(**inputs, **({"labels": labels} if model.takes_labels else {}))
    found = gs.reachability(graph)
    named = {name: model.get_parameter(name) for name in found}
    assert {id(p) for p in named.values()} == {id(p) for p in model.parameters()}
    assert len(named) == len(list(model.parameters()))
    assert count_parameters(graph) == sum(p.numel() for p in model.parameters())
    every = parameters(graph)
    assert {n: p.requires_grad for n, p in named.items()} == {
        name: each.trainable for name, each in every.items()
    }
    trained = {name: p for name, p in named.items() if p.requires_grad}
    reached: dict[str, set[str]] = {name: set() for name in named}
    for task, output in outputs.items():
        if not (output.requires_grad and trained):
            continue
        ask = {"allow_unused": True, "retain_graph": True}
        gradients = torch.autograd.grad(output.sum(), list(trained.values()), **ask)
        for name, gradient in zip(trained, gradients, strict=True):
            reached[name] |= {task} if gradient is not None else set()
    assert {name: set(tasks) for name, tasks in found.items()} == reached


@pytest.mark.parametrize(
    "name",
    ["arch3", "arch6", "zoo/autoencoder", "zoo/branched", "zoo/film", "zoo/gpt", "zoo/mmoe",
     "zoo/ple", "zoo/policies/arch4", "zoo/recurrent_refinement", "zoo/siamese"],
)  # fmt: skip
def test_shipped_specs_agree_with_autograd(name: str) -> None:
    agrees_with_autograd(gs.analyze(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", shipped.names())
def test_all_shipped_specs_agree_with_autograd(name: str) -> None:
    agrees_with_autograd(gs.analyze(name))


@pytest.mark.parametrize("policy", ["onehot", "teacher"])
def test_a_policy_that_stops_gradients_agrees_with_autograd(policy: str) -> None:
    overrides = {"width": 2, "policy": policy}
    agrees_with_autograd(gs.analyze(gs.load("zoo/policies/arch5", overrides)))


def test_every_way_of_sharing_agrees_with_autograd() -> None:
    graph = gs.analyze(compiler.load_text(TIED))
    agrees_with_autograd(graph)
    agrees_with_autograd(gs.analyze(compiler.load_text(TIED), ["fine"]))
    agrees_with_autograd(gs.analyze(compiler.load_text(TIED), ["coarse"]))


def test_no_gradient_gets_past_whole_numbers_nor_into_a_learned_tensor() -> None:
    graph = gs.analyze(
        compiler.load_text(
            HEAD
            + """
nodes:
  a: {op: fc, from: image, units: 6}
  codes: {layers: [{Linear: 6}, {argmax: 1}, {Embedding: {num_embeddings: 6, embedding_dim: 4}}],
          from: a}
  token: {op: parameter, from: a, shape: [4]}
  both: {op: add, from: [codes, token]}
  fine: {op: head, from: both, task: fine}
"""
        )
    )
    agrees_with_autograd(graph)
    reached = {name for name, tasks in gs.reachability(graph).items() if tasks}
    assert reached == {"codes.2.weight", "token.weight", "fine.weight", "fine.bias"}


def test_who_shares_what() -> None:
    found = gs.sharing(compiler.load_text(TIED))
    fc, linear = 8 * 8 + 8 + 2 * 8, 8 * 8 + 8
    left, deep = found.owners
    assert (left.owner, left.links) == ("left", (Link("other", "parameters", "", fc),))
    assert (left.parameters, left.naive_parameters) == (fc, 2 * fc)
    assert deep.links == (
        Link("again", "layer", "layer 2", linear),
        Link("start", "copy", "", 0),
        Link("untied", "tie", "weight = 0.weight", 64),
    )
    assert (deep.parameters, deep.naive_parameters) == (2 * linear, 3 * linear + 64)
    unique = fc + 2 * linear + 2 * linear + 8 + linear + (8 * 3 + 3) + (11 * 5 + 5)
    assert found.parameters == unique
    assert found.naive_parameters == unique + fc + linear + 64
    assert found.frozen_parameters == linear
    both, fine, coarse = {"fine", "coarse"}, {"fine"}, {"coarse"}
    assert found.trained_by == {
        "left": both, "other": both, "deep": fine, "again": fine, "start": coarse,
        "untied": fine, "cold": set(), "coarse_label": coarse, "fine_label": fine,
    }  # fmt: skip
    assert sum(found.by_tasks.values()) == unique
    assert found.by_tasks[frozenset(both)] == fc
    assert found.notes == ()


def test_the_first_call_takes_the_place_of_an_owner_that_is_left_out() -> None:
    text = TIED.replace(
        "both: {op: add, from: [left, other]}", "both: {op: add, from: [once, twice]}"
    )
    text = text.replace(
        "other:", "once: {share: left, from: right}\n  twice: {share: left, from: image}\n  other:"
    )
    found = gs.sharing(compiler.load_text(text))
    assert found.owners[0].owner == "left"
    assert [link.node for link in found.owners[0].links] == ["twice"]


def test_ties_lead_through_shares_and_may_be_transposed() -> None:
    text = """\
graphspec: 1
inputs: {image: {shape: [6]}}
tasks: {fine: {classes: 6}, coarse: {classes: 4}}
nodes:
  encode: {op: Linear, out_features: 4, from: image}
  decode: {op: Linear, out_features: 6, from: encode, tie: {weight: encode.weight}}
  twin: {share: decode, mode: parameters, from: encode}
  third: {copy: decode, from: encode}
  tail: {op: Linear, out_features: 4, from: twin, tie: {weight: twin.weight}}
  sum: {op: add, from: [decode, twin, third]}
  fine: {op: head, from: sum, task: fine, tie: {bias: third.bias}}
  coarse: {op: head, from: tail, task: coarse}
"""
    graph = gs.analyze(compiler.load_text(text))
    agrees_with_autograd(graph)
    model = gs.compile(graph)
    weight = model.encode.weight
    assert model.decode.weight is model.twin.weight is model.tail.weight is weight
    assert model.decode.bias is model.twin.bias
    assert model.tail.bias is not model.twin.bias
    assert torch.equal(model.third.weight, weight.t())
    assert model.third.weight is not weight
    x = torch.randn(3, 6)
    inner = model.encode(x)
    decoded = inner @ weight + model.decode.bias
    torch.testing.assert_close(model.twin(inner), decoded)
    expected = torch.nn.functional.linear(decoded, weight, model.tail.bias)
    torch.testing.assert_close(model(image=x)["coarse"], model.coarse(expected))
    owners = {shared.owner: shared.links for shared in gs.sharing(graph).owners}
    assert Link("decode", "tie", "weight = weight transposed", 24) in owners["encode"]
    assert Link("tail", "tie", "weight = weight", 24) in owners["encode"]


def test_ties_in_a_circle_are_a_mistake() -> None:
    text = (
        HEAD
        + """
nodes:
  a: {op: fc, from: image, units: 6, tie: {0.weight: c.0.weight}}
  b: {op: fc, from: image, units: 6, tie: {0.weight: a.0.weight, 0.bias: a.0.bias}}
  c: {op: fc, from: image, units: 6, tie: {0.weight: b.0.weight}}
  sum: {op: add, from: [a, b, c]}
  fine: {op: head, from: sum, task: fine}
"""
    )
    with pytest.raises(gs.SpecError) as caught:
        compiler.check(compiler.load_text(text))
    (found,) = [d for d in caught.value.diagnostics if d.severity.value == "error"]
    assert found.code is gs.Code.SHARE_CYCLE
    assert found.location == "<text>:6:54"
    assert found.message == (
        "`a.0.weight` is tied to `c.0.weight`, which is tied to it in its turn"
    )


def test_a_task_that_is_not_asked_for_trains_nothing() -> None:
    whole = gs.reachability("arch5")
    assert whole["coarse_label.weight"] == {"coarse", "fine"}
    part = gs.reachability("arch5", ["fine"])
    assert part.keys() == whole.keys()
    assert set(part.values()) == {frozenset({"fine"})}
    with pytest.raises(gs.SpecError, match="no head predicts the task `fien`"):
        gs.sharing("arch5", ["fien"])
