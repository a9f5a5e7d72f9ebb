"""Functions of several tensors, and interpolation: a fixed list in lower case.

`pointwise` has the functions of single elements, `reductions` those along dimensions, `reshaping`
those that move and cut dimensions.
"""

from __future__ import annotations

import operator
from typing import Annotated, Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own habit

from graphspec.ops import tensors
from graphspec.ops.arguments import (
    Bool,
    Int,
    OneOf,
    OptionalBool,
    OptionalFloatEach,
    OptionalSizeEach,
    Text,
)
from graphspec.ops.build import explain
from graphspec.ops.checks import broadcast, dimension, listing, need_float, need_rank
from graphspec.ops.examples import between, joining
from graphspec.ops.registry import (
    MANY,
    TWO,
    Args,
    Arity,
    Call,
    NoArgs,
    OpError,
    Site,
    register,
)
from graphspec.ops.types import TensorType


@register("sub", NoArgs, category="function", family="merge", arity=TWO, example=joining("sub"))
def sub(args: NoArgs, site: Site) -> Call:
    """The first input minus the second, element by element."""
    broadcast("sub", site.types)
    return Call(operator.sub)


@register("div", NoArgs, category="function", family="merge", arity=TWO, example=joining("div"))
def div(args: NoArgs, site: Site) -> Call:
    """The first input divided by the second, element by element; infinite where that is 0."""
    broadcast("div", site.types)
    return Call(operator.truediv)


_PRODUCT = """\
graphspec: 1
name: {op}
inputs: {{image: {{shape: [4, 6]}}}}
tasks: {{t: {{classes: 5}}}}
nodes:
  turned: {{op: transpose, from: image}}
  product: {{op: {op}, from: [image, turned]}}
  features: {{op: fc, from: product, units: 16}}
  label: {{op: head, from: features, task: t}}
"""


@register(
    "matmul",
    NoArgs,
    category="function",
    family="merge",
    arity=TWO,
    example=_PRODUCT.format(op="matmul"),
)
def matmul(args: NoArgs, site: Site) -> Call:
    """The matrix product of each sample.

    ``(N, ..., a, b)`` and ``(N, ..., b, c)`` to ``(N, ..., a, c)``.
    """
    _check_product("matmul", site.types)
    rest = [TensorType(kind.shape[:-2], kind.dtype) for kind in site.types]
    broadcast("matmul", rest)
    return Call(torch.matmul)


@register(
    "bmm", NoArgs, category="function", family="merge", arity=TWO, example=_PRODUCT.format(op="bmm")
)
def bmm(args: NoArgs, site: Site) -> Call:
    """The matrix product of each sample: ``(N, a, b)`` and ``(N, b, c)`` to ``(N, a, c)``."""
    for kind in site.types:
        if kind.rank != 3:
            message = f"`bmm` needs inputs of shape [N, rows, columns], got {kind}"
            raise OpError(message, "`op: matmul` takes more dimensions")
    _check_product("bmm", site.types)
    return Call(torch.bmm)


def _check_product(op: str, kinds: tuple[TensorType, ...]) -> None:
    for kind in kinds:
        need_float(op, kind)
        if kind.rank < 3:
            message = f"`{op}` needs inputs of shape [N, rows, columns], got {listing(kinds)}"
            raise OpError(
                message, "`op: unsqueeze` makes a vector a row (dim 1) or a column (dim 2)"
            )
    left, right = kinds
    if left.shape[-1] != right.shape[-2]:
        message = (
            f"`{op}` needs as many columns in the first input as rows in the second, "
            f"got {listing(kinds)}"
        )
        fits = left.shape[-1] == right.shape[-1]
        hint = "`op: transpose` (dim0: -2, dim1: -1) the second input" if fits else None
        raise OpError(message, hint)


class StackArgs(Args):
    """Arguments of `stack`."""

    dim: Int = 1
    """Where the new dimension stands; 1 is right after the batch."""


@register(
    "stack",
    StackArgs,
    category="function",
    family="merge",
    arity=MANY,
    shorthand="dim",
    example=joining("stack", ", dim: 1"),
)
def stack(args: StackArgs, site: Site) -> Call:
    """Inputs of one shape as the entries of a new dimension.

    ``k`` inputs ``(N, D)`` give ``(N, k, D)``.
    """
    if len({kind.shape for kind in site.types}) > 1:
        message = f"`stack` needs inputs of one shape, got {listing(site.types)}"
        raise OpError(message, "`op: concat` joins inputs that differ in one dimension")
    dim = dimension("stack", site.type, args.dim, rank=site.type.rank + 1)
    if dim == 0:
        message = "`stack` keeps the batch first"
        raise OpError(message, "`dim: 1` is right after it", "dim")
    return Call(torch.stack, kwargs={"dim": dim}, packed=True)


class EinsumArgs(Args):
    """Arguments of `einsum`."""

    equation: Text
    """The sum in Einstein's notation, the batch included: `nij,njk->nik`."""


