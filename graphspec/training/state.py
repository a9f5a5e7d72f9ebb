"""The state of a run as one value.

`State` is everything that decides how a run goes on, so a run that is resumed from it takes the
same steps, bit for bit, as one that was never interrupted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from graphspec.graph.assemble import seed_of
from graphspec.training.balancing.balancer import Balancer
from graphspec.training.distributed.strategy import Single, Strategy
from graphspec.training.ema import Averaged
from graphspec.training.schedules import Scheduler

if TYPE_CHECKING:
    from graphspec.language.models import Spec

FORMAT = 4
"""Version of the layout of a checkpoint."""

_PROGRESS = (
    "epoch", "step", "global_step", "pending", "seconds", "epoch_seconds", "totals",
    "best_value", "best_epoch", "best_step", "watched", "waited", "finished", "told", "suspects",
    "skipped",
)  # fmt: skip


@dataclass(frozen=True)
class Origin:
    """What a checkpoint says of where it comes from.

    Attributes:
        spec_hash: Content hash of the topology, which must be that of whoever reads it.
        spec: Text of the resolved spec, from which follows how another topology differs.
    """

    spec_hash: str
    spec: str = ""


def origin_of(spec: Spec) -> Origin:
    """Return what a checkpoint says of a spec."""
    return Origin(spec.hash(), spec.resolved_yaml())


@dataclass
class State:
    """Where a run is. Random numbers (dropout) are read from and put back into torch itself.

    Attributes:
        model: The model, with its weights and buffers.
        optimizer: The optimizer, with its moments.
        balancer: What turns the tasks' losses into gradients, with what it learned.
        schedule: What changes the learning rate, if anything does.
        scaler: Scaler of fp16's gradients; in other precisions it is disabled and does nothing.
        average: The moving average of the weights, if there is one.
        strategy: How the processes that train together share the model.
        epoch: Epochs done, their evaluation included.
        step: Steps (batches) done in the current epoch.
        global_step: Steps done in all.
        pending: Batches whose gradients wait for the optimizer's next step.
        seconds: Time of the epochs that are done, evaluation included.
        epoch_seconds: Training time of the current epoch.
        totals: Sums of the metrics of the current epoch (`Meter.state_dict`).
        best_value: Best values so far of what chooses the weights to keep.
        best_epoch: Its epoch, from 1.
        best_step: Steps done in all at its end.
        watched: Best values so far of what early stopping watches.
        waited: Epochs since then, for each.
        finished: Why training is over (``epochs``, ``early-stopping``), or None.
        told: What was odd so far, in words, by what it is (`graphspec.training.symptoms`).
        suspects: Parameters that no gradient came to so far, while that is looked for.
        skipped: Steps of the optimizer in the current epoch that were left out, as gradients of
            fp16 overflowed.
        saved_step: Steps done in all in the state that was saved last; not part of a checkpoint.
    """

    model: nn.Module
    optimizer: Optimizer
    balancer: Balancer
    schedule: Scheduler | None = None
    scaler: torch.amp.GradScaler = field(
        default_factory=lambda: torch.amp.GradScaler("cpu", enabled=False)
    )
    average: Averaged | None = None
    strategy: Strategy = field(default_factory=Single)
    epoch: int = 0
    step: int = 0
    global_step: int = 0
    pending: int = 0
    seconds: float = 0.0
    epoch_seconds: float = 0.0
    totals: dict[str, Any] = field(default_factory=dict)
    best_value: list[float] = field(default_factory=list)
    best_epoch: int = 0
    best_step: int = 0
    watched: list[float] = field(default_factory=list)
    waited: list[int] = field(default_factory=list)
    finished: str | None = None
    told: dict[str, str] = field(default_factory=dict)
    suspects: list[str] | None = None
    skipped: int = 0
    saved_step: int | None = None

    @property
    def judged(self) -> nn.Module:
        """The model that is evaluated and kept: the averaged one where there is one."""
        return self.model if self.average is None else self.average.module

    def finite(self) -> bool:
        """Return whether all weights and buffers are; it synchronises with the device.

        Several processes must ask together.
        """
        floats = [t for t in self.strategy.parts(self.model) if t.is_floating_point()]
        finite = not floats or bool(torch.stack([t.isfinite().all() for t in floats]).all())
        return not self.strategy.world.any(not finite)

    def capture(self, origin: Origin) -> dict[str, Any]:
        """Return the whole state as plain data and tensors; several processes must ask together.

        Args:
            origin: Of which topology it is.
        """
        random = random_states()
        return {
            **_head("state", origin),
            "progress": {name: getattr(self, name) for name in _PROGRESS},
            "model": self.strategy.model_state(self.model),
            "optimizer": self.strategy.optimizer_state(self.optimizer),
            "gradients": self._gradients(),
            "balancer": self.balancer.state_dict(),
            "schedule": None if self.schedule is None else self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self._average(),
            "random": random,
            "ranks": self.strategy.world.gather(random) if self.strategy.world.together else [],
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Go back to what `capture` gave, random numbers included."""
        self.strategy.load_model_state(self.model, saved["model"])
        self.strategy.load_optimizer_state(self.optimizer, saved["optimizer"])
        self._set_gradients(saved["gradients"])
        self.balancer.load_state_dict(saved["balancer"])
        if self.schedule is not None:
            self.schedule.load_state_dict(saved["schedule"])
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(saved["scaler"])
        if self.average is not None:
            average = saved["average"]
            self.strategy.load_model_state(self.average.module, average["model"])
            self.average.go_on(int(average["updates"]))
        for name in _PROGRESS:
            if name in saved["progress"]:
                setattr(self, name, saved["progress"][name])
        self._set_random_states(saved)

    def weights(self, origin: Origin) -> dict[str, Any]:
        """Return the weights that are judged, with the epoch they are of."""
        return {
            **_head("weights", origin),
            "epoch": self.best_epoch,
            "step": self.best_step,
            "value": self.best_value,
            "model": self.strategy.model_state(self.judged),
        }

    def _average(self) -> dict[str, Any] | None:
        """Return the averaged weights and buffers, and how often they were moved."""
        if self.average is None:
            return None
        weights = self.strategy.model_state(self.average.module)
        return {"updates": self.average.updates, "model": weights}

    def _gradients(self) -> list[Tensor | None]:
        """Return the gradients that wait for the batches still missing in the optimizer's step."""
        if not self.pending:
            return []
        return [self.strategy.whole(parameter.grad) for parameter in self._learned()]

    def _set_gradients(self, saved: list[Tensor | None]) -> None:
        for parameter, gradient in zip(self._learned(), saved, strict=False):
            if gradient is not None:
                part = self.strategy.part(gradient, parameter)
                parameter.grad = torch.empty_like(parameter).copy_(part)

    def _set_random_states(self, saved: Mapping[str, Any]) -> None:
        """Go on with this process's random numbers, or where it had none, begin new ones."""
        world, ranks = self.strategy.world, saved["ranks"] or [saved["random"]]
        if len(ranks) == world.size:
            set_random_states(ranks[world.rank])
        else:
            first = int(saved["random"]["cpu"].sum())
            torch.manual_seed(seed_of(first, f"{self.global_step}/{world.rank}"))

    def _learned(self) -> list[Tensor]:
        return [each for group in self.optimizer.param_groups for each in group["params"]]


