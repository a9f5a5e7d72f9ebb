"""``gs.check``: what one batch shows, for topologies that are well and for some that are not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from graphspec import compiler
from graphspec.training import probe, walk

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