@register(
    "einsum",
    EinsumArgs,
    category="function",
    family="merge",
    arity=Arity(1, None),
    shorthand="equation",
    example=joining("einsum", ', equation: "na,nb->nab"'),
)
def einsum(args: EinsumArgs, site: Site) -> Call:
    """Sums of products in Einstein's notation, as ``torch.einsum`` reads it."""
    for kind in site.types:
        need_float("einsum", kind)
    try:
        torch.einsum(args.equation, *(kind.meta() for kind in site.types))
    except Exception as error:  # the equation is the user's
        text = explain(error)[0].removeprefix("einsum(): ")
        message = f"`equation: {args.equation[:80]}` does not suit {listing(site.types)}: {text}"
        raise OpError(
            message, "one letter per dimension, the batch included", "equation"
        ) from error
    return Call(tensors.einsum, args=(args.equation,), packed=True)


class AttentionArgs(Args):
    """Arguments of `scaled_dot_product_attention`."""

    is_causal: Bool = False
    """Whether each position attends only to itself and those before it."""


@register(
    "scaled_dot_product_attention",
    AttentionArgs,
    category="function",
    family="attention",
    arity=Arity(3, 3, ("query", "key", "value")),
    shorthand="is_causal",
    example="""\
graphspec: 1
name: scaled_dot_product_attention
inputs: {words: {shape: [6, 8]}}
tasks: {t: {classes: 5}}
nodes:
  query: {op: Linear, from: words, out_features: 8}
  key: {op: Linear, from: words, out_features: 8}
  seen: {op: scaled_dot_product_attention, from: {query: query, key: key, value: words}}
  features: {op: fc, from: seen, units: 16}
  label: {op: head, from: features, task: t}
""",
)
def scaled_dot_product_attention(args: AttentionArgs, site: Site) -> Call:
    """``softmax(query @ key.T / sqrt(d)) @ value`` without weights: attention as torch fuses it.

    Query ``(N, ..., L, d)``, key ``(N, ..., S, d)``, value ``(N, ..., S, e)``, output
    ``(N, ..., L, e)``.

    Source:
        Vaswani et al., "Attention Is All You Need", NeurIPS 2017, eq. 1.
    """
    op = "scaled_dot_product_attention"
    for kind in site.types:
        need_float(op, kind)
        if kind.rank < 3:
            message = f"`{op}` needs inputs of shape [N, length, features], got {kind}"
            raise OpError(message, "`op: unsqueeze` before it adds a dimension")
    query, key, value = site.types
    if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        message = f"`{op}` cannot match query, key and value of {listing(site.types)}"
        raise OpError(message, "query and key have as many features, key and value one length")
    return Call(F.scaled_dot_product_attention, kwargs={"is_causal": args.is_causal})


InterpolationMode = Annotated[
    str,
    OneOf(("nearest", "linear", "bilinear", "bicubic", "trilinear", "area", "nearest-exact")),
]
_MODE_RANKS = {"linear": (3,), "bilinear": (4,), "bicubic": (4,), "trilinear": (5,)}


class InterpolateArgs(Args):
    """Arguments of `interpolate`."""

    size: OptionalSizeEach = None
    """Size of the output, without batch and channels."""
    scale_factor: OptionalFloatEach = None
    """By how much every size grows or shrinks, instead of `size`."""
    mode: InterpolationMode = "nearest"
    """How values between positions are found; `linear` is for one dimension, `bilinear` and
    `bicubic` for two, `trilinear` for three."""
    align_corners: OptionalBool = None
    """Whether corners stay corners; for the linear modes and `bicubic`."""


@register(
    "interpolate",
    InterpolateArgs,
    category="function",
    family="reshape",
    shorthand="size",
    example=between("interpolate", ", size: [16, 16], mode: bilinear"),
)
def interpolate(args: InterpolateArgs, site: Site) -> Call:
    """A map of another size: ``(N, C, H, W)`` to ``(N, C, *size)``, as torch interpolates."""
    need_rank("interpolate", site.type, (3, 4, 5))
    need_float("interpolate", site.type)
    if (args.size is None) == (args.scale_factor is None):
        message = "`interpolate` needs either `size` or `scale_factor`"
        raise OpError(message, "give one of `size` and `scale_factor`", "size")
    ranks = _MODE_RANKS.get(args.mode)
    if ranks and site.type.rank not in ranks:
        fitting = {3: "linear", 4: "bilinear", 5: "trilinear"}[site.type.rank]
        message = f"`mode: {args.mode}` does not suit {site.type}"
        raise OpError(message, f"`mode: {fitting}`", "mode")
    if args.align_corners is not None and not ranks:
        message = f"`align_corners` does not apply to `mode: {args.mode}`"
        raise OpError(message, "leave it out", "align_corners")
    dims = site.type.rank - 2
    words: dict[str, Any] = {"mode": args.mode}
    for name in ("size", "scale_factor"):
        value = getattr(args, name)
        if isinstance(value, tuple) and len(value) != dims:
            message = f"`{name}` has {len(value)} values, {site.type} has {dims} dimensions"
            raise OpError(message, f"give one number, or {dims} of them", name)
        if value is not None:
            words[name] = value
    if args.align_corners is not None:
        words["align_corners"] = args.align_corners
    return Call(F.interpolate, kwargs=words)
