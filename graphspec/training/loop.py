"""The training loop: fit, epoch, step.

It knows nothing of specs: a model is something that takes inputs by name and gives predictions by
task. One with a true ``takes_labels`` is given the true labels too while it learns.
What does not change during a run is a `Job`, what does is a `State`, and the state is what a
checkpoint holds. Nothing in a step waits for the device; numbers are fetched about twice a second.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from graphspec.errors import Code, SpecError, fail
from graphspec.language.recipe import Train
from graphspec.language.signature import TaskSpec
from graphspec.training import checkpoint, metrics
from graphspec.training.checkpoint import State
from graphspec.training.evaluation import Evaluation, evaluate
from graphspec.training.folder import BEST, LAST, append_metrics
from graphspec.training.interrupts import Interrupts
from graphspec.training.losses import Losses
from graphspec.training.metrics import Meter
from graphspec.training.observer import Observer, Progress, Record

PULL_S = 0.5
"""How often running means are fetched from the device, in seconds."""


class Sample(Protocol):
    """A batch: tensors by the name of the input and of the task."""

    @property
    def inputs(self) -> Mapping[str, Tensor]:
        """Inputs by name."""

    @property
    def labels(self) -> Mapping[str, Tensor]:
        """Targets by task."""


class Stream(Protocol):
    """Where batches come from; the k-th of an epoch depends on the seed, the epoch and k alone."""

    @property
    def samples(self) -> int:
        """Samples of an epoch."""

    def __len__(self) -> int: ...

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Sample]:
        """Give the batches of an epoch from the one numbered ``start``."""


@dataclass(frozen=True)
class Job:
    """What stays the same during a run.

    Attributes:
        folder: The run folder.
        recipe: The recipe, metrics of an empty validation split replaced.
        tasks: The tasks that the model predicts.
        losses: The loss.
        train: Batches to learn from.
        validation: Batches to validate on, or None where the split is empty.
        device: Where the model is.
        spec_hash: Content hash of the topology, for the checkpoints.
        observer: Who is told.
        stop: Whether the user wants to stop.
    """

    folder: Path
    recipe: Train
    tasks: Mapping[str, TaskSpec]
    losses: Losses
    train: Stream
    validation: Stream | None
    device: torch.device
    spec_hash: str
    observer: Observer
    stop: Interrupts = field(default_factory=Interrupts)


def fit(job: Job, state: State) -> bool:
    """Train from where ``state`` is until the last epoch, early stopping or an interruption.

    Args:
        job: The run.
        state: Where it is; changed, and saved at every epoch's end and on an interruption.

    Returns:
        False if it was interrupted; then the checkpoint is saved all the same.

    Raises:
        SpecError: ``loss-not-finite``; ``disk-full`` or ``cannot-write`` from the checkpoints.
    """
    clock = _Clock(state.global_step)
    while state.finished is None:
        trained = _epoch(job, state, clock)
        validated = _validate(job, state) if trained is not None else None
        if trained is None or validated is None:
            _save_interrupted(job, state)
            return False
        _close(job, state, [trained, *validated])
    return not job.stop.requested


def _epoch(job: Job, state: State, clock: _Clock) -> Record | None:
    """Train to the end of the current epoch; None if interrupted. The means are in the state."""
    meter = Meter(job.tasks, job.losses, job.device)
    if state.totals:
        meter.load_state_dict(state.totals)
    pulse = _Pulse(job, state, meter, clock)
    state.model.train()
    if state.step < len(job.train):
        for batch in job.train.epoch(state.epoch, start=state.step):
            _step(job, state, meter, batch)
            pulse.beat()
            if job.stop.requested:
                break
    state.epoch_seconds = pulse.seconds()
    scores = pulse.checked_scores()
    state.totals = meter.state_dict()
    if job.stop.requested:
        return None
    return _record(state, "train", scores, state.epoch_seconds, meter.samples)


def _step(job: Job, state: State, meter: Meter, batch: Sample) -> None:
    state.optimizer.zero_grad(set_to_none=True)
    if getattr(state.model, "takes_labels", False):
        outputs = state.model(**batch.inputs, labels=batch.labels)
    else:
        outputs = state.model(**batch.inputs)
    parts = job.losses(outputs, batch.labels)
    state.balancer.backward(parts)
    state.optimizer.step()
    meter.add(outputs, batch.labels, parts)
    state.step += 1
    state.global_step += 1


def _validate(job: Job, state: State) -> list[Record] | None:
    """Return the record of the validation split (none if it is empty), or None if interrupted."""
    if job.validation is None:
        return []
    found = measure(job, state, job.validation, "validation")
    if found is None:
        return None
    if not all(math.isfinite(score) for score in found.scores.values()):
        raise _not_finite(job, state, found.scores, "on the validation split")
    return [_record(state, "validation", found.scores, found.seconds, found.samples)]


def measure(job: Job, state: State, stream: Stream, split: str) -> Evaluation | None:
    """Evaluate the model on a split and tell the observer how far it is; None if interrupted."""
    shown = started = time.perf_counter()

    def watch(batches: int, samples: int) -> bool:
        nonlocal shown
        now = time.perf_counter()
        if now - shown >= PULL_S:
            shown = now
            speed = samples / (now - started)
            epoch = min(state.epoch + 1, job.recipe.epochs)
            progress = Progress(split, epoch, job.recipe.epochs, batches, len(stream), {}, speed)
            job.observer.step(progress)
        return not job.stop.requested

    if job.stop.requested:
        return None
    return evaluate(state.model, stream.epoch(0), job.losses, job.tasks, job.device, watch)


def _close(job: Job, state: State, records: list[Record]) -> None:
    """End an epoch: judge it, write its metrics, then the weights, then the state.

    The order makes every moment safe to die at: lines of an epoch that the last checkpoint does
    not know are dropped when the run goes on, and the epoch is made again, bit for bit.
    """
    if not state.finite():
        raise _not_finite(job, state, records[0], "at its end")
    state.balancer.close_epoch({task: float(records[0][f"{task}/loss"]) for task in job.tasks})
    value = metrics.value(job.recipe.best, records)
    improved = metrics.better(job.recipe.best, value, state.best_value)
    if improved:
        state.best_value, state.best_epoch = value, state.epoch + 1
        state.best_step = state.global_step
    state.seconds += sum(float(record["seconds"]) for record in records)
    state.epoch += 1
    state.step, state.epoch_seconds, state.totals = 0, 0.0, {}
    if _gives_up(job.recipe, state, records):
        state.finished = "early-stopping"
    elif state.epoch >= job.recipe.epochs:
        state.finished = "epochs"
    append_metrics(job.folder, records)
    if improved:
        checkpoint.save(state.weights(job.spec_hash), job.folder / BEST)
    checkpoint.save(state.capture(job.spec_hash), job.folder / LAST)
    job.observer.epoch(records)


def _gives_up(recipe: Train, state: State, records: list[Record]) -> bool:
    """Return whether early stopping ends the run; counts as Keras' ``EarlyStopping`` does."""
    rule = recipe.early_stopping
    if rule is None:
        return False
    value = metrics.value(rule.metric, records)
    if metrics.better(rule.metric, value, state.watched, rule.min_delta):
        state.watched, state.waited = value, 0
    else:
        state.waited += 1
    return state.waited >= rule.patience


