"""The ``data:`` and ``train:`` sections as data: what to train on and how.

They are validated with the rest of a spec, so ``graphspec validate`` sees them without importing
torch. Names inside them that only a higher room knows (data sources, optimizers) are checked by
that room.
"""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field, model_validator

from graphspec.language.balance import Balance
from graphspec.language.data import Data as Data
from graphspec.language.section import Section as Section


class EarlyStopping(Section):
    """When to stop before the last epoch."""

    metric: str = "train/loss"
    """What is watched: `train/loss`, `validation/loss`, or a task's: `validation/fine/top1`."""
    patience: int = Field(10, ge=1)
    """Epochs without improvement before stopping."""
    min_delta: float = Field(0.001, ge=0.0)
    """Least change that counts as an improvement."""


class Optimizer(Section):
    """An optimizer of torch.optim; every further key is an argument of its constructor."""

    model_config = ConfigDict(extra="allow")

    name: str = "Adam"
    """Class name in torch.optim, e.g. `Adam`, `SGD`, `AdamW`."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @property
    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments besides the learning rate."""
        return dict(self.model_extra or {})


class Train(Section):
    """The recipe."""

    epochs: int = Field(100, ge=1)
    """Passes over the training split, at most."""
    batch_size: int = Field(100, ge=1)
    """Samples per step."""
    lr: float = Field(5e-4, gt=0.0)
    """Learning rate."""
    optimizer: Optimizer = Optimizer()
    """Optimizer by name, or a mapping of `name` and its arguments."""
    balance: Balance = Balance()
    """How the tasks' losses become one gradient: a method, or a mapping of `method` and its
    arguments."""
    early_stopping: EarlyStopping | None = None
    """When to stop early; absent: never."""
    best: str = "validation/loss"
    """Metric that chooses the `best` checkpoint; losses and errors are minimised, the rest
    maximised."""
    seed: int = Field(0, ge=0, lt=2**63)
    """Seed of weights, data order, augmentation, dropout and the validation split."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, `mps`."""
    channels_last: bool = True
    """Keep images and convolution weights in channels-last memory order, which is faster."""
    fused: bool = True
    """Use the optimizer's fused implementation where it has one."""
    tune_allocator: bool = True
    """Raise glibc's mmap and trim thresholds in the training process (Linux)."""
