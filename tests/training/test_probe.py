"""``gs.check``: what one batch shows, for topologies that are well and for some that are not."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graphspec import compiler
from graphspec.language.signature import TaskSpec
from graphspec.ops.modules import DropPath
from graphspec.training import constant, probe, walk

HEALTHY = """\
graphspec: 1
name: healthy
data: fashion-mini
nodes:
  maps: {op: conv, from: image, channels: [[4]], dropout: 0.5}
  again: {from: maps, layers: [{Conv2d: {out_channels: 4, kernel_size: 3, padding: 1}}]}
  more: {share: again, from: again}
  trunk: {op: fc, from: more, units: 32}
  fine: {op: head, from: trunk, task: fine}
  coarse: {op: head, from: {node: trunk, detach: true}, task: coarse}
train: {lr: 0.01, batch_size: 40}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "spec.yaml"
    path.write_text(HEALTHY)
    return path


def test_a_healthy_topology(spec: Path) -> None:
    state = torch.get_rng_state()
    found = probe.check(spec, seconds=60.0)
    assert torch.equal(torch.get_rng_state(), state)
    assert [n.node for n in found.nodes] == ["maps", "again", "more", "trunk", "coarse", "fine"]
    assert found.batch == 40
    assert found.nodes[0].shape == "4x14x14"
    assert found.nodes[0].output_bytes == 40 * 4 * 14 * 14 * 4
    assert found.nodes[0].saved_bytes > found.nodes[0].output_bytes
    assert all(n.gradient and n.weight_gradient and not n.remarks for n in found.nodes)
    assert found.unused == ()
    assert [(t.task, t.learned) for t in found.tasks] == [("fine", True), ("coarse", True)]
    assert found.overfit_batch == 32
    assert found.healthy
    assert found.step_s > 0
    assert found.epoch_s == pytest.approx(found.step_s * 120)


def test_gradients_are_those_of_a_plain_step(spec: Path) -> None:
    graph = compiler.analyze(compiler.load(spec))
    model = compiler.compile(graph).eval()
    inputs = {"image": torch.randn(4, 1, 28, 28)}
    seen = walk.walk(model, inputs, {}, list(graph.nodes))
    outputs = model(**inputs)
    assert torch.equal(seen.outputs["fine"], outputs["fine"])
    seen.outputs["fine"].sum().backward()
    walked = {name: p.grad for name, p in model.named_parameters()}
    model.zero_grad()
    outputs["fine"].sum().backward()
    for name, parameter in model.named_parameters():
        assert (walked[name] is None) == (parameter.grad is None)
        if parameter.grad is not None:
            assert torch.equal(walked[name], parameter.grad), name
    assert seen.visits["coarse"].gradient is None
    assert seen.visits["fine"].gradient == pytest.approx((4 * 10) ** 0.5)


def test_what_learns_nothing_is_named(spec: Path) -> None:
    spec.write_text(
        HEALTHY.replace("from: trunk, task: fine", "from: {node: trunk, detach: true}, task: fine")
    )
    found = probe.check(spec, seconds=0.0)
    assert not found.healthy
    assert found.unused[0] == "maps.0.weight"
    remarks = {n.node: n.remarks for n in found.nodes}
    assert remarks["maps"] == remarks["trunk"] == ("no gradient",)
    assert remarks["fine"] == ()
    assert not any(task.learned for task in found.tasks)


def test_the_first_node_that_is_not_finite_is_named(spec: Path) -> None:
    graph = compiler.analyze(compiler.load(spec))
    model = compiler.compile(graph)
    with torch.no_grad():
        model.get_parameter("again.0.weight").fill_(torch.inf)
    seen = walk.walk(model, {"image": torch.ones(2, 1, 28, 28)}, {}, list(graph.nodes))
    assert seen.culprit is not None
    assert seen.culprit.node == "again"


BLIND = """\
graphspec: 1
name: blind
data: {source: arrays, path: blind.npz}
tasks: {rare: {type: multilabel}, far: {type: regression}, field: {type: segmentation}}
nodes:
  maps: {op: conv, from: image, channels: [4]}
  flat: {op: global_pool, from: maps}
  rare_head: {op: head, from: flat, task: rare}
  far_head: {op: head, from: flat, task: far}
  field_head: {op: head, from: maps, task: field}
train: {batch_size: 32, lr: 0.1}
"""


def test_always_the_same_answer_is_not_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With images that are all alike nothing else can be said, however rare or far it is."""
    monkeypatch.chdir(tmp_path)
    rare = np.zeros((64, 150), np.float32)
    rare[np.arange(64), np.arange(64)] = 1
    field = np.zeros((64, 8, 8), np.int64)
    field[np.arange(64), 0, np.arange(64) % 8] = 1
    image = np.full((64, 1, 8, 8), 127, np.uint8)
    np.savez("blind.npz", image=image, rare=rare, far=100 + np.arange(64) % 2, field=field)
    Path("blind.yaml").write_text(BLIND)
    found = probe.check("blind.yaml", seconds=1.5)
    assert {task.task: task.learned for task in found.tasks} == {
        "rare": False, "far": False, "field": False,
    }  # fmt: skip
    rare_task = next(task for task in found.tasks if task.task == "rare")
    assert rare_task.score is not None
    assert rare_task.score[1] > 0.99
    assert rare_task.last < 0.1 * rare_task.first


@pytest.mark.parametrize(
    ("task", "shape", "labels", "wanted"),
    [
        (
            TaskSpec(3, partial=True), (4, 3), [0, 0, 1, -1],
            [math.log(2 / 3), math.log(1 / 3), math.log(1e-6)],
        ),
        (TaskSpec(type="regression", shape=(1,)), (3, 1), [[1.0], [math.nan], [3.0]], [2.0]),
        (
            TaskSpec(2, type="multilabel"), (4, 2),
            [[1.0, math.nan], [0.0, 1.0], [0.0, 1.0], [0.0, math.nan]],
            [math.log(1 / 3), math.log((1 - 1e-6) / 1e-6)],
        ),
    ],
)  # fmt: skip
def test_the_same_answer_is_the_best_that_looks_at_no_input(
    task: TaskSpec, shape: tuple[int, ...], labels: list[Any], wanted: list[float]
) -> None:
    found = constant.outputs(task, torch.zeros(shape), torch.tensor(labels))
    assert found.shape == shape
    torch.testing.assert_close(found[0], torch.tensor(wanted), rtol=1e-3, atol=1e-3)
    assert torch.equal(found, found[:1].expand_as(found))


def test_nothing_is_left_to_chance() -> None:
    torch.manual_seed(0)
    recurrent = torch.nn.LSTM(4, 4, num_layers=2, dropout=0.9)
    encoder = torch.nn.TransformerEncoderLayer(4, 2, 8, dropout=0.9)
    model = torch.nn.Sequential(encoder, DropPath(0.9), torch.nn.Dropout(0.9)).train()
    for each in (recurrent.train(), model):
        walk.without_chance(each)
    given = torch.randn(3, 5, 4)
    assert torch.equal(model(given), model(given))
    assert torch.equal(recurrent(given)[0], recurrent(given)[0])
