"""One step: forward, losses, gradients, and with enough batches a step of the optimizer.

Nothing here waits for the device, but for the scaler of fp16, which must know whether gradients
overflowed.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from graphspec.training.distributed.strategy import average_gradients, rated
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
    if not state.pending:
        state.optimizer.zero_grad(set_to_none=True)
    window = _window(job, state)
    outputs = _predict(job, batch)
    parts = job.losses(outputs, batch.labels)
    share = getattr(batch, "share", 1.0)
    shared = rated(parts, batch.labels, job.losses, job.world, share)
    state.balancer.backward(shared, _scale(state, window))
    average_gradients(state.balancer.parameters(), job.world)
    state.pending += 1
    if state.pending == window:
        _update(job, state)
        state.pending = 0
    meter.add(outputs, batch.labels, parts)
    shares.add(state.balancer.weights())
    state.step += 1
    state.global_step += 1


def _predict(job: Job, batch: Sample) -> Mapping[str, Tensor]:
    found: Mapping[str, Tensor]
    if getattr(job.forward, "takes_labels", False):
        found = job.forward(**batch.inputs, labels=batch.labels)
    else:
        found = job.forward(**batch.inputs)
    return found


def _window(job: Job, state: State) -> int:
    """Return how many batches make the current step of the optimizer: fewer at an epoch's end."""
    asked = job.recipe.accumulate
    return asked if asked == 1 else min(asked, len(job.train) - state.step + state.pending)


def _scale(state: State, window: int) -> Tensor | float:
    """Return the factor of a batch's gradients: for their mean, and against underflow in fp16."""
    if not state.scaler.is_enabled():
        return 1.0 / window
    device = state.optimizer.param_groups[0]["params"][0].device
    scaled: Tensor = state.scaler.scale(torch.ones((), device=device))
    return scaled / window


def _update(job: Job, state: State) -> None:
    """Clip the gradients and make a step of the optimizer, of its schedule and of the average."""
    if job.recipe.clip is not None:
        _clip(job, state)
    if not _stepped(state):
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
    """Make a step of the optimizer; return False if fp16's gradients overflowed and it was left."""
    if not state.scaler.is_enabled():
        state.optimizer.step()
        return True
    before = state.scaler.get_scale()
    state.scaler.step(state.optimizer)
    state.scaler.update()
    return bool(state.scaler.get_scale() >= before)
