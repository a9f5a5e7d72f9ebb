"""Runs with several heads on the labels of one task."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from graphspec import compiler
from graphspec.data import sources
from graphspec.training.evaluate import evaluate
from graphspec.training.run import train
from graphspec.training.trained import Run

pytestmark = pytest.mark.usefixtures("no_pictures")

SPEC = """\
graphspec: 1
name: deep
data: {source: tiny, augment: none, validation: 0.25}
tasks: {fine: {}, early: {labels: fine, weight: 0.5, class_weights: balanced}}
train: {epochs: 1, batch_size: 32, best: validation/early/top1}
nodes:
  trunk: {op: fc, from: image, units: 8, norm: none}
  early_head: {op: head, from: trunk, task: early}
  taught: {op: concat, from: [trunk, {node: early_head, as: teacher}]}
  fine_head: {op: head, from: taught, task: fine}
"""


def test_an_auxiliary_head_learns_from_the_labels_and_is_measured_by_its_own_name(
    tmp_path: Path,
) -> None:
    path = tmp_path / "deep.yaml"
    path.write_text(SPEC)
    run = train(path, out=tmp_path / "run")
    scores = run.metrics[-1]
    assert scores["split"] == "test"
    assert scores["loss"] == pytest.approx(scores["fine/loss"] + 0.5 * scores["early/loss"])
    assert run.summary["best"]["metric"] == "validation/early/top1"
    assert run.summary["tasks"]["early"]["class_weights"] == [1.0] * 6
    labels, logits = _predicted(run, "early")
    by_hand = torch.nn.functional.cross_entropy(logits, labels).item()
    assert scores["early/loss"] == pytest.approx(by_hand, rel=1e-5)
    assert scores["early/top1"] == (logits.argmax(1) == labels).double().mean().item()
    found = evaluate(run.folder)
    assert found["early/loss"] == scores["early/loss"]


def _predicted(run: Run, task: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the true classes of the test split and the logits of a task, by hand."""
    section = compiler.load(run.folder / "spec.yaml").data
    assert section is not None
    data = sources.load(section, seed=0)  # without the borrowed task
    assert list(data.test.labels) == ["fine", "coarse"]
    mean, std = data.channels["image"].mean[0], data.channels["image"].std[0]
    images = (data.test.images.float() / 255 - mean) / std
    with torch.no_grad():
        return data.test.labels["fine"], run.model()(image=images)[task]


def test_arrays_lend_their_targets(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    x = generator.standard_normal((40, 3)).astype(np.float32)
    np.savez(tmp_path / "d.npz", x=x, y=x.sum(1))
    path = tmp_path / "lend.yaml"
    path.write_text(
        "graphspec: 1\nname: lend\n"
        f"data: {{source: arrays, root: {tmp_path}, path: d.npz}}\n"
        "tasks: {y: {type: regression}, near: {labels: y, loss: huber}}\n"
        "train: {epochs: 1, batch_size: 8}\n"
        "nodes:\n"
        "  near_head: {op: head, from: x, task: near}\n"
    )
    run = train(path, out=tmp_path / "run")
    assert set(run.metrics[-1]) >= {"near/loss", "near/mae", "near/r2"}
    (tmp_path / "d.npz").unlink()
    assert Run.open(run.folder).model()(x=torch.zeros(2, 3))["near"].shape == (2, 1)


def test_googlenet_trains_with_its_auxiliary_heads(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (24, 3, 32, 32), dtype=np.uint8)
    np.savez(tmp_path / "d.npz", image=images, label=np.arange(24) % 4)
    path = tmp_path / "small.yaml"
    path.write_text(
        "graphspec: 1\nextends: zoo/googlenet.yaml\nname: small\n"
        f"data: {{source: arrays, root: {tmp_path}, path: d.npz}}\n"
        "inputs: null\ntasks: {label: {classes: 4}}\n"
        "train: {epochs: 1, batch_size: 8}\n"
    )
    scores = train(path, out=tmp_path / "run").metrics[-1]
    parts = scores["label/loss"] + 0.3 * (scores["aux1/loss"] + scores["aux2/loss"])
    assert scores["loss"] == pytest.approx(parts)
    assert 0.1 < scores["aux1/loss"] < 20
