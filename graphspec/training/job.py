"""A run's fixed side: what stays the same from its first step to its last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from graphspec.language.recipe import Train
from graphspec.language.signature import TaskSpec
from graphspec.training.distributed.world import ALONE, World
from graphspec.training.groups import Freezing
from graphspec.training.interrupts import Interrupts
from graphspec.training.losses import Losses
from graphspec.training.observer import Observer
from graphspec.training.precision import Precision
from graphspec.training.state import Origin
from graphspec.training.symptoms import Anatomy


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
        forward: What runs the model in a step: the model itself, compiled, in the run's precision.
        precision: The precision.
        freezing: What stands still in which epoch.
        train: Batches to learn from.
        validation: Batches to validate on, or None where the split is empty.
        device: Where the model is.
        origin: The topology, for the checkpoints.
        observer: Who is told.
        stop: Whether the user wants to stop.
        world: The processes that train together.
        anatomy: What is known of the model, to name what is wrong with it.
    """

    folder: Path
    recipe: Train
    tasks: Mapping[str, TaskSpec]
    losses: Losses
    forward: nn.Module
    precision: Precision
    freezing: Freezing
    train: Stream
    validation: Stream | None
    device: torch.device
    origin: Origin
    observer: Observer
    stop: Interrupts = field(default_factory=Interrupts)
    world: World = ALONE
    anatomy: Anatomy = Anatomy()  # noqa: RUF009 - it is frozen

    @cached_property
    def takes_labels(self) -> bool:
        """Whether the model is given the true labels while it learns."""
        return bool(getattr(self.forward, "takes_labels", False))

    def stops(self) -> bool:
        """Return whether the run is to stop; several processes agree on it, so all must ask."""
        return self.world.any(self.stop.requested)

    @property
    def spec_hash(self) -> str:
        """Content hash of the topology."""
        return self.origin.spec_hash
