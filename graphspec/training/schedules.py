"""Schedules: how the learning rate changes, by torch.optim.lr_scheduler and a warm-up before it.

Lengths that a scheduler needs and the recipe does not state follow from the run's epochs and steps.
"""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch.optim import Optimizer, lr_scheduler

from graphspec.errors import Code, Sink, Span, did_you_mean, fail
from graphspec.language.learning import Schedule
from graphspec.language.recipe import Train
from graphspec.training import judging, optimizers
from graphspec.training.optimizers import Spans

_UNFIT = {
    "LRScheduler": "it is the base class",
    "LambdaLR": "it takes a function",
    "MultiplicativeLR": "it takes a function",
    "SequentialLR": "it takes schedulers",
    "ChainedScheduler": "it takes schedulers",
}

_HIDDEN = ("optimizer", "last_epoch", "verbose", "scale_fn")
"""Arguments of constructors that are not the recipe's."""

PLATEAU = "ReduceLROnPlateau"
_PER_STEP = ("OneCycleLR", "CyclicLR")
"""Schedulers that torch means to be moved after every batch."""

_LENGTHS = {
    "OneCycleLR": "total_steps",
    "CosineAnnealingLR": "T_max",
    "PolynomialLR": "total_iters",
}
"""The argument that says how long a scheduler takes to its end."""
_STATED_LENGTHS = {"OneCycleLR": ("total_steps", "epochs", "steps_per_epoch")}

_BY_GROUP = ("max_lr", "base_lr", "min_lr", "max_momentum", "base_momentum")
"""Arguments of which torch takes a list too, one value for each of the optimizer's groups."""


@dataclass(frozen=True)
class Pace:
    """How long a run is.

    Attributes:
        epochs: Epochs at most.
        updates: Steps of the optimizer in an epoch.
    """

    epochs: int
    updates: int

    def warmup(self, schedule: Schedule) -> int:
        """Return the optimizer's steps of the warm-up."""
        return round(schedule.warmup * self.updates)


def table() -> dict[str, Callable[..., Any]]:
    """Return the schedulers that a recipe may name."""
    base = (lr_scheduler.LRScheduler, lr_scheduler.ReduceLROnPlateau)
    found = {
        name: value
        for name, value in vars(lr_scheduler).items()
        if inspect.isclass(value)
        and issubclass(value, base)
        and name not in _UNFIT
        and not name.startswith("_")
    }
    return dict(sorted(found.items()))


def moves_per(schedule: Schedule) -> str:
    """Return when the scheduler moves: every ``step`` of the optimizer, or every ``epoch``."""
    return schedule.per or ("step" if schedule.name in _PER_STEP else "epoch")


def describe(schedule: Schedule) -> str:
    """Return a schedule in words, for the header of a run."""
    parts = [] if schedule.name is None else [f"{schedule.name} by {moves_per(schedule)}"]
    if schedule.warmup:
        parts.append(f"warm-up of {schedule.warmup:g} epoch{'s' if schedule.warmup != 1 else ''}")
    return ", ".join(parts)


def has_own_length(schedule: Schedule) -> bool:
    """Return whether the schedule does not depend on how many epochs a run has."""
    if schedule.name not in _LENGTHS:
        return True
    stated = _STATED_LENGTHS.get(schedule.name, (_LENGTHS[schedule.name],))
    return any(key in schedule.arguments for key in stated)


