"""The choices of a run in words: those that make it faster, and what its recipe asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from graphspec.language.balance import Balance
from graphspec.language.learning import Average, Checkpoints, Clip
from graphspec.language.recipe import Train
from graphspec.training import groups, judging, schedules
from graphspec.training.job import Job
from graphspec.training.precision import Mixed
from graphspec.training.setup import Setup

Fact = tuple[str, str]
"""A label and what was chosen."""

_MIB = 1 << 20


def facts(made: Setup, job: Job, fused: bool, threshold: int | None) -> tuple[Fact, ...]:
    """Return the choices of a run, what is usual left out.

    Args:
        made: What the run is made of.
        job: The run.
        fused: Whether the optimizer uses its fused implementation.
        threshold: What `allocator.tune` gave, in bytes; None where it was not called or refused.
    """
    recipe = made.recipe
    return (
        *([("balancing", _balance(recipe.balance))] if recipe.balance.method != "fixed" else []),
        ("data", made.data.storage.text),
        ("optimizer", f"{_optimizer(recipe)}, {'fused' if fused else 'not fused'}"),
        *_learning(recipe),
        ("memory order", "channels-last" if recipe.channels_last else "contiguous"),
        *_running(recipe, job),
        ("allocator", f"keeps blocks up to {threshold // _MIB} MiB" if threshold else "not tuned"),
        *_judging(recipe),
    )


def _learning(recipe: Train) -> Iterator[Fact]:
    """Yield how weights change, where the recipe says more than an optimizer."""
    if recipe.label_smoothing:
        yield "label smoothing", f"{recipe.label_smoothing:g}"
    if recipe.groups:
        yield "groups", groups.describe(recipe.groups)
    if recipe.schedule is not None:
        yield "schedule", schedules.describe(recipe.schedule)
    if recipe.accumulate > 1:
        yield "accumulation", f"a step of the optimizer every {recipe.accumulate} batches"
    if recipe.clip is not None:
        yield "clipping", _clip(recipe.clip)
    if recipe.ema is not None:
        yield "average of weights", _average(recipe.ema)


def _running(recipe: Train, job: Job) -> Iterator[Fact]:
    """Yield how steps are computed, where it is not the plain way."""
    if recipe.in_place and any(isinstance(m, nn.ReLU) and m.inplace for m in job.forward.modules()):
        yield "ReLU", "in place"
    if job.world.together:
        yield "processes", f"{job.world.size} ({recipe.strategy})"
    if recipe.precision != "float32":
        yield "precision", recipe.precision
    if recipe.compile:
        inner = job.forward.model if isinstance(job.forward, Mixed) else job.forward
        is_compiled = hasattr(inner, "_orig_mod")
        yield "torch.compile", "steps" if is_compiled else "not possible here"
    if recipe.deterministic:
        yield "algorithms", "deterministic"


def _judging(recipe: Train) -> Iterator[Fact]:
    """Yield what a run is judged by and how it is saved, where that is not the default."""
    if recipe.best != Train().best:
        yield "best by", ", ".join(judging.texts(recipe.best))
    rule = recipe.early_stopping
    if rule is not None:
        words = f"{rule.mode} of " if len(rule.metrics) > 1 else ""
        yield "early stopping", f"{words}{', '.join(rule.metrics)}, patience {rule.patience}"
    if recipe.checkpoint != Checkpoints():
        yield "checkpoints", _checkpoints(recipe.checkpoint)
    if recipe.loggers:
        yield "loggers", ", ".join(recipe.loggers)


def _balance(balance: Balance) -> str:
    return _called(balance.method, balance.arguments)


def _optimizer(recipe: Train) -> str:
    called = _called(recipe.optimizer.name, recipe.optimizer.arguments)
    return called + (f", lr {recipe.lr:g}" if recipe.lr != Train().lr else "")


def _called(name: str, arguments: Mapping[str, Any]) -> str:
    """Return a name with its arguments: ``SGD (momentum 0.9, nesterov)``."""
    stated = (key if value is True else f"{key} {value}" for key, value in arguments.items())
    return f"{name} ({', '.join(stated)})" if arguments else name


def _clip(clip: Clip) -> str:
    parts = [f"norm {clip.norm:g}"] if clip.norm is not None else []
    if clip.norm is not None and clip.norm_type != 2:
        parts = [f"{clip.norm_type:g}-{parts[0]}"]
    return ", ".join(parts + ([f"value {clip.value:g}"] if clip.value is not None else []))


def _average(average: Average) -> str:
    return f"decay {average.decay:g}" + (", rising to it" if average.warmup else "")


def _checkpoints(stated: Checkpoints) -> str:
    often = "every epoch" if stated.every == "epoch" else f"every {stated.every} steps"
    return f"{often}, {stated.keep} kept"
