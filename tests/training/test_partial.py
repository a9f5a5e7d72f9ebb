"""Samples that lack the label of a task contribute nothing to it, to whatever is made of labels."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from graphspec.data.dataset import DataSet
from graphspec.data.sources import load
from graphspec.data.splitting import strata
from graphspec.errors import SpecError
from graphspec.language.recipe import Data
from graphspec.language.signature import TaskSpec
from graphspec.language.tasks import Task
from graphspec.ops.policies import Teacher
from graphspec.training import class_weights, labelled, losses
from graphspec.training.evaluate import evaluate as evaluate_run
from graphspec.training.evaluation import evaluate
from graphspec.training.metrics import Meter
from graphspec.training.objectives import LOSSES, Options, suited
from graphspec.training.run import train
from graphspec.training.summary import lines

from .conftest import Notes
from .test_objectives import BATCHES, CPU, LABELS, OUTPUTS, SECTIONS, Echo

TASKS = {
    "kind": TaskSpec(7, partial=True),
    "tags": TaskSpec(3, type="multilabel", partial=True),
    "size": TaskSpec(type="regression", shape=(2,), partial=True),
    "mask": TaskSpec(4, type="segmentation", shape=(5, 6), ignore_index=255, partial=True),
}
UNLABELLED = {"kind": -1, "tags": torch.nan, "size": torch.nan, "mask": -1}
KEPT = torch.arange(len(LABELS["kind"])) % 3 != 1
"""The samples that keep their labels."""


def without(labels: dict[str, torch.Tensor], kept: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return labels of which only those of some samples are left."""
    return {
        name: torch.where(kept.reshape(-1, *[1] * (values.dim() - 1)), values, UNLABELLED[name])
        for name, values in labels.items()
    }


PARTIAL = without(LABELS, KEPT)


class Batch:
    def __init__(self, chosen: Any, labels: dict[str, torch.Tensor]) -> None:
        self.inputs = {name: values[chosen] for name, values in OUTPUTS.items()}
        self.labels = {name: values[chosen] for name, values in labels.items()}


CHUNKS = [slice(0, 40), slice(40, 80), slice(80, None)]


@pytest.mark.parametrize("task", list(TASKS))
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_loss_is_that_of_the_labelled_samples(task: str, smoothing: float) -> None:
    for name in suited(TASKS[task].type):
        loss = LOSSES.get(name)
        weights = None
        if "class_weights" in loss.takes:
            weights = torch.linspace(0.5, 2.0, TASKS[task].classes)
        elif smoothing:
            continue
        options = (weights, smoothing, TASKS[task].ignore_index)
        outputs = OUTPUTS[task].clone().requires_grad_()
        partial = loss.make(Options(*options, partial=True))
        found = partial(outputs, PARTIAL[task])
        wanted = loss.make(Options(*options))(OUTPUTS[task][KEPT], LABELS[task][KEPT])
        assert float(found.detach()) == pytest.approx(float(wanted), rel=1e-6)
        found.backward()
        assert outputs.grad is not None
        assert not outputs.grad[~KEPT].any()
        assert outputs.grad[KEPT].any()
        # with all labels there, it is the loss of a task that is not partial
        whole = partial(OUTPUTS[task], LABELS[task])
        complete = loss.make(Options(*options))(OUTPUTS[task], LABELS[task])
        assert float(whole) == pytest.approx(float(complete), rel=1e-6)


@pytest.mark.parametrize("task", list(TASKS))
def test_a_batch_without_labels_has_the_loss_0_and_no_gradient(task: str) -> None:
    nothing = torch.full_like(LABELS[task], UNLABELLED[task])
    for name in suited(TASKS[task].type):
        objective = LOSSES.get(name).make(Options(partial=True))
        outputs = OUTPUTS[task].clone().requires_grad_()
        loss = objective(outputs, nothing)
        loss.backward()
        assert float(loss.detach()) == 0.0
        assert outputs.grad is not None
        assert torch.equal(outputs.grad, torch.zeros_like(outputs))
        assert float(objective.basis(nothing)) == 0  # type: ignore[arg-type]


