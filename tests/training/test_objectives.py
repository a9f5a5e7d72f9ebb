"""Losses, class weights and metrics of every type of task, against their definitions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional
from torchmetrics import classification, regression

from graphspec import compiler
from graphspec.errors import Sink, SpecError
from graphspec.language.signature import TaskSpec, TaskType
from graphspec.language.tasks import Task
from graphspec.training import class_weights, losses, measures
from graphspec.training.check import checked
from graphspec.training.evaluation import evaluate
from graphspec.training.metrics import Meter
from graphspec.training.objectives import LOSSES, Options, suited

CPU = torch.device("cpu")
TASKS = {
    "kind": TaskSpec(7),
    "tags": TaskSpec(3, type="multilabel"),
    "size": TaskSpec(type="regression", shape=(2,)),
    "mask": TaskSpec(4, type="segmentation", shape=(5, 6), ignore_index=255),
}
SECTIONS = {
    "kind": Task(class_weights=[1.0, 2.0, 0.5, 1.0, 1.0, 3.0, 0.0], label_smoothing=0.1),
    "tags": Task(type="multilabel", class_weights=[2.0, 1.0, 0.5], label_smoothing=0.2),
    "size": Task(type="regression", loss="huber", weight=0.5),
    "mask": Task(type="segmentation", class_weights=[1.0, 2.0, 3.0, 4.0], ignore_index=255),
}


class Batch:
    """Predictions as inputs, which `Echo` gives back."""

    def __init__(self, size: int, seed: int) -> None:
        g = torch.Generator().manual_seed(seed)
        size_ = torch.randn(size, 2, generator=g) * torch.tensor([1.0, 100.0])
        mask = torch.randint(4, (size, 5, 6), generator=g)
        mask[:, 0] = 255
        self.labels = {
            "kind": torch.randint(7, (size,), generator=g),
            "tags": torch.randint(2, (size, 3), generator=g).float(),
            "size": size_ + 1000,
            "mask": mask,
        }
        self.inputs = {
            "kind": torch.randn(size, 7, generator=g),
            "tags": torch.randn(size, 3, generator=g),
            "size": self.labels["size"] + torch.randn(size, 2, generator=g),
            "mask": torch.randn(size, 4, 5, 6, generator=g),
        }


class Echo(torch.nn.Module):
    def forward(self, **inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        return inputs


BATCHES = [Batch(40, 1), Batch(40, 2), Batch(13, 3)]
OUTPUTS = {name: torch.cat([batch.inputs[name] for batch in BATCHES]) for name in TASKS}
LABELS = {name: torch.cat([batch.labels[name] for batch in BATCHES]) for name in TASKS}


def expected_losses() -> dict[str, float]:
    """Compute the losses of the whole split the slow and obvious way, by torch."""
    weights = {n: torch.tensor(s.class_weights) for n, s in SECTIONS.items() if s.class_weights}
    tags = LABELS["tags"] * 0.8 + 0.1
    entropy, binary = functional.cross_entropy, functional.binary_cross_entropy_with_logits
    return {
        "kind": float(
            entropy(OUTPUTS["kind"], LABELS["kind"], weights["kind"], label_smoothing=0.1)
        ),
        "tags": float(binary(OUTPUTS["tags"], tags, pos_weight=weights["tags"])),
        "size": float(functional.huber_loss(OUTPUTS["size"], LABELS["size"])),
        "mask": float(entropy(OUTPUTS["mask"], LABELS["mask"], weights["mask"], ignore_index=255)),
    }


def expected_metrics() -> dict[str, float]:
    """Compute the metrics by torchmetrics, in float64 where it matters."""
    tags = OUTPUTS["tags"].sigmoid(), LABELS["tags"].long()
    size = OUTPUTS["size"].double(), LABELS["size"].double()
    mask = OUTPUTS["mask"].argmax(1), LABELS["mask"]
    options: dict[str, Any] = {"num_classes": 4, "ignore_index": 255}
    found = {
        "kind/top1": classification.MulticlassAccuracy(7, average="micro"),
        "kind/top5": classification.MulticlassAccuracy(7, top_k=5, average="micro"),
        "tags/f1": classification.MultilabelF1Score(3, average="macro"),
        "tags/accuracy": classification.MultilabelAccuracy(3, average="macro"),
        "size/mae": regression.MeanAbsoluteError().set_dtype(torch.float64),
        "size/rmse": regression.MeanSquaredError(squared=False).set_dtype(torch.float64),
        "size/r2": regression.R2Score().set_dtype(torch.float64),
        "mask/iou": classification.MulticlassJaccardIndex(**options),
        "mask/accuracy": classification.MulticlassAccuracy(average="micro", **options),
    }
    given = {"kind": (OUTPUTS["kind"], LABELS["kind"]), "tags": tags, "size": size, "mask": mask}
    return {key: float(metric(*given[key.split("/")[0]])) for key, metric in found.items()}


def test_running_means_and_evaluation_agree_with_torch_and_torchmetrics() -> None:
    wanted = expected_losses()
    total = wanted["kind"] + wanted["tags"] + 0.5 * wanted["size"] + wanted["mask"]
    wanted_scores = {"loss": total, **{f"{name}/loss": value for name, value in wanted.items()}}
    wanted_scores |= expected_metrics()
    loss = losses.make(TASKS, SECTIONS, LABELS, CPU)
    meter = Meter(TASKS, loss, CPU)
    for number, batch in enumerate(BATCHES):
        meter.add(batch.inputs, batch.labels, loss(batch.inputs, batch.labels))
        if number == 0:
            state = meter.state_dict()
            meter = Meter(TASKS, loss, CPU)
            meter.load_state_dict(state)
    running = meter.scores()
    found = evaluate(Echo(), BATCHES, loss, TASKS, CPU)
    assert found is not None
    assert list(running) == list(found.scores) == measures.of_tasks(TASKS)
    assert running == pytest.approx(wanted_scores, rel=1e-5)
    assert found.scores == pytest.approx(wanted_scores, rel=1e-5)
    assert found.confusion.keys() == {"kind"}


def test_metrics_where_there_is_little_to_measure() -> None:
    number = TaskSpec(type="regression", shape=(2,))
    tasks = {"size": number, "mask": TaskSpec(3, type="segmentation", ignore_index=0)}
    loss = losses.make(tasks, {}, {"size": torch.zeros(0), "mask": torch.zeros(0)}, CPU)
    outputs = {"size": torch.tensor([[1e-4, 2.0], [3e-4, 2.0]]), "mask": torch.zeros(2, 3, 4)}
    outputs["mask"][:, 0] = 1.0
    labels = {"size": torch.tensor([[1e-4, 2.0], [2e-4, 2.0]]), "mask": torch.zeros(2, 4).long()}
    meter = Meter(tasks, loss, CPU)
    meter.add(outputs, labels, loss(outputs, labels))
    scores = meter.scores()
    # the second number never varies; the first varies little, which is no reason to call it right
    assert scores["size/r2"] == pytest.approx(1 - 1e-8 / (2 * 0.25e-8), rel=1e-3)
    # all positions are ignored: nothing is learned, nothing is measured, and nothing is NaN
    assert (scores["mask/loss"], scores["mask/iou"], scores["mask/accuracy"]) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_weighted_cross_entropy_is_torchs_bit_for_bit(smoothing: float) -> None:
    weights = torch.tensor([1.0, 2.0, 0.5, 1.0, 1.0, 3.0, 0.25])
    own = LOSSES.get("cross_entropy").make(Options(weights, smoothing))
    logits = OUTPUTS["kind"].clone().requires_grad_()
    other = OUTPUTS["kind"].clone().requires_grad_()
    value = own(logits, LABELS["kind"])
    wanted = functional.cross_entropy(other, LABELS["kind"], weights, label_smoothing=smoothing)
    value.backward()
    wanted.backward()
    assert torch.equal(value, wanted)
    assert torch.equal(logits.grad, other.grad)


def test_every_loss_has_a_gradient_and_a_type() -> None:
    kinds: dict[str, TaskType] = {
        "kind": "classification", "tags": "multilabel", "size": "regression",
        "mask": "segmentation",
    }  # fmt: skip
    assert {name for kind in kinds.values() for name in suited(kind)} == set(LOSSES)
    assert [suited(kind)[0] for kind in kinds.values()] == [
        "cross_entropy", "binary_cross_entropy", "mse", "cross_entropy",
    ]  # fmt: skip
    for task, kind in kinds.items():
        for name in suited(kind):
            outputs = OUTPUTS[task].clone().requires_grad_()
            labels = LABELS[task].where(LABELS[task] != 255, 0)
            LOSSES.get(name).make(Options())(outputs, labels).backward()
            assert outputs.grad is not None
            assert outputs.grad.abs().sum() > 0


def test_balanced_weights() -> None:
    # scikit-learn: compute_class_weight("balanced", classes=[0, 1, 2], y=[0]*6 + [1]*3 + [2])
    labels = torch.tensor([0] * 6 + [1] * 3 + [2])
    found = class_weights.resolve("balanced", TaskSpec(3), labels)
    assert found == pytest.approx([10 / 18, 10 / 9, 10 / 3])
    assert class_weights.resolve("balanced", TaskSpec(4), labels)[3] == 1.0  # type: ignore[index]
    mask = torch.tensor([[0, 0, 1, 255]], dtype=torch.uint8)
    task = TaskSpec(2, type="segmentation", ignore_index=255)
    assert class_weights.resolve("balanced", task, mask) == pytest.approx([0.75, 1.5])
    tags = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    found = class_weights.resolve("balanced", TaskSpec(3, type="multilabel"), tags)
    assert found == pytest.approx([2.0, 1.0, 1.0])
    assert class_weights.resolve([1.0, 2.0], TaskSpec(2), labels) == [1.0, 2.0]
    assert class_weights.resolve(None, TaskSpec(2), labels) is None


def test_label_smoothing_of_the_recipe_is_for_tasks_that_state_none() -> None:
    kinds = {**TASKS, "own": TASKS["kind"], "off": TASKS["kind"]}
    sections = {"own": Task(label_smoothing=0.3), "off": Task(label_smoothing=0.0)}
    labels = {**LABELS, "own": LABELS["kind"], "off": LABELS["kind"]}
    outputs = {**OUTPUTS, "own": OUTPUTS["kind"], "off": OUTPUTS["kind"]}
    found = losses.make(kinds, sections, labels, CPU, 0.1)(outputs, labels)
    plain = losses.make(kinds, sections, labels, CPU)(outputs, labels)
    for task, smoothing in (("kind", 0.1), ("own", 0.3), ("off", 0.0)):
        entropy = functional.cross_entropy(
            OUTPUTS["kind"], LABELS["kind"], label_smoothing=smoothing
        )
        assert found[task].item() == entropy.item()
    changed = [task for task in found if found[task] != plain[task]]
    assert changed == ["kind", "tags", "mask"]


def test_validate_reports_losses_at_their_places() -> None:
    text = """\
