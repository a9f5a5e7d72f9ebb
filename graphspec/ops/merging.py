"""The kinds of several inputs: `concat`, `add`, `mul`, `mean`, and their like."""

from __future__ import annotations

import operator

import torch

from graphspec.ops import tensors
from graphspec.ops.arguments import Bool, Int, OptionalDims
from graphspec.ops.checks import (
    broadcast,
    dimension,
    listing,
    need_float,
    sample_dimension,
)
from graphspec.ops.registry import MANY, Args, Arity, Call, NoArgs, OpError, Site, register
from graphspec.ops.types import TensorType, size_text


def _example(op: str) -> str:
    """A spec in which two layers of equal width meet in the op."""
    return f"""\
graphspec: 1
name: {op}
inputs: {{image: {{shape: [3, 8, 8]}}}}
tasks: {{t: {{classes: 5}}}}
nodes:
  left: {{op: fc, from: image, units: 16}}
  right: {{op: fc, from: image, units: 16}}
  both: {{op: {op}, from: [left, right]}}
  label: {{op: head, from: both, task: t}}
"""


class ConcatArgs(Args):
    """Arguments of `concat`."""

    dim: Int = 1
    """Dimension that is joined: 1 is the channels or features; negative ones count from the end."""


@register(
    "concat",
    ConcatArgs,
    category="kind",
    family="merge",
    arity=MANY,
    shorthand="dim",
    example=_example("concat"),
)
def concat(args: ConcatArgs, site: Site) -> Call:
    """The inputs side by side along one dimension, in the order of `from`.

    Shapes may differ in ``dim`` only: ``(N, 64)`` and ``(N, 20)`` give ``(N, 84)``.
    """
    kinds = site.types
    if len({kind.rank for kind in kinds}) > 1:
        large = max(kind.rank for kind in kinds)
        few = [str(kind) for kind in kinds if kind.rank < large]
        message = f"`concat` needs inputs of as many dimensions, got {listing(kinds)}"
        raise OpError(
            message,
            f"`op: flatten` or `op: global_pool` after the larger one gives it the form of {few[0]}",
        )
    dim = dimension("concat", site.type, args.dim)
    differing = [
        d for d in range(site.type.rank) if d != dim and len({kind.shape[d] for kind in kinds}) > 1
    ]
    if differing:
        raise OpError(
            f"`concat` along dimension {dim} needs equal sizes elsewhere, got {listing(kinds)}",
            _concat_hint(kinds, dim, differing),
        )
    return Call(torch.cat, kwargs={"dim": args.dim}, packed=True)


def _concat_hint(kinds: tuple[TensorType, ...], dim: int, differing: list[int]) -> str:
    fits = [
        d
        for d in range(1, kinds[0].rank)
        if all(len({kind.shape[e] for kind in kinds}) == 1 for e in range(kinds[0].rank) if e != d)
    ]
    if fits:
        return f"`dim: {fits[0]}` would fit"
    first = differing[0]
    sizes = ", ".join(size_text(kind.shape[first]) for kind in kinds)
    if first >= 2 and dim == 1:
        return f"dimension {first} is {sizes}: bring the maps to one size (`pool`, `upsample`), or flatten all"
    return f"make the sizes of dimension {first} equal, they are {sizes}"


@register(
    "add", NoArgs, category="kind", family="merge", arity=MANY, example=_example("add")
)
def add(args: NoArgs, site: Site) -> Call:
    """The sum of the inputs, element by element, as in a residual connection.

    Shapes are equal, or 1 where they differ, as torch broadcasts.
    """
    broadcast("add", site.types)
    return Call(operator.add, fold=True)


@register(
    "mul", NoArgs, category="kind", family="merge", arity=MANY, example=_example("mul")
)
def mul(args: NoArgs, site: Site) -> Call:
    """The product of the inputs, element by element, as in a gate.

    Shapes are equal, or 1 where they differ, as torch broadcasts.
    """
    broadcast("mul", site.types)
    return Call(operator.mul, fold=True)


@register(
    "maximum", NoArgs, category="kind", family="merge", arity=MANY, example=_example("maximum")
)
def maximum(args: NoArgs, site: Site) -> Call:
    """The largest of the inputs, element by element.

    Shapes are equal, or 1 where they differ, as torch broadcasts.
    """
    broadcast("maximum", site.types)
    return Call(torch.maximum, fold=True)


@register(
    "minimum", NoArgs, category="kind", family="merge", arity=MANY, example=_example("minimum")
)
def minimum(args: NoArgs, site: Site) -> Call:
    """The smallest of the inputs, element by element.

    Shapes are equal, or 1 where they differ, as torch broadcasts.
    """
    broadcast("minimum", site.types)
    return Call(torch.minimum, fold=True)


class MeanArgs(Args):
    """Arguments of `mean`."""

    dim: OptionalDims = None
    """With one input: the dimension or dimensions averaged over; null is all but the batch."""
    keepdim: Bool = False
    """With one input: whether the averaged dimensions stay, with size 1."""


@register(
    "mean",
    MeanArgs,
    category="kind",
    family="merge",
    arity=Arity(1, None),
    shorthand="dim",
    example=_example("mean"),
)
def mean(args: MeanArgs, site: Site) -> Call:
    """The mean of several inputs, element by element; of one input, its mean over dimensions.

    Several inputs have shapes that are equal, or 1 where they differ, as torch broadcasts.
    """
    for kind in site.types:
        need_float("mean", kind)
    if len(site.types) == 1:
        return reduction("mean", torch.mean, args.dim, args.keepdim, site)
    if args.dim is not None or args.keepdim:
        name = "keepdim" if args.dim is None else "dim"
        message = f"`mean` of {len(site.types)} inputs is element by element and takes no `{name}`"
        raise OpError(message, f"leave out `{name}`, or give one input", name)
    broadcast("mean", site.types)
    return Call(tensors.average, packed=True)


def reduction(
    op: str, function: object, dim: int | tuple[int, ...] | None, keepdim: bool, site: Site
) -> Call:
    """Return the call of a function that reduces dimensions, none of them the batch.

    Raises:
        OpError: If a dimension does not exist, appears twice or is the batch.
    """
    if dim is None:
        dims = tuple(range(1, site.type.rank))
        if not dims:
            raise OpError(f"`{op}` has nothing to reduce in {site.type}", None, None)
    else:
        wanted = dim if isinstance(dim, tuple) else (dim,)
        dims = tuple(sample_dimension(op, site.type, one) for one in wanted)
        if len(set(dims)) < len(dims):
            raise OpError(f"`{op}` names a dimension twice", "name each once", "dim")
    assert callable(function)
    return Call(function, kwargs={"dim": dims, "keepdim": keepdim})
