"""Metrics that a spec chooses: against scikit-learn's definitions by hand, running and resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from graphspec import compiler
from graphspec.errors import Sink, SpecError
from graphspec.language.signature import TaskSpec, TaskType
from graphspec.language.tasks import Task
from graphspec.training import gauges, losses, measures, metric_choice, statistics
from graphspec.training.check import checked
from graphspec.training.evaluate import evaluate as evaluate_run
from graphspec.training.evaluation import Evaluation, evaluate
from graphspec.training.metrics import Meter
from graphspec.training.run import train
from graphspec.training.summary import lines

from .test_objectives import CPU, LABELS, OUTPUTS, Echo

CHOSEN = {
    "kind": (
        "macro_f1", "top1", "top3", "top5", "precision", "recall", "mcc", "cohen_kappa", "auroc",
        "average_precision", "calibration_error",
    ),
    "tags": (
        "auroc", "f1", "accuracy", "exact_match", "precision", "recall", "average_precision",
    ),
    "size": ("spearman", "pearson", "mse", "mae", "rmse", "r2"),
    "mask": ("dice", "iou", "accuracy"),
}  # fmt: skip
TASKS = {
    "kind": TaskSpec(7, metrics=CHOSEN["kind"]),
    "tags": TaskSpec(3, type="multilabel", metrics=CHOSEN["tags"]),
    "size": TaskSpec(type="regression", shape=(2,), metrics=CHOSEN["size"]),
    "mask": TaskSpec(
        4, type="segmentation", shape=(5, 6), ignore_index=255, metrics=CHOSEN["mask"]
    ),
}
RUNNING = {
    name: [each for each in chosen if measures.measure(each).running]
    for name, chosen in CHOSEN.items()
}


class Batch:
    def __init__(self, chosen: Any, labels: dict[str, torch.Tensor] = LABELS) -> None:
        self.inputs = {name: values[chosen] for name, values in OUTPUTS.items()}
        self.labels = {name: values[chosen] for name, values in labels.items()}


CHUNKS = [slice(0, 40), slice(40, 80), slice(80, None)]


def evaluated(tasks: dict[str, TaskSpec], batches: list[Batch]) -> Evaluation:
    loss = losses.make(tasks, {}, LABELS, CPU)
    found = evaluate(Echo(), batches, loss, tasks, CPU)
    assert found is not None
    return found


def area(scores: np.ndarray, true: np.ndarray) -> float:
    """Return the part of pairs of a positive and a negative that are in the right order."""
    above = scores[true][:, None] - scores[~true]
    return float((above > 0).mean() + (above == 0).mean() / 2)


def precision_of_ranks(scores: np.ndarray, true: np.ndarray) -> float:
    """Return the mean precision at the rank of each positive."""
    order = true[np.argsort(-scores)]
    return float((np.cumsum(order) / np.arange(1, len(order) + 1))[order].mean())


def expected_kind() -> dict[str, float]:
    logits, true = OUTPUTS["kind"].double().numpy(), LABELS["kind"].numpy()
    shares = torch.tensor(logits).softmax(1).numpy()
    given, ranks = logits.argmax(1), (logits >= logits[np.arange(len(true)), true][:, None]).sum(1)
    counts = np.zeros((7, 7))
    np.add.at(counts, (true, given), 1)
    hits, rows, columns, total = np.diag(counts), counts.sum(1), counts.sum(0), counts.sum()
    expected = (rows * columns).sum() / total**2
    spread = [total**2 - (each**2).sum() for each in (rows, columns)]
    confidence = shares.max(1)
    bins = np.minimum((confidence * gauges.CALIBRATION_BINS).astype(int), 14)
    gaps = [
        abs((confidence - (given == true))[bins == each].sum()) for each in range(15)
    ]  # fmt: skip
    return {
        "top1": float((ranks <= 1).mean()),
        "top3": float((ranks <= 3).mean()),
        "top5": float((ranks <= 5).mean()),
        "macro_f1": float((2 * hits / (rows + columns)).mean()),
        "precision": float((hits / columns).mean()),
        "recall": float((hits / rows).mean()),
        "mcc": float((hits.sum() * total - (rows * columns).sum()) / np.sqrt(np.prod(spread))),
        "cohen_kappa": float((hits.sum() / total - expected) / (1 - expected)),
        "auroc": float(np.mean([area(shares[:, c], true == c) for c in range(7)])),
        "average_precision": float(
            np.mean([precision_of_ranks(shares[:, c], true == c) for c in range(7)])
        ),
        "calibration_error": sum(gaps) / len(true),
    }


def expected_tags() -> dict[str, float]:
    logits, true = OUTPUTS["tags"].double().numpy(), LABELS["tags"].numpy() > 0.5
    given = logits > 0
    hits, false, missed = (
        (a & b).sum(0) for a, b in ((given, true), (given, ~true), (~given, true))
    )
    return {
        "auroc": float(np.mean([area(logits[:, c], true[:, c]) for c in range(3)])),
        "average_precision": float(
            np.mean([precision_of_ranks(logits[:, c], true[:, c]) for c in range(3)])
        ),
        "f1": float((2 * hits / (2 * hits + false + missed)).mean()),
        "accuracy": float((given == true).mean()),
        "precision": float((hits / (hits + false)).mean()),
        "recall": float((hits / (hits + missed)).mean()),
        "exact_match": float((given == true).all(1).mean()),
    }


def expected_size() -> dict[str, float]:
    given, true = OUTPUTS["size"].double().numpy(), LABELS["size"].double().numpy()
    errors = given - true
    return {
        "pearson": float(np.mean([stats.pearsonr(given[:, i], true[:, i])[0] for i in (0, 1)])),
        "spearman": float(np.mean([stats.spearmanr(given[:, i], true[:, i])[0] for i in (0, 1)])),
        "mse": float((errors**2).mean()),
        "mae": float(np.abs(errors).mean()),
        "rmse": float((errors**2).mean() ** 0.5),
        "r2": float((1 - (errors**2).sum(0) / ((true - true.mean(0)) ** 2).sum(0)).mean()),
    }


def expected_mask() -> dict[str, float]:
    given, true = OUTPUTS["mask"].argmax(1).numpy(), LABELS["mask"].numpy()
    given, true = given[true != 255], true[true != 255]
    both = [((given == c) & (true == c)).sum() for c in range(4)]
    sizes = [(given == c).sum() + (true == c).sum() for c in range(4)]
    return {
        "dice": float(np.mean([2 * b / s for b, s in zip(both, sizes, strict=True)])),
        "iou": float(np.mean([b / (s - b) for b, s in zip(both, sizes, strict=True)])),
        "accuracy": float((given == true).mean()),
    }


def expected() -> dict[str, float]:
    tasks = {
        "kind": expected_kind(), "tags": expected_tags(), "size": expected_size(),
        "mask": expected_mask(),
    }  # fmt: skip
    return {f"{name}/{key}": value for name, found in tasks.items() for key, value in found.items()}


def test_every_metric_is_what_its_definition_says() -> None:
    every = {kind: {*measures.suited(kind)} for kind in ("classification", "multilabel",
             "regression", "segmentation")}  # fmt: skip
    assert {t.type: {*t.metrics} - {"top3"} for t in TASKS.values()} == every
    found = evaluated(TASKS, [Batch(chosen) for chosen in CHUNKS]).scores
    assert list(found) == measures.of_tasks(TASKS)
    wanted = expected()
    assert {key: found[key] for key in wanted} == pytest.approx(wanted, rel=1e-5)


def test_the_running_ones_are_the_same_and_go_on_from_their_state(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loss = losses.make(TASKS, {}, LABELS, CPU)

    def metered(resumed: bool) -> dict[str, float]:
        meter = Meter(TASKS, loss, CPU)
        for number, chosen in enumerate(CHUNKS):
            batch = Batch(chosen)
            meter.add(batch.inputs, batch.labels, loss(batch.inputs, batch.labels))
            if resumed and number < 2:
                state = meter.state_dict()
                meter = Meter(TASKS, loss, CPU)
                meter.load_state_dict(state)
        return meter.scores()

    found = metered(resumed=False)
    assert list(found) == measures.of_tasks(TASKS, "train")
    assert "kind/auroc" not in found
    wanted = {key: value for key, value in expected().items() if key in found}
    assert len(wanted) == sum(map(len, RUNNING.values()))
    assert {key: found[key] for key in wanted} == pytest.approx(wanted, rel=1e-5)
    assert metered(resumed=True) == found


def test_of_partial_labels_they_are_those_of_what_is_labelled() -> None:
    kept = torch.arange(len(LABELS["kind"])) % 4 != 2
    labels = {
        "kind": torch.where(kept, LABELS["kind"], -1),
        "tags": torch.where(kept[:, None], LABELS["tags"], torch.nan),
        "size": torch.where(kept[:, None], LABELS["size"], torch.nan),
        "mask": torch.where(kept[:, None, None], LABELS["mask"], -1),
    }
    partial = {
        n: TaskSpec(t.classes, type=t.type, shape=t.shape, ignore_index=t.ignore_index,
                    metrics=t.metrics, partial=True)
        for n, t in TASKS.items()
    }  # fmt: skip
    found = evaluated(partial, [Batch(chosen, labels) for chosen in CHUNKS]).scores
    wanted = evaluated(TASKS, [Batch(kept)]).scores
    assert found == pytest.approx(wanted, rel=1e-5)
    # of three labels one may be missing
    some = {**labels, "tags": LABELS["tags"].clone()}
    some["tags"][::2, 1] = torch.nan
    found = evaluated(partial, [Batch(slice(None), some)]).scores
    logits, true = OUTPUTS["tags"].double().numpy(), LABELS["tags"].numpy() > 0.5
    areas = [
        area(logits[rows, c], true[rows, c])
        for c, rows in ((0, slice(None)), (1, slice(1, None, 2)), (2, slice(None)))
    ]
    assert found["tags/auroc"] == pytest.approx(np.mean(areas), rel=1e-5)


def test_what_is_not_defined_is_left_out() -> None:
    tasks = {"kind": TASKS["kind"], "size": TASKS["size"]}
    batch = Batch(slice(0, 6))
    batch.labels["kind"] = torch.zeros(6, dtype=torch.int64)
    batch.inputs["size"] = torch.ones(6, 2)
    found = evaluated(tasks, [batch]).scores
    correlations = {"size/pearson", "size/spearman"}
    assert not ({"kind/auroc", "kind/average_precision"} | correlations) & set(found)
    assert {"kind/macro_f1", "size/mae"} < set(found)
    assert all(np.isfinite(list(found.values())))
    # of two numbers one that never varies has no part in the mean
    batch = Batch(slice(0, 6))
    batch.labels["size"] = torch.stack([batch.labels["size"][:, 0], torch.full((6,), 2.5)], 1)
    found = evaluated({"size": TASKS["size"]}, [batch]).scores
    given, true = batch.inputs["size"][:, 0].numpy(), batch.labels["size"][:, 0].numpy()
    assert found["size/spearman"] == pytest.approx(stats.spearmanr(given, true)[0])
    assert found["size/pearson"] == pytest.approx(stats.pearsonr(given, true)[0])


def test_every_metric_is_computed_in_one_place() -> None:
    kinds: tuple[TaskType, ...] = ("classification", "multilabel", "regression", "segmentation")
    for kind in kinds:
        by_sums, by_torchmetrics = statistics.COUNTED[kind], gauges.GAUGES[kind]
        both = [*by_sums, *by_torchmetrics]
        plain = [name for name in measures.suited(kind) if measures.top_k(name) is None]
        assert sorted(both) == sorted(plain)


@pytest.mark.parametrize(
    ("metric", "kind", "words"),
    [
        ("macrof1", "classification", "there is no metric `macrof1`|did you mean `macro_f1`?"),
        ("accuracy", "classification", "has no metric `accuracy`|it is called `top1`"),
        ("mae", "classification", "`mae` is not for a classification task such as `t`|top1, top5"),
        ("top9", "classification", "`top9` of `t` is always 1, for it has 6 classes|below 6"),
        ("top0", "classification", "there is no metric `top0`|top1"),
        ("top3", "regression", "`top3` is not for a regression task|mae, mse, rmse, r2, pearson"),
        ("loss", "regression", "`loss` is measured of every task|leave it out"),
        ("consistency", "classification", "is measured of every task with a `parent`|leave it out"),
        ("top5", "classification", ""),
        ("iou", "segmentation", ""),
    ],
)
def test_what_a_task_may_choose(metric: str, kind: TaskType, words: str) -> None:
    sink = Sink()
    section = {"t": Task(metrics=[metric])}
    metric_choice.check(section, {"t": kind}, {"t": 6}, sink, lambda path, key=False: None)
    texts = [f"{each.message}\n{each.hint}" for each in sink.diagnostics]
    assert len(texts) == bool(words)
    assert all(part in texts[0] for part in words.split("|") if part)


SPEC = """\
graphspec: 1
name: chosen
data: {source: tiny, validation: 0.25}
tasks:
  fine: {metrics: [auroc, macro_f1, top2, calibration_error, top2]}
  coarse: {metrics: [mcc]}
