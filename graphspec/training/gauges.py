"""Metrics that torchmetrics computes: what they are given, and what becomes of their results.

A task is measured by sums of our own where those are exact and cheap
(`graphspec.training.statistics`), and by torchmetrics for the rest. Predictions are given in the
form of probabilities or of classes: torchmetrics would take logits that all lie in [0, 1] for
probabilities.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from graphspec.language.signature import TaskSpec
from graphspec.training.measures import top_k
from graphspec.training.objectives import MISSING

if TYPE_CHECKING:
    from torchmetrics import Metric

CALIBRATION_BINS = 15
"""Bins of confidence of the expected calibration error, as in its source (Guo et al. 2017)."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """How one metric is made of a class of torchmetrics.

    Attributes:
        kind: Name of the class; those of classification, but for regressions.
        form: In what form predictions are given: ``classes``, ``shares`` or ``numbers``.
        options: Arguments of the class.
        by: Over what the mean is taken: ``""`` where it gives one number, ``class`` over the
            classes for which it is defined, ``number`` over the numbers of a target.
    """

    kind: str
    form: str
    options: Mapping[str, Any]
    by: str = ""


_EXACT = {"average": "none", "thresholds": None}
"""Options of a curve over all predictions, without bins."""

GAUGES: dict[str, dict[str, Gauge]] = {
    "classification": {
        "macro_f1": Gauge("MulticlassF1Score", "classes", {"average": "macro"}),
        "precision": Gauge("MulticlassPrecision", "classes", {"average": "macro"}),
        "recall": Gauge("MulticlassRecall", "classes", {"average": "macro"}),
        "mcc": Gauge("MulticlassMatthewsCorrCoef", "classes", {}),
        "cohen_kappa": Gauge("MulticlassCohenKappa", "classes", {}),
        "auroc": Gauge("MulticlassAUROC", "shares", _EXACT, "class"),
        "average_precision": Gauge("MulticlassAveragePrecision", "shares", _EXACT, "class"),
        "calibration_error": Gauge(
            "MulticlassCalibrationError", "shares", {"n_bins": CALIBRATION_BINS, "norm": "l1"}
        ),
    },
    "multilabel": {
        "auroc": Gauge("MultilabelAUROC", "shares", _EXACT, "class"),
        "average_precision": Gauge("MultilabelAveragePrecision", "shares", _EXACT, "class"),
        "exact_match": Gauge("MultilabelExactMatch", "classes", {}),
    },
    "regression": {
        "pearson": Gauge("PearsonCorrCoef", "numbers", {}, "number"),
        "spearman": Gauge("SpearmanCorrCoef", "numbers", {}, "number"),
    },
    "segmentation": {},
}
"""The metrics of every type of task that torchmetrics computes, besides top-k."""


class Gauges:
    """Some metrics of one task, accumulated on the device."""

    def __init__(
        self, task: TaskSpec, names: Sequence[str], device: torch.device, exact: torch.dtype
    ) -> None:
        """Begin with nothing.

        Args:
            task: The task.
            names: The metrics; those that are not computed here are left out.
            device: Where predictions and labels are.
            exact: Type in which numbers of a regression are compared.
        """
        self._task = task
        self._exact = exact
        self._gauges: dict[str, Gauge] = {}
        self._metrics: dict[str, Metric] = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of the memory that exact curves take
            for name in names:
                gauge = _gauge(task, name)
                if gauge is not None:
                    self._gauges[name] = gauge
                    self._metrics[name] = _metric(task, gauge, exact).to(device)
        labels = task.classes if task.type in ("classification", "multilabel") else 0
        self._present = torch.zeros(labels, dtype=torch.int64, device=device)
        self._known = torch.zeros(labels, dtype=torch.int64, device=device)
        self.samples = 0

    def __bool__(self) -> bool:
        """Return whether there is anything to measure."""
        return bool(self._metrics)

    def update(self, outputs: Tensor, labels: Tensor) -> None:
        """Take in some predictions; samples without a label are left out.

        Args:
            outputs: What the model gives, of shape ``(N, ...)``.
            labels: The targets.
        """
        outputs, labels = self._labelled(outputs, labels)
        if not len(labels):
            return
        self.samples += len(labels)
        forms: dict[str, Tensor] = {}
        if self._task.type == "multilabel":
            known = labels.isfinite()
            labels = torch.where(known, labels > 0.5, MISSING).long()
            self._present += (labels == 1).sum(0)
            self._known += known.sum(0)
        elif self._task.type == "classification":
            self._present.scatter_add_(0, labels, torch.ones_like(labels))
            self._known += len(labels)
        else:
            labels = self._numbers(labels)
        for name, metric in self._metrics.items():
            form = self._gauges[name].form
            if form not in forms:
                forms[form] = self._formed(outputs, form)
            metric.update(forms[form], labels)

    def scores(self) -> dict[str, float]:
        """Return the metrics by name; one that is not defined for what was seen is left out."""
        if not self.samples:
            return {}
        found: dict[str, float] = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # what is not defined is left out here
            for name, metric in self._metrics.items():
                result = metric.compute().double().cpu()
                if self._gauges[name].kind == "SpearmanCorrCoef":
                    result = torch.where(_vary(metric).cpu(), result, torch.nan)
                value = self._score(self._gauges[name], result)
                if value is not None:
                    found[name] = value
        return found

    def state_dict(self) -> dict[str, Any]:
        """Return the sums of metrics that training has: whole numbers, whose order is free."""
        metrics = {
            name: {key: value.cpu().clone() for key, value in metric.state_dict().items()}
            for name, metric in self._metrics.items()
        }
        counts = {"present": self._present.cpu().clone(), "known": self._known.cpu().clone()}
        return {"samples": self.samples, "metrics": metrics, **counts}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.samples = int(state["samples"])
        self._present.copy_(state["present"])
        self._known.copy_(state["known"])
        for name, metric in self._metrics.items():
            if name in state["metrics"]:
                metric.load_state_dict(state["metrics"][name])

    def summable(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Return of a `state_dict` what may be added to that of other samples.

        A metric whose sums are about a mean, as Pearson's, is left out, and then not defined.
        """
        from torchmetrics.utilities import dim_zero_sum

        metrics = {
            name: sums
            for name, sums in state["metrics"].items()
            if all(each is dim_zero_sum for each in self._metrics[name]._reductions.values())
        }
        return {**state, "metrics": metrics}

    def _labelled(self, outputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the samples that have a label; of a regression those that have all numbers."""
        if not self._task.partial:
            return outputs, labels
        if self._task.type == "classification":
            known = labels >= 0
        else:
            numbers = labels.isfinite().flatten(1)
            known = numbers.all(1) if self._task.type == "regression" else numbers.any(1)
        return outputs[known], labels[known]

    def _formed(self, outputs: Tensor, form: str) -> Tensor:
        if form == "numbers":
            return self._numbers(outputs)
        if form == "logits":
            return outputs.float()
        if self._task.type == "multilabel":
            return (outputs > 0).long() if form == "classes" else outputs.float().sigmoid()
        return outputs.argmax(1) if form == "classes" else outputs.float().softmax(1)

    def _numbers(self, values: Tensor) -> Tensor:
        """Return numbers as ``(N, numbers)``, or ``(N,)`` where a target is one."""
        flat = values.to(self._exact).flatten(1)
        return flat[:, 0] if flat.shape[1] == 1 else flat

    def _score(self, gauge: Gauge, value: Tensor) -> float | None:
        """Return a result as one number, or None where it is not defined."""
        if gauge.by == "class":
            present, known = self._present.cpu(), self._known.cpu()
            value = value[(present > 0) & (present < known)]
        if gauge.by:
            value = value[value.isfinite()] if value.dim() else value
            value = value.mean()
        number = float(value)
        if gauge.kind == "MulticlassAccuracy":
            # torchmetrics divides in float32; the number of hits is whole
            return round(number * self.samples) / self.samples
        return number if value.isfinite() else None


def _vary(metric: Metric) -> Tensor:
    """Return for which numbers Spearman's correlation is defined; torchmetrics gives others a 0."""
    from torchmetrics.utilities import dim_zero_cat

    sides = [dim_zero_cat(getattr(metric, side)) for side in ("preds", "target")]
    first, second = (side.amax(0) > side.amin(0) for side in sides)
    return first & second


def computed(task: TaskSpec, names: Sequence[str]) -> list[str]:
    """Return those of some metrics that torchmetrics computes for a task."""
    return [name for name in names if _gauge(task, name) is not None]


def _gauge(task: TaskSpec, name: str) -> Gauge | None:
    k = top_k(name)
    if k is not None and task.type == "classification":
        return Gauge("MulticlassAccuracy", "logits", {"top_k": k, "average": "micro"})
    return GAUGES[task.type].get(name)


def _metric(task: TaskSpec, gauge: Gauge, exact: torch.dtype) -> Metric:
    import torchmetrics
    from torchmetrics import classification

    made: Metric
    if task.type == "regression":
        numbers = max(1, torch.Size(task.shape).numel())
        kind: Callable[..., Metric] = getattr(torchmetrics, gauge.kind)
        made = kind(num_outputs=numbers, sync_on_compute=False, **gauge.options)
        made.set_dtype(exact)
    else:
        kind = getattr(classification, gauge.kind)
        options = dict(gauge.options)
        if task.type == "multilabel" and task.partial:
            options["ignore_index"] = MISSING
        made = kind(task.classes, validate_args=False, sync_on_compute=False, **options)
    # several processes bring their sums together themselves (`Meter.together`, `Divided`)
    made.persistent(True)
    return made
