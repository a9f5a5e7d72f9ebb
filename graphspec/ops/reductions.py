"""Functions along dimensions: sums, extremes, softmax. None of them mixes samples of a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own habit

from graphspec.ops.arguments import Bool, Float, Int, OptionalDims, Size
from graphspec.ops.checks import need_float, need_integer, sample_dimension
from graphspec.ops.examples import between
from graphspec.ops.registry import Args, Call, OpError, Site, register


class DimArgs(Args):
    """Arguments of a function along one dimension."""

    dim: Int = 1
    """The dimension; 1 is the classes, channels or features, negative ones count from the end."""


class ReduceArgs(Args):
    """Arguments of a function that reduces dimensions."""

    dim: OptionalDims = None
    """The dimension or dimensions that are reduced; null is all but the batch."""
    keepdim: Bool = False
    """Whether they stay, with size 1."""


def reduction(
    op: str,
    function: Callable[..., Any],
    dim: int | tuple[int, ...] | None,
    keepdim: bool,
    site: Site,
) -> Call:
    """Return the call of a function that reduces dimensions, none of them the batch.

    Raises:
        OpError: If a dimension does not exist, appears twice or is the batch.
    """
    need_float(op, site.type)
    if dim is None:
        dims = tuple(range(1, site.type.rank))
        if not dims:
            message = f"`{op}` has nothing to reduce in {site.type}"
            raise OpError(message)
    else:
        wanted = dim if isinstance(dim, tuple) else (dim,)
        dims = tuple(sample_dimension(op, site.type, one) for one in wanted)
        if len(set(dims)) < len(dims):
            message = f"`{op}` names a dimension twice"
            raise OpError(message, "name each once", "dim")
    return Call(function, kwargs={"dim": dims, "keepdim": keepdim})


@register(
    "sum",
    ReduceArgs,
    category="function",
    family="other",
    shorthand="dim",
    example=between("sum", ", dim: [2, 3]"),
)
def sum_over(args: ReduceArgs, site: Site) -> Call:
    """The sum over dimensions; for the sum of several inputs see `add`."""
    return reduction("sum", torch.sum, args.dim, args.keepdim, site)


@register(
    "max",
    ReduceArgs,
    category="function",
    family="other",
    shorthand="dim",
    example=between("max", ", dim: [2, 3]"),
)
def max_over(args: ReduceArgs, site: Site) -> Call:
    """The largest value over dimensions: one output, without the indices that torch.max adds.

    The gradient is shared among equal maxima, as by ``torch.amax``. For the indices see `argmax`,
    for the maximum of several inputs `maximum`.
    """
    return reduction("max", torch.amax, args.dim, args.keepdim, site)


@register(
    "min",
    ReduceArgs,
    category="function",
    family="other",
    shorthand="dim",
    example=between("min", ", dim: [2, 3]"),
)
def min_over(args: ReduceArgs, site: Site) -> Call:
    """The smallest value over dimensions: one output, without the indices that torch.min adds.

    For the minimum of several inputs see `minimum`.
    """
    return reduction("min", torch.amin, args.dim, args.keepdim, site)


@register(
    "logsumexp",
    ReduceArgs,
    category="function",
    family="other",
    shorthand="dim",
    example=between("logsumexp", ", dim: [2, 3]"),
)
def logsumexp(args: ReduceArgs, site: Site) -> Call:
    """The logarithm of the sum of exponentials over dimensions: a smooth maximum."""
    return reduction("logsumexp", torch.logsumexp, args.dim, args.keepdim, site)


class ArgmaxArgs(Args):
    """Arguments of `argmax`."""

    dim: Int = 1
    """The dimension that is reduced."""
    keepdim: Bool = False
    """Whether it stays, with size 1."""


@register(
    "argmax",
    ArgmaxArgs,
    category="function",
    family="other",
    shorthand="dim",
    example="""\
