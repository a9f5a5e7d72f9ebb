"""The multi-task zoo against plain PyTorch with the same weights, and what the papers say of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import graphspec as gs
from tests.zoo.multitask_references import REFERENCES
from tests.zoo.parity import compare

WIDTH = 2


def shaken(model: nn.Module) -> nn.Module:
    """Give every parameter and statistic a value of its own, in double precision."""
    generator = torch.Generator().manual_seed(0)
    model.double().eval()
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            noise = torch.rand(value.shape, generator=generator, dtype=value.dtype)
            value += noise if name.endswith("running_var") else 0.3 * noise - 0.15
    return model


@pytest.mark.parametrize("name", REFERENCES)
def test_the_spec_computes_what_the_paper_says(name: str) -> None:
    found = compare(name, REFERENCES[name])
    assert found.parameters == found.expected_parameters
    assert found.difference <= 1e-6
    assert found.tasks.keys() == {"fine", "coarse"}
    assert min(found.tasks.values()) > 0.01


def test_cross_stitch_units_start_with_the_task_s_own_maps() -> None:
    weights = gs.compile(gs.load("zoo/cross_stitch", {"width": WIDTH})).state_dict()
    for stage, channels in enumerate([2, 4, 32, 16, 8, 4]):
        for task, start in (("fine", [0.9, 0.1]), ("coarse", [0.1, 0.9])):
            expected = torch.tensor(start)[:, None].expand(2, channels)
            assert torch.equal(weights[f"stages.{stage}.stitch.{task}.weight"], expected)


@pytest.mark.parametrize(("depth", "six"), [(0, "arch1"), (2, "arch2")])
def test_a_tree_of_two_depths_is_an_architecture_of_the_study(depth: int, six: str) -> None:
    tree = shaken(gs.compile(gs.load("zoo/branched", {"width": WIDTH, "depth": depth})))
    plain = gs.compile(gs.load(six, {"width": WIDTH})).double().eval()
    # Both keep their values in the order of the computation, task by task.
    for task in ("fine", "coarse"):
        inside = [value for name, value in tree.state_dict().items() if f".{task}." in name]
        outside = [value for name, value in plain.state_dict().items() if f"_{task}." in name]
        heads = plain.get_submodule(f"{task}_label").state_dict().values()
        for value, other in zip([*outside, *heads], inside, strict=True):
            value.copy_(other)
    if depth:
        plain.conv_layers.load_state_dict(
            nn.Sequential(*(m for part in tree.trunk.children() for m in part[0])).state_dict()
        )
    image = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    expected = plain(image=image)
    for task, logits in tree(image=image).items():
        torch.testing.assert_close(logits, expected[task], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("depth", [0, 3, 6])
def test_the_tree_shares_the_parts_before_its_depth(depth: int) -> None:
    graph = gs.analyze(gs.load("zoo/branched", {"width": WIDTH, "depth": depth}))
    shared = [name for name, tasks in graph.trained_by.items() if len(tasks) == 2]
    assert shared == ["image", *(f"trunk.{index}" for index in range(depth))]
    assert len(graph.nodes) == depth + 2 * (6 - depth) + 2


SENDS = {"arch3": "coarse", "arch4": "fine", "arch5": "coarse", "arch6": "fine"}
"""The head whose output the other one reads."""


def passed_on(form: str, logits: Tensor, label: Tensor) -> Tensor:
    """What an edge gives of logits, by the definition of its policy."""
    if form == "softmax":
        return logits.exp() / logits.exp().sum(dim=1, keepdim=True)
    if form == "onehot":
        return functional.one_hot(logits.argmax(dim=1), logits.shape[1]).to(logits)
    return functional.one_hot(label, logits.shape[1]).to(logits) if form == "teacher" else logits


@dataclass(frozen=True)
class Edge:
    """One of the six with a policy on the edge between its heads, and what its parts compute.

    Attributes:
        read: Logits of the head that reads the other.
        expected: The same worked out by hand.
        gradient: Of the loss of that head for the weight of the other.
        expected_gradient: The same worked out by hand, without a scale.
    """

    read: Tensor
    expected: Tensor
    gradient: Tensor | None
    expected_gradient: Tensor | None


def edge_of(name: str, policy: dict[str, object]) -> Edge:
    sender = SENDS[name]
    reader, classes = {"fine": ("coarse", 100), "coarse": ("fine", 20)}[sender]
    model = gs.compile(gs.load(f"zoo/policies/{name}", {"width": WIDTH, **policy})).double().eval()
    for part in model.modules():
        # As while training, but for dropout and the statistics of a batch.
        part.training = type(part).__name__ == "Teacher"
    label = torch.randint(classes, (4,))
    image = torch.randn(4, 3, 32, 32, dtype=torch.float64)
    found = model(image=image, **({"labels": {sender: label}} if model.takes_labels else {}))
    trunk = "conv_layers" if hasattr(model, "conv_layers") else f"conv_layers_{reader}"
    first = model.fc_layers_1(model.get_submodule(trunk)(image))
    sent = passed_on(str(policy["policy"]), found[sender], label)
    second = model.fc_layers_2(torch.cat([first, sent], dim=1))
    expected = model.get_submodule(f"{reader}_label")(second)
    weight = [model.get_submodule(f"{sender}_label").weight]
    ask = {"allow_unused": True, "retain_graph": True}
    (gradient,) = torch.autograd.grad(found[reader].square().sum(), weight, **ask)
    (by_hand,) = torch.autograd.grad(expected.square().sum(), weight, **ask)
    return Edge(found[reader], expected, gradient, by_hand)


@pytest.mark.parametrize("form", ["logits", "softmax", "onehot", "teacher"])
@pytest.mark.parametrize("name", SENDS)
def test_every_policy_of_the_six(name: str, form: str) -> None:
    edge = edge_of(name, {"policy": form, "gradient_scale": 0.5})
    torch.testing.assert_close(edge.read, edge.expected, rtol=1e-9, atol=1e-9)
    if form in ("onehot", "teacher"):
        assert edge.gradient is edge.expected_gradient is None
    else:
        assert edge.expected_gradient.abs().max() > 0
        torch.testing.assert_close(edge.gradient, 0.5 * edge.expected_gradient)


def test_a_detached_edge_of_the_six() -> None:
    edge = edge_of("arch5", {"policy": "softmax", "detach": True})
    torch.testing.assert_close(edge.read, edge.expected, rtol=1e-9, atol=1e-9)
    assert edge.gradient is None
    assert edge.expected_gradient is not None


def test_a_run_is_named_by_its_policy() -> None:
    spec = gs.load("zoo/policies/arch4", {"policy": "teacher", "detach": True})
    assert spec.name == "arch4_teacher_detached"


def test_a_policy_is_drawn(tmp_path: Path) -> None:
    spec = gs.load("zoo/policies/arch4", {"policy": "teacher", "width": 4})
    drawn = gs.render(spec, tmp_path / "arch4.mmd").read_text("utf-8")
    assert drawn.count("100 as teacher") == 1