graphspec: 1
name: wrong
inputs: {image: {shape: [3, 8, 8]}}
tasks:
  a: {classes: 3, class_weights: [1, 2]}
  b: {type: regression, label_smoothing: 0.1, loss: cross_entropy}
  c: {type: segmentation, classes: 2, class_weights: balanced}
  d: {type: regression, class_weights: balanced}
nodes:
  flat: {op: fc, from: image, units: 8}
  ha: {op: head, from: flat, task: a}
  hb: {op: head, from: flat, task: b}
  hc: {op: head, from: image, task: c}
  hd: {op: head, from: nowhere, task: d}
"""
    with pytest.raises(SpecError) as caught:
        checked(compiler.load_text(text, "t.yaml"))
    # also those of a spec whose graph has a mistake
    assert [f"{d.code.value}@{d.location}" for d in caught.value.diagnostics] == [
        "bad-value@t.yaml:5:34", "bad-value@t.yaml:6:53", "bad-value@t.yaml:8:40",
        "unknown-node@t.yaml:14:24",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("task", "kind", "words"),
    [
        ({"loss": "cros_entropy"}, "classification", "did you mean `cross_entropy`?"),
        ({"loss": "mse"}, "classification", "`loss: mse` is not for a classification task"),
        ({"loss": "cross_entropy"}, "regression", "mse, l1, huber, smooth_l1"),
        ({"class_weights": "balanced"}, "regression", "`class_weights` is not for a regression"),
        ({"label_smoothing": 0.1}, "regression", "`label_smoothing` is not for a regression"),
        ({"class_weights": [1.0, 2.0]}, "multilabel", "has 2 numbers for 3 classes"),
        ({"class_weights": [0.0, 0.0, 0.0]}, "segmentation", "are 0, so there is nothing to learn"),
    ],
)
def test_what_a_task_says_of_its_loss_is_checked(
    task: dict[str, Any], kind: TaskType, words: str
) -> None:
    sink = Sink()
    losses.check({"t": Task(**task)}, {"t": kind}, {"t": 3}, sink, lambda path, key=False: None)
    (found,) = sink.diagnostics
    assert found.code.value == "bad-value"
    assert words in f"{found.message}\n{found.hint}"