graphspec: 1
name: argmax
inputs: {image: {shape: [3, 8]}}
tasks: {t: {classes: 5}}
nodes:
  brightest: {op: argmax, from: image, dim: 2}
  embedded: {op: Embedding, from: brightest, num_embeddings: 8, embedding_dim: 4}
  features: {op: fc, from: embedded, units: 16}
  label: {op: head, from: features, task: t}
""",
    differentiable=False,
)
def argmax(args: ArgmaxArgs, site: Site) -> Call:
    """The index (int64) of the largest value along a dimension; no gradient flows through it."""
    need_float("argmax", site.type)
    dim = sample_dimension("argmax", site.type, args.dim)
    return Call(torch.argmax, kwargs={"dim": dim, "keepdim": args.keepdim})


class OneHotArgs(Args):
    """Arguments of `one_hot`."""

    classes: Size
    """Number of classes: one more than the largest index."""


@register(
    "one_hot",
    OneHotArgs,
    category="function",
    family="embedding",
    shorthand="classes",
    example="""\
graphspec: 1
name: one_hot
inputs: {colour: {shape: [3], dtype: int64}}
tasks: {t: {classes: 5}}
nodes:
  marked: {op: one_hot, from: colour, classes: 8}
  numbers: {op: cast, from: marked, dtype: float32}
  features: {op: fc, from: numbers, units: 16}
  label: {op: head, from: features, task: t}
""",
    differentiable=False,
)
def one_hot(args: OneHotArgs, site: Site) -> Call:
    """Indices as rows of 0 and one 1 (int64): ``(N, ...)`` to ``(N, ..., classes)``."""
    need_integer("one_hot", site.type)
    if site.type.dtype != "int64":
        message = f"`one_hot` needs an int64 input, got {site.type}"
        raise OpError(message, "put `op: cast` with `dtype: int64` before it")
    return Call(F.one_hot, kwargs={"num_classes": args.classes})


@register(
    "softmax",
    DimArgs,
    category="function",
    family="activation",
    shorthand="dim",
    example=between("softmax", ", dim: 1"),
)
def softmax(args: DimArgs, site: Site) -> Call:
    """Exponentials that sum to 1 along a dimension: logits to probabilities."""
    need_float("softmax", site.type)
    return Call(torch.softmax, kwargs={"dim": sample_dimension("softmax", site.type, args.dim)})


@register(
    "log_softmax",
    DimArgs,
    category="function",
    family="activation",
    shorthand="dim",
    example=between("log_softmax", ", dim: 1"),
)
def log_softmax(args: DimArgs, site: Site) -> Call:
    """The logarithm of `softmax` along a dimension, without its rounding."""
    need_float("log_softmax", site.type)
    dim = sample_dimension("log_softmax", site.type, args.dim)
    return Call(torch.log_softmax, kwargs={"dim": dim})


@register(
    "cumsum",
    DimArgs,
    category="function",
    family="other",
    shorthand="dim",
    example=between("cumsum", ", dim: 1"),
)
def cumsum(args: DimArgs, site: Site) -> Call:
    """The running sum along a dimension."""
    need_float("cumsum", site.type)
    return Call(torch.cumsum, kwargs={"dim": sample_dimension("cumsum", site.type, args.dim)})


class NormalizeArgs(Args):
    """Arguments of `normalize`."""

    p: Float = 2.0
    """Which norm: 2 for the Euclidean, 1 for the sum of absolute values."""
    dim: Int = 1
    """The dimension of the vectors."""
    eps: Float = 1e-12
    """Smallest norm that is divided by."""


@register(
    "normalize",
    NormalizeArgs,
    category="function",
    family="norm",
    shorthand="p",
    example=between("normalize", ", dim: 1"),
)
def normalize(args: NormalizeArgs, site: Site) -> Call:
    """Vectors along a dimension, divided by their length, as embeddings are compared."""
    need_float("normalize", site.type)
    dim = sample_dimension("normalize", site.type, args.dim)
    return Call(F.normalize, kwargs={"p": args.p, "dim": dim, "eps": args.eps})
