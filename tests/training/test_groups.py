"""Groups of parameters: patterns, learning rates, what stands still and when."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from graphspec import compiler
from graphspec.errors import SpecError
from graphspec.language.learning import Group
from graphspec.training import groups, patterns
from graphspec.training.check import checked
from graphspec.training.groups import Freezing
from graphspec.training.run import train

from .conftest import Notes
from .test_resume import weights

pytestmark = pytest.mark.usefixtures("no_pictures")

NESTED = """\
graphspec: 1
name: nested
inputs: {x: {shape: [4]}}
tasks: {t: {classes: 3}}
blocks:
  part:
    layers: [{Linear: 4}, BatchNorm1d, ReLU]
nodes:
  stage1: {block: part, from: x, repeat: 2}
  again: {share: stem, from: stage1}
  stem: {op: Linear, out_features: 4, from: x}
  both: {op: concat, from: [again, stem]}
  label: {op: head, from: both, task: t}
"""


@pytest.mark.parametrize(
    ("pattern", "name", "meant"),
    [
        ("stage1", "stage1.0.0.weight", True),
        ("stage1.*", "stage1.0.0.weight", True),
        ("stage1.1", "stage1.0.0.weight", False),
        ("stage?.0", "stage1.0.1.bias", True),
        ("*.bias", "stage1.0.1.bias", True),
        ("*.bias", "stage1.0.1.weight", False),
        ("stage", "stage1.0.1.bias", False),
        ("*", "anything", True),
        ("fc*", "fc_layers_1.0.weight", True),
    ],
)
def test_patterns(pattern: str, name: str, meant: bool) -> None:
    assert patterns.matches(pattern, name) is meant


def test_patterns_that_mean_nothing_are_told_with_what_there_is() -> None:
    graph = compiler.check(compiler.load_text(NESTED)).graph
    assert patterns.trouble("stage1", graph) is None
    assert patterns.trouble("*.bias", graph) is None
    assert patterns.trouble("stag1", graph) == (
        "`stag1` fits no node",
        "did you mean `stage1`? nodes with parameters: stage1, stem, label",
    )
    assert patterns.trouble("both", graph) == (
        "`both` has no parameters", "nodes with parameters: stage1, stem, label",
    )  # fmt: skip
    assert patterns.trouble("again", graph) == (
        "`again` has no weights of its own: they are those of `stem`", "name that",
    )  # fmt: skip


def test_each_key_is_the_last_groups_that_states_it() -> None:
    stated = [
        Group(nodes="*", weight_decay=0.1, lr=0.1),
        Group(nodes="stage1", lr=0.01),
        Group(nodes="*.bias", weight_decay=0.0),
    ]
    assert groups.arguments(stated, "stage1.0.0.bias") == {"lr": 0.01, "weight_decay": 0.0}
    assert groups.arguments(stated, "stage1.0.0.weight") == {"lr": 0.01, "weight_decay": 0.1}
    assert groups.arguments(stated, "label.bias") == {"lr": 0.1, "weight_decay": 0.0}


def test_every_parameter_is_in_one_group_of_the_optimizer() -> None:
    model = compiler.compile(compiler.load_text(NESTED))
    found = groups.of_optimizer([Group(nodes="stage1", lr=0.5), Group(nodes="nope", lr=0.1)], model)
    assert [(group["name"], group.get("lr"), len(group["params"])) for group in found] == [
        ("stage1", 0.5, 8), ("", None, 4),
    ] or [(group["name"], group.get("lr"), len(group["params"])) for group in found] == [
        ("", None, 4), ("stage1", 0.5, 8),
    ]  # fmt: skip
    everything = [id(p) for group in found for p in group["params"]]
    assert sorted(everything) == sorted(id(p) for p in model.parameters())


@pytest.mark.parametrize(
    ("stated", "frozen"),
    [
        ({"freeze": True}, "11111"),
        ({"unfreeze_at": 3}, "11000"),
        ({"freeze": True, "unfreeze_at": 3}, "11000"),
        ({"freeze_at": 4}, "00011"),
        ({"freeze_at": 2, "unfreeze_at": 4}, "01100"),
        ({"freeze_at": 4, "unfreeze_at": 2}, "10011"),
        ({"freeze": False}, "00000"),
    ],
)
def test_what_stands_still_in_which_epoch(stated: dict[str, Any], frozen: str) -> None:
    group = Group(nodes="a", **stated)
    found = "".join(str(int(groups.frozen([group], "a.weight", epoch))) for epoch in range(5))
    assert found == frozen
    # the last group that says something of freezing counts
    later = Group(nodes="a.weight", freeze=False)
    assert not groups.frozen([group, later], "a.weight", 0)


def test_frozen_batch_norm_keeps_its_statistics_and_gradients_come_back() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    model[2].bias.requires_grad_(False)  # as by `trainable: false`
    model.train()
    before = model[1].running_mean.clone()
    freezing = Freezing([Group(nodes=["0", "1"], freeze=True), Group(nodes="2", freeze=False)])
    with freezing.during(0, model):
        assert [p.requires_grad for p in model.parameters()] == [False] * 4 + [True, False]
        model(torch.randn(8, 3)).sum().backward()
        assert torch.equal(model[1].running_mean, before)
    assert [p.requires_grad for p in model.parameters()] == [True] * 5 + [False]


def test_unfreezing_in_a_run(spec: Path, tmp_path: Path) -> None:
    """In the first epoch the trunk stays as it starts; then it learns."""
    overrides: dict[str, Any] = {
        "train.groups": [{"nodes": "trunk", "unfreeze_at": 2}, {"nodes": "features", "lr": 0.002}],
    }
    notes = Notes()
    initial = compiler.compile(compiler.load(spec)).state_dict()
    one = train(spec, out=tmp_path / "one", overrides=overrides, epochs=1, observer=notes)
    two = train(spec, out=tmp_path / "two", overrides=overrides, epochs=2)
    for name, value in weights(one)["model"].items():
        same = torch.equal(value, initial[name])
        assert same == name.startswith("trunk"), name
    moved = weights(two)["model"]
    assert not torch.equal(moved["trunk.0.weight"], initial["trunk.0.weight"])
    assert (one.metrics[0]["lr"], one.metrics[0]["lr/features"]) == (0.01, 0.002)
    assert dict(notes.headers[0].facts)["groups"] == "trunk (unfreeze_at 2), features (lr 0.002)"
    assert one.summary["parameters"] == notes.headers[0].parameters


SHARED = """\
graphspec: 1
name: shared
data: tiny
train: {epochs: 1, batch_size: 32, lr: 0.01}
nodes:
  features: {op: fc, from: image, units: [12]}
  tied: {op: Linear, from: features, out_features: 12, bias: false, tie: {weight: layer.weight}}
  first: {share: second, mode: parameters, from: tied}
  layer: {op: Linear, from: first, out_features: 12, bias: false}
  second: {op: BatchNorm1d, from: layer}
  fine_label: {op: head, from: second, task: fine}
