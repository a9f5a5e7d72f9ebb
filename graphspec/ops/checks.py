"""What ops ask of their inputs, with messages that name the shapes and say what would fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from graphspec.ops.registry import OpError
from graphspec.ops.types import BATCH, TensorType, size_text

MAPS = {
    1: "[N]",
    2: "[N, features]",
    3: "[N, channels, length]",
    4: "[N, channels, height, width]",
    5: "[N, channels, depth, height, width]",
}
"""What dimensions mean by their number, for layers that read maps."""

SEQUENCES = {**MAPS, 3: "[N, length, features]"}
"""The same for layers that read sequences."""


def need_rank(
    op: str,
    kind: TensorType,
    ranks: Sequence[int],
    hint: str | None = None,
    layouts: Mapping[int, str] = MAPS,
) -> None:
    """Check the number of dimensions of an input, batch included.

    Args:
        op: The op that asks, for the message.
        kind: The input.
        ranks: The numbers of dimensions that fit.
        hint: What to do, if more is known than how to change the number of dimensions.
        layouts: What dimensions mean by their number.

    Raises:
        OpError: If it is not among ``ranks``.
    """
    if kind.rank not in ranks:
        wanted = " or ".join(layouts.get(rank, f"{rank} dimensions") for rank in ranks)
        message = f"`{op}` needs an input of shape {wanted}, got {kind}"
        raise OpError(message, hint or _rank_hint(kind.rank, ranks))


def _rank_hint(rank: int, ranks: Sequence[int]) -> str:
    if rank > max(ranks) == 2:
        return "put `op: flatten` or `op: global_pool` before it"
    if rank < min(ranks):
        return "`op: reshape` or `op: unsqueeze` before it adds dimensions"
    return "`op: reshape` or `op: flatten` before it changes the number of dimensions"


def need_float(op: str, kind: TensorType) -> None:
    """Check that an input has a floating-point dtype.

    Raises:
        OpError: If it has not.
    """
    if not kind.torch_dtype.is_floating_point:
        message = f"`{op}` needs a floating-point input, got {kind}"
        raise OpError(message, "put `op: Embedding` (for indices) or `op: cast` before it")


def need_integer(op: str, kind: TensorType) -> None:
    """Check that an input holds indices.

    Raises:
        OpError: If its dtype is neither int32 nor int64.
    """
    if kind.dtype not in {"int64", "int32"}:
        message = f"`{op}` needs an input of indices (int64 or int32), got {kind}"
        raise OpError(message, "give the input `dtype: int64`, or put `op: cast` before it")


def size_at(op: str, kind: TensorType, dim: int) -> int:
    """Return the size of a dimension that weights depend on, which the batch must not.

    Raises:
        OpError: If there is no such dimension, or it grows with the batch.
    """
    if not -kind.rank <= dim < kind.rank:
        message = f"`{op}` reads the size of dimension {dim}, which {kind} does not have"
        raise OpError(message)
    size = kind.shape[dim]
    if size and size % BATCH == 0:
        message = f"`{op}` cannot size its weights by the batch: dimension {dim} of {kind}"
        raise OpError(message, "`op: unsqueeze` or `op: reshape` before it adds a dimension")
    return size


def dimension(op: str, kind: TensorType, dim: int, argument: str = "dim", rank: int = 0) -> int:
    """Return ``dim`` counted from the front.

    Args:
        op: The op that asks, for the message.
        kind: The input.
        dim: A dimension, the batch being 0; negative ones count from the back.
        argument: The argument that holds it.
        rank: Number of dimensions to count in where it is not the input's.

    Raises:
        OpError: If there is no such dimension.
    """
    rank = rank or kind.rank
    if not -rank <= dim < rank:
        message = f"`{op}` has no dimension {dim}: its input is {kind}"
        raise OpError(
            message, f"a dimension from {-rank} to {rank - 1}, the batch being 0", argument
        )
    return dim % rank


def sample_dimension(op: str, kind: TensorType, dim: int, argument: str = "dim") -> int:
    """Return ``dim`` counted from the front, which must not be the batch's.

    Raises:
        OpError: If there is no such dimension, or it is the batch, whose samples stay apart.
    """
    front = dimension(op, kind, dim, argument)
    size = kind.shape[front]
    if size and size % BATCH == 0:
        message = f"`{op}` over dimension {dim} of {kind} would mix the samples of a batch"
        raise OpError(message, "dimension 1 is the first within a sample", argument)
    return front


def broadcast(op: str, kinds: Sequence[TensorType]) -> tuple[int, ...]:
    """Return the shape of elementwise arithmetic on all inputs.

    Raises:
        OpError: If they do not broadcast, or only by setting samples of the batch against others.
    """
    rank = max(kind.rank for kind in kinds)
    padded = [(1,) * (rank - kind.rank) + kind.shape for kind in kinds]
    shape = []
    for sizes in zip(*padded, strict=True):
        wanted = {size for size in sizes if size != 1} or {1}
        if len(wanted) > 1:
            message = (
                f"`{op}` needs inputs of one shape (or of size 1 where they differ), "
                f"got {listing(kinds)}"
            )
            raise OpError(
                message,
                _broadcast_hint(kinds),
            )
        shape.append(wanted.pop())
    if sum(1 for size in shape if size and size % BATCH == 0) > 1:
        message = f"`{op}` of {listing(kinds)} would set each sample against all others"
        raise OpError(message, "`op: unsqueeze` the smaller one, so that the batch stays first")
    return tuple(shape)


def _broadcast_hint(kinds: Sequence[TensorType]) -> str:
    if len({kind.rank for kind in kinds}) > 1:
        return "`op: unsqueeze` (or `op: flatten`) brings them to the same number of dimensions"
    differing = {
        dim for dim in range(kinds[0].rank) if len({kind.shape[dim] for kind in kinds}) > 1
    }
    if differing == {1}:
        sizes = ", ".join(size_text(kind.shape[1]) for kind in kinds)
        return f"give them as many channels or units (now {sizes}), or join them with `op: concat`"
    return "make the sizes equal where the inputs are made, or join them with `op: concat`"


def listing(kinds: Sequence[TensorType]) -> str:
    """Return shapes as a phrase: ``[N, 3] and [N, 4]``."""
    texts = [str(kind) for kind in kinds]
    return " and ".join(filter(None, [", ".join(texts[:-1]), texts[-1]]))


def elements(shape: Sequence[int]) -> int:
    """Return the number of elements of a shape without its batch."""
    return prod(shape)
