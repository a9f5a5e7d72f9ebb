"""One step: forward, losses, gradients, and with enough batches a step of the optimizer.

Nothing here waits for the device, but for the scaler of fp16, which must know whether gradients
overflowed.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from graphspec.training.distributed.means import average_gradients, rated
from graphspec.training.job import Job, Sample
from graphspec.training.metrics import Meter
from graphspec.training.shares import Shares
from graphspec.training.state import State


def step(job: Job, state: State, meter: Meter, shares: Shares, batch: Sample) -> None:
    """Learn from one batch.

    Args:
        job: The run.
        state: Where it is; changed.
        meter: Takes in the losses and predictions.
        shares: Takes in the tasks' weights.
        batch: What to learn from.
    """
    # every call that is not made costs nothing: a step of a small model takes a few milliseconds
    recipe, together, balancer = job.recipe, job.world.together, state.balancer
    if not state.pending:
        state.optimizer.zero_grad(set_to_none=True)
    labels = batch.labels
    if job.takes_labels:
        outputs = job.forward(**batch.inputs, labels=labels)
    else:
        outputs = job.forward(**batch.inputs)
    parts = shared = job.losses(outputs, labels)
    if together:
        share = getattr(batch, "share", 1.0)
        shared = rated(parts, labels, job.losses, job.world, share)
    window = 1 if recipe.accumulate == 1 else _window(job, state)
    balancer.backward(shared, _scale(state, window) if state.scaler.is_enabled() else 1.0 / window)
    if together:
        average_gradients(balancer.parameters(), job.world)
    state.pending += 1
    if state.pending == window:
        _update(job, state)
        state.pending = 0
    meter.add(outputs, labels, parts)
    shares.add(balancer.weights())
    state.step += 1
    state.global_step += 1


def _window(job: Job, state: State) -> int:
    """Return how many batches make the current step of the optimizer: fewer at an epoch's end."""
    return min(job.recipe.accumulate, len(job.train) - state.step + state.pending)


def _scale(state: State, window: int) -> Tensor:
    """Return the factor of a batch's gradients in fp16: for their mean, and against underflow."""
    device = state.optimizer.param_groups[0]["params"][0].device
    scaled: Tensor = state.scaler.scale(torch.ones((), device=device))
    return scaled / window


def _update(job: Job, state: State) -> None:
    """Clip the gradients and make a step of the optimizer, of its schedule and of the average."""
    if job.recipe.clip is not None:
        _clip(job, state)
    if not state.scaler.is_enabled():
        state.optimizer.step()
    elif not _stepped(state):
        state.skipped += 1
        return
    if state.schedule is not None:
        state.schedule.after_step()
    if state.average is not None:
        state.average.update(state.model)


def _clip(job: Job, state: State) -> None:
    limits = job.recipe.clip
    assert limits is not None
    state.scaler.unscale_(state.optimizer)
    parameters = list(state.model.parameters())
    if limits.norm is not None:
        clip_grad_norm_(parameters, limits.norm, limits.norm_type)
    if limits.value is not None:
        clip_grad_value_(parameters, limits.value)


def _stepped(state: State) -> bool:
    """Make a step in fp16; return False if its gradients overflowed and it was left."""
    before = state.scaler.get_scale()
    state.scaler.step(state.optimizer)
    state.scaler.update()
    return bool(state.scaler.get_scale() >= before)
