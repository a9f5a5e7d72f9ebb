"""The parts of ``train:`` that say how weights change: optimizer, groups, schedule and the like.

Names that only torch knows (optimizers, schedules, their arguments) are checked by the trainer.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from graphspec.language.section import Section

Names = str | Annotated[list[str], Field(min_length=1)]
"""One name or several."""


def _none(value: Any) -> Any:
    return None if value is False else value


Off = BeforeValidator(_none)
"""Lets `false` switch a part of the recipe off, as `null` does."""


def _listed(names: Names) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


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


class Group(Section):
    """Parameters that learn otherwise than the rest; further keys are arguments of the optimizer.

    Where several groups have a parameter, each key comes from the last of them that states it.
    """

    model_config = ConfigDict(extra="allow")

    nodes: Names
    """Patterns of names: of nodes, of what contains nodes, or of parameters: `[trunk, "fc*"]`."""
    lr: float | None = Field(None, ge=0.0)
    """Learning rate."""
    weight_decay: float | None = Field(None, ge=0.0)
    """Weight decay."""
    freeze: bool | None = None
    """Whether they stay as they are: no gradients, and batch-norm keeps its statistics."""
    unfreeze_at: int | None = Field(None, ge=2)
    """Epoch, from 1, in which they begin to learn; before it they are frozen."""
    freeze_at: int | None = Field(None, ge=2)
    """Epoch, from 1, from which they are frozen."""

    @model_validator(mode="after")
    def _agrees(self) -> Group:
        changes = (self.freeze, self.unfreeze_at, self.freeze_at)
        if not self.arguments and changes == (None, None, None):
            message = "the group states nothing of its parameters: give `lr` or `freeze: true`, say"
            raise ValueError(message)
        if self.unfreeze_at is not None and self.freeze is False:
            message = "`unfreeze_at` is for what is frozen before, and `freeze` is false"
            raise ValueError(message)
        if self.freeze_at is not None and self.freeze and self.unfreeze_at is None:
            message = "`freeze_at` is for what is not frozen before, and `freeze` is true"
            raise ValueError(message)
        if None not in (self.freeze_at, self.unfreeze_at) and self.freeze_at == self.unfreeze_at:
            message = "`freeze_at` and `unfreeze_at` are the same epoch"
            raise ValueError(message)
        return self

    @property
    def patterns(self) -> tuple[str, ...]:
        """The patterns, one or several."""
        return _listed(self.nodes)

    @property
    def arguments(self) -> dict[str, Any]:
        """What it states for the optimizer."""
        own = {"lr": self.lr, "weight_decay": self.weight_decay}
        return {k: v for k, v in own.items() if v is not None} | dict(self.model_extra or {})


class Schedule(Section):
    """How the learning rate changes; every further key is an argument of the scheduler."""

    model_config = ConfigDict(extra="allow")

    name: str | None = None
    """Class name in torch.optim.lr_scheduler, e.g. `CosineAnnealingLR`; none: only a warm-up."""
    per: Literal["step", "epoch"] | None = None
    """When it moves: after each step of the optimizer or each epoch; by default as is usual."""
    warmup: float = Field(0.0, ge=0.0)
    """Epochs, in parts too, over which the learning rate first rises step by step."""
    metric: str | None = None
    """What `ReduceLROnPlateau` watches; by default the metric `best`."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @property
    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return dict(self.model_extra or {})


class Clip(Section):
    """Limits of the gradients before each step of the optimizer. A number alone is the `norm`."""

    norm: float | None = Field(None, gt=0.0)
    """Largest norm of all gradients together; larger ones are scaled down to it."""
    norm_type: float = Field(2.0, gt=0.0)
    """Which p-norm that is."""
    value: float | None = Field(None, gt=0.0)
    """Largest absolute value of any single number in the gradients."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"norm": value} if _is_number(value) else value

    @model_validator(mode="after")
    def _limits_something(self) -> Clip:
        if self.norm is None and self.value is None:
            message = "it limits nothing: give `norm`, `value` or both"
            raise ValueError(message)
        return self


class Average(Section):
    """An exponential moving average of the weights, by which a run is judged and kept.

    A number alone is the `decay`, `true` means the defaults.
    """

    decay: float = Field(0.999, gt=0.0, lt=1.0)
    """Part of the average that stays at each step of the optimizer."""
    warmup: bool = True
    """Whether the decay begins low, as (1 + n) / (10 + n) after n steps, to forget the start."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        if value is True:
            return {}
        return {"decay": value} if _is_number(value) else value


class EarlyStopping(Section):
    """When to stop before the last epoch.

    A number alone is the `patience`, a text the `metric`, `true` means the defaults.
    """

    elsewhere: ClassVar[dict[str, str]] = {"monitor": "`metric`"}

    metric: Names = "train/loss"
    """What is watched: `train/loss`, `validation/fine/top1`, an expression, or a list of them."""
    patience: int = Field(10, ge=1)
    """Epochs without improvement before stopping."""
    min_delta: float = Field(0.001, ge=0.0)
    """Least change that counts as an improvement."""
    mode: Literal["all", "any"] = "all"
    """Of several metrics: whether `all` must have stopped improving, or `any` of them."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        if value is True:
            return {}
        if isinstance(value, str):
            return {"metric": value}
        return {"patience": value} if _is_number(value) else value

    @property
    def metrics(self) -> tuple[str, ...]:
        """What is watched, one or several."""
        return _listed(self.metric)


class Checkpoints(Section):
    """When the state of a run is saved, and how many are kept.

    A number alone, or `epoch`, is `every`.
    """

    every: Literal["epoch"] | Annotated[int, Field(ge=1)] = "epoch"
    """`epoch`, or a number of steps; at the end of an epoch it is saved in any case."""
    keep: int = Field(2, ge=1)
    """How many of the last states are kept: `last.pt`, and older ones in `checkpoints/`."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"every": value} if _is_number(value) or isinstance(value, str) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