"""


def test_a_group_means_what_is_shared_by_its_owner(tmp_path: Path) -> None:
    """The owner may stand behind those that share its parameters, by whose names torch goes."""
    path = tmp_path / "shared.yaml"
    path.write_text(SHARED)
    own = [{"nodes": "layer", "lr": 0.0}, {"nodes": "second", "freeze": True}]
    run = train(path, out=tmp_path / "run", overrides={"train.groups": own})
    initial = compiler.compile(compiler.load(path)).state_dict()
    found = weights(run)["model"]
    still = {name.partition(".")[0] for name in found if torch.equal(found[name], initial[name])}
    # the batch-norm of `first` has the parameters of `second`, and so stands still with it
    assert still == {"layer", "tied", "second", "first"}
    assert run.metrics[0]["lr/layer"] == 0.0


@pytest.mark.parametrize("pattern", ["first", "tied", "first.weight"])
def test_what_has_the_parameters_of_others_is_not_to_be_named(pattern: str, tmp_path: Path) -> None:
    path = tmp_path / "shared.yaml"
    path.write_text(SHARED)
    with pytest.raises(SpecError, match="has no weights of its own: they are those of `"):
        checked(path, {"train.groups": [{"nodes": pattern, "freeze": True}]})


def test_momentum_begins_where_a_part_is_unfrozen(spec: Path, tmp_path: Path) -> None:
    """torch's fused SGD fails where some momenta of a group are missing."""
    overrides: dict[str, Any] = {
        "train.optimizer": {"name": "SGD", "momentum": 0.9},
        "train.groups": [{"nodes": "trunk", "unfreeze_at": 2}],
    }
    initial = compiler.compile(compiler.load(spec)).state_dict()
    found = train(spec, out=tmp_path / "run", overrides=overrides, epochs=2)
    assert not torch.equal(found.model("last").state_dict()["trunk.0.weight"],
                           initial["trunk.0.weight"])  # fmt: skip


@pytest.mark.parametrize(
    ("group", "code", "words"),
    [
        ({"nodes": "trunc", "lr": 0.1}, "unknown-node", "did you mean `trunk`"),
        (
            {"nodes": ["trunk", "coarse_lable"], "freeze": True},
            "unknown-node",
            "did you mean `coarse_label`",
        ),
        ({"nodes": "trunk", "learning_rate": 1.0}, "unknown-argument", "keys of a group: nodes"),
        ({"nodes": "trunk", "betas": [2.0, 0.9]}, "bad-argument", "does not suit `Adam`"),
        ({"nodes": "trunk", "lr": -1.0}, "bad-value", "at least 0"),
        ({"nodes": "trunk", "freeze": False, "unfreeze_at": 3}, "bad-value", "`freeze` is false"),
        ({"nodes": "trunk", "freeze": True, "freeze_at": 3}, "bad-value", "`freeze` is true"),
        ({"nodes": "trunk", "unfreeze_at": 1}, "bad-value", "at least 2"),
        ({"nodes": "*", "unfreeze_at": 2}, "bad-value", "everything is frozen in epoch 1"),
        ({"nodes": "*", "freeze_at": 2}, "bad-value", "everything is frozen in epoch 2"),
        ({"lr": 0.1}, "missing-key", "nodes"),
    ],
)
def test_mistakes(group: dict[str, Any], code: str, words: str, spec: Path) -> None:
    with pytest.raises(SpecError) as error:
        checked(spec, {"train.groups": [group]})
    assert [item.code.value for item in error.value.diagnostics] == [code]
    assert words in str(error.value)
