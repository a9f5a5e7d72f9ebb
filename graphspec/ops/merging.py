"""The kinds of several inputs: `concat`, `add`, `mul`, `mean`, `weighted_sum`, and their like.

`learned` has the one with weights of its own, `mix`.
"""

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
)
from graphspec.ops.examples import joining
from graphspec.ops.reductions import reduction
from graphspec.ops.registry import MANY, Args, Arity, Call, NoArgs, OpError, Site, register
from graphspec.ops.types import TensorType, size_text


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
    example=joining("concat"),
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
        hint = f"`op: flatten` or `op: global_pool` makes the larger one like {few[0]}"
        raise OpError(message, hint)
    dim = dimension("concat", site.type, args.dim)
    differing = [
        d for d in range(site.type.rank) if d != dim and len({kind.shape[d] for kind in kinds}) > 1
    ]
    if differing:
        message = f"`concat` along dimension {dim} needs equal other sizes, got {listing(kinds)}"
        raise OpError(message, _concat_hint(kinds, dim, differing))
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
        return (
            f"dimension {first} is {sizes}: bring the maps to one size (`op: pool`, "
            "`op: upsample`), or flatten them all"
        )
    return f"make the sizes of dimension {first} equal, they are {sizes}"


@register("add", NoArgs, category="kind", family="merge", arity=MANY, example=joining("add"))
def add(args: NoArgs, site: Site) -> Call:
    """The sum of the inputs, element by element, as in a residual connection.

    Shapes are equal, or 1 where they differ, as torch broadcasts.
    """
    broadcast("add", site.types)
    return Call(operator.add, fold=True)


@register("mul", NoArgs, category="kind", family="merge", arity=MANY, example=joining("mul"))
def mul(args: NoArgs, site: Site) -> Call:
    """The product of the inputs, element by element, as in a gate.

    Shapes are equal, or 1 where they differ, as torch broadcasts.
    """
    broadcast("mul", site.types)
    return Call(operator.mul, fold=True)


@register(
    "maximum", NoArgs, category="kind", family="merge", arity=MANY, example=joining("maximum")
)
def maximum(args: NoArgs, site: Site) -> Call:
    """The largest of the inputs, element by element.

    Shapes are equal, or 1 where they differ, as torch broadcasts.
    """
    broadcast("maximum", site.types)
    return Call(torch.maximum, fold=True)


@register(
    "minimum", NoArgs, category="kind", family="merge", arity=MANY, example=joining("minimum")
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
    example=joining("mean"),
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


@register(
    "weighted_sum",
    NoArgs,
    category="kind",
    family="merge",
    arity=MANY,
    example="""\
graphspec: 1
name: weighted_sum
inputs: {image: {shape: [3, 8, 8]}}
tasks: {t: {classes: 5}}
nodes:
  expert_1: {op: fc, from: image, units: 16}
  expert_2: {op: fc, from: image, units: 16}
  flat: {op: flatten, from: image}
  scores: {op: Linear, from: flat, out_features: 2}
  gate: {op: softmax, from: scores}
  mixed: {op: weighted_sum, from: [gate, expert_1, expert_2]}
  label: {op: head, from: mixed, task: t}
""",
)
def weighted_sum(args: NoArgs, site: Site) -> Call:
    """The sum of the inputs after the first, each times its weight in the first.

    The first input has one weight for each other input and sample, ``(N, E)``; the ``E`` others
    have one shape ``(N, ...)``, which is that of the sum. Weights ``(N, E, ...)`` have further
    dimensions of the inputs, such as one weight a channel.

    Source:
        Ma et al., "Modeling Task Relationships in Multi-task Learning with Multi-gate
        Mixture-of-Experts", KDD 2018, eq. 6.
    """
    weights, values = site.types[0], site.types[1:]
    for kind in site.types:
        need_float("weighted_sum", kind)
    if len({kind.shape for kind in values}) > 1:
        message = (
            f"`weighted_sum` needs inputs of one shape after the weights, got {listing(values)}"
        )
        raise OpError(message, "make them equal, as experts of one block are")
    value, count = values[0], len(values)
    if weights.rank < 2 or weights.shape[1] != count:
        what = "input" if count == 1 else "inputs"
        message = (
            f"`weighted_sum` of {count} {what} needs weights [N, {count}] first, got {weights}"
        )
        hint = f"let the first input end in `{{Linear: {count}}}` and a softmax over dimension 1"
        raise OpError(message, hint)
    rest = weights.shape[:1] + weights.shape[2:]
    fitting = zip(rest, value.shape, strict=False)
    if len(rest) > value.rank or any(size not in (1, there) for size, there in fitting):
        message = f"`weighted_sum` cannot apply weights {weights} to inputs {value}"
        raise OpError(message, f"weights are [N, {count}], or go on as the inputs do")
    return Call(tensors.weighted_sum, kwargs={"trailing": value.rank - len(rest)})
