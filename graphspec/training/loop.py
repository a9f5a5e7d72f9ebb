"""The training loop: fit, epoch, and `graphspec.training.step` for what is done with a batch.

It knows nothing of specs: a model is something that takes inputs by name and gives predictions by
task. One with a true ``takes_labels`` is given the true labels too while it learns.
What does not change during a run is a `Job`, what does is a `State`, and the state is what a
checkpoint holds. Nothing in a step waits for the device; numbers are fetched about twice a second.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

from graphspec.training import checkpoint, judging, schedules, symptoms
from graphspec.training.distributed.together import together
from graphspec.training.evaluation import Evaluation, evaluate
from graphspec.training.folder import BEST, append_conflicts, append_metrics
from graphspec.training.groups import rates
from graphspec.training.job import Job, Stream
from graphspec.training.metrics import Meter
from graphspec.training.observer import Progress, Record
from graphspec.training.pulse import PULL_S, Clock, Pulse, not_finite
from graphspec.training.shares import Shares
from graphspec.training.state import State
from graphspec.training.step import step
from graphspec.training.symptoms import Gradients, Waited


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
    clock = Clock(state.global_step)
    while state.finished is None:
        trained = _epoch(job, state, clock)
        validated = _validate(job, state) if trained is not None else None
        if trained is None or validated is None:
            save(job, state, "when it was interrupted")
            return False
        _close(job, state, [trained, *validated])
    return not job.stops()


def _epoch(job: Job, state: State, clock: Clock) -> Record | None:
    """Train to the end of the current epoch; None if interrupted. The means are in the state."""
    rounded = job.recipe.precision != "float32"
    meter, shares = Meter(job.tasks, job.losses, job.device, rounded), Shares()
    if state.totals and job.world.leads:
        meter.load_state_dict(state.totals["meter"])
    if state.totals:
        shares.load_state_dict(state.totals["shares"])
    pulse, gradients = Pulse(job, state, meter, clock), Gradients(job, state)
    batches = Waited(job.train.epoch(state.epoch, start=state.step))
    stopped = False
    state.model.train()
    with job.freezing.during(state.epoch, state.model):
        if state.step < len(job.train):
            for batch in batches:
                step(job, state, meter, shares, batch)
                if not gradients.is_over:
                    gradients.look()
                pulse.beat()
                stopped = job.stops()
                if stopped:
                    break
                if _is_due(job, state):
                    _note(job, state, meter, shares, pulse)
                    save(job, state, f"at step {state.step}")
    scores, samples = _note(job, state, meter, shares, pulse)
    if stopped or job.stops():
        return None
    record = _record(state, "train", scores, state.epoch_seconds, samples)
    record["data_wait"] = round(batches.seconds / pulse.session_seconds(), 3)
    if state.scaler.is_enabled():
        record["skipped"] = state.skipped
    return record | _weights(job, shares, scores) | rates(state.optimizer)


def _is_due(job: Job, state: State) -> bool:
    """Return whether the state is to be saved in the middle of an epoch."""
    every = job.recipe.checkpoint.every
    return every != "epoch" and not state.global_step % every and state.step < len(job.train)


def _note(
    job: Job, state: State, meter: Meter, shares: Shares, pulse: Pulse
) -> tuple[dict[str, float], int]:
    """Bring the running means into the state; return them and the samples they are of."""
    state.epoch_seconds = pulse.seconds()
    pulse.checked_scores()
    whole = meter.together(job.world)
    state.totals = {"meter": whole.state_dict(), "shares": shares.state_dict()}
    return whole.scores(), whole.samples


def _weights(job: Job, shares: Shares, scores: Mapping[str, float]) -> dict[str, float]:
    """Return how much each task counted: its mean weight, and its loss times that."""
    found: dict[str, float] = {}
    means = shares.means()
    for task in job.tasks:
        weight = means.get(task, 0.0)
        found[f"{task}/weight"] = weight
        found[f"{task}/weighted"] = weight * scores[f"{task}/loss"]
    return found


def _validate(job: Job, state: State) -> list[Record] | None:
    """Return the record of the validation split (none if it is empty), or None if interrupted."""
    if job.validation is None:
        return []
    found = measure(job, state, job.validation, "validation")
    if found is None:
        return None
    if not all(math.isfinite(score) for score in found.scores.values()):
        where = "on the validation split"
        raise not_finite(job, state, found.scores, where, job.validation)
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
        return not job.stops()

    if job.stops():
        return None
    model = together(job.precision.apply(state.judged), job.world)
    return evaluate(model, stream.epoch(0), job.losses, job.tasks, job.device, watch)


def _close(job: Job, state: State, records: list[Record]) -> None:
    """End an epoch: judge it, write its metrics, then the weights, then the state.

    The order makes every moment safe to die at: lines of an epoch that the last checkpoint does
    not know are dropped when the run goes on, and the epoch is made again, bit for bit.
    """
    if not state.finite():
        raise not_finite(job, state, records[0], "at its end")
    means = {task: float(records[0][f"{task}/loss"]) for task in job.tasks}
    conflicts = state.balancer.close_epoch(means)
    for remark in state.balancer.remarks():
        job.observer.warning(f"epoch {state.epoch + 1}: {remark}")
    improved = _judge(job, state, records)
    state.seconds += sum(float(record["seconds"]) for record in records)
    if state.schedule is not None:
        watched = judging.criterion(schedules.watched_metric(job.recipe))
        state.schedule.after_epoch(watched.value(records))
    state.epoch += 1
    state.step, state.skipped, state.epoch_seconds, state.totals = 0, 0, 0.0, {}
    if judging.gives_up(job.recipe.early_stopping, state, records):
        state.finished = "early-stopping"
    elif state.epoch >= job.recipe.epochs:
        state.finished = "epochs"
    weights = state.weights(job.origin) if improved else None
    with job.world.led() as leads:
        if leads:
            append_metrics(job.folder, records)
            append_conflicts(job.folder, state.epoch, conflicts)
            symptoms.after_epoch(job, state, records[0])
            if weights is not None:
                checkpoint.save(weights, job.folder / BEST)
    checkpoint.keep(state, job.origin, job.folder, job.recipe.checkpoint.keep)
    job.observer.epoch(records)


def _judge(job: Job, state: State, records: list[Record]) -> bool:
    """Return whether the epoch that ends is the best one so far, and take note if it is."""
    rules = judging.criteria(job.recipe.best)
    values = [rule.value(records) for rule in rules]
    if not judging.is_better(rules, values, state.best_value):
        return False
    state.best_value, state.best_epoch = values, state.epoch + 1
    state.best_step = state.global_step
    return True


def save(job: Job, state: State, when: str) -> None:
    """Save the state of a run, if its weights are numbers.

    Args:
        job: The run.
        state: Its state.
        when: When that is, for the message.

    Raises:
        SpecError: ``loss-not-finite``; ``disk-full`` or ``cannot-write``.
    """
    if not state.finite():
        raise not_finite(job, state, {}, when)
    checkpoint.keep(state, job.origin, job.folder, job.recipe.checkpoint.keep)


def _record(
    state: State, split: str, scores: Mapping[str, float], seconds: float, samples: int
) -> Record:
    record: Record = {"epoch": state.epoch + 1, "step": state.global_step, "split": split}
    speed = samples / seconds if seconds > 0 else 0.0
    return record | {"seconds": round(seconds, 3), "images_per_s": round(speed, 1)} | dict(scores)
