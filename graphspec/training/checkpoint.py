"""Checkpoints: the state of a run as one value, and that value as a file.

`State` is everything that decides how a run goes on, so a run that is resumed from it takes the
same steps, bit for bit, as one that was never interrupted. Files are written atomically and read
with ``weights_only=True``: a checkpoint is data and runs no code.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from graphspec.errors import Code, fail
from graphspec.training import optimizers
from graphspec.training.balancing.balancer import Balancer
from graphspec.training.folder import replacing

FORMAT = 2
"""Version of the layout of a checkpoint."""

_PROGRESS = (
    "epoch", "step", "global_step", "seconds", "epoch_seconds", "totals",
    "best_value", "best_epoch", "best_step", "watched", "waited", "finished",
)  # fmt: skip


@dataclass
class State:
    """Where a run is. Random numbers (dropout) are read from and put back into torch itself.

    Attributes:
        model: The model, with its weights and buffers.
        optimizer: The optimizer, with its moments.
        balancer: What turns the tasks' losses into gradients, with what it learned.
        epoch: Epochs done, their evaluation included.
        step: Steps done in the current epoch.
        global_step: Steps done in all.
        seconds: Time of the epochs that are done, evaluation included.
        epoch_seconds: Training time of the current epoch.
        totals: Sums of the metrics of the current epoch (`Meter.state_dict`).
        best_value: Best value so far of the metric that chooses the weights to keep.
        best_epoch: Its epoch, from 1.
        best_step: Steps done in all at its end.
        watched: Best value so far of the metric of early stopping.
        waited: Epochs since then.
        finished: Why training is over (``epochs``, ``early-stopping``), or None.
    """

    model: nn.Module
    optimizer: Optimizer
    balancer: Balancer
    epoch: int = 0
    step: int = 0
    global_step: int = 0
    seconds: float = 0.0
    epoch_seconds: float = 0.0
    totals: dict[str, Any] = field(default_factory=dict)
    best_value: float | None = None
    best_epoch: int = 0
    best_step: int = 0
    watched: float | None = None
    waited: int = 0
    finished: str | None = None

    def finite(self) -> bool:
        """Return whether all weights and buffers are; it synchronises with the device."""
        floats = [t for t in self.model.state_dict().values() if t.is_floating_point()]
        return not floats or bool(torch.stack([t.isfinite().all() for t in floats]).all())

    def capture(self, spec_hash: str) -> dict[str, Any]:
        """Return the state as plain data and tensors.

        Args:
            spec_hash: Content hash of the topology, which a checkpoint must match.
        """
        return {
            "format": FORMAT,
            "kind": "state",
            "spec_hash": spec_hash,
            "progress": {name: getattr(self, name) for name in _PROGRESS},
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "balancer": self.balancer.state_dict(),
            "random": _random_states(),
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Go back to what `capture` gave, random numbers included."""
        self.model.load_state_dict(saved["model"])
        optimizers.restore(self.optimizer, saved["optimizer"])
        self.balancer.load_state_dict(saved["balancer"])
        for name in _PROGRESS:
            setattr(self, name, saved["progress"][name])
        _set_random_states(saved["random"])

    def weights(self, spec_hash: str) -> dict[str, Any]:
        """Return the weights alone, with the epoch they are of."""
        return {
            "format": FORMAT,
            "kind": "weights",
            "spec_hash": spec_hash,
            "epoch": self.best_epoch,
            "step": self.best_step,
            "value": self.best_value,
            "model": self.model.state_dict(),
        }


def save(value: Mapping[str, Any], path: Path) -> None:
    """Write a checkpoint in the place of the old one.

    Raises:
        SpecError: ``disk-full`` or ``cannot-write``; the old checkpoint is still there.
    """
    with replacing(path) as file:
        try:
            torch.save(dict(value), file)
        except RuntimeError as error:
            # torch's zip writer hides the system's refusal behind an error of its own
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def load(path: Path, spec_hash: str | None = None) -> dict[str, Any]:
    """Read a checkpoint into the CPU's memory.

    Args:
        path: The file.
        spec_hash: Content hash of the topology that it must be of, or None for any.

    Raises:
        SpecError: ``bad-checkpoint`` if it is missing, damaged or no checkpoint of graphspec,
            ``run-mismatch`` if it belongs to another topology.
    """
    if not path.is_file():
        message = f"there is no checkpoint `{path}`"
        raise fail(Code.BAD_CHECKPOINT, message, "train the run first")
    try:
        # torch does not look at the checksums of the archive's members
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
        value = None if broken else torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file fails in as many ways as there are bytes
        raise _damaged(path) from error
    if not isinstance(value, dict) or not {"format", "kind", "model"} <= value.keys():
        raise _damaged(path)
    if value["format"] != FORMAT:
        message = f"`{path}` has the format {value['format']}; this graphspec reads {FORMAT}"
        raise fail(Code.BAD_CHECKPOINT, message, "use the graphspec that wrote it")
    if spec_hash is not None and value.get("spec_hash") != spec_hash:
        message = f"`{path}` belongs to another topology"
        hint = "train the changed spec as a new run, with another `--out`"
        raise fail(Code.RUN_MISMATCH, message, hint)
    return value


def _damaged(path: Path) -> Exception:
    message = f"`{path}` is damaged or no checkpoint"
    hint = f"`{path.parent}` may hold another one (`last.pt`, `best.pt`); otherwise train again"
    return fail(Code.BAD_CHECKPOINT, message, hint)


def _random_states() -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    if torch.backends.mps.is_available():
        states["mps"] = torch.mps.get_rng_state()
    return states


def _set_random_states(states: Mapping[str, Tensor]) -> None:
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])
    if "mps" in states and torch.backends.mps.is_available():
        torch.mps.set_rng_state(states["mps"])
