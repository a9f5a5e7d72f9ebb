"""Functions that move, cut and reduce dimensions, and the ops that compute the same.

Sizes are plain numbers here, since the trace knows every shape; the batch is `BATCH`.
"""

from __future__ import annotations

from math import prod
from typing import Any

from torch import Tensor

from graphspec.importing.calls import Call, Made, Result, dims_of, handles, is_batch, made
from graphspec.importing.drafts import Part, Raw, Ref, UnsupportedError


@handles("reshape", "view_as", "reshape_as", "unflatten")
def reshape(call: Call) -> Result:
    """The same elements in another shape; a sample as one row is ``flatten``."""
    value = call.args[0]
    shape = tuple(call.result.shape)
    if isinstance(value, Raw):
        return Raw(value.path, shape, value.batched)
    before = call.type_of(value)
    if shape == before.shape:
        return value  # type: ignore[no-any-return]
    if not shape or shape[0] != before.shape[0] or not is_batch(shape[0]):
        message = f"`{call.name}` to {_shape_text(shape)} mixes the samples of a batch"
        raise UnsupportedError(message, "the language computes each sample by itself")
    if len(shape) == 2 and before.rank > 2:
        return made("flatten", value)
    return made("reshape", value, shape=list(shape[1:]))


def _shape_text(shape: tuple[int, ...]) -> str:
    from graphspec.ops.types import size_text

    return f"[{', '.join(map(size_text, shape))}]"


@handles("flatten")
def flatten(call: Call) -> Result:
    """Dimensions as one."""
    value, start, end = call.bind("input", start_dim=0, end_dim=-1)
    if isinstance(value, Raw):
        return Raw(value.path, tuple(call.result.shape), value.batched)
    rank = call.type_of(value).rank
    if end == rank - 1:
        end = -1
    return made("flatten", value, start_dim=start, end_dim=end)


@handles("permute")
def permute(call: Call) -> Result:
    """Dimensions in another order."""
    value, *dims = call.args
    if "dims" in call.kwargs:
        dims = [call.kwargs["dims"]]
    rank = call.result.dim()
    return made("permute", value, dims=[dim % rank for dim in dims_of(dims)])


@handles("transpose")
def transpose(call: Call) -> Result:
    """Two dimensions exchanged."""
    value, dim0, dim1 = call.bind("input", "dim0", "dim1")
    rank = call.result.dim()
    one, other = sorted((dim0 % rank, dim1 % rank))
    return value if one == other else made("transpose", value, dim0=one, dim1=other)


@handles("t")
def t(call: Call) -> Result:
    """The transpose of a matrix."""
    return made("transpose", *call.bind("input"), dim0=0, dim1=1)


@handles("getattr")
def attribute(call: Call) -> Result:
    """``x.T`` and ``x.mT``, or ``x.data``."""
    value, name = call.args[:2]
    rank = call.result.dim()
    if name in ("data", "real"):
        return value  # type: ignore[no-any-return]
    if name == "mT" or (name == "T" and rank == 2):
        return made("transpose", value, dim0=rank - 2, dim1=rank - 1)
    message = f"`.{name}` of a tensor is not in the language"
    raise UnsupportedError(message)


@handles("squeeze")
def squeeze(call: Call) -> Result:
    """Without dimensions of size 1."""
    value, *given = call.args
    dims = dims_of([*given, *call.kwargs.values()])
    shape = call.type_of(value).shape
    wanted = [dim % len(shape) for dim in dims] if dims else list(range(len(shape)))
    gone = [dim for dim in wanted if shape[dim] == 1]
    if isinstance(value, Raw):
        return Raw(value.path, tuple(call.result.shape), value.batched)
    if not gone:
        return value  # type: ignore[no-any-return]
    return made("squeeze", value, dim=gone[0] if len(gone) == 1 else gone)


@handles("unsqueeze")
def unsqueeze(call: Call) -> Result:
    """With a new dimension of size 1."""
    value, dim = call.bind("input", "dim")
    if isinstance(value, Raw):
        return Raw(value.path, tuple(call.result.shape), value.batched)
    return made("unsqueeze", value, dim=dim)


@handles("expand", "expand_as", "repeat", "broadcast_to", "tile")
def expand(call: Call) -> Result:
    """A learned tensor repeated for each sample; what is repeated anyway where it is read."""
    value = call.args[0]
    shape = tuple(call.result.shape)
    before = tuple(call.values[value].shape)
    if before == shape:
        return value  # type: ignore[no-any-return]
    if isinstance(value, Raw) and not value.batched and shape and is_batch(shape[0]):
        rest = value.shape[1:] if len(value.shape) == len(shape) else value.shape
        leading = value.shape[0] if len(value.shape) == len(shape) else 1
        if leading == 1 and tuple(rest) == shape[1:]:
            return Raw(value.path, tuple(rest), True)
    message = (
        f"`{call.name}` of {_shape_text(before)} to {_shape_text(shape)} is not in the language"
    )
    raise UnsupportedError(message, "`add` and `mul` repeat dimensions of size 1 by themselves")


@handles("chunk", "split", "tensor_split", "split_with_sizes")
def parts(call: Call) -> Result:
    """Pieces along a dimension."""
    value, size, dim = call.bind("input", "size", dim=0)
    count = len(call.value)
    op = "chunk" if call.name in ("chunk", "tensor_split") else "split"
    args: dict[str, Any] = {"chunks": count} if op == "chunk" else {"sizes": size}
    if isinstance(size, (list, tuple)):
        args["sizes"] = list(size)
    return made(op, value, **args, dim=dim)


