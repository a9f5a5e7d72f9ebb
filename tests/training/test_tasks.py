"""Runs on a file of arrays: every type of task, several inputs, resume, and what a run records."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from graphspec.errors import SpecError
from graphspec.language.recipe import Train
from graphspec.language.signature import TaskSpec
from graphspec.training import loop
from graphspec.training.balancing.balancer import Fixed
from graphspec.training.distributed.world import ALONE
from graphspec.training.evaluate import evaluate
from graphspec.training.evaluation import evaluate as measure
from graphspec.training.losses import Losses
from graphspec.training.metrics import Meter
from graphspec.training.run import train
from graphspec.training.shares import Shares
from graphspec.training.state import State
from graphspec.training.step import step
from graphspec.training.summary import lines
from graphspec.training.trained import Run

from .conftest import Notes
from .test_resume import assert_same, timeless, weights

pytestmark = pytest.mark.usefixtures("no_pictures")

SPEC = """\
graphspec: 1
name: everything
data: {source: arrays, path: everything.npz}
tasks:
  kind: {class_weights: balanced, label_smoothing: 0.1}
  size: {type: regression, loss: huber, weight: 0.1}
  tags: {type: multilabel, class_weights: balanced}
  mask: {type: segmentation, class_weights: [1, 2], ignore_index: 255}
train: {epochs: 2, batch_size: 32, lr: 0.01, best: validation/mask/iou}
nodes:
  maps: {op: conv, from: image, channels: [6, 6]}
  mask_head: {op: head, from: maps, task: mask}
  pooled: {op: global_pool, from: maps}
  embedded: {from: colour, layers: [{Embedding: {num_embeddings: 5, embedding_dim: 4}}, Flatten]}
  joined: {op: concat, from: [pooled, embedded]}
  trunk: {op: fc, from: joined, units: 16}
  kind_head: {op: head, from: trunk, task: kind}
  size_head: {op: head, from: trunk, task: size}
  tags_head: {op: head, from: trunk, task: tags}
