"""Activations, norms and poolings by name: what kinds take as `activation`, `norm` and `pool`."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema
from torch import nn
from torch.nn.modules import activation as _module

from graphspec.errors import suggest
from graphspec.ops.arguments import Expected, OneOf, complaint, shown
from graphspec.ops.registry import OpError

_UNFIT = {
    "MultiheadAttention",
    "Threshold",
    "GLU",
}  # attention; needs arguments; halves a dimension
ACTIVATIONS: tuple[str, ...] = tuple(sorted(set(_module.__all__) - _UNFIT))
"""Classes of torch.nn that are an activation without arguments."""

_OVER_CHANNELS = {"Softmax", "LogSoftmax", "Softmin"}


def _activation_name(value: Any) -> str | None:
    """Return the class name that is meant, in any case and with underscores, or None."""
    if value is None or (isinstance(value, str) and value.lower() == "none"):
        return None
    if not isinstance(value, str):
        message = "expected the name of an activation or `none`, got `{got}`"
        raise complaint(message, got=shown(value))
    word = value.lower().replace("_", "")
    for name in ACTIVATIONS:
        if name.lower() == word:
            return name
    near = suggest(value, ACTIVATIONS)
    if near:
        message = "there is no activation `{got}`: did you mean `{near}`?"
        raise complaint(message, got=shown(value), near=near)
    message = "there is no activation `{got}`; for example `ReLU`, `GELU`, `Tanh`, `none`"
    raise complaint(message, got=shown(value))


Activation = Annotated[
    str | None,
    BeforeValidator(_activation_name),
    WithJsonSchema({"type": ["string", "null"], "examples": ["ReLU", "leaky_relu", "none"]}),
    Expected("the name of an activation of torch.nn, or `none`"),
]
"""An activation of torch.nn by class name, in any case, with or without underscores; or none."""

StackNorm = Annotated[str | None, OneOf(("batch", "instance", "layer", "group"), optional=True)]
DenseNorm = Annotated[str | None, OneOf(("batch", "layer"), optional=True)]
PoolName = Annotated[str, OneOf(("max", "avg"))]
OptionalPool = Annotated[str | None, OneOf(("max", "avg"), optional=True)]

MOST_GROUPS = 32
"""Groups of a group norm, where they divide the channels.

Source:
    Wu and He, "Group Normalization", ECCV 2018.
"""


def activation(name: str) -> nn.Module:
    """Return an activation; those over a dimension work on dimension 1, classes or channels."""
    make = getattr(nn, name)
    module: nn.Module = make(dim=1) if name in _OVER_CHANNELS else make()
    return module


def norm(name: str, channels: int, dims: int) -> nn.Module:
    """Return a normalisation of ``(N, channels, ...)`` with ``dims`` dimensions after the channels.

    Raises:
        OpError: If the norm needs positions and there are none.
    """
    if name == "batch":
        return getattr(nn, f"BatchNorm{max(dims, 1)}d")(channels)  # type: ignore[no-any-return]
    if name == "layer":
        return nn.GroupNorm(1, channels) if dims else nn.LayerNorm(channels)
    if name == "group":
        return nn.GroupNorm(gcd(MOST_GROUPS, channels), channels)
    if not dims:
        message = "`norm: instance` needs an input with positions after the channels"
        raise OpError(message, "use `batch` or `layer`", "norm")
    return getattr(nn, f"InstanceNorm{dims}d")(channels)  # type: ignore[no-any-return]


def pool(
    name: str, dims: int, size: int | Sequence[int], stride: Any = None, padding: Any = 0
) -> nn.Module:
    """Return a pooling over ``dims`` dimensions; ``stride`` None is the size."""
    make = getattr(nn, f"{'Max' if name == 'max' else 'Avg'}Pool{dims}d")
    module: nn.Module = make(_plain(size), _plain(stride), _plain(padding))
    return module


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, tuple)) else value
