"""Kinds: the vocabulary of topologies, lower-case words that suit inputs of any rank.

Here are the kinds that are one layer; `stacks` has `conv` and `fc`, `heads` has `head`, `merging`
those of several inputs.
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from torch import nn

from graphspec.ops import choices, modules
from graphspec.ops.arguments import (
    FloatEach,
    Int,
    NaturalEach,
    OneOf,
    OptionalSizeEach,
    Probability,
    SizeEach,
)
from graphspec.ops.checks import need_float, need_rank, sample_dimension, size_at
from graphspec.ops.choices import Activation, PoolName, StackNorm
from graphspec.ops.examples import between
from graphspec.ops.registry import Args, Call, NoArgs, OpError, Site, register


class PoolArgs(Args):
    """Arguments of `pool`."""

    size: SizeEach = 2
    """Size of the window."""
    kind: PoolName = "max"
    """`max` for the largest value of a window, `avg` for the mean."""
    stride: OptionalSizeEach = None
    """Step of the window; null is its size."""
    padding: NaturalEach = 0
    """Positions added on each side, at most half the size."""


@register(
    "pool",
    PoolArgs,
    category="kind",
    family="pool",
    shorthand="size",
    example=between("pool", ", size: 2, kind: avg"),
)
def pool(args: PoolArgs, site: Site) -> nn.Module:
    """Pooling over windows of the positions, in one to three dimensions by the shape of the input.

    Input ``(N, C, ...)``, output the same with every size divided by ``stride``.
    """
    need_rank("pool", site.type, (3, 4, 5))
    need_float("pool", site.type)
    dims = site.type.rank - 2
    sizes = _each("pool", "size", args.size, dims)
    padding = _each("pool", "padding", args.padding, dims)
    _each("pool", "stride", args.stride or args.size, dims)
    for size, pad, there in zip(sizes, padding, site.type.shape[2:], strict=True):
        if pad > size // 2:
            message = f"`padding: {pad}` is more than half of `size: {size}`"
            raise OpError(message, None, "padding")
        if there + 2 * pad < size:
            message = f"`pool` with `size: {size}` does not fit into {site.type}"
            raise OpError(message, f"a `size` of at most {there + 2 * pad}", "size")
    return choices.pool(args.kind, dims, args.size, args.stride, args.padding)


def _each(
    op: str, name: str, value: int | float | tuple[int | float, ...], dims: int
) -> tuple[Any, ...]:
    if not isinstance(value, tuple):
        return (value,) * dims
    if len(value) != dims:
        message = f"`{op}` has {len(value)} values in `{name}` for {dims} dimensions"
        raise OpError(message, f"give one number, or {dims} of them", name)
    return value


class GlobalPoolArgs(Args):
    """Arguments of `global_pool`."""

    kind: PoolName = "avg"
    """`avg` for the mean over all positions, `max` for the largest value."""


@register(
    "global_pool",
    GlobalPoolArgs,
    category="kind",
    family="pool",
    shorthand="kind",
    example=between("global_pool", ", kind: avg"),
)
def global_pool(args: GlobalPoolArgs, site: Site) -> Call:
    """One value per channel, over all positions: ``(N, C, ...)`` to ``(N, C)``."""
    need_rank("global_pool", site.type, (3, 4, 5))
    need_float("global_pool", site.type)
    dims = tuple(range(2, site.type.rank))
    return Call(torch.amax if args.kind == "max" else torch.mean, kwargs={"dim": dims})


class FlattenArgs(Args):
    """Arguments of `flatten`."""

    start_dim: Int = 1
    """First dimension that is flattened; 0 is the batch, which stays."""
    end_dim: Int = -1
    """Last dimension that is flattened."""


@register(
    "flatten",
    FlattenArgs,
    category="kind",
    family="reshape",
    shorthand="start_dim",
    example=between("flatten", ""),
)
def flatten(args: FlattenArgs, site: Site) -> Call:
    """The dimensions of a sample as one: ``(N, C, H, W)`` to ``(N, C * H * W)``."""
    if site.type.rank < 2:
        return Call(torch.flatten, kwargs={"start_dim": 0})
    first = sample_dimension("flatten", site.type, args.start_dim, "start_dim")
    last = sample_dimension("flatten", site.type, args.end_dim, "end_dim")
    if first > last:
        message = f"`start_dim: {args.start_dim}` comes after `end_dim: {args.end_dim}`"
        raise OpError(message, "exchange them", "start_dim")
    return Call(torch.flatten, kwargs={"start_dim": args.start_dim, "end_dim": args.end_dim})


class ActivationArgs(Args):
    """Arguments of `activation`."""

    kind: Activation = "ReLU"
    """An activation of torch.nn by its name, in any case; `none` changes nothing."""


@register(
    "activation",
    ActivationArgs,
    category="kind",
    family="activation",
    shorthand="kind",
    example=between("activation", ", kind: gelu"),
)
def activation(args: ActivationArgs, site: Site) -> nn.Module:
    """An activation by name, with torch's default arguments; the shape stays.

    Softmax, LogSoftmax and Softmin work over dimension 1, the classes or channels. For other
    arguments use the layer itself, such as ``LeakyReLU``.
    """
    if args.kind is None:
        return nn.Identity()
    need_float("activation", site.type)
    if args.kind.endswith(("Softmax", "Softmin")) and site.type.rank < 2:
        need_rank("activation", site.type, (2,))
    if args.kind == "Softmax2d":
        need_rank("activation", site.type, (4,))
    return choices.activation(args.kind)


class NormArgs(Args):
    """Arguments of `norm`."""

    kind: StackNorm = "batch"
    """`batch`, `instance`, `layer` (over channels and positions), `group` (32 groups, or as many as
    divide the channels), `none`."""


@register(
    "norm",
    NormArgs,
    category="kind",
    family="norm",
    shorthand="kind",
    example=between("norm", ", kind: batch"),
)
def norm(args: NormArgs, site: Site) -> nn.Module:
    """A normalisation of ``(N, C)`` or ``(N, C, ...)``; the shape stays.

    For other arguments, or to normalise the last dimension, use the layer itself (``LayerNorm``).
    """
    if args.kind is None:
        return nn.Identity()
    need_rank("norm", site.type, (2, 3, 4, 5))
    need_float("norm", site.type)
    return choices.norm(args.kind, size_at("norm", site.type, 1), site.type.rank - 2)


class DropoutArgs(Args):
    """Arguments of `dropout`."""

    p: Probability = 0.5
    """Probability that an element becomes 0."""


@register(
    "dropout",
    DropoutArgs,
    category="kind",
    family="other",
    shorthand="p",
    example=between("dropout", ", p: 0.1"),
)
def dropout(args: DropoutArgs, site: Site) -> nn.Module:
    """Dropout of single elements while training; the shape stays.

    Source:
        Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", JMLR
        2014.
    """
    need_float("dropout", site.type)
    return nn.Dropout(args.p)


class DropPathArgs(Args):
    """Arguments of `drop_path`."""

    p: Probability = 0.1
    """Probability that a sample becomes 0."""
    mode: Annotated[str, OneOf(("row", "batch"))] = "row"
    """`row` decides for each sample, `batch` for all of them at once."""


@register(
    "drop_path",
    DropPathArgs,
    category="kind",
    family="other",
    shorthand="p",
    example=between("drop_path", ", p: 0.2"),
)
def drop_path(args: DropPathArgs, site: Site) -> nn.Module:
    """Stochastic depth: whole samples become 0 while training; the shape stays.

    At the end of a residual branch it leaves out the branch for some samples. Those that stay are
    divided by ``1 - p``, so in evaluation nothing is left to do.

    Source:
        Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016.
    """
    need_float("drop_path", site.type)
    return modules.DropPath(args.p, args.mode)


@register("identity", NoArgs, category="kind", family="other", example=between("identity", ""))
def identity(args: NoArgs, site: Site) -> nn.Module:
    """The input itself: a place to name, or to keep when a layer is taken out."""
    return nn.Identity()


class UpsampleArgs(Args):
    """Arguments of `upsample`."""

    factor: FloatEach = 2.0
    """By how much every size grows."""
    mode: Annotated[str, OneOf(("nearest", "linear", "bicubic"))] = "nearest"
    """`nearest`, `linear` (bilinear, trilinear in two, three dimensions) or `bicubic` (images)."""


@register(
    "upsample",
    UpsampleArgs,
    category="kind",
    family="reshape",
    shorthand="factor",
    example=between("upsample", ", factor: 2"),
)
def upsample(args: UpsampleArgs, site: Site) -> nn.Module:
    """A larger map by interpolation: ``(N, C, H, W)`` to ``(N, C, factor * H, factor * W)``."""
    need_rank("upsample", site.type, (3, 4, 5))
    need_float("upsample", site.type)
    dims = site.type.rank - 2
    if args.mode == "bicubic" and dims != 2:
        message = "`mode: bicubic` is for images"
        raise OpError(message, "use `linear`", "mode")
    linear = {1: "linear", 2: "bilinear", 3: "trilinear"}[dims]
    factors = _each("upsample", "factor", args.factor, dims)
    for factor, size in zip(factors, site.type.shape[2:], strict=True):
        if not 1 <= int(size * factor) < 2**31:
            message = f"`factor: {factor:g}` leaves no map of {site.type}"
            raise OpError(message, "a factor above 1", "factor")
    mode = linear if args.mode == "linear" else args.mode
    scale = args.factor if isinstance(args.factor, tuple) else float(args.factor)
    return nn.Upsample(scale_factor=scale, mode=mode)
