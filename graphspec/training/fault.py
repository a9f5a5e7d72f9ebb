"""Where the first number that is not finite comes from, once a loss or a weight no longer is.

By the time it is noticed, steps have been made with it and it is everywhere. The run goes back to
its last checkpoint and makes the same steps again, bit for bit, looking after each; the step that
goes wrong is then walked through node by node. A run that goes well pays nothing for it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn

from graphspec.training import checkpoint
from graphspec.training.distributed.parts import local
from graphspec.training.job import Job, Sample, Stream
from graphspec.training.metrics import Meter
from graphspec.training.shares import Shares
from graphspec.training.state import State, random_states, set_random_states
from graphspec.training.step import step
from graphspec.training.walk import Walk, walk

REPLAY_S = 120.0
"""Longest time that steps are made again for."""


def in_training(job: Job, state: State) -> str:
    """Return where the first number that is not finite arose while the model learned.

    Args:
        job: The run.
        state: Its state, which is not the same afterwards: the run is over.

    Returns:
        A sentence, or nothing where it cannot be told.
    """
    if not isinstance(state.model, fx.GraphModule) or not job.anatomy.nodes:
        return ""
    after = _weights(job, state.model)
    found = "" if job.world.together else _replayed(job, state)
    return found or (f"not finite any more: the weights of {_listed(after)}" if after else "")


def on_split(job: Job, state: State, stream: Stream) -> str:
    """Return which node gives the first number that is not finite on a split, with fixed weights.

    Args:
        job: The run.
        state: Its state.
        stream: The batches of the split.
    """
    model = state.judged
    is_whole = state.strategy.name != "fsdp"  # nodes in parts cannot be walked through
    if not (isinstance(model, fx.GraphModule) and job.anatomy.nodes and is_whole):
        return ""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for number, batch in enumerate(stream.epoch(0), 1):
                found = _forward(
                    job, _walk(job, model, batch), batch, f"batch {number} is the first to go wrong"
                )
                if found:
                    return found
    finally:
        model.train(training)
    return ""


def _replayed(job: Job, state: State) -> str:
    """Make the steps since the last checkpoint again, up to the one that goes wrong."""
    last = state.global_step
    saved = checkpoint.latest(job.folder, job.origin)
    if saved is None:
        return ""
    state.restore(saved[0])
    started = time.perf_counter()
    meter, shares = Meter(job.tasks, job.losses, job.device), Shares()
    state.model.train()
    with job.freezing.during(state.epoch, state.model):
        for batch in job.train.epoch(state.epoch, start=state.step):
            before = {name: t.clone() for name, t in state.model.state_dict().items()}
            chance = random_states()
            step(job, state, meter, shares, batch)
            if not (all(map(math.isfinite, meter.scores().values())) and state.finite()):
                after = _weights(job, state.model)
                state.model.load_state_dict(before)
                set_random_states(chance)
                return _explained(job, state, batch, after)
            is_late = time.perf_counter() - started > REPLAY_S
            if is_late or state.global_step >= last or job.stop.requested:
                break
    return ""


def _explained(job: Job, state: State, batch: Sample, after: list[str]) -> str:
    """Say what goes wrong in a step, whose weights before it are the model's.

    Args:
        job: The run.
        state: Its state.
        batch: The batch of the step.
        after: The nodes whose weights are not finite after the step.
    """
    where = f"step {state.step} of epoch {state.epoch + 1} is the first to go wrong"
    state.optimizer.zero_grad(set_to_none=True)
    assert isinstance(state.model, fx.GraphModule)
    seen = _walk(job, state.model, batch)
    found = _forward(job, seen, batch, where)
    if found:
        return found
    parts = job.losses(
        {task: output.float() for task, output in seen.outputs.items()}, batch.labels
    )
    tasks = [task for task, loss in parts.items() if not bool(loss.isfinite())]
    if tasks:
        largest = f"the largest number is {_largest(seen.visits)}"
        return f"{where}: every node is finite ({largest}), but not the loss of {_listed(tasks)}"
    state.balancer.backward(parts)
    gradient = seen.backward_culprit
    if gradient is not None:
        return (
            f"{where}: its losses are finite, but not what comes back to `{gradient}` as gradient"
        )
    own = [n for n, p in state.model.named_parameters() if _is_broken(p.grad)]
    if own:
        return f"{where}: its losses are finite, but not the gradient of {_listed(own)}"
    beyond = f"the optimizer takes the weights of {_listed(after)} beyond all numbers"
    return f"{where}: its losses and gradients are finite, but {beyond}"


def _forward(job: Job, seen: Walk, batch: Sample, where: str) -> str:
    """Say which input or node is not finite in a forward pass, or nothing."""
    inputs = [name for name, values in batch.inputs.items() if _is_broken(values)]
    if inputs:
        return f"{where}: its input {_listed(inputs)} is not finite"
    culprit = seen.culprit
    if culprit is None:
        return ""
    earlier = dict(seen.visits)
    for name in list(earlier)[list(earlier).index(culprit.node) :]:
        del earlier[name]
    before = f"; the largest number before it is {_largest(earlier)}" if earlier else ""
    what = f"`{culprit.node}` gives numbers that are not finite, from weights and inputs that are"
    return f"{where}: {what}{before}"


def _walk(job: Job, model: fx.GraphModule, batch: Sample) -> Walk:
    with job.precision.context():
        return walk(model, batch.inputs, batch.labels, job.anatomy.nodes)


def _largest(visits: Mapping[str, Any]) -> str:
    name = max(visits, key=lambda each: visits[each].largest)
    return f"{visits[name].largest:.2g}, of `{name}`"


def _weights(job: Job, model: nn.Module) -> list[str]:
    """Return whose weights or buffers are not finite."""
    owners = set(job.anatomy.learned.values()) | set(job.anatomy.nodes)
    found: dict[str, None] = {}
    for name, each in model.state_dict().items():
        values = local(each)  # asked of one process alone, which may have a part
        if values.is_floating_point() and _is_broken(values):
            owner = name
            while owner not in owners and "." in owner:
                owner = owner.rpartition(".")[0]
            found[owner] = None
    return list(found)


def _is_broken(values: Tensor | None) -> bool:
    return values is not None and values.is_floating_point() and not bool(values.isfinite().all())


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names[:5]) + (", ..." if len(names) > 5 else "")
