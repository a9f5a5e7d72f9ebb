"""The interpreter: reads a text, finds its calls, and runs them one after the other."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import yaml
from torch import Tensor

from tests.interpreter import ops
from tests.interpreter.structure import Structure
from tests.interpreter.things import Call, Edge
from tests.interpreter.weights import Shelf, Store, Weights


@dataclass
class Result:
    """What a run gives.

    Attributes:
        outputs: By task.
        store: The tensors that were used; buffers have the values after the run.
    """

    outputs: dict[str, Tensor]
    store: Store


class Interpreter:
    """A spec, ready to run.

    Attributes:
        calls: What the heads need, in the order in which it runs: topological, and by name where
            several could be next. The order shows where calls share a batch normalisation.
    """

    def __init__(self, text: str) -> None:
        spec = yaml.safe_load(text)
        self.tasks: dict[str, Any] = spec["tasks"]
        self.inputs: list[str] = list(spec["inputs"])
        self._structure = Structure(spec)
        everything = self._structure.calls()
        self._reads: dict[Call, list[Edge]] = {
            call: [e for _, source in call.sources for e in self._structure.edges(source)]
            for call in everything
        }
        self.heads = {c.weights.what["task"]: c for c in everything if _is_head(c)}
        self.calls = self._ordered()

    def _ordered(self) -> list[Call]:
        needed: set[Call | str] = set(self.inputs)
        waiting: list[Call] = list(self.heads.values())
        while waiting:
            call = waiting.pop()
            if call not in needed:
                needed.add(call)
                waiting += [e.target for e in self._reads[call] if isinstance(e.target, Call)]
        left = {
            n: len({e.target for e in self._reads[n]}) if isinstance(n, Call) else 0 for n in needed
        }
        readers: dict[Call | str, set[Call]] = {each: set() for each in needed}
        for each in needed:
            if isinstance(each, Call):
                for edge in self._reads[each]:
                    readers[edge.target].add(each)
        by_name = {(n.name if isinstance(n, Call) else n): n for n in needed}
        ready = [name for name, each in by_name.items() if left[each] == 0]
        heapq.heapify(ready)
        order: list[Call] = []
        while ready:
            each = by_name[heapq.heappop(ready)]
            if isinstance(each, Call):
                order.append(each)
            for reader in readers[each]:
                left[reader] -= 1
                if left[reader] == 0:
                    heapq.heappush(ready, reader.name)
        return order

    def owners(self) -> list[Weights]:
        """Return every owner of weights that a model of this spec must have."""
        found: dict[Weights, None] = {}
        waiting = [call.weights for call in self.calls]
        while waiting:
            each = waiting.pop()
            if each not in found:
                found[each] = None
                waiting += each.needs()
        return list(found)

    def run(
        self,
        tensors: Mapping[str, Tensor],
        inputs: Mapping[str, Tensor],
        training: bool = False,
        labels: Mapping[str, Tensor] | None = None,
    ) -> Result:
        """Run the spec.

        Args:
            tensors: Parameters and buffers by name; buffers are changed while training.
            inputs: By name.
            training: The mode.
            labels: True labels by task.
        """
        store = Store(dict(tensors))
        values: dict[Call | str, Any] = dict(inputs)
        for call in self.calls:
            given = [self._passed(edge, values, training, labels) for edge in self._reads[call]]
            site = ops.Site(Shelf(store, call.weights), training, self.tasks)
            values[call] = ops.run(call.weights.what, given, site)
        return Result({task: values[call] for task, call in self.heads.items()}, store)

    def _passed(
        self,
        edge: Edge,
        values: Mapping[Call | str, Any],
        training: bool,
        labels: Mapping[str, Tensor] | None,
    ) -> Tensor:
        value = values[edge.target]
        if isinstance(value, (tuple, list)):
            value = value[edge.port or 0]
        for key, word in edge.policies:
            if key == "as" and word == "teacher":
                assert isinstance(edge.target, Call)
                task = edge.target.weights.what["task"]
                kind = self.tasks[task].get("type", "classification")
                label = labels[task] if training and labels is not None else None
                value = teacher(value.detach(), kind, label)
            elif key == "as":
                value = _FORMS[word](value)
            elif key == "detach" and word:
                value = value.detach()
            elif key == "gradient_scale":
                value = _Scaled.apply(value, word)
        return value


def _is_head(call: Call) -> bool:
    return call.weights.what.get("op") == "head"


def _onehot(value: Tensor) -> Tensor:
    zeros = torch.zeros_like(value)
    return zeros.scatter_(1, value.detach().argmax(1, keepdim=True), 1.0)


def teacher(predicted: Tensor, kind: str, label: Tensor | None) -> Tensor:
    """Return the label in the form of a prediction, or the prediction in the form of a label."""
    if kind == "regression":
        return predicted if label is None else label.reshape(predicted.shape).to(predicted.dtype)
    if kind == "multilabel":
        return (predicted > 0 if label is None else label).to(predicted.dtype)
    if label is None:
        return _onehot(predicted)
    true = _onehot(predicted)
    classes = torch.arange(predicted.shape[1]).reshape(1, -1, *(1,) * (predicted.dim() - 2))
    hot = (label.unsqueeze(1) == classes).to(predicted.dtype)
    return torch.where(label.unsqueeze(1) < 0, true, hot)


_FORMS = {
    "logits": lambda value: value,
    "softmax": lambda value: torch.softmax(value, 1),
    "sigmoid": torch.sigmoid,
    "onehot": _onehot,
}


class _Scaled(torch.autograd.Function):
    """The value as it is, its gradient times a factor."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return gradients[0] * ctx.factor, None
