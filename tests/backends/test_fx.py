"""The compiled module: straight-line code, a submodule per owner, seeds by name, plain torch."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import pytest
import torch
from torch import fx, nn

import graphspec as gs
from graphspec import compiler
from graphspec.backends.fx import seed_of

HEAD = """
graphspec: 1
inputs: {image: {shape: [3, 8, 8]}}
tasks: {t: {classes: 5}}
nodes:
"""


def model_of(nodes: str, head: str = HEAD, **options: Any) -> fx.GraphModule:
    return gs.compile(compiler.load_text(head + nodes), **options)


def image(samples: int = 4) -> torch.Tensor:
    return torch.randn(samples, 3, 8, 8, generator=torch.Generator().manual_seed(1))


PLAIN = """
  trunk: {op: conv, from: image, channels: 4}
  label: {op: head, from: flat, task: t}
  flat: {op: flatten, from: trunk}
"""


def test_code_has_the_names_of_the_spec_in_topological_order() -> None:
    model = model_of(PLAIN)
    lines = [line.split(";")[0].strip() for line in model.code.strip().splitlines()[1:]]
    assert lines[0] == "trunk = self.trunk(image)"
    assert lines[1].startswith("flat = ")
    assert lines[2:] == ["label = self.label(flat)", "return {'t': label}"]


def test_inputs_are_passed_by_name_or_in_order() -> None:
    model = model_of(PLAIN).eval()
    assert torch.equal(model(image=image())["t"], model(image())["t"])


def test_an_input_may_bear_a_name_of_python_or_torch() -> None:
    head = HEAD.replace("image:", "input:")
    model = model_of(PLAIN.replace("image", "input"), head)
    assert model(input=image())["t"].shape == (4, 5)


class TestSharing:
    TWO = """
  left: {op: Linear, from: image, out_features: 8}
  right: {share: left, from: left}
  flat: {op: flatten, from: right}
  label: {op: head, from: flat, task: t}
"""

    def test_two_calls_one_set_of_parameters(self) -> None:
        model = model_of(self.TWO)
        assert model.code.count("self.left(") == 2
        assert [key for key in model.state_dict() if key.startswith(("left", "right"))] == [
            "left.weight",
            "left.bias",
        ]
        x = image()
        expected = model.left(model.left(x)).flatten(1)
        assert torch.equal(model(x)["t"], model.label(expected))

    def test_the_order_in_the_file_does_not_matter(self) -> None:
        reversed_nodes = "\n".join(reversed(self.TWO.strip("\n").splitlines()))
        ours, theirs = model_of(self.TWO), model_of(reversed_nodes)
        assert ours.code == theirs.code
        for key, value in ours.state_dict().items():
            assert torch.equal(value, theirs.state_dict()[key])

    def test_weights_stay_when_the_call_of_their_owner_is_pruned(self) -> None:
        head = HEAD.replace("tasks: {t: {classes: 5}}", "tasks: {t: {classes: 5}, u: {classes: 2}}")
        nodes = """
  left: {op: Linear, from: image, out_features: 8}
  flat_left: {op: flatten, from: left}
  label_left: {op: head, from: flat_left, task: t}
  right: {share: left, from: image}
  flat_right: {op: flatten, from: right}
  label_right: {op: head, from: flat_right, task: u}
"""
        model = model_of(nodes, head, tasks=["u"])
        assert sorted(name for name, _ in model.named_children()) == ["label_right", "left"]
        whole = model_of(nodes, head)
        assert torch.equal(model.eval()(image())["u"], whole.eval()(image())["u"])


class TestOutputs:
    def test_one_output_of_several(self) -> None:
        head = HEAD.replace("[3, 8, 8]", "[6, 3]")
        nodes = """
  lstm: {op: LSTM, from: image, hidden_size: 4}
  state: {op: permute, from: lstm.1, dims: [1, 0, 2]}
  flat: {op: flatten, from: state}
  last: {op: mean, from: lstm.0, dim: 1}
  both: {op: concat, from: [flat, last]}
  label: {op: head, from: both, task: t}
"""
        model = model_of(nodes, head)
        x = torch.randn(2, 6, 3)
        out, (hidden, _) = model.lstm(x)
        expected = model.label(torch.cat([hidden.permute(1, 0, 2).flatten(1), out.mean(1)], 1))
        assert torch.allclose(model(x)["t"], expected)

    def test_named_inputs_become_keyword_arguments(self) -> None:
        head = HEAD.replace("[3, 8, 8]", "[6, 8]")
        nodes = """
  keys: {op: Linear, from: image, out_features: 8}
  attention: {op: MultiheadAttention, num_heads: 2, from: {key: keys, value: keys, query: image}}
  flat: {op: flatten, from: attention.0}
  label: {op: head, from: flat, task: t}