"""
KIND_COUNTS = [90, 45, 15]
CPU = torch.device("cpu")


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    kind = np.repeat(np.arange(3), KIND_COUNTS)
    colour = generator.integers(0, 5, len(kind))
    image = (
        generator.integers(0, 200, (len(kind), 1, 6, 6), dtype=np.uint8)
        + 20 * kind.astype(np.uint8)[:, None, None, None]
    )
    mask = (image[:, 0] > 110).astype(np.uint8)
    mask[:, 0] = 255
    np.savez_compressed(
        tmp_path / "everything.npz",
        image=image,
        colour=colour,
        unused=generator.standard_normal((len(kind), 3)),
        kind=kind,
        size=colour + image.mean((1, 2, 3)) / 100,
        tags=np.stack([colour > 1, colour % 2 == 0], 1),
        mask=mask,
    )
    path = tmp_path / "everything.yaml"
    path.write_text(SPEC)
    return path


def test_every_type_of_task_learns_and_is_told(spec: Path, tmp_path: Path) -> None:
    notes = Notes()
    overrides = {"train.epochs": 12, "train.lr": 0.02}
    run = train(spec, out=tmp_path / "run", overrides=overrides, observer=notes)
    first, last = run.metrics[0], run.metrics[-3]
    assert list(first)[5:] == [
        "loss", "mask/loss", "mask/iou", "mask/accuracy", "kind/loss", "kind/top1",
        "size/loss", "size/mae", "size/rmse", "size/r2", "tags/loss", "tags/f1", "tags/accuracy",
        "data_wait",
        *(f"{task}/{name}" for task in run.summary["tasks"] for name in ("weight", "weighted")),
        "lr",
    ]  # fmt: skip
    for task in ("mask", "kind", "size", "tags"):
        assert last[f"{task}/loss"] < first[f"{task}/loss"]
    assert last["size/r2"] > first["size/r2"]
    assert last["tags/f1"] > 0.75
    assert run.summary["best"]["value"] == max(
        r["mask/iou"] for r in run.metrics if r["split"] == "validation"
    )
    assert notes.headers[0].tasks == {
        "mask": "2 classes a position", "kind": "3 classes", "size": "1 number", "tags": "2 labels",
    }  # fmt: skip
    text = lines(run)
    assert [line.split() for line in text.splitlines() if line.startswith("task ")] == [
        ["task", "classes", "split", "loss", "top-1", "F1", "IoU", "accuracy", "MAE", "RMSE", "R2"]
    ]
    assert f"{run.summary['tasks']['size']['test']['mae']:.4f}" in text
    assert "kind on the test split: true class by row" in text
    page = (run.folder / "report.html").read_text()
    iou = run.summary["tasks"]["mask"]["test"]["iou"]
    assert f"<strong>{100 * iou:.1f} %</strong><span>mask, 2 classes: IoU, test</span>" in page
    found = evaluate(run.folder)
    same = [key for key in run.metrics[-1] if "/" in key or key == "loss"]
    assert {key: found[key] for key in same} == {key: run.metrics[-1][key] for key in same}


def test_balanced_weights_are_those_of_the_training_split_and_recorded(
    spec: Path, tmp_path: Path
) -> None:
    run = train(spec, out=tmp_path / "run", epochs=1)
    counts = [58, 29, 9]  # a fifth of each class is for the test, a fifth of the rest validation
    balanced = [sum(counts) / (3 * count) for count in counts]
    assert run.summary["tasks"]["kind"]["class_weights"] == pytest.approx(balanced)
    recorded = json.loads((run.folder / "environment.json").read_text())["class_weights"]
    assert recorded["kind"] == run.summary["tasks"]["kind"]["class_weights"]
    assert recorded["mask"] == [1.0, 2.0]
    assert "class_weights" not in run.summary["tasks"]["size"]


def test_interrupted_and_resumed_bit_for_bit(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = {
        "tasks.kind.metrics": ["top1", "macro_f1", "mcc"],
        "tasks.size.metrics": ["mae", "mse", "pearson"],
        "tasks.tags.metrics": ["exact_match"],
    }
    whole = train(spec, out=tmp_path / "whole", overrides=chosen)
    assert {"kind/macro_f1", "size/mse", "tags/exact_match"} < set(whole.metrics[0])
    assert "size/pearson" in whole.metrics[1]
    original = loop.step

    def stepping(job: Any, state: Any, *rest: Any) -> None:
        original(job, state, *rest)
        if state.global_step == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "step", stepping)
        assert train(spec, out=tmp_path / "run", overrides=chosen).status == "interrupted"
    with pytest.raises(SpecError, match=r"has `tasks\.kind: ") as error:
        train(resume=tmp_path / "run", overrides={"tasks.kind.weight": 3.0})
    assert error.value.diagnostics[0].code.value == "run-mismatch"
    resumed = train(resume=tmp_path / "run")
    assert_same(weights(resumed), weights(whole))
    assert timeless(resumed) == timeless(whole)


def test_a_trained_model_needs_its_data_no_more(spec: Path, tmp_path: Path) -> None:
    run = train(spec, out=tmp_path / "run", epochs=1)
    inputs = {"image": torch.randn(2, 1, 6, 6), "colour": torch.tensor([[1], [4]])}
    before = run.model()(**inputs)
    (tmp_path / "everything.npz").unlink()
    after = Run.open(run.folder).model()(**inputs)
    assert after.keys() == {"kind", "size", "tags", "mask"}
    assert all(torch.equal(before[task], after[task]) for task in before)
    with pytest.raises(SpecError, match=r"there is no file `everything\.npz`"):
        evaluate(run.folder)


def test_remarks_and_refusals_of_augmentation(spec: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="moves images, but not the targets of `mask`") as error:
        train(spec, out=tmp_path / "run", overrides={"data.augment": "crop-flip"})
    assert error.value.diagnostics[0].code.value == "bad-value"
    text = "graphspec: 1\nname: flat\ndata: {source: arrays, path: e.npz, augment: crop-flip}\n"
    text += "tasks: {y: {type: regression}, z: {class_weights: balanced, classes: 3}}\n"
    text += (
        "nodes:\n  y_head: {op: head, from: x, task: y}\n  z_head: {op: head, from: x, task: z}\n"
    )
    (tmp_path / "flat.yaml").write_text(text + "train: {epochs: 1, batch_size: 8}\n")
    x = np.random.default_rng(0).standard_normal((24, 2))
    np.savez(tmp_path / "e.npz", x=x, y=x[:, 0], z=np.arange(24) % 2)
    notes = Notes()
    run = train(tmp_path / "flat.yaml", out=tmp_path / "flat", observer=notes)
    assert notes.warnings == [
        "`augment: crop-flip` changes nothing: no input is an image",
        "`z` has no training sample of the class 2: its balanced weight is 1",
    ]
    assert notes.headers[0].unit == "samples"
    assert "samples/s" in lines(run)


def test_convolutions_in_one_and_three_dimensions_train(tmp_path: Path) -> None:
    g = np.random.default_rng(0)
    np.savez(
        tmp_path / "video.npz",
        video=g.standard_normal((20, 1, 3, 4, 4)),
        tokens=g.integers(0, 5, (20, 6)),
        y=g.integers(0, 2, 20),
        next=g.integers(0, 5, (20, 6)),
    )
    path = tmp_path / "video.yaml"
    path.write_text(
        f"graphspec: 1\nname: video\ndata: {{source: arrays, root: {tmp_path}, path: video.npz}}\n"
        "tasks: {y: {}, next: {type: segmentation, classes: 5}}\n"
        "train: {epochs: 1, batch_size: 8}\n"
        "nodes:\n"
        "  maps: {op: Conv3d, from: video, out_channels: 2, kernel_size: 2}\n"
        "  pooled: {op: global_pool, from: maps}\n"
        "  label: {op: head, from: pooled, task: y}\n"
        "  words: {op: Embedding, from: tokens, num_embeddings: 5, embedding_dim: 3}\n"
        "  logits: {op: Linear, from: words, out_features: 5}\n"
        "  turned: {op: transpose, from: logits, dim0: 1, dim1: 2}\n"
        "  next_head: {op: head, from: turned, task: next, layer: none}\n"
    )
    run = train(path, out=tmp_path / "run")
    assert run.summary["confusion"]["task"] == "y"
    assert 0 <= run.metrics[-1]["next/iou"] <= run.metrics[-1]["next/accuracy"] + 0.5 <= 1.5


class Teacher(nn.Module):
    """A model that takes true labels while it learns."""

    takes_labels = True

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 3)
        self.taught: list[bool] = []

    def forward(
        self, x: torch.Tensor, labels: dict[str, torch.Tensor] | None = None
    ) -> dict[str, torch.Tensor]:
        self.taught.append(labels is not None)
        return {"t": self.layer(x)}


def test_true_labels_are_given_while_learning_and_not_while_measuring() -> None:
    inputs, labels = {"x": torch.randn(4, 2)}, {"t": torch.tensor([0, 1, 2, 0])}
    batch: Any = SimpleNamespace(inputs=inputs, labels=labels)
    model, tasks, losses = Teacher(), {"t": TaskSpec(3)}, Losses({"t": 1.0})
    state = State(model, torch.optim.SGD(model.parameters(), lr=0.1), Fixed({"t": 1.0}))
    job: Any = SimpleNamespace(
        losses=losses,
        recipe=Train(),
        forward=model,
        train=[batch],
        world=ALONE,
        takes_labels=model.takes_labels,
    )
    step(job, state, Meter(tasks, losses, CPU), Shares(), batch)
    measure(model, [batch], losses, tasks, CPU)
    assert model.taught == [True, False]
