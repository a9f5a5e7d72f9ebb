"""Optimizers of torch.optim by name, with their mistakes found before a step is made."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import torch
from torch.optim import Optimizer

from graphspec.errors import Code, Sink, Span, did_you_mean
from graphspec.language.learning import Group
from graphspec.language.recipe import Train


class Spans(Protocol):
    """Tells where a path of a spec stands, such as ``("train", "optimizer", "betas")``."""

    def __call__(self, path: tuple[str | int, ...], key: bool = False) -> Span | None:
        """Return the place of the value, or of the key itself."""


_UNFIT = {
    "Optimizer": "it is the base class",
    "LBFGS": "it evaluates the loss several times a step",
    "SparseAdam": "it needs sparse gradients",
    "Muon": "it takes matrices only, and a model has vectors too",
}

_OURS = {"params": None, "lr": "train.lr", "fused": "train.fused"}
"""Arguments that the recipe sets under another key."""

_WAYS = ("fused", "foreach", "capturable", "differentiable", "params")
"""Arguments of a constructor that are not for one group of parameters alone."""
_NO_LIST = ("not subscriptable", "not iterable", "cannot unpack", "has no len")
"""Parts of what Python says of a number where a list is wanted."""
_GROUP_KEYS = ("nodes", "freeze", "unfreeze_at", "freeze_at")


def table() -> dict[str, Callable[..., Optimizer]]:
    """Return the optimizers that a recipe may name."""
    found = {
        name: value
        for name, value in vars(torch.optim).items()
        if inspect.isclass(value) and issubclass(value, Optimizer) and name not in _UNFIT
    }
    return dict(sorted(found.items()))


def check(train: Train, sink: Sink, span: Spans) -> None:
    """Report what is wrong with ``train.optimizer``.

    Args:
        train: The recipe.
        sink: Where mistakes go: ``bad-value`` for the name, ``unknown-argument``, ``bad-argument``.
        span: Where a path of the spec stands.
    """
    name = train.optimizer.name
    place = span(("train", "optimizer", "name")) or span(("train", "optimizer"))
    if name in _UNFIT:
        message = f"the optimizer `{name}` cannot be used here: {_UNFIT[name]}"
        sink.error(Code.BAD_VALUE, place, message, "use `Adam`, `AdamW` or `SGD`")
        return
    if name not in table():
        message = f"`{name}` is no optimizer of torch.optim"
        hint = did_you_mean(name, table(), "optimizers", limit=20)
        sink.error(Code.BAD_VALUE, place, message, hint)
        return
    known = [key for key in _parameters(table()[name]) if key not in _OURS]
    unknown = [key for key in train.optimizer.arguments if key not in known]
    for key in unknown:
        if _OURS.get(key):
            hint = f"write it as `{_OURS[key]}`"
        else:
            hint = did_you_mean(key, ["name", *known], f"keys of {name}", limit=20)
        message = f"`{key}` is no argument of `{name}`"
        where = span(("train", "optimizer", key), key=True)
        sink.error(Code.UNKNOWN_ARGUMENT, where, message, hint)
    if not unknown:
        _check_values(train, sink, span)


def make(
    train: Train, parameters: Iterable[torch.nn.Parameter] | Iterable[dict[str, Any]]
) -> tuple[Optimizer, bool]:
    """Build the optimizer of a recipe that was checked.

    Args:
        train: The recipe.
        parameters: What it optimises, each once; or groups of them with arguments of their own.

    Returns:
        The optimizer, and whether it uses its fused implementation.
    """
    kind = table()[train.optimizer.name]
    arguments: dict[str, Any] = {"lr": train.lr, **plain(train.optimizer.arguments)}
    params = list(parameters)
    rivals = any(arguments.get(key) for key in ("foreach", "differentiable"))
    rivals = rivals or _begins_late(train)
    if train.fused and not rivals and "fused" in _parameters(kind):
        try:
            return kind(params, **arguments, fused=True), True
        except RuntimeError:
            # The device or a dtype has no fused implementation: the plain one gives the same steps.
            pass
    return kind(params, **arguments), False


def _begins_late(train: Train) -> bool:
    """Return whether torch's fused SGD would fail: where momentum begins at different steps.

    It makes the momenta of a group all at once, in the first step; those of parameters that are
    unfrozen later would be missing.
    """
    thaws = any(group.unfreeze_at is not None for group in train.groups)
    return train.optimizer.name == "SGD" and thaws


def restore(optimizer: Optimizer, state: Mapping[str, Any]) -> None:
    """Load the state of an optimizer, keeping how this one is implemented.

    The fused implementations walk through parameter and state side by side in memory, so a state
    that was saved in another memory order (channels-last or not) is brought into the parameter's.

    Args:
        optimizer: A new optimizer over the same parameters in the same order.
        state: What its ``state_dict`` gave.
    """
    ways: list[dict[str, Any]] = [
        {key: group[key] for key in ("fused", "foreach") if key in group}
        for group in optimizer.param_groups
    ]
    optimizer.load_state_dict(dict(state))
    for group, way in zip(optimizer.param_groups, ways, strict=True):
        group.update(way)
    for parameter, values in optimizer.state.items():
        for key, value in values.items():
            if not isinstance(value, torch.Tensor) or value.shape != parameter.shape:
                continue
            if value.dim() > 0 and value.stride() != parameter.stride():
                values[key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _parameters(kind: Callable[..., Optimizer]) -> tuple[str, ...]:
    return tuple(inspect.signature(kind).parameters)


def _check_values(train: Train, sink: Sink, span: Spans) -> None:
    """Try the arguments on one small parameter, a step included: some are only looked at there."""
    for key in [None, *train.optimizer.arguments]:
        chosen = {key: train.optimizer.arguments[key]} if key else train.optimizer.arguments
        problem = _trial(train, chosen)
        if problem is None and key is None:
            return
        if problem is not None and key is not None:
            message = f"`{key}: {chosen[key]}` does not suit `{train.optimizer.name}`: {problem}"
            sink.error(Code.BAD_ARGUMENT, span(("train", "optimizer", key)), message)
            return
    problem = _trial(train, train.optimizer.arguments)
    message = f"the arguments of `{train.optimizer.name}` do not fit together: {problem}"
    sink.error(Code.BAD_ARGUMENT, span(("train", "optimizer")), message)


def small(train: Train) -> Optimizer | None:
    """Return a recipe's optimizer of one small parameter, to try things on.

    Returns:
        None where the recipe's optimizer or its arguments are wrong.
    """
    known = table().get(train.optimizer.name)
    if known is None or _trial(train, train.optimizer.arguments) is not None:
        return None
    return known([_parameter()], lr=train.lr, **plain(train.optimizer.arguments))


def check_group(
    train: Train, group: Group, path: tuple[str | int, ...], sink: Sink, span: Spans
) -> None:
    """Report what a group of parameters states that the optimizer does not have.

    Args:
        train: The recipe.
        group: The group.
        path: Where it stands.
        sink: Where ``unknown-argument`` and ``bad-argument`` go.
        span: Where a path of the spec stands.
    """
    optimizer = small(train)
    if optimizer is None:
        return
    name = train.optimizer.name
    known = [key for key in optimizer.defaults if key not in _WAYS]
    for key, value in group.arguments.items():
        if key not in known:
            message = f"`{key}` is no argument of `{name}` for a group of parameters"
            hint = did_you_mean(key, [*_GROUP_KEYS, *known], "keys of a group", limit=20)
            sink.error(Code.UNKNOWN_ARGUMENT, span((*path, key), key=True), message, hint)
            continue
        problem = _trial(train, {**train.optimizer.arguments, key: value})
        if problem is not None:
            message = f"`{key}: {value}` does not suit `{name}`: {problem}"
            sink.error(Code.BAD_ARGUMENT, span((*path, key)), message)


def plain(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments as constructors want them: a list of the spec is a tuple."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in arguments.items()}


def _parameter() -> torch.nn.Parameter:
    parameter = torch.nn.Parameter(torch.zeros(2, 2))
    parameter.grad = torch.ones(2, 2)
    return parameter


def _trial(train: Train, arguments: Mapping[str, Any]) -> str | None:
    """Return what torch says against the arguments, or None."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kind = table()[train.optimizer.name]
            kind([_parameter()], **{"lr": train.lr, **plain(arguments)}).step()
    except Exception as error:  # whatever a constructor makes of a wrong value, it is the value
        return objection(error, arguments)
    return None


def objection(error: Exception, arguments: Mapping[str, Any]) -> str:
    """Return what an error of torch says against arguments, in a line.

    A comparison or a sum of a text with a number fails inside torch, in words of its code; then it
    is said which value is no number, and so it is of a number in the place of a list and the like.
    """
    wrong = [value for value in arguments.values() if isinstance(value, str)]
    if isinstance(error, TypeError) and wrong:
        return f"a text such as `{wrong[0]}` is not what it takes"
    if isinstance(error, TypeError) and None in arguments.values():
        return "it cannot be null"
    text = str(error)
    if isinstance(error, TypeError) and any(each in text for each in _NO_LIST):
        return "it takes a list"
    if isinstance(error, IndexError) or "not enough values to unpack" in text:
        return "the list is too short"
    if isinstance(error, ZeroDivisionError):
        return "it cannot be 0"
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