def test_single_numbers_and_labels_may_be_missing() -> None:
    labels = torch.tensor([[1.0, torch.nan], [torch.nan, 0.0], [3.0, 2.0]])
    outputs = torch.tensor([[2.0, 9.0], [9.0, 1.0], [5.0, 2.0]])
    size = TaskSpec(type="regression", shape=(2,), partial=True)
    loss = losses.make({"size": size}, {}, {"size": labels}, CPU)
    meter = Meter({"size": size}, loss, CPU)
    meter.add({"size": outputs}, {"size": labels}, loss({"size": outputs}, {"size": labels}))
    assert meter.scores() == pytest.approx(
        {
            "loss": 1.5, "size/loss": 1.5, "size/mae": 1.0, "size/rmse": 1.5**0.5,
            "size/r2": (1 - 5 / 2 + 1 - 1 / 2) / 2,
        }
    )  # fmt: skip
    tags = TaskSpec(2, type="multilabel", partial=True)
    marks = torch.tensor([[1.0, torch.nan], [torch.nan, 0.0], [0.0, 1.0]])
    loss = losses.make({"tags": tags}, {}, {"tags": marks}, CPU)
    meter = Meter({"tags": tags}, loss, CPU)
    meter.add({"tags": outputs}, {"tags": marks}, loss({"tags": outputs}, {"tags": marks}))
    # of the four known labels two are given wrongly
    assert meter.scores()["tags/accuracy"] == 0.5
    assert meter.scores()["tags/f1"] == pytest.approx(2 / 3)


def test_metrics_are_those_of_the_labelled_samples() -> None:
    loss = losses.make(TASKS, SECTIONS, PARTIAL, CPU)
    meter = Meter(TASKS, loss, CPU)
    for number, chosen in enumerate(CHUNKS):
        batch = Batch(chosen, PARTIAL)
        meter.add(batch.inputs, batch.labels, loss(batch.inputs, batch.labels))
        if number == 1:
            state = meter.state_dict()
            meter = Meter(TASKS, loss, CPU)
            meter.load_state_dict(state)
    running = meter.scores()
    found = evaluate(Echo(), [Batch(chosen, PARTIAL) for chosen in CHUNKS], loss, TASKS, CPU)
    complete = {
        name: TaskSpec(t.classes, type=t.type, shape=t.shape, ignore_index=t.ignore_index)
        for name, t in TASKS.items()
    }
    plain = losses.make(complete, SECTIONS, LABELS, CPU)
    wanted = evaluate(Echo(), [Batch(KEPT, LABELS)], plain, complete, CPU)
    assert found is not None
    assert wanted is not None
    assert found.scores == pytest.approx(wanted.scores, rel=1e-5)
    assert running == pytest.approx(wanted.scores, rel=1e-5)
    assert found.confusion == wanted.confusion
    assert found.samples == len(KEPT)


def test_without_any_label_there_is_a_loss_of_0_and_no_metric() -> None:
    loss = losses.make(TASKS, SECTIONS, LABELS, CPU)
    batch = Batch(slice(None), without(LABELS, torch.zeros(len(KEPT), dtype=torch.bool)))
    found = evaluate(Echo(), [batch], loss, TASKS, CPU)
    meter = Meter(TASKS, loss, CPU)
    meter.add(batch.inputs, batch.labels, loss(batch.inputs, batch.labels))
    nothing = {"loss": 0.0, **{f"{task}/loss": 0.0 for task in TASKS}}
    assert found is not None
    assert found.scores == nothing
    assert meter.scores() == nothing


def test_class_weights_count_what_is_labelled() -> None:
    labels = torch.tensor([0, -1, 0, 1, -1])
    found = class_weights.resolve("balanced", TaskSpec(2, partial=True), labels)
    assert found == pytest.approx([3 / 4, 3 / 2])
    tags = torch.tensor([[1.0, torch.nan], [0.0, 1.0], [0.0, torch.nan], [0.0, 0.0]])
    found = class_weights.resolve("balanced", TaskSpec(2, type="multilabel", partial=True), tags)
    assert found == pytest.approx([3.0, 1.0])


def test_strata_of_samples_without_the_finest_label() -> None:
    age = TaskSpec(type="regression")
    tasks = {"fine": TaskSpec(4, parent="coarse"), "coarse": TaskSpec(2), "age": age}
    labels = {"fine": np.array([0, -1, -1, 3, -1]), "coarse": np.array([0, 0, 1, 1, -1])}
    found = strata(tasks, labels, 5)
    assert found.tolist()[::3] == [0, 3]
    assert len(set(found.tolist())) == 5
    assert (found[[1, 2, 4]] < 0).all()


@pytest.mark.parametrize("kind", ["classification", "multilabel", "regression"])
def test_a_teacher_without_a_label_passes_the_prediction_on(kind: str) -> None:
    teacher = Teacher("t", kind).train()
    logits = torch.tensor([[2.0, -1.0], [-3.0, 4.0]])
    if kind == "classification":
        labels = torch.tensor([1, -1])
        wanted = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    else:
        labels = torch.tensor([[1.0, torch.nan], [torch.nan, 0.0]])
        given = teacher.predicted(logits)
        wanted = torch.tensor([[1.0, given[0, 1]], [given[1, 0], 0.0]])
    assert torch.equal(teacher(logits, {"t": labels}), wanted)