train:
  epochs: 2
  batch_size: 32
  best: validation/fine/auroc
  early_stopping: {metric: validation/fine/calibration_error}
nodes:
  features: {op: fc, from: image, units: [12]}
  fine_label: {op: head, from: features, task: fine}
  coarse_label: {op: head, from: features, task: coarse}
"""


def test_a_run_is_steered_by_what_it_chooses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "chosen.yaml"
    path.write_text(SPEC)
    run = train(path, out=tmp_path / "run")
    assert [key for key in run.metrics[0] if "weight" not in key and key != "data_wait"][5:-1] == [
        "loss", "fine/loss", "fine/macro_f1", "fine/top2", "coarse/loss", "coarse/mcc",
    ]  # fmt: skip
    validated = [record for record in run.metrics if record["split"] == "validation"]
    assert list(validated[0])[5:12] == [
        "loss", "fine/loss", "fine/auroc", "fine/macro_f1", "fine/top2", "fine/calibration_error",
        "fine/consistency",
    ]  # fmt: skip
    assert run.summary["best"]["value"] == max(r["fine/auroc"] for r in validated)
    found = evaluate_run(run.folder)
    assert found["fine/auroc"] == run.summary["tasks"]["fine"]["test"]["auroc"]
    header = next(line for line in lines(run).splitlines() if line.startswith("task "))
    assert header.split()[3:] == ["loss", "top-2", "macro", "F1", "MCC", "AUROC", "ECE"]
    page = (run.folder / "report.html").read_text()
    assert "<span>fine, 6 classes: AUROC, test</span>" in page

    with pytest.raises(SpecError, match=r"`best` needs a validation split, .* no `fine/auroc`"):
        train(path, out=tmp_path / "none", overrides={"data.validation": 0})
    with pytest.raises(SpecError, match="`best: train/fine/auroc` is no metric of this spec"):
        train(path, out=tmp_path / "none", overrides={"train.best": "train/fine/auroc"})
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        (
            "validation/fine/auroc",
            "`tasks: {fine: {metrics: [top1, auroc]}}`",
        ),
        (
            "train/fine/auroc",
            "the model learns; choose by `validation/fine/auroc`",
        ),
        ("train/fine/mcc", "`tasks: {fine: {metrics: [top1, mcc]}}`"),
        ("validation/coarse/consistency", "declare the parent of `coarse`"),
        ("train/fine/consistency", "choose by `validation/fine/consistency`"),
        ("validation/fine/mae", None),
        ("validation/fine/topp1", None),
        ("test/fine/auroc", None),
        ("loss", None),
    ],
)
def test_advice_on_a_metric_that_is_not_measured(metric: str, words: str | None) -> None:
    tasks = {"fine": TaskSpec(4, parent="coarse"), "coarse": TaskSpec(2)}
    found = metric_choice.advice(metric, tasks)
    assert found is None if words is None else words in str(found)


def test_validate_tells_where(tmp_path: Path) -> None:
    text = SPEC.replace("mcc", "mce").replace("best: validation/fine/auroc", "best: loss")
    with pytest.raises(SpecError) as caught:
        checked(compiler.load_text(text, "t.yaml"))
    assert [f"{d.code.value}@{d.location}" for d in caught.value.diagnostics] == [
        "bad-value@t.yaml:6:22", "bad-value@t.yaml:10:9",
    ]  # fmt: skip


def test_the_table_of_metrics_in_the_docs_is_current() -> None:
    rows = []
    for name, each in measures.MEASURES.items():
        if name != "loss" and not each.of_hierarchy:
            words = each.words + (", less is better" if each.minimised else "")
            splits = "all" if each.running else "not train"
            rows.append(f"| `{name}` | {words} | {', '.join(each.types)} | {splits} |")
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    table = "\n".join(["| metric | meaning | types | splits |", "|---|---|---|---|", *rows])
    assert table in page, table
    related = [name for name, each in measures.MEASURES.items() if each.of_hierarchy]
    assert all(f"| `{name}` | {measures.measure(name).title} |" in page for name in related)


def test_running_sums_are_whole_so_that_those_of_several_processes_can_be_added() -> None:
    exact = torch.float64
    for name, task in TASKS.items():
        own = gauges.Gauges(task, RUNNING[name], CPU, exact)
        states = [value for each in own.state_dict()["metrics"].values() for value in each.values()]
        assert all(value.dtype == torch.int64 for value in states)
    kept = gauges.Gauges(TASKS["kind"], ["macro_f1", "mcc"], CPU, exact)
    halves = [gauges.Gauges(TASKS["kind"], ["macro_f1", "mcc"], CPU, exact) for _ in range(2)]
    for half, chosen in zip(halves, (slice(0, 50), slice(50, None)), strict=True):
        half.update(OUTPUTS["kind"][chosen], LABELS["kind"][chosen])
        kept.update(OUTPUTS["kind"][chosen], LABELS["kind"][chosen])
    first, second = (half.state_dict() for half in halves)
    for metric, state in first["metrics"].items():
        for key in state:
            state[key] += second["metrics"][metric][key]
    for key in ("samples", "present", "known"):
        first[key] = first[key] + second[key]
    whole = gauges.Gauges(TASKS["kind"], ["macro_f1", "mcc"], CPU, exact)
    whole.load_state_dict(first)
    assert whole.scores() == kept.scores()
