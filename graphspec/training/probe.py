"""``graphspec check``: does this topology train on these data? Asked of one batch, in seconds.

One batch goes forward and backward through every node; then the model tries to learn that batch by
heart, as one that is put together well must be able to.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, fx, nn

from graphspec.language.signature import TaskSpec
from graphspec.training import constant, devices, labelled, optimizers, setup, walk
from graphspec.training.balancing.balancer import Fixed
from graphspec.training.observer import Observer, Silent
from graphspec.training.resume import Changes
from graphspec.training.statistics import statistics

if TYPE_CHECKING:
    from graphspec.language.models import Spec
    from graphspec.training.setup import Setup
from graphspec.training.small_batches import explained_small_batches

LEARNED = 0.1
"""Part to which a loss must fall for the batch to count as learned: of its first value, or of that
of always giving the same answer where that is less."""

RIGHT = 0.99
"""Part of right answers at which the batch counts as learned, whatever the loss; of those that are
not right by always giving the same answer."""

OVERFIT_BATCH = 32
"""Most samples of the batch that is learned by heart: a step of few samples is quick."""

_RUNS = 3
"""Times that the step is measured; the median counts."""


@dataclass(frozen=True)
class NodeCheck:
    """What one node did with the batch.

    Attributes:
        node: Its name.
        shape: Shapes of its outputs without the batch, in words.
        forward_s: Time of its forward pass.
        backward_s: Time of its backward pass.
        output_bytes: Memory of its outputs.
        saved_bytes: Memory it keeps for the backward pass.
        parameters: Parameters of its weights.
        gradient: Norm of the gradient of its outputs, None where none comes back.
        weight_gradient: Norm of the gradient of its parameters, None where it has none to learn.
        remarks: What is odd about it, such as ``no gradient``.
    """

    node: str
    shape: str
    forward_s: float
    backward_s: float
    output_bytes: int
    saved_bytes: int
    parameters: int
    gradient: float | None
    weight_gradient: float | None
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class TaskCheck:
    """Whether a task's part of the batch can be learned by heart.

    Attributes:
        task: Its name.
        first: Its loss before the first step.
        last: Its loss after the last.
        score: Name and value of the metric that counts right answers, or None.
        learned: Whether it was learned.
        step: The step by which it was, or None.
    """

    task: str
    first: float
    last: float
    score: tuple[str, float] | None
    learned: bool
    step: int | None


@dataclass(frozen=True)
class Probe:
    """What one batch shows of a topology.

    Attributes:
        name: Name of the spec.
        data: Name of the data set.
        batch: Samples of the batch that was measured.
        nodes: Every node in the order of its call.
        step_s: Time of one step: forward, backward and optimizer.
        epoch_s: Estimated time of the steps of one epoch.
        peak_bytes: Memory that the step needs: parameters, gradients, optimizer, what is kept.
        unused: Parameters that learn nothing, though they are not frozen, by name.
        tasks: Whether each task can be overfitted.
        overfit_batch: Samples of the batch that was learned by heart.
        overfit_steps: Steps that were made.
        seconds: Time it took.
    """

    name: str
    data: str
    batch: int
    nodes: tuple[NodeCheck, ...]
    step_s: float
    epoch_s: float
    peak_bytes: int
    unused: tuple[str, ...]
    tasks: tuple[TaskCheck, ...]
    overfit_batch: int
    overfit_steps: int
    seconds: float

    @property
    def healthy(self) -> bool:
        """Whether every node works and every task could be learned."""
        odd = any(node.remarks for node in self.nodes)
        return not odd and not self.unused and all(task.learned for task in self.tasks)


def check(
    spec: Spec | str | Path,
    *,
    data: str | None = None,
    data_root: str | Path | None = None,
    device: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    seconds: float = 10.0,
    observer: Observer | None = None,
) -> Probe:
    """Send one batch of training samples through a topology, and try to overfit it.

    Nothing is written, and random numbers of the caller are left as they were. Dropout is off while
    the batch is learned, and its samples are not augmented.

    Args:
        spec: A spec, its file or the name of a shipped one.
        data: Name of a data source, instead of the spec's.
        data_root: Folder with the files of the data source.
        device: Device, instead of the recipe's.
        overrides: Further values of the spec.
        seconds: How long to try to learn the batch, at most.
        observer: Who is told warnings.

    Raises:
        SpecError: With the mistakes of spec, data and options.

    Example:
        >>> found = check("arch5", data="fashion-mini", overrides={"width": 4})
        >>> found.nodes[0].node, found.unused
        ('conv_layers', ())
    """
    began = time.perf_counter()
    root = None if data_root is None else str(data_root)
    changes = Changes(data, root, None, None, device, dict(overrides or {}))
    watcher = observer or Silent()
    checked = setup.load(spec, changes.paths(), watcher)
    size = checked.spec.train.batch_size
    with devices.explained_memory(size), explained_small_batches(size):
        made = setup.prepare(checked, watcher)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(made.recipe.seed)
            return _probe(made, seconds, began)


def _probe(made: Setup, seconds: float, began: float) -> Probe:
    batches = made.batches("train", learning=True)
    assert batches is not None  # a data set has training samples
    batch = labelled.fullest(batches.epoch(0), made.tasks)
    model = cast("fx.GraphModule", made.model().train())
    nodes, step_s, peak = _measure(made, model, batch)
    unused = tuple(
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and parameter.grad is None
    )
    plain = made.batches("train")
    assert plain is not None
    tasks, size, steps = _overfit(made, labelled.fullest(plain.epoch(0), made.tasks), seconds)
    return Probe(
        name=made.spec.name,
        data=made.data.name,
        batch=len(next(iter(batch.labels.values()))),
        nodes=nodes,
        step_s=step_s,
        epoch_s=step_s * len(batches),
        peak_bytes=peak,
        unused=unused,
        tasks=tasks,
        overfit_batch=size,
        overfit_steps=steps,
        seconds=time.perf_counter() - began,
    )


def _measure(
    made: Setup, model: fx.GraphModule, batch: Any
) -> tuple[tuple[NodeCheck, ...], float, int]:
    """Return what every node does, the time of a step and its memory in bytes."""
    balancer = Fixed(made.losses.weights)
    optimizer, _ = optimizers.make(made.recipe, model.parameters())
    names = list(made.graph.nodes)
    looks: list[walk.Walk] = []
    whole: list[float] = []
    for run in range(1 + _RUNS):  # the first looks at values, the others at the clock
        optimizer.zero_grad(set_to_none=True)
        started = time.perf_counter()
        seen = walk.walk(model, batch.inputs, batch.labels, names, norms=run == 0)
        losses = made.losses(seen.outputs, batch.labels)
        middle = time.perf_counter()
        balancer.backward(losses)
        seen.close(middle)
        if run == 0:
            gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
            norms = {name: float(grad.norm()) for name, grad in gradients.items()}
        optimizer.step()
        looks.append(seen)
        whole.append(time.perf_counter() - started)
    step_s = sorted(whole[1:])[_RUNS // 2]
    owned = _owned(made, model)
    found = tuple(_node(made, name, looks, norms, owned) for name in looks[0].visits)
    kept = sum(node.saved_bytes for node in found)
    memory = sum(p.numel() * p.element_size() for p in model.parameters())
    gradients_bytes = sum(g.numel() * g.element_size() for g in gradients.values())
    moments = sum(
        v.numel() * v.element_size()
        for state in optimizer.state.values()
        for v in state.values()
        if isinstance(v, Tensor)
    )
    return found, step_s, kept + memory + gradients_bytes + moments


def _owned(made: Setup, model: nn.Module) -> dict[str, dict[str, nn.Parameter]]:
    """Return the parameters of every owner of weights, by their full names."""
    found: dict[str, dict[str, nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        owner = name
        while owner not in made.graph.weights and "." in owner:
            owner = owner.rpartition(".")[0]
        found.setdefault(owner, {})[name] = parameter
    return found


def _node(
    made: Setup,
    name: str,
    looks: list[walk.Walk],
    norms: Mapping[str, float],
    owned: Mapping[str, Mapping[str, nn.Parameter]],
) -> NodeCheck:
    """Put together what one node did."""
    first = looks[0].visits[name]
    timed = [look.visits[name] for look in looks[1:]]
    own = owned.get(made.graph.nodes[name].weights, {})
    learning = [n for n, parameter in own.items() if parameter.requires_grad]
    known = [norms[n] for n in learning if n in norms]
    weight_gradient = sum(norm**2 for norm in known) ** 0.5 if known else None
    return NodeCheck(
        node=name,
        shape="; ".join("x".join(map(str, shape[1:])) or "1" for shape in first.shapes),
        forward_s=sorted(v.forward_s for v in timed)[len(timed) // 2],
        backward_s=sorted(v.backward_s for v in timed)[len(timed) // 2],
        output_bytes=first.output_bytes,
        saved_bytes=first.saved_bytes,
        parameters=sum(parameter.numel() for parameter in own.values()),
        gradient=first.gradient,
        weight_gradient=weight_gradient,
        remarks=_remarks(first, bool(learning), weight_gradient),
    )


def _remarks(visit: walk.Visit, learns: bool, weight_gradient: float | None) -> tuple[str, ...]:
    found = []
    if not visit.finite:
        found.append("not finite")
    if learns and weight_gradient is None:
        found.append("no gradient")
    elif learns and weight_gradient == 0.0:
        found.append("gradient is zero")
    elif weight_gradient is not None and not math.isfinite(weight_gradient):
        found.append("gradient is not finite")
    return tuple(found)


def _overfit(made: Setup, batch: Any, seconds: float) -> tuple[tuple[TaskCheck, ...], int, int]:
    """Learn a batch by heart as far as the time goes; return the tasks, its samples, the steps."""
    size = min(OVERFIT_BATCH, made.recipe.batch_size, len(next(iter(batch.labels.values()))))
    rows = labelled.rows(batch.labels, made.tasks, size)
    inputs = {name: values[rows] for name, values in batch.inputs.items()}
    labels = {name: values[rows] for name, values in batch.labels.items()}
    model = made.model().train()
    walk.without_chance(model)
    balancer = Fixed(made.losses.weights)
    optimizer, _ = optimizers.make(made.recipe, model.parameters())
    taught = {"labels": labels} if getattr(model, "takes_labels", False) else {}
    tasks = {name: _Learning(name, task) for name, task in made.tasks.items()}
    started, step = time.perf_counter(), 0
    while True:
        optimizer.zero_grad(set_to_none=True)
        outputs = model(**inputs, **taught)
        losses = made.losses(outputs, labels)
        if not step:
            same = {n: constant.outputs(t, outputs[n], labels[n]) for n, t in made.tasks.items()}
            for name, loss in made.losses(same, labels).items():
                tasks[name].begin(float(losses[name].detach()), float(loss), same[name], labels)
        for name, task in tasks.items():
            task.note(step, float(losses[name].detach()), outputs[name].detach(), labels[name])
        if all(task.step is not None for task in tasks.values() if made.losses.weights[task.name]):
            break
        if time.perf_counter() - started > seconds:
            break
        balancer.backward(losses)
        optimizer.step()
        step += 1
    return tuple(task.result() for task in tasks.values()), size, step


class _Learning:
    """How one task fares while the batch is learned."""

    def __init__(self, name: str, task: TaskSpec) -> None:
        made = statistics(replace(task, metrics=()), torch.float64)
        assert made is not None  # every type is counted by default
        self.name, self._statistics = name, made
        self.step: int | None = None
        self._first, self._least = 0.0, 0.0
        self._last = 0.0
        self._given = 0.0
        self._score: tuple[str, float] | None = None

    def begin(self, first: float, loss: float, same: Tensor, labels: Mapping[str, Tensor]) -> None:
        """Take note of how hard it is.

        Args:
            first: The loss before the first step.
            loss: The loss of always giving the same answer.
            same: That answer.
            labels: The targets by task.
        """
        self._first = first
        self._least = loss if 0 < loss < first else first
        score = self._scored(same, labels[self.name])
        self._given = 0.0 if score is None or score[1] == 1.0 else score[1]

    def note(self, step: int, loss: float, outputs: Tensor, labels: Tensor) -> None:
        """Take note of a step."""
        self._last = loss
        self._score = self._scored(outputs, labels)
        bar = self._given + RIGHT * (1 - self._given)
        right = self._score is not None and self._score[1] >= bar
        if self.step is None and (right or loss <= LEARNED * self._least):
            self.step = step

    def _scored(self, outputs: Tensor, labels: Tensor) -> tuple[str, float] | None:
        """Return the name and value of the metric that counts right answers."""
        sums = self._statistics.count(outputs, labels).cpu()
        scores = self._statistics.scores(sums, len(outputs))
        return next(((k, v) for k, v in scores.items() if k in ("top1", "accuracy")), None)

    def result(self) -> TaskCheck:
        """Return what became of it."""
        return TaskCheck(
            self.name, self._first, self._last, self._score, self.step is not None, self.step
        )