SPEC = """\
graphspec: 1
name: partly
data: {source: arrays, path: partly.npz, test: 0.25}
tasks:
  fine: {class_weights: balanced, label_smoothing: 0.1}
  coarse: {}
  size: {type: regression}
train: {epochs: 2, batch_size: 8, best: validation/coarse/top1}
nodes:
  trunk: {op: fc, from: x, units: 8}
  fine_head: {op: head, from: trunk, task: fine}
  joined: {op: concat, from: [trunk, {node: fine_head, as: teacher}]}
  coarse_head: {op: head, from: joined, task: coarse}
  size_head: {op: head, from: trunk, task: size}
"""


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write()
    path = tmp_path / "partly.yaml"
    path.write_text(SPEC)
    return path


def write(**changed: np.ndarray) -> None:
    fine = np.arange(80) % 4
    arrays = {
        "x": np.random.default_rng(0).standard_normal((80, 3)) + fine[:, None],
        "fine": np.where(np.arange(80) < 40, fine, -1),
        "coarse": fine // 2,
        "size": np.where(np.arange(80) % 5 == 0, np.nan, fine / 2),
    }
    np.savez("partly.npz", **(arrays | changed))


def data() -> DataSet:
    tasks = {"fine": Task(), "coarse": Task(), "size": Task(type="regression")}
    return load(Data(source="arrays", path="partly.npz", test=0.25), 0, tasks)


@pytest.mark.usefixtures("no_pictures")
def test_a_run_on_partial_labels(spec: Path, tmp_path: Path) -> None:
    notes = Notes()
    run = train(spec, out=tmp_path / "run", observer=notes)
    found = data()
    assert {name: task.partial for name, task in found.signature.tasks.items()} == {
        "fine": True, "coarse": False, "size": True,
    }  # fmt: skip
    # half of every split is labelled, for the split is stratified by what is known
    assert [int((part.labels["fine"] >= 0).sum()) for part in (found.train, found.test)] == [24, 10]
    assert notes.headers[0].tasks["fine"] == "4 classes, 24 of 48 labelled"
    assert notes.headers[0].tasks["coarse"] == "2 classes"
    fine = run.summary["tasks"]["fine"]
    assert fine["labelled"] == {"train": 24, "validation": 6, "test": 10}
    assert fine["class_weights"] == [1.0, 1.0, 1.0, 1.0]
    text = "fine is labelled in train 24 of 48, validation 6 of 12, test 10 of 20 samples"
    assert text in lines(run)
    assert "coarse is labelled" not in lines(run)
    assert all(np.isfinite(v) for r in run.metrics for v in r.values() if not isinstance(v, str))
    assert json.loads((run.folder / "summary.json").read_text())["samples"]["train"] == 48


@pytest.mark.usefixtures("no_pictures")
def test_labels_that_are_too_few(spec: Path, tmp_path: Path) -> None:
    def message(**overrides: Any) -> str:
        with pytest.raises(SpecError) as caught:
            train(spec, out=tmp_path / "run", overrides=overrides)
        (found,) = caught.value.diagnostics
        assert found.code.value == "data-mismatch"
        return found.message

    write(size=np.full(80, np.nan))
    assert "no training sample of `arrays` has a label of the task `size`" in message()
    fine = np.full(80, -1)
    fine[0] = 3  # a class of one sample is never held out
    write(fine=fine)
    asked = {"train.best": "validation/fine/top1"}
    text = message(**asked)
    assert text.startswith("`best: validation/fine/top1` cannot be measured: no validation sample")


def test_what_is_not_known_is_not_against_the_hierarchy_or_a_number(spec: Path) -> None:
    write(size=np.where(np.arange(80) == 7, np.inf, 1.0))
    with pytest.raises(SpecError, match="not finite in 1 of 80 samples, the first of them 7"):
        data()


def test_running_sums_of_complete_labels_are_as_ever() -> None:
    complete = {n: TaskSpec(t.classes, type=t.type, shape=t.shape) for n, t in TASKS.items()}
    loss = losses.make(complete, {}, LABELS, CPU)
    assert all(loss.basis(name, BATCHES[0].labels[name]) is None for name in complete)
    shapes = {n: tuple(v.shape) for n, v in Meter(complete, loss, CPU).state_dict()["hits"].items()}
    assert shapes == {"kind": (2,), "tags": (3, 3), "size": (4, 2), "mask": (3, 4)}


