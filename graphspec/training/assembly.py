"""From what a run is made of to its `Job` and `State`: model, optimizer, schedule and the like."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from graphspec.errors import Code, fail
from graphspec.graph.assemble import seed_of
from graphspec.graph.reachability import parameters
from graphspec.language.balance import Conflicts
from graphspec.language.recipe import Train
from graphspec.training import compiling, conflicts, groups, optimizers, symptoms
from graphspec.training.distributed import strategy as strategies
from graphspec.training.distributed.shards import Shards
from graphspec.training.distributed.world import ALONE, World
from graphspec.training.ema import Averaged
from graphspec.training.groups import Freezing
from graphspec.training.init_from import Takeover, take
from graphspec.training.interrupts import Interrupts
from graphspec.training.job import Job, Stream
from graphspec.training.observer import Observer
from graphspec.training.precision import Precision
from graphspec.training.schedules import Pace, Scheduler
from graphspec.training.setup import Setup
from graphspec.training.state import State, origin_of


def learning_batches(made: Setup, world: World = ALONE) -> Stream:
    """Return the batches to learn from; of several processes, each has its rows of them.

    Raises:
        SpecError: ``data-mismatch`` where there is not even one; ``bad-value`` if the recipe does
            not suit several processes.
    """
    batches = made.batches("train", learning=True)
    if batches is None or not len(batches):
        message = f"the training split of `{made.data.name}` has too few samples for a step"
        raise fail(Code.DATA_MISMATCH, message, "lower `data.validation`")
    if not world.together:
        return batches
    strategies.check(made.recipe, world.size)
    shards = Shards(batches, world, made.recipe.batch_size)
    if not len(shards):
        message = f"{batches.samples} training samples are too few for {world.size} processes"
        raise fail(Code.DATA_MISMATCH, message, "use fewer: each needs a sample of every batch")
    return shards


@dataclass(frozen=True)
class InitFrom:
    """Where initial weights come from.

    Attributes:
        source: The folder of a run, or one of its checkpoints.
        nodes: Patterns of what to take; none for all.
    """

    source: Path
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Beginning:
    """What a run begins with.

    Attributes:
        state: The state before the first step.
        fused: Whether the optimizer uses its fused implementation.
        takeover: What was taken over from another run, if anything was.
    """

    state: State
    fused: bool
    takeover: Takeover | None = None


def begin(made: Setup, steps: int, init: InitFrom | None = None, world: World = ALONE) -> Beginning:
    """Return what a run begins with.

    Args:
        made: What the run is made of.
        steps: Batches of an epoch.
        init: Where initial weights come from, if not from the seed alone.
        world: The processes that train together.

    Raises:
        SpecError: ``bad-argument`` if the schedule is too short for the run; those of
            `graphspec.training.init_from.take`.
    """
    recipe = made.recipe
    model = made.model()
    takeover = None if init is None else take(model, made.graph, init.source, init.nodes)
    average = None if recipe.ema is None else Averaged(model, recipe.ema)
    unreached = [name for name, p in parameters(made.graph).items() if not p.tasks]
    copy = None if average is None else average.module
    strategy = strategies.make(recipe, model, world, unreached, copy)
    if strategy.name == "fsdp":
        recipe = _of_parts(recipe)
    balancer = conflicts.watched(recipe, made.site(model, world))
    own = balancer.parameters()
    learned = groups.of_optimizer(recipe.groups, model, parameters(made.graph))
    # decay would pull what balancing learns to 0, as if it were a weight of the model
    extra = [{"params": own, groups.NAME: "balance", "weight_decay": 0.0}] if own else []
    optimizer, fused = optimizers.make(recipe, [*learned, *extra])
    schedule = None
    if recipe.schedule is not None:
        pace = Pace(recipe.epochs, -(-steps // recipe.accumulate))
        schedule = Scheduler(recipe.schedule, optimizer, recipe, pace)
    # Dropout; weights, order and augmentation have their own.
    torch.manual_seed(seed_of(recipe.seed, f"process {world.rank}") if world.rank else recipe.seed)
    scaler = Precision(recipe.precision, made.device).scaler()
    state = State(model, optimizer, balancer, schedule, scaler, average, strategy)
    return Beginning(state, fused, takeover)


def _of_parts(recipe: Train) -> Train:
    """Return a recipe without what cannot be done with parameters that come in parts.

    The gradients of single losses cannot be compared, and few fused optimizers know such tensors.
    """
    fused = recipe.fused and recipe.optimizer.name in ("Adam", "AdamW")
    return recipe.model_copy(update={"conflicts": Conflicts(every=0), "fused": fused})


def job_of(
    made: Setup,
    state: State,
    batches: Stream,
    path: Path,
    observer: Observer,
    stop: Interrupts,
) -> Job:
    """Return what stays the same during a run.

    Args:
        made: What the run is made of.
        state: Its state, whose model the steps run.
        batches: The batches to learn from.
        path: The run folder.
        observer: Who is told.
        stop: Whether the user wants to stop.
    """
    precision = Precision(made.recipe.precision, made.device)
    return Job(
        folder=path,
        recipe=made.recipe,
        tasks=made.tasks,
        losses=made.losses,
        forward=precision.apply(state.strategy.caller(_stepping(made, state.model, observer))),
        precision=precision,
        freezing=Freezing(made.recipe.groups, tuple(parameters(made.graph))),
        train=batches,
        validation=made.batches("validation"),
        device=made.device,
        origin=origin_of(made.spec),
        observer=observer,
        stop=stop,
        world=state.strategy.world,
        anatomy=symptoms.anatomy(made.graph, made.losses.weights, _loading(made)),
    )


def _loading(made: Setup) -> str:
    """Return what to do where reading the data is slow."""
    if made.data.storage.workers or "streamed" in made.data.storage.text:
        return "raise `data.workers`, keep the pictures in memory (`data.memory: ram`), or store " \
            "them smaller"  # fmt: skip
    if made.section.augment != "none":
        return f"`augment: {made.section.augment}` costs more than the steps; give it more threads"
    return ""


def _stepping(made: Setup, model: nn.Module, observer: Observer) -> nn.Module:
    """Return what runs the model in a step: compiled if that is asked for and can be."""
    if not made.recipe.compile:
        return model
    found, problem = compiling.compiled(model, made.device)
    if problem is not None:
        words = "torch.compile does not work here, so the model runs as it is"
        observer.warning(f"`compile: true`: {words} ({problem})")
    return found