@handles("unbind")
def unbind(call: Call) -> Result:
    """Each index of a dimension by itself."""
    value, dim = call.bind("input", dim=0)
    return tuple(made("select", value, index=index, dim=dim) for index in range(len(call.value)))


@handles("select")
def select(call: Call) -> Result:
    """One index of a dimension."""
    value, dim, index = call.bind("input", "dim", "index")
    return made("select", value, index=index, dim=dim)


@handles("narrow")
def narrow(call: Call) -> Result:
    """A run of neighbours."""
    value, dim, start, length = call.bind("input", "dim", "start", "length")
    return made("narrow", value, start=start, length=length, dim=dim)


@handles("flip")
def flip(call: Call) -> Result:
    """Dimensions reversed."""
    value, *dims = call.args
    wanted = dims_of([*dims, *call.kwargs.values()])
    return made("flip", value, dims=wanted[0] if len(wanted) == 1 else wanted)


@handles("pad")
def pad(call: Call) -> Result:
    """A border."""
    value, widths, mode, filling = call.bind("input", "pad", mode="constant", value=None)
    args = {"pad": list(widths), "mode": mode}
    if filling:
        args["value"] = float(filling)
    return made("pad", value, **args)


@handles("getitem")
def getitem(call: Call) -> Result:
    """Indexing: of a tensor by numbers, slices and None; the batch stays whole."""
    value, index = call.args
    if not isinstance(value, (Ref, Raw)):
        return value[index]  # type: ignore[no-any-return]
    items = list(index) if isinstance(index, tuple) else [index]
    shape = call.values[value].shape
    if any(isinstance(item, (Ref, Raw, list, Tensor)) for item in items):
        message = "indexing by a tensor or a list is not in the language"
        raise UnsupportedError(message, "`select` and `narrow` take fixed indices")
    if Ellipsis in items:
        at = items.index(Ellipsis)
        missing = len(shape) - sum(item is not None for item in items) + 1
        items[at : at + 1] = [slice(None)] * missing
    if isinstance(value, Raw) and all(item is None or item == slice(None) for item in items):
        return Raw(value.path, tuple(call.result.shape), value.batched)
    steps = tuple(_steps(items, shape))
    return Made(steps, (value,), name=steps[0].op) if steps else value


def _steps(items: list[Any], shape: Any) -> Any:
    """Yield an op for each part of an index, in order; ``dim`` counts what is left by then."""
    dim = source = 0
    for item in items:
        if item is None:
            yield Part("unsqueeze", {"dim": dim})
            dim += 1
            continue
        size = shape[source]
        source += 1
        if isinstance(item, slice):
            start, stop, step = item.indices(size)
            if step != 1:
                message = "slices with a step are not in the language"
                raise UnsupportedError(message, "pooling or a stride may be what is meant")
            if (start, stop) != (0, size):
                yield Part("narrow", {"start": start, "length": stop - start, "dim": dim})
            dim += 1
        elif isinstance(item, int) and not isinstance(item, bool):
            yield Part("select", {"index": item, "dim": dim})
        else:
            message = f"an index of type {type(item).__name__} is not in the language"
            raise UnsupportedError(message)


@handles("mean", "sum", "amax", "amin", "logsumexp")
def reduction(call: Call) -> Result:
    """Reductions over dimensions."""
    value, dim, keepdim, _ = call.bind("input", dim=None, keepdim=False, dtype=None)
    op = {"amax": "max", "amin": "min"}.get(call.name, call.name)
    return _reduced(op, call, value, dim, keepdim)


def _reduced(op: str, call: Call, value: Any, dim: Any, keepdim: bool) -> Result:
    rank = call.type_of(value).rank
    if dim is None or dim == ():
        message = f"`{call.name}` over everything mixes the samples of a batch"
        raise UnsupportedError(message, f"name the dimensions: `dim=tuple(range(1, {rank}))`")
    wanted = dim if isinstance(dim, (list, tuple)) else (dim,)
    dims = sorted(each % rank for each in wanted)
    if op in ("mean", "max") and dims == list(range(2, rank)) and not keepdim and rank > 3:
        return made("global_pool", value, kind={"mean": "avg", "max": "max"}[op])
    return made(op, value, dim=dims[0] if len(dims) == 1 else dims, keepdim=keepdim)


@handles("max", "min")
def extreme(call: Call) -> Result:
    """The extreme of two tensors, or over a dimension, with its index."""
    value, dim, keepdim = call.bind("input", dim=None, keepdim=False)
    if isinstance(dim, (Ref, Raw)):
        return made({"max": "maximum", "min": "minimum"}[call.name], value, dim)
    reduced = _reduced(call.name, call, value, dim, keepdim)
    if call.name == "min":
        return reduced, ()  # there is no argmin
    return reduced, made("argmax", value, dim=dim, keepdim=keepdim)


@handles("argmax")
def argmax(call: Call) -> Result:
    """The index of the largest value."""
    value, dim, keepdim = call.bind("input", dim=None, keepdim=False)
    if dim is None:
        message = "`argmax` over everything mixes the samples of a batch"
        raise UnsupportedError(message, "name the dimension")
    return made("argmax", value, dim=dim, keepdim=keepdim)


@handles("cumsum")
def cumsum(call: Call) -> Result:
    """The running sum."""
    value, dim, _ = call.bind("input", "dim", dtype=None)
    return made("cumsum", value, dim=dim)


def elements(shape: tuple[int, ...]) -> int:
    """Return how many numbers a shape holds."""
    return prod(shape)
