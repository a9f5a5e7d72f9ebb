"""What shows that a run learns nothing, or waits: each told once, to the observer and in the run.

Parameters without a gradient are looked for at a few of the first steps; whether a task's loss
falls, and how long a step waits for its batch, is known at the end of an epoch. A step itself pays
for two looks at the clock.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from graphspec.training import folder
from graphspec.training.state import State

if TYPE_CHECKING:
    from graphspec.graph.ir import Graph
    from graphspec.training.job import Job
    from graphspec.training.observer import Record

LOOKS = (1, 2, 4, 8, 16, 32)
"""Steps after which gradients are looked at; what has none after all of these has none."""

STILL_EPOCHS = 5
"""Epochs over which a task's training loss has to fall."""

STILL = 0.01
"""Part of its mean in the first two of them by which it has to be lower in the other three."""

STARVED = 0.5
"""Part of an epoch's time that may be spent waiting for data."""

STARVED_S = 5.0
"""Seconds of an epoch that may be in any case: a short epoch needs no remedy."""


@dataclass(frozen=True)
class Anatomy:
    """What a run knows of its model, to name what is wrong.

    Attributes:
        nodes: The nodes of the topology, in order.
        learned: For each parameter that a loss with a weight reaches the node whose weights it is.
        loading: What to do where reading the data is slow.
    """

    nodes: tuple[str, ...] = ()
    learned: Mapping[str, str] = field(default_factory=dict)
    loading: str = ""


def anatomy(graph: Graph, weights: Mapping[str, float], loading: str) -> Anatomy:
    """Return what a run knows of its model.

    Args:
        graph: The typed graph.
        weights: Factor of each task's loss.
        loading: What to do where reading the data is slow.
    """
    from graphspec.graph import reachability

    counted = {task for task, weight in weights.items() if weight}
    learned = {
        name: parameter.owner
        for name, parameter in reachability.parameters(graph).items()
        if parameter.tasks & counted
    }
    return Anatomy(tuple(graph.nodes), learned, loading)


def tell(job: Job, state: State, key: str, text: str) -> None:
    """Tell what is odd, unless it has been told, and keep it with the run."""
    if key not in state.told:
        state.told[key] = text
        job.observer.warning(text)


class Waited:
    """The batches of an epoch, and the time that was spent waiting for them.

    Attributes:
        seconds: That time so far.
    """

    def __init__(self, batches: Iterable[Any]) -> None:
        self.seconds = 0.0
        self._batches = batches

    def __iter__(self) -> Iterator[Any]:
        """Give the batches."""
        clock = time.perf_counter
        started = clock()
        for batch in self._batches:
            self.seconds += clock() - started
            yield batch
            started = clock()


class Gradients:
    """Looks for parameters without a gradient at a few of the first steps of a run.

    Attributes:
        is_over: Whether it will not look any more.
    """

    def __init__(self, job: Job, state: State) -> None:
        self._job, self._state = job, state
        known = state.suspects
        self._suspects: set[str] = set(job.anatomy.learned if known is None else known)
        self.is_over = state.epoch > 0 or state.global_step >= LOOKS[-1]

    def look(self) -> None:
        """Look, if it is time; called after each step."""
        if self.is_over:
            return
        state = self._state
        ends = state.global_step >= LOOKS[-1] or state.step >= len(self._job.train)
        if state.global_step in LOOKS or ends:
            known = {name: state.model.get_parameter(name) for name in self._suspects}
            self._suspects = _without_gradient(known)
            state.suspects = sorted(self._suspects)
        if ends:
            self.is_over = True
            self._tell()

    def _tell(self) -> None:
        if not self._suspects:
            return
        learned = self._job.anatomy.learned
        whole = {node: {n for n, each in learned.items() if each == node} for node in
                 dict.fromkeys(learned.values())}  # fmt: skip
        named: list[str] = []
        for node, own in whole.items():
            missing = own & self._suspects
            named += [node] if missing == own else sorted(missing)
        shown = ", ".join(f"`{name}`" for name in named[:5]) + (", ..." if len(named) > 5 else "")
        count = self._state.global_step
        steps = "step" if count == 1 else f"{count} steps"
        text = f"no gradient came to {shown} in the first {steps}, so nothing is learned there: "
        text += "look for an activation that is always 0, or a weight of 0 on the way to the loss"
        tell(self._job, self._state, "no-gradient", text)


def _without_gradient(parameters: Mapping[str, Tensor]) -> set[str]:
    """Return the names of those that have no gradient, or one of zeros; it synchronises."""
    open_ = {name: p for name, p in parameters.items() if p.requires_grad}
    # a part of a parameter that several processes share says nothing of the rest
    whole = {n: p.grad for n, p in open_.items() if p.grad is not None}
    whole = {name: grad for name, grad in whole.items() if not hasattr(grad, "to_local")}
    zero = {name for name, p in open_.items() if p.grad is None}
    if whole:
        sizes = torch.stack([grad.detach().abs().amax().float() for grad in whole.values()])
        zero |= {n for n, size in zip(whole, sizes.tolist(), strict=True) if size == 0}
    return zero


def after_epoch(job: Job, state: State, record: Record) -> None:
    """Look at an epoch that is over.

    Args:
        job: The run, whose metrics are written.
        state: Its state, in which the epoch is counted.
        record: The line of the training split.
    """
    part, seconds = float(record["data_wait"]), float(record["seconds"])
    if part > STARVED and part * seconds > STARVED_S:
        text = f"{part:.0%} of epoch {state.epoch} was spent waiting for data"
        hint = job.anatomy.loading
        tell(job, state, "data-wait", f"{text}: {hint}" if hint else text)
    if record.get("skipped") == -(-len(job.train) // job.recipe.accumulate):
        text = (
            f"no step was made in epoch {state.epoch}: in fp16 the gradients overflowed each time"
        )
        tell(job, state, "skipped", f"{text}; try `precision: bf16`, or lower the loss weights")
    if state.epoch != STILL_EPOCHS:
        return
    trained = [r for r in folder.read_metrics(job.folder) if r["split"] == "train"]
    for task in job.tasks:
        values = [float(r[f"{task}/loss"]) for r in trained[:STILL_EPOCHS]]
        if job.losses.weights[task] and _is_still(values):
            tell(job, state, f"still/{task}", _stillness(job, task, values))


def _is_still(values: Sequence[float]) -> bool:
    """Return whether a loss does not fall: by means, as single epochs vary without learning."""
    before, after = sum(values[:2]) / 2, sum(values[2:]) / len(values[2:])
    return bool(before) and before - after < STILL * abs(before)


def _stillness(job: Job, task: str, values: Sequence[float]) -> str:
    text = f"the loss of `{task}` has not fallen in {len(values)} epochs: {values[0]:.4f} to "
    text += f"{values[-1]:.4f}"
    kind = job.tasks[task]
    if kind.type == "classification" and kind.classes > 1:
        text += f" (to guess among {kind.classes} classes costs {math.log(kind.classes):.4f})"
    return f"{text}; try another `train.lr` (now {job.recipe.lr:g}), or `graphspec check`"
