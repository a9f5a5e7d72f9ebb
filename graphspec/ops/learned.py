"""Kinds that are nothing but weights: `parameter`, a learned tensor, and `mix`, learned factors."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, Strict

from graphspec.ops import modules
from graphspec.ops.arguments import Expected, OneOf, Sizes
from graphspec.ops.checks import listing, need_float, size_at
from graphspec.ops.examples import joining
from graphspec.ops.registry import MANY, Args, Arity, OpError, Site, register

_CONSTANTS = {"zeros": 0.0, "ones": 1.0}

_Number = Annotated[float, Strict()]
Start = Annotated[
    _Number | Literal["zeros", "ones", "normal"],
    Expected("`zeros`, `ones`, `normal` or a number"),
]
Deviation = Annotated[
    Annotated[_Number, Field(gt=0.0)] | None, Expected("a number above 0, or null")
]
Factors = Annotated[
    tuple[_Number, ...], Field(min_length=1, max_length=1024), Expected("a list of numbers")
]


class ParameterArgs(Args):
    """Arguments of `parameter`."""

    shape: Sizes
    """Shape of the tensor, without the batch."""
    initial: Start = "normal"
    """Where it starts: `zeros`, `ones`, a number for all elements, or drawn from a `normal`
    distribution around 0. For other distributions see `init:` of a node."""
    std: Deviation = None
    """Standard deviation of `initial: normal`; null is 0.02."""


@register(
    "parameter",
    ParameterArgs,
    category="kind",
    family="other",
    arity=Arity(0, 1),
    shorthand="shape",
    differentiable=False,  # of its input only the number of samples is used
    example="""\
graphspec: 1
name: parameter
inputs: {words: {shape: [6, 8]}}
tasks: {t: {classes: 5}}
nodes:
  class_token: {op: parameter, from: words, shape: [1, 8]}
  tokens: {op: concat, from: [class_token, words], dim: 1}
  features: {op: fc, from: tokens, units: 16}
  label: {op: head, from: features, task: t}
""",
)
def parameter(args: ParameterArgs, site: Site) -> modules.Parameter:
    """A learned tensor: a class token, an embedding of positions, the scale of a layer.

    Without ``from`` it is the tensor itself, of shape ``shape``, to be added or multiplied by
    broadcasting. With an input of ``N`` samples it is ``(N, *shape)``, the same for every sample,
    to be joined with other values; the input gives nothing but its number of samples. The tensor is
    called ``weight``.
    """
    if args.std is not None and args.initial != "normal":
        message = "`std` belongs to `initial: normal`"
        raise OpError(message, "leave out `std`, or `initial`", "std")
    if site.types and not site.type.has_batch:
        message = f"`parameter` repeats its tensor for each sample, and {site.type} has no batch"
        raise OpError(message, "leave out `from`")
    if args.initial == "normal":
        return modules.Parameter(args.shape, None, 0.02 if args.std is None else args.std)
    start = _CONSTANTS[args.initial] if isinstance(args.initial, str) else args.initial
    return modules.Parameter(args.shape, float(start))


class MixArgs(Args):
    """Arguments of `mix`."""

    initial: Annotated[Factors | None, Expected("a list of numbers, or null")] = None
    """Where the factors start, one for each input; null is one over the number of inputs."""
    per: Annotated[str, OneOf(("tensor", "channel"))] = "tensor"
    """`tensor` for one factor an input, `channel` for one an input and channel (dimension 1)."""


@register(
    "mix",
    MixArgs,
    category="kind",
    family="merge",
    arity=MANY,
    shorthand="initial",
    example=joining("mix", ", initial: [0.9, 0.1]"),
)
def mix(args: MixArgs, site: Site) -> modules.Mix:
    """A learned linear combination of inputs of one shape: ``sum_i weight[i] * x_i``.

    A cross-stitch unit of two tasks is two of them on the same inputs, with ``initial`` mostly on
    the task's own. The factors are called ``weight``, of shape ``(inputs,)`` or with
    ``per: channel`` of shape ``(inputs, channels)``.

    Source:
        Misra et al., "Cross-stitch Networks for Multi-task Learning", CVPR 2016, eq. 1.
    """
    kinds: tuple[Any, ...] = site.types
    for kind in kinds:
        need_float("mix", kind)
    if len({kind.shape for kind in kinds}) > 1:
        message = f"`mix` needs inputs of one shape, got {listing(kinds)}"
        raise OpError(message, "make them equal; `op: add` broadcasts")
    initial = (1.0 / len(kinds),) * len(kinds) if args.initial is None else args.initial
    if len(initial) != len(kinds):
        message = (
            f"`initial` has {_count(len(initial), 'number')} for {_count(len(kinds), 'input')}"
        )
        raise OpError(message, f"give {len(kinds)} numbers, in the order of `from`", "initial")
    channels = size_at("mix", site.type, 1) if args.per == "channel" else None
    return modules.Mix([float(each) for each in initial], channels)


def _count(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")
