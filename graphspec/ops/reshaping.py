"""Functions that move, cut and rename dimensions: `reshape`, `permute`, `chunk`, and their like."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own habit

from graphspec.ops.arguments import (
    MAX_COUNT,
    Count,
    Dims,
    Float,
    Int,
    Ints,
    PadMode,
    Shape,
    Size,
    SizeOrSizes,
)
from graphspec.ops.checks import dimension, elements, sample_dimension
from graphspec.ops.examples import between
from graphspec.ops.registry import Args, Call, OpError, Site, register
from graphspec.ops.types import BATCH


class ReshapeArgs(Args):
    """Arguments of `reshape`."""

    shape: Shape
    """Sizes without the batch; one of them may be -1, which is what remains."""


@register(
    "reshape",
    ReshapeArgs,
    category="function",
    family="reshape",
    shorthand="shape",
    example=between("reshape", ", shape: [64, 3]"),
)
def reshape(args: ReshapeArgs, site: Site) -> Call:
    """The same elements in another shape: ``(N, ...)`` to ``(N, *shape)``."""
    kind = site.type
    if kind.shape[0] % BATCH:
        message = f"`reshape` needs the batch first, got {kind}"
        raise OpError(message, "put `op: permute` before it")
    text = f"[{', '.join(map(str, args.shape))}]"
    if any(size < 1 and size != -1 for size in args.shape) or args.shape.count(-1) > 1:
        message = f"`shape: {text}` is not a shape"
        raise OpError(message, "positive sizes without the batch, of which one may be -1", "shape")
    there = elements(kind.shape[1:])
    known = elements([size for size in args.shape if size != -1])
    if there % known if -1 in args.shape else there != known:
        message = f"`shape: {text}` does not hold the {there} elements of a sample of {kind}"
        raise OpError(message, f"sizes whose product is {there}, without the batch", "shape")
    shape = tuple(there // known if size == -1 else size for size in args.shape)
    return Call(torch.reshape, args=((-1, *shape),))


class PermuteArgs(Args):
    """Arguments of `permute`."""

    dims: Ints
    """Every dimension once, in the new order; 0 is the batch."""


@register(
    "permute",
    PermuteArgs,
    category="function",
    family="reshape",
    shorthand="dims",
    example=between("permute", ", dims: [0, 2, 3, 1]"),
)
def permute(args: PermuteArgs, site: Site) -> Call:
    """The dimensions in another order.

    `dims: [0, 2, 3, 1]` is ``(N, C, H, W)`` to ``(N, H, W, C)``.
    """
    dims = [dimension("permute", site.type, dim, "dims") for dim in args.dims]
    if sorted(dims) != list(range(site.type.rank)):
        text = f"[{', '.join(map(str, args.dims))}]"
        message = f"`dims: {text}` does not order the {site.type.rank} dimensions of {site.type}"
        raise OpError(message, f"name each of 0 to {site.type.rank - 1} once", "dims")
    return Call(torch.permute, args=(tuple(dims),))


class TransposeArgs(Args):
    """Arguments of `transpose`."""

    dim0: Int = 1
    """One dimension; 0 is the batch."""
    dim1: Int = 2
    """The other dimension."""


@register(
    "transpose",
    TransposeArgs,
    category="function",
    family="reshape",
    example=between("transpose", ", dim0: 1, dim1: 2"),
)
def transpose(args: TransposeArgs, site: Site) -> Call:
    """Two dimensions exchanged: by default ``(N, C, L)`` to ``(N, L, C)``, maps to sequences."""
    first = dimension("transpose", site.type, args.dim0, "dim0")
    second = dimension("transpose", site.type, args.dim1, "dim1")
    return Call(torch.transpose, args=(first, second))


class SqueezeArgs(Args):
    """Arguments of `squeeze`."""

    dim: Dims
    """The dimension or dimensions that go; they have size 1."""


@register(
    "squeeze",
    SqueezeArgs,
    category="function",
    family="reshape",
    shorthand="dim",
    example=between("squeeze", ", dim: 1", "[1, 8, 8]"),
)
def squeeze(args: SqueezeArgs, site: Site) -> Call:
    """The input without dimensions of size 1."""
    wanted = args.dim if isinstance(args.dim, tuple) else (args.dim,)
    dims = tuple(dimension("squeeze", site.type, dim) for dim in wanted)
    if len(set(dims)) < len(dims):
        message = "`squeeze` names a dimension twice"
        raise OpError(message, "name each once", "dim")
    for dim in dims:
        if site.type.shape[dim] != 1:
            message = f"`squeeze` takes dimensions of size 1, dimension {dim} of {site.type} is not"
            raise OpError(message, "`op: select` takes one index, `op: mean` averages", "dim")
    return Call(torch.squeeze, kwargs={"dim": dims[0] if len(dims) == 1 else dims})


class UnsqueezeArgs(Args):
    """Arguments of `unsqueeze`."""

    dim: Int
    """Where the new dimension stands; 1 is right after the batch, -1 the end."""


@register(
    "unsqueeze",
    UnsqueezeArgs,
    category="function",
    family="reshape",
    shorthand="dim",
    example=between("unsqueeze", ", dim: 1"),
)
def unsqueeze(args: UnsqueezeArgs, site: Site) -> Call:
    """The input with a new dimension of size 1."""
    dim = dimension("unsqueeze", site.type, args.dim, rank=site.type.rank + 1)
    if dim == 0:
        message = "`unsqueeze` keeps the batch first"
        raise OpError(message, "`dim: 1` is right after it", "dim")
    return Call(torch.unsqueeze, kwargs={"dim": dim})


class ChunkArgs(Args):
    """Arguments of `chunk`."""

    chunks: Count
    """Number of parts."""
    dim: Int = 1
    """The dimension that is cut."""


@register(
    "chunk",
    ChunkArgs,
    category="function",
    family="reshape",
    shorthand="chunks",
    example=between("chunk", ", chunks: 2, dim: 2", port=".0"),
)
def chunk(args: ChunkArgs, site: Site) -> Call:
    """Equal parts along a dimension, one output each: `parts.0`, `parts.1`.

    The last part may be smaller.
    """
    dim = sample_dimension("chunk", site.type, args.dim)
    size = site.type.shape[dim]
    made = -(-size // -(-size // args.chunks))
    if made != args.chunks:
        message = (
            f"`chunk` cuts {size}, dimension {dim} of {site.type}, into {made} equal parts, "
            f"not {args.chunks}"
        )
        raise OpError(message, f"`chunks: {made}`", "chunks")
    return Call(torch.chunk, args=(args.chunks,), kwargs={"dim": dim})


class SplitArgs(Args):
    """Arguments of `split`."""

    sizes: SizeOrSizes
    """Size of every part, or a list of the size of each."""
    dim: Int = 1
    """The dimension that is cut."""


@register(
    "split",
    SplitArgs,
    category="function",
    family="reshape",
    shorthand="sizes",
    example=between("split", ", sizes: [1, 2], dim: 1", port=".1"),
)
def split(args: SplitArgs, site: Site) -> Call:
    """Parts of given sizes along a dimension, one output each: `parts.0`, `parts.1`."""
    dim = sample_dimension("split", site.type, args.dim)
    size = site.type.shape[dim]
    if isinstance(args.sizes, int):
        if size // args.sizes >= MAX_COUNT:
            message = f"`split` makes more than {MAX_COUNT} parts of {site.type}"
            raise OpError(message, "a larger `sizes`", "sizes")
        return Call(torch.split, args=(args.sizes,), kwargs={"dim": dim})
    total = sum(args.sizes)
    if total != size:
        message = f"`sizes` add up to {total}, dimension {dim} of {site.type} has {size}"
        raise OpError(message, f"sizes that add up to {size}", "sizes")
    return Call(torch.split, args=(list(args.sizes),), kwargs={"dim": dim})


class SelectArgs(Args):
    """Arguments of `select`."""

    index: Int
    """Which one; 0 is the first, -1 the last."""
    dim: Int = 1
    """The dimension that it is taken from, and that goes."""


@register(
    "select",
    SelectArgs,
    category="function",
    family="reshape",
    shorthand="index",
    example=between("select", ", index: -1, dim: 1"),
)
def select(args: SelectArgs, site: Site) -> Call:
    """One index of a dimension, which goes.

    The last step of a sequence is `index: -1`: ``(N, L, D)`` to ``(N, D)``.
    """
    dim = sample_dimension("select", site.type, args.dim)
    size = site.type.shape[dim]
    if not -size <= args.index < size:
        message = f"`index: {args.index}` is outside dimension {dim} of {site.type}"
        raise OpError(message, f"an index from {-size} to {size - 1}", "index")
    return Call(torch.select, kwargs={"dim": dim, "index": args.index})


class NarrowArgs(Args):
    """Arguments of `narrow`."""

    start: Int
    """First index that is kept; negative ones count from the end."""
    length: Size
    """How many are kept."""
    dim: Int = 1
    """The dimension that is cut."""


@register(
    "narrow",
    NarrowArgs,
    category="function",
    family="reshape",
    example=between("narrow", ", start: 1, length: 2, dim: 1"),
)
def narrow(args: NarrowArgs, site: Site) -> Call:
    """A run of neighbours of a dimension: `length` of them from `start` on."""
    dim = sample_dimension("narrow", site.type, args.dim)
    size = site.type.shape[dim]
    start = args.start + size if args.start < 0 else args.start
    if start < 0 or start + args.length > size:
        message = (
            f"`start: {args.start}` with `length: {args.length}` does not lie in dimension {dim} "
            f"of {site.type}"
        )
        raise OpError(message, f"indices from 0 to {size - 1}", "start")
    return Call(torch.narrow, kwargs={"dim": dim, "start": start, "length": args.length})


class FlipArgs(Args):
    """Arguments of `flip`."""

    dims: Dims
    """The dimension or dimensions that are reversed."""


@register(
    "flip",
    FlipArgs,
    category="function",
    family="reshape",
    shorthand="dims",
    example=between("flip", ", dims: -1"),
)
def flip(args: FlipArgs, site: Site) -> Call:
    """The input with dimensions reversed: `dims: -1` mirrors an image."""
    wanted = args.dims if isinstance(args.dims, tuple) else (args.dims,)
    dims = tuple(sample_dimension("flip", site.type, dim, "dims") for dim in wanted)
    if len(set(dims)) < len(dims):
        message = "`flip` names a dimension twice"
        raise OpError(message, "name each once", "dims")
    return Call(torch.flip, args=(dims,))


class PadArgs(Args):
    """Arguments of `pad`."""

    pad: Ints
    """How much is added before and after the last dimension, then the one before it, and so on;
    negative numbers cut."""
    mode: PadMode = "constant"
    """`constant`, `reflect`, `replicate` or `circular`."""
    value: Float = 0.0
    """The constant."""


@register(
    "pad",
    PadArgs,
    category="function",
    family="reshape",
    shorthand="pad",
    example=between("pad", ", pad: [1, 1, 2, 2]"),
)
def pad(args: PadArgs, site: Site) -> Call:
    """A border around the input, as ``torch.nn.functional.pad`` counts it."""
    if len(args.pad) % 2 or not args.pad:
        message = f"`pad` has {len(args.pad)} values, two per dimension are wanted"
        raise OpError(message, "for example `pad: [1, 1]`, before and after the last one", "pad")
    if len(args.pad) // 2 > site.type.rank - 1:
        message = (
            f"`pad` has values for {len(args.pad) // 2} dimensions, {site.type} has "
            f"{site.type.rank - 1} without the batch"
        )
        raise OpError(message, None, "pad")
    if args.mode == "constant":
        return Call(F.pad, args=(list(args.pad),), kwargs={"value": args.value})
    return Call(F.pad, args=(list(args.pad),), kwargs={"mode": args.mode})