def weights_of(saved: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the weights that a checkpoint is judged by, of whichever kind it is."""
    average = saved.get("average")
    found: dict[str, Tensor] = saved["model"] if average is None else average["model"]
    return found


def best_of(saved: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what `State.weights` gave when a state was saved, if the state has the best weights.

    Args:
        saved: What `State.capture` gave.
    """
    progress = saved.get("progress", {})
    if progress.get("step") or not 0 < progress.get("epoch", 0) == progress.get("best_epoch"):
        return None
    return {
        **{key: saved[key] for key in ("format", "spec_hash", "spec")},
        "kind": "weights",
        "epoch": progress["best_epoch"],
        "step": progress["best_step"],
        "value": progress["best_value"],
        "model": weights_of(saved),
    }


def _head(kind: str, origin: Origin) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "kind": kind,
        "spec_hash": origin.spec_hash,
        "spec": origin.spec,
    }


def random_states() -> dict[str, Tensor]:
    """Return the states of torch's random numbers by device."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    if torch.backends.mps.is_available():
        states["mps"] = torch.mps.get_rng_state()
    return states


def set_random_states(states: Mapping[str, Tensor]) -> None:
    """Go back to what `random_states` gave."""
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])
    if "mps" in states and torch.backends.mps.is_available():
        torch.mps.set_rng_state(states["mps"])
