"""Functions of one tensor, element by element: the shape stays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own habit

from graphspec.ops import tensors
from graphspec.ops.arguments import Float, OneOf, OptionalFloat
from graphspec.ops.checks import need_float
from graphspec.ops.examples import between
from graphspec.ops.registry import Args, Call, NoArgs, OpError, Site, register

ACTIVATIONS: Mapping[str, tuple[Callable[..., Any], str]] = {
    "relu": (torch.relu, "The rectified linear unit, `max(x, 0)`."),
    "sigmoid": (torch.sigmoid, "The logistic function, `1 / (1 + exp(-x))`: values from 0 to 1."),
    "tanh": (torch.tanh, "The hyperbolic tangent: values from -1 to 1."),
    "gelu": (F.gelu, "The Gaussian error linear unit (Hendrycks and Gimpel, 2016)."),
    "silu": (F.silu, "The sigmoid linear unit or swish, `x * sigmoid(x)`."),
    "softplus": (F.softplus, "A smooth rectifier, `log(1 + exp(x))`."),
}
"""Activations as functions: their names in lower case, with what they compute."""

ARITHMETIC: Mapping[str, tuple[Callable[..., Any], str]] = {
    "exp": (torch.exp, "The exponential of each element."),
    "log": (torch.log, "The natural logarithm of each element; -inf at 0, not a number below."),
    "log1p": (torch.log1p, "The natural logarithm of `1 + x`, exact for small x."),
    "sqrt": (torch.sqrt, "The square root of each element; not a number below 0."),
    "rsqrt": (torch.rsqrt, "One over the square root of each element."),
    "abs": (torch.abs, "The absolute value of each element."),
    "neg": (torch.neg, "Each element with its sign changed."),
    "square": (torch.square, "The square of each element."),
    "sign": (torch.sign, "The sign of each element: -1, 0 or 1."),
    "sin": (torch.sin, "The sine of each element, in radians."),
    "cos": (torch.cos, "The cosine of each element, in radians."),
}
"""Arithmetic of single elements."""


def _register(name: str, function: Callable[..., Any], summary: str, kind: str) -> None:
    def build(args: NoArgs, site: Site) -> Call:
        need_float(name, site.type)
        return Call(function)

    build.__doc__ = summary
    register(name, NoArgs, category="function", family=kind, example=between(name))(build)


for _name, (_function, _summary) in ACTIVATIONS.items():
    _register(_name, _function, _summary, "activation")
for _name, (_function, _summary) in ARITHMETIC.items():
    _register(_name, _function, _summary, "other")


@register(
    "detach",
    NoArgs,
    category="function",
    family="other",
    example=between("detach"),
    differentiable=False,
)
def detach(args: NoArgs, site: Site) -> Call:
    """The input, through which no gradient flows back."""
    return Call(torch.detach)


class ClampArgs(Args):
    """Arguments of `clamp`."""

    min: OptionalFloat = None
    """Smallest value, or null for none."""
    max: OptionalFloat = None
    """Largest value, or null for none."""


@register(
    "clamp",
    ClampArgs,
    category="function",
    family="activation",
    shorthand="min",
    example=between("clamp", ", min: -1, max: 1"),
)
def clamp(args: ClampArgs, site: Site) -> Call:
    """Each element, brought into the range from `min` to `max`."""
    need_float("clamp", site.type)
    if args.min is None and args.max is None:
        message = "`clamp` needs `min`, `max` or both"
        raise OpError(message, "for example `min: 0`", "min")
    if args.min is not None and args.max is not None and args.min > args.max:
        message = f"`min: {args.min:g}` is more than `max: {args.max:g}`"
        raise OpError(message, "exchange them", "min")
    return Call(torch.clamp, kwargs={"min": args.min, "max": args.max})


class PowArgs(Args):
    """Arguments of `pow`."""

    exponent: Float
    """The exponent."""


@register(
    "pow",
    PowArgs,
    category="function",
    family="other",
    shorthand="exponent",
    example=between("pow", ", exponent: 2"),
)
def power(args: PowArgs, site: Site) -> Call:
    """Each element to a fixed power."""
    need_float("pow", site.type)
    return Call(torch.pow, args=(args.exponent,))


class ScaleArgs(Args):
    """Arguments of `scale`."""

    factor: Float
    """What each element is multiplied by."""


@register(
    "scale",
    ScaleArgs,
    category="function",
    family="other",
    shorthand="factor",
    example=between("scale", ", factor: 0.1"),
)
def scale(args: ScaleArgs, site: Site) -> Call:
    """Each element times a constant, as residual branches are scaled down."""
    need_float("scale", site.type)
    return Call(torch.mul, args=(args.factor,))


class ShiftArgs(Args):
    """Arguments of `shift`."""

    amount: Float
    """What is added to each element."""


@register(
    "shift",
    ShiftArgs,
    category="function",
    family="other",
    shorthand="amount",
    example=between("shift", ", amount: 1"),
)
def shift(args: ShiftArgs, site: Site) -> Call:
    """Each element plus a constant, such as the 1 of `1 + scale`."""
    need_float("shift", site.type)
    return Call(torch.add, args=(args.amount,))


DtypeName = Annotated[str, OneOf(("float32", "float64", "float16", "bfloat16", "int64", "int32"))]


class CastArgs(Args):
    """Arguments of `cast`."""

    dtype: DtypeName
    """`float32`, `float64`, `float16`, `bfloat16`, `int64` or `int32`."""


@register(
    "cast",
    CastArgs,
    category="function",
    family="other",
    shorthand="dtype",
    example="""\
graphspec: 1
name: cast
inputs: {counts: {shape: [12], dtype: int64}}
tasks: {t: {classes: 5}}
nodes:
  result: {op: cast, from: counts, dtype: float32}
  label: {op: head, from: result, task: t}
""",
)
def cast(args: CastArgs, site: Site) -> Call:
    """The input as another dtype, such as integers as `float32`."""
    return Call(tensors.cast, args=(getattr(torch, args.dtype),))
