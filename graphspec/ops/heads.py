"""The kind `head`: the layer that predicts a task, or the check that there is one already."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Annotated

from torch import nn

from graphspec.language.signature import TaskSpec
from graphspec.ops.arguments import Bool, OneOf, Text
from graphspec.ops.checks import MAPS, need_float, size_at
from graphspec.ops.registry import Args, OpError, Site, register
from graphspec.ops.types import TensorType

_FLATTEN = "put `op: flatten`, `op: global_pool` or `op: fc` before it"


class HeadArgs(Args):
    """Arguments of `head`."""

    task: Text
    """Name of the task that it predicts."""
    bias: Bool = True
    """Whether its layer adds a learned number to each output."""
    layer: Annotated[str, OneOf(("auto", "linear", "conv", "none"))] = "auto"
    """`linear` for a Linear layer, `conv` for a convolution of size 1, `none` where the input is
    the prediction already; `auto` takes what suits the task."""


@register(
    "head",
    HeadArgs,
    category="kind",
    family="head",
    shorthand="task",
    example="""\
graphspec: 1
name: head
inputs: {image: {shape: [3, 8, 8]}}
tasks: {t: {classes: 5}}
nodes:
  features: {op: fc, from: image, units: 16}
  label: {op: head, from: features, task: t}
""",
)
def head(args: HeadArgs, site: Site) -> nn.Module:
    """The prediction of a task: one layer to as many outputs as the task has classes or numbers.

    Classification and multi-label: a Linear layer from ``(N, features)`` to ``(N, classes)``.
    Segmentation: a convolution of size 1 from ``(N, C, ...)`` to ``(N, classes, ...)``, one to
    three dimensions after the channels. Regression: a Linear layer from ``(N, features)`` to the
    numbers of its target, ``(N, *shape)``, or a convolution where both are maps, to one of the same
    positions. There is no activation: the loss applies it.

    With ``layer: none`` there is no layer either, for a topology that writes its last layer out;
    the input must have the shape of the prediction.
    """
    task = site.tasks[args.task]
    need_float("head", site.type)
    if args.layer == "none":
        return _given(args, task, site.type)
    return _LAYERS[_layer(args.layer, task, site.type)](args, task, site.type)


def _layer(asked: str, task: TaskSpec, kind: TensorType) -> str:
    """Return which layer is meant."""
    if asked != "auto":
        return asked
    maps = task.type == "regression" and kind.rank > 2 and len(task.shape) == kind.rank - 1
    return "conv" if task.type == "segmentation" or maps else "linear"


def _linear(args: HeadArgs, task: TaskSpec, kind: TensorType) -> nn.Module:
    if task.type == "segmentation":
        message = f"`layer: linear` gives no class for each position of `{args.task}`"
        raise OpError(message, "use `layer: conv`, or leave `layer` out", "layer")
    if kind.rank != 2:
        message = f"`head` needs an input of shape [N, features], got {kind}"
        raise OpError(message, _FLATTEN if kind.rank > 2 else None)
    outputs = prod(task.shape) if task.type == "regression" else task.classes
    linear = nn.Linear(size_at("head", kind, 1), outputs, bias=args.bias)
    if len(task.shape) > 1:
        return nn.Sequential(linear, nn.Unflatten(1, task.shape))
    return linear


def _conv(args: HeadArgs, task: TaskSpec, kind: TensorType) -> nn.Module:
    if task.type in ("classification", "multilabel"):
        message = f"`layer: conv` gives a prediction for each position, and `{args.task}` has one"
        hint = "use `layer: linear`, or make the task's `type: segmentation`"
        raise OpError(message, hint, "layer")
    if not 3 <= kind.rank <= 5:
        wanted = f"{MAPS[3]}, {MAPS[4]} or {MAPS[5]}"
        message = f"`head` of the {task.type} `{args.task}` needs an input of shape {wanted}, "
        message += f"got {kind}"
        raise OpError(message, "read the maps before they are flattened")
    positions = task.shape[1:] if task.type == "regression" else task.shape
    _check_positions(args.task, positions, kind, known=task.type == "regression")
    outputs = task.shape[0] if task.type == "regression" else task.classes
    make = getattr(nn, f"Conv{kind.rank - 2}d")
    layer: nn.Module = make(size_at("head", kind, 1), outputs, 1, bias=args.bias)
    return layer


def _check_positions(name: str, positions: tuple[int, ...], kind: TensorType, known: bool) -> None:
    """Check that a map has the positions of a target; those of a segmentation may be unknown.

    Raises:
        OpError: If it has others.
    """
    if (positions or known) and kind.shape[2:] != positions:
        message = f"the targets of `{name}` have the positions {list(positions)}, got {kind}"
        hint = "`op: upsample`, or less pooling and striding before it, changes the positions"
        raise OpError(message, hint)


def _given(args: HeadArgs, task: TaskSpec, kind: TensorType) -> nn.Module:
    """Return what passes a prediction on, if the input is one."""
    if not args.bias:
        message = "`bias: false` is of a layer, and `layer: none` has none"
        raise OpError(message, "leave `bias` out", "bias")
    if task.type == "segmentation":
        fits = 3 <= kind.rank <= 5 and kind.shape[1] == task.classes
        wanted = f"[N, {task.classes}, ...]"
        if fits:
            _check_positions(args.task, task.shape, kind, known=False)
    else:
        shape = task.shape if task.type == "regression" else (task.classes,)
        fits = kind.shape[1:] == shape and kind.rank > 1
        wanted = f"[N, {', '.join(map(str, shape))}]"
    if not fits:
        message = f"`layer: none` needs the prediction of `{args.task}`, {wanted}, got {kind}"
        hint = f"the layer before it must give {task.text}"
        raise OpError(message, f"{hint}, or leave `layer` out")
    return nn.Identity()


_LAYERS: dict[str, Callable[[HeadArgs, TaskSpec, TensorType], nn.Module]] = {
    "linear": _linear,
    "conv": _conv,
}