class Scheduler:
    """A warm-up and then a scheduler of torch; it sets the learning rates of an optimizer.

    In the warm-up of ``w`` steps the rate of step k is (k + 1) / (w + 1) of where it leads to.
    """

    def __init__(self, schedule: Schedule, optimizer: Optimizer, train: Train, pace: Pace) -> None:
        self._per = moves_per(schedule)
        self._updates = 0
        self._warm_steps = pace.warmup(schedule)
        self._main = _make(schedule, optimizer, train, pace)
        self._warm = None
        if self._warm_steps:
            start = 1 / (self._warm_steps + 1)
            self._warm = lr_scheduler.LinearLR(optimizer, start, total_iters=self._warm_steps)

    def after_step(self) -> None:
        """Move on after a step of the optimizer."""
        self._updates += 1
        if self._warm is not None and self._updates <= self._warm_steps:
            self._warm.step()
        elif self._main is not None and self._per == "step" and not self._is_over():
            self._main.step()

    def after_epoch(self, watched: float) -> None:
        """Move on after an epoch.

        Args:
            watched: The value that `ReduceLROnPlateau` looks at.
        """
        if self._main is None or self._per == "step" or self._updates <= self._warm_steps:
            return
        with warnings.catch_warnings():
            # torch has not seen the optimizer's steps of the session that was interrupted
            warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
            if isinstance(self._main, lr_scheduler.ReduceLROnPlateau):
                self._main.step(watched)
            else:
                self._main.step()

    def _is_over(self) -> bool:
        """Return whether a scheduler that has an end is there; torch's fails beyond.

        It is made for the steps of the run, and fewer processes may have one more in an epoch.
        """
        main = self._main
        return isinstance(main, lr_scheduler.OneCycleLR) and main.last_epoch >= main.total_steps

    def state_dict(self) -> dict[str, Any]:
        """Return where it is; the rates themselves are in the optimizer's state."""
        parts = {"main": self._main, "warm": self._warm}
        return {
            "updates": self._updates,
            **{name: None if part is None else _plain(part) for name, part in parts.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self._updates = int(state["updates"])
        for name, part in (("main", self._main), ("warm", self._warm)):
            if part is not None:
                part.load_state_dict(dict(state[name]))  # it takes entries out


def _plain(scheduler: Any) -> dict[str, Any]:
    """Return the state of a scheduler without what its constructor makes and torch cannot load."""
    kept = (bool, int, float, str, list, type(None))
    return {k: v for k, v in scheduler.state_dict().items() if type(v) in kept}


def _make(schedule: Schedule, optimizer: Optimizer, train: Train, pace: Pace) -> Any:
    """Build the scheduler of a schedule; None where it is a warm-up alone."""
    if schedule.name is None:
        return None
    arguments = _filled(schedule, schedule.arguments, optimizer, train, pace)
    made = table()[schedule.name](optimizer, **arguments)
    if isinstance(made, lr_scheduler.OneCycleLR):
        steps = pace.epochs * (pace.updates if moves_per(schedule) == "step" else 1)
        if made.total_steps < steps:
            message = f"`OneCycleLR` ends after {made.total_steps} moves, and the run makes {steps}"
            raise fail(Code.BAD_ARGUMENT, message, "leave `total_steps` away: it follows")
    return made


def _filled(
    schedule: Schedule,
    given: Mapping[str, Any],
    optimizer: Optimizer,
    train: Train,
    pace: Pace,
) -> dict[str, Any]:
    """Return the constructor's arguments: the given ones, and what follows from the run."""
    found = dict(given)
    if not has_own_length(schedule):
        if moves_per(schedule) == "step":
            length = pace.epochs * pace.updates - pace.warmup(schedule)
        else:
            length = pace.epochs - math.floor(schedule.warmup)
        found[_LENGTHS[str(schedule.name)]] = max(1, length)
    rates = [group["lr"] for group in optimizer.param_groups]
    if schedule.name == "OneCycleLR":
        found.setdefault("max_lr", rates)
    elif schedule.name == "CyclicLR":
        found.setdefault("base_lr", rates)
    elif schedule.name == PLATEAU:
        minimised = judging.criterion(watched_metric(train)).minimised
        found.setdefault("mode", "min" if minimised else "max")
    return found


def watched_metric(train: Train) -> str:
    """Return the metric that a schedule looks at."""
    if train.schedule is not None and train.schedule.metric is not None:
        return train.schedule.metric
    return train.best if isinstance(train.best, str) else train.best[0]


def check(train: Train, sink: Sink, span: Spans) -> None:
    """Report what is wrong with ``train.schedule``, its metric excepted.

    Args:
        train: The recipe.
        sink: Where mistakes go: ``bad-value`` for the name and what does not go with it,
            ``unknown-argument``, ``missing-argument``, ``bad-argument``.
        span: Where a path of the spec stands.
    """
    schedule = train.schedule
    if schedule is None:
        return
    if schedule.name is None:
        _check_warmup(schedule, sink, span)
        return
    place = span(("train", "schedule", "name")) or span(("train", "schedule"))
    if schedule.name in _UNFIT:
        message = f"the schedule `{schedule.name}` cannot be used here: {_UNFIT[schedule.name]}"
        sink.error(Code.BAD_VALUE, place, message, "use `CosineAnnealingLR` or `MultiStepLR`")
        return
    if schedule.name not in table():
        message = f"`{schedule.name}` is no scheduler of torch.optim.lr_scheduler"
        word = schedule.name.lower()
        meant = next((each for each in table() if word in each.lower()), schedule.name)
        hint = did_you_mean(meant, table(), "schedules", limit=20)
        sink.error(Code.BAD_VALUE, place, message, hint)
        return
    _check_keys(schedule, sink, span)
    known = list(_parameters(schedule.name))
    unknown = [key for key in schedule.arguments if key not in known]
    for key in unknown:
        message = f"`{key}` is no argument of `{schedule.name}`"
        hint = did_you_mean(key, known, f"arguments of {schedule.name}", limit=20)
        where = span(("train", "schedule", key), key=True)
        sink.error(Code.UNKNOWN_ARGUMENT, where, message, hint)
    if not unknown:
        _check_values(train, schedule, place, sink, span)


def _check_warmup(schedule: Schedule, sink: Sink, span: Spans) -> None:
    """Report what a schedule without a scheduler cannot have."""
    for key in (*schedule.arguments, *(["metric"] if schedule.metric else [])):
        message = f"`{key}` needs the `name` of a scheduler"
        where = span(("train", "schedule", key), key=True)
        sink.error(Code.BAD_VALUE, where, message, "such as `name: CosineAnnealingLR`")
    if not schedule.arguments and not schedule.warmup:
        message = "`schedule` changes nothing: it has neither a `name` nor a `warmup`"
        hint = "name a scheduler, such as `CosineAnnealingLR`, or leave it out"
        sink.error(Code.BAD_VALUE, span(("train", "schedule")), message, hint)


def _check_keys(schedule: Schedule, sink: Sink, span: Spans) -> None:
    """Report keys of ours that do not go with the scheduler."""
    wrong: list[tuple[str, str, str]] = []
    if schedule.name == PLATEAU and schedule.per == "step":
        wrong.append(("per", "is measured once an epoch", "write `per: epoch`"))
    if schedule.metric is not None and schedule.name != PLATEAU:
        wrong.append(("metric", "looks at no metric", f"only `{PLATEAU}` does; leave it out"))
    if schedule.warmup and schedule.name == "OneCycleLR":
        wrong.append(("warmup", "warms up by itself", "leave it out; `pct_start` says how long"))
    for key, why, hint in wrong:
        message = f"`{key}` is not for `{schedule.name}`, which {why}"
        sink.error(Code.BAD_VALUE, span(("train", "schedule", key)), message, hint)


def _check_values(
    train: Train, schedule: Schedule, place: Span | None, sink: Sink, span: Spans
) -> None:
    """Try the arguments on a small optimizer, a move included; point at the one that is wrong."""
    given = schedule.arguments
    listed = [key for key in _BY_GROUP if isinstance(given.get(key), list)]
    for key in listed:
        message = f"`{key}` of `{schedule.name}` is one number for all parameters, not a list"
        hint = "what learns at another rate says so in `train.groups`: `{nodes: NAME, lr: ...}`"
        sink.error(Code.BAD_ARGUMENT, span(("train", "schedule", key)), message, hint)
    if listed:
        return
    needed = [key for key in _required(schedule) if key not in given]
    for key in needed:
        message = f"the argument `{key}` of `{schedule.name}` is missing"
        hint = f"such as `schedule: {{name: {schedule.name}, {key}: {_EXAMPLES[key]}}}`"
        sink.error(Code.MISSING_ARGUMENT, place, message, hint)
    problem = None if needed else _trial(train, schedule, given)
    if problem is None:
        return
    basis = {key: given[key] for key in _required(schedule)}
    for key, value in given.items():
        alone = _trial(train, schedule, {**basis, key: value})
        if alone is not None:
            message = f"`{key}: {value}` does not suit `{schedule.name}`: {alone}"
            sink.error(Code.BAD_ARGUMENT, span(("train", "schedule", key)), message)
            return
    message = f"the arguments of `{schedule.name}` do not fit together: {problem}"
    sink.error(Code.BAD_ARGUMENT, place, message)


_EXAMPLES = {
    "step_size": "30",
    "milestones": "[30, 60]",
    "gamma": "0.95",
    "T_0": "10",
    "max_lr": "0.1",
}
"""A value of each argument that has no default, for hints."""


def _parameters(name: str) -> Mapping[str, inspect.Parameter]:
    found = inspect.signature(table()[name]).parameters
    return {key: each for key, each in found.items() if key not in _HIDDEN}


def _required(schedule: Schedule) -> list[str]:
    """Return the arguments that a recipe must state."""
    name = str(schedule.name)
    follows = {_LENGTHS.get(name), *(("max_lr",) if name == "OneCycleLR" else ("base_lr",))}
    return [
        key
        for key, each in _parameters(name).items()
        if each.default is inspect.Parameter.empty and key not in follows
    ]


def _trial(train: Train, schedule: Schedule, given: Mapping[str, Any]) -> str | None:
    """Return what torch says against the arguments, or None."""
    optimizer = optimizers.small(train)
    if optimizer is None:
        return None  # the optimizer itself is wrong, which is reported
    pace = Pace(epochs=train.epochs, updates=10)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = table()[str(schedule.name)](
                optimizer, **_filled(schedule, given, optimizer, train, pace)
            )
            optimizer.step()
            # one that ends with the run cannot be moved beyond it
            for _ in range(min(3, getattr(made, "total_steps", 3))):
                made.step(*([1.0] if schedule.name == PLATEAU else []))
    except Exception as error:  # whatever a constructor makes of a wrong value, it is the value
        return optimizers.objection(error, given)
    return None