def _save_interrupted(job: Job, state: State) -> None:
    if not state.finite():
        raise _not_finite(job, state, {}, "when it was interrupted")
    checkpoint.save(state.capture(job.spec_hash), job.folder / LAST)


def _record(
    state: State, split: str, scores: Mapping[str, float], seconds: float, samples: int
) -> Record:
    record: Record = {"epoch": state.epoch + 1, "step": state.global_step, "split": split}
    speed = samples / seconds if seconds > 0 else 0.0
    return record | {"seconds": round(seconds, 3), "images_per_s": round(speed, 1)} | dict(scores)


@dataclass
class _Clock:
    """When this session began, to tell how long the rest will take."""

    first_step: int
    started: float = field(default_factory=time.perf_counter)

    def left(self, job: Job, state: State) -> float | None:
        made = state.global_step - self.first_step
        rest = (job.recipe.epochs - state.epoch) * len(job.train) - state.step
        return (time.perf_counter() - self.started) / made * rest if made else None


class _Pulse:
    """Between steps: now and then fetch the means, look whether they are finite, tell them."""

    def __init__(self, job: Job, state: State, meter: Meter, clock: _Clock) -> None:
        self._job, self._state, self._meter, self._clock = job, state, meter, clock
        self._before = state.epoch_seconds
        self._first_sample = meter.samples
        self._good_step = state.step
        self._started = self._last = time.perf_counter()

    def beat(self) -> None:
        """Do the above if it is time; otherwise cost as little as looking at the clock."""
        now = time.perf_counter()
        if now - self._last < PULL_S:
            return
        scores = self.checked_scores()
        speed = (self._meter.samples - self._first_sample) / (now - self._started)
        state, job = self._state, self._job
        job.observer.step(
            Progress(
                stage="train",
                epoch=state.epoch + 1,
                epochs=job.recipe.epochs,
                step=state.step,
                steps=len(job.train),
                scores=scores,
                images_per_s=speed,
                seconds_left=self._clock.left(job, state),
            )
        )
        self._last = time.perf_counter()

    def seconds(self) -> float:
        """Return the training time of the epoch, earlier sessions included."""
        return self._before + time.perf_counter() - self._started

    def checked_scores(self) -> dict[str, float]:
        """Fetch the means.

        Raises:
            SpecError: ``loss-not-finite``.
        """
        scores = self._meter.scores()
        if not all(math.isfinite(score) for score in scores.values()):
            first, last = self._good_step + 1, self._state.step
            where = f"at step {last}" if first >= last else f"between steps {first} and {last}"
            raise _not_finite(self._job, self._state, scores, where)
        self._good_step = self._state.step
        return scores


def _not_finite(job: Job, state: State, scores: Mapping[str, Any], where: str) -> SpecError:
    """Make the error for losses or weights that are not numbers any more."""
    tasks = [t for t in job.tasks if not math.isfinite(float(scores.get(f"{t}/loss", 0.0)))]
    names = " and ".join(f"`{task}`" for task in tasks)
    what = f"the loss of {names} is" if tasks else "some weights are"
    message = f"{what} not finite in epoch {state.epoch + 1}, {where}"
    kept = f"`{job.folder / LAST}` still holds the state after epoch {state.epoch}"
    hint = (
        f"lower `train.lr` (now {job.recipe.lr:g}), e.g. `--set train.lr={job.recipe.lr / 10:g}`, "
        f"add normalisation, or lower the loss weights\n{kept}"
    )
    return fail(Code.LOSS_NOT_FINITE, message, hint)