"""
        model = model_of(nodes, head)
        assert "query = image" in model.code
        x = torch.randn(2, 6, 8)
        assert model(x)["t"].shape == (2, 5)


class TestWeights:
    def test_the_seed_makes_them(self) -> None:
        first, again, other = (model_of(PLAIN, seed=seed) for seed in (1, 1, 2))
        assert torch.equal(first.trunk[0].weight, again.trunk[0].weight)
        assert not torch.equal(first.trunk[0].weight, other.trunk[0].weight)

    def test_another_node_does_not_move_them(self) -> None:
        more = "  aside: {op: conv, from: image, channels: 8}\n" + PLAIN.replace(
            "flat: {op: flatten, from: trunk}",
            "flat: {op: flatten, from: joined}\n  joined: {op: concat, from: [trunk, aside]}",
        )
        ours, theirs = model_of(PLAIN), model_of(more)
        assert torch.equal(ours.trunk[0].weight, theirs.trunk[0].weight)

    def test_equal_nodes_start_differently(self) -> None:
        twins = """
  a: {op: Linear, from: image, out_features: 8}
  b: {op: Linear, from: a, out_features: 8}
  flat: {op: flatten, from: b}
  label: {op: head, from: flat, task: t}
"""
        model = model_of(twins)
        assert not torch.equal(model.a.weight, model.b.weight)

    def test_they_are_those_of_torch_itself(self) -> None:
        model = model_of(PLAIN, seed=5)
        torch.manual_seed(seed_of(5, "trunk"))
        assert torch.equal(model.trunk[0].weight, nn.Conv2d(3, 4, 3, padding=1).weight)

    def test_compiling_leaves_the_random_state_alone(self) -> None:
        torch.manual_seed(0)
        expected = torch.rand(3)
        torch.manual_seed(0)
        model_of(PLAIN)
        assert torch.equal(torch.rand(3), expected)


class TestAtHomeInTorch:
    def test_pickle_deepcopy_and_save(self) -> None:
        model = model_of(PLAIN).eval()
        expected = model(image())["t"]
        buffer = io.BytesIO()
        torch.save(model, buffer)
        buffer.seek(0)
        copies = [
            pickle.loads(pickle.dumps(model)),
            copy.deepcopy(model),
            torch.load(buffer, weights_only=False),
        ]
        for each in copies:
            assert torch.equal(each(image=image())["t"], expected)

    def test_export_with_a_free_batch(self) -> None:
        model = model_of(PLAIN).eval()
        shapes = {"image": {0: torch.export.Dim.DYNAMIC}}
        program = torch.export.export(model, (), {"image": image()}, dynamic_shapes=shapes)
        outputs = program.module()(image=image(7))
        assert torch.allclose(outputs["t"], model(image(7))["t"])

    def test_torch_compile_in_one_graph(self) -> None:
        model = model_of(PLAIN).eval()
        compiled = torch.compile(model, backend="eager", fullgraph=True)
        assert torch.equal(compiled(image=image())["t"], model(image=image())["t"])

    def test_hooks(self) -> None:
        model, seen = model_of(PLAIN), []
        model.trunk.register_forward_hook(lambda *_: seen.append("trunk"))
        model(image())
        assert seen == ["trunk"]


def test_an_exception_names_the_node() -> None:
    model = model_of(PLAIN)
    with pytest.raises(RuntimeError, match=r"\(in node `label`: label = self.label\(flat\)\)"):
        model(image=torch.randn(2, 3, 9, 9))


def test_pruning_to_a_task_computes_nothing_else() -> None:
    whole = gs.compile(gs.load("arch5", {"width": 2})).eval()
    coarse = gs.compile(gs.load("arch5", {"width": 2}), tasks=["coarse"]).eval()
    names = sorted(name for name, _ in coarse.named_children())
    assert names == ["coarse_label", "conv_layers", "fc_layers"]
    x = torch.randn(2, 3, 32, 32)
    outputs = coarse(image=x)
    assert list(outputs) == ["coarse"]
    assert torch.equal(outputs["coarse"], whole(image=x)["coarse"])


def test_pruning_to_an_unknown_task() -> None:
    with pytest.raises(gs.SpecError, match="no head predicts the task `fien`") as caught:
        gs.compile(gs.load("arch5"), tasks=["fien"])
    assert caught.value.diagnostics[0].code is gs.Code.UNKNOWN_TASK
    assert "did you mean `fine`?" in str(caught.value)