@pytest.mark.usefixtures("no_pictures")
def test_a_declared_hierarchy_is_learned_and_measured(spec: Path, tmp_path: Path) -> None:
    overrides = {"tasks.fine.parent": "coarse", "train.best": "validation/fine/consistency"}
    run = train(spec, out=tmp_path / "run", overrides=overrides)
    hierarchy = run.summary["hierarchy"]["fine"]
    assert set(hierarchy) == {"validation", "test"}
    assert hierarchy["test"]["parent"] == "coarse"
    counts = np.array(hierarchy["test"]["counts"])
    test = run.summary["tasks"]["fine"]["test"]
    # the coarse label is known for all, the fine one for half of the samples
    assert counts.sum() == 20
    assert counts.trace() / 20 == test["implied_top1"]
    validated = [r for r in run.metrics if r["split"] == "validation"]
    assert run.summary["best"]["value"] == max(r["fine/consistency"] for r in validated)
    assert "fine/consistency" not in run.metrics[0]
    found = evaluate_run(run.folder)
    assert found["hierarchy"]["fine"] == hierarchy["test"]
    assert found["fine/mistake_severity"] == test["mistake_severity"]
    page = (run.folder / "report.html").read_text()
    assert "consistency of fine with coarse, test" in page
    assert "fine is labelled in train 24 of 48" in page

    coarse = np.arange(80) % 4 // 2
    coarse[[1, 5]] = 1, 0
    write(coarse=coarse)
    with pytest.raises(SpecError) as caught:
        train(spec, out=tmp_path / "wrong", overrides=overrides)
    assert (
        "the class `1` of `fine` in `partly.npz` lies in two classes of `coarse`: in `1` by "
        "sample 1, in `0` by sample 5"
    ) in str(caught.value)


def test_a_probe_takes_a_batch_and_samples_that_have_labels() -> None:
    tasks = {"a": TaskSpec(3, partial=True), "b": TaskSpec(type="regression", partial=True)}

    def batch(*known: tuple[int, int]) -> Any:
        a, b = torch.full((8,), -1), torch.full((8, 1), torch.nan)
        for task, sample in known:
            (a if task == 0 else b)[sample] = 1
        return SimpleNamespace(labels={"a": a, "b": b})

    empty, half, whole = batch(), batch((0, 3)), batch((0, 5), (1, 7))
    assert labelled.fullest([empty, half, whole, half], tasks) is whole
    assert labelled.fullest([empty, half, half], tasks) is half
    assert labelled.rows(whole.labels, tasks, 3).tolist() == [0, 5, 7]
    assert labelled.rows(batch().labels, tasks, 3).tolist() == [0, 1, 2]
    complete = batch(*((task, sample) for task in (0, 1) for sample in range(8)))
    assert labelled.rows(complete.labels, tasks, 4).tolist() == [0, 1, 2, 3]


@pytest.mark.usefixtures("no_pictures")
def test_other_data_are_measured_by_the_map_of_the_run(spec: Path, tmp_path: Path) -> None:
    fine = np.arange(80) % 4
    write(fine=fine)
    run = train(spec, out=tmp_path / "run", overrides={"tasks.fine.parent": "coarse"}, epochs=1)
    options = {"data": "arrays", "overrides": {"data.path": "partly.npz"}, "split": "all"}
    known = run.evaluate(**options)
    # without a label of the one task its map is that of the run all the same
    write(fine=np.full(80, -1))
    found = run.evaluate(**options)
    for name in ("consistency", "implied_top1", "marginal_top1"):
        assert found[f"fine/{name}"] == known[f"fine/{name}"]
    assert "fine/mistake_severity" not in found
    write(fine=fine, coarse=1 - fine // 2)  # another map
    with pytest.raises(SpecError, match=r"`train` puts 48 samples into a wrong class of `coarse`"):
        run.evaluate(**options)


def test_a_parent_of_which_no_sample_shows_anything(spec: Path, tmp_path: Path) -> None:
    fine = np.arange(80) % 4
    half = np.arange(80) < 40
    write(fine=np.where(half, fine, -1), coarse=np.where(half, -1, fine // 2))
    with pytest.raises(SpecError) as caught:
        train(spec, out=tmp_path / "run", overrides={"tasks.fine.parent": "coarse"})
    assert (
        "no training sample of `arrays` has labels of both `fine` and `coarse`, so it is not "
        "known which class lies in which"
    ) in str(caught.value)
    assert not (tmp_path / "run").exists()
