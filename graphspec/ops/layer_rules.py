"""What torch.nn layers take: ranks, dtypes, sizes that follow from the input, arguments that agree.

torch checks most of this too, but only in the forward pass and in terms of its kernels, and it
takes a missing batch for unbatched input. The rules here speak of the spec.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

from torch import nn

from graphspec.ops.checks import (
    MAPS,
    SEQUENCES,
    listing,
    need_float,
    need_integer,
    need_rank,
    sample_dimension,
    size_at,
)
from graphspec.ops.registry import Args, OpError, Site, Types
from graphspec.ops.types import TensorType

_FAMILIES: Mapping[str, str] = {
    "activation": "activation",
    "batchnorm": "norm",
    "instancenorm": "norm",
    "normalization": "norm",
    "conv": "conv",
    "linear": "dense",
    "pooling": "pool",
    "rnn": "recurrent",
    "transformer": "attention",
    "sparse": "embedding",
    "distance": "merge",
    "flatten": "reshape",
    "fold": "reshape",
    "padding": "reshape",
    "pixelshuffle": "reshape",
    "channelshuffle": "reshape",
    "upsampling": "reshape",
}

INPUTS: Mapping[str, tuple[int, tuple[str, ...]]] = {
    "Bilinear": (2, ("input1", "input2")),
    "CosineSimilarity": (2, ("x1", "x2")),
    "PairwiseDistance": (2, ("x1", "x2")),
    "MultiheadAttention": (1, ("query", "key", "value")),
    "TransformerDecoderLayer": (2, ("tgt", "memory")),
    "RNN": (1, ("input", "hx")),
    "GRU": (1, ("input", "hx")),
    "RNNCell": (1, ("input", "hx")),
    "GRUCell": (1, ("input", "hx")),
}
"""Layers of several inputs: how few they take, and the names of all in order."""

_ANY = tuple(range(1, 33))
_RANKS: Mapping[str, tuple[int, ...]] = {
    **dict.fromkeys(("Linear", "Bilinear", "LayerNorm", "RMSNorm", "GroupNorm"), _ANY[1:]),
    **dict.fromkeys(("GLU", "FeatureAlphaDropout"), _ANY[1:]),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Softmin"), _ANY[1:]),
    **dict.fromkeys(("CosineSimilarity", "PairwiseDistance", "Flatten", "Unflatten"), _ANY[1:]),
    **dict.fromkeys(("RNN", "LSTM", "GRU", "MultiheadAttention", "Fold"), (3,)),
    **dict.fromkeys(("TransformerEncoderLayer", "TransformerDecoderLayer"), (3,)),
    **dict.fromkeys(("RNNCell", "LSTMCell", "GRUCell", "EmbeddingBag"), (2,)),
    **dict.fromkeys(("LocalResponseNorm", "Upsample", "ChannelShuffle"), (3, 4, 5)),
    **dict.fromkeys(("PixelShuffle", "PixelUnshuffle", "Unfold"), (4,)),
    "BatchNorm1d": (2, 3),
}
"""Ranks, batch included, of layers that their name does not tell; others take any."""

SIZES: Mapping[str, tuple[int, int]] = {
    "in_channels": (0, 1),
    "num_features": (0, 1),
    "num_channels": (0, 1),
    "in_features": (0, -1),
    "in1_features": (0, -1),
    "in2_features": (1, -1),
    "input_size": (0, -1),
    "embed_dim": (0, -1),
    "d_model": (0, -1),
}
"""Arguments that are the size of an input: which input, which dimension."""

_DIVIDES: Mapping[str, tuple[str, ...]] = {
    "groups": ("in_channels", "out_channels"),
    "num_groups": ("num_channels",),
    "num_heads": ("embed_dim",),
    "nhead": ("d_model",),
}
"""Arguments that divide others."""

_SAMPLE_DIMS = ("dim", "start_dim", "end_dim")
_PER_DIM = (
    "kernel_size", "stride", "padding", "dilation", "output_padding", "output_size", "output_ratio",
    "size", "scale_factor",
)  # fmt: skip


def family(name: str) -> str:
    """Return what a layer is drawn as."""
    if name == "Identity":
        return "other"
    if name == "MultiheadAttention":
        return "attention"
    return _FAMILIES.get(getattr(nn, name).__module__.rsplit(".", 1)[-1], "other")


def check_inputs(name: str, site: Site) -> None:
    """Check rank and dtype of a layer's inputs.

    Raises:
        OpError: If one of them does not suit the layer.
    """
    ranks = _ranks(name)
    indices = name.startswith("Embedding")
    moves = family(name) == "reshape" and not name.startswith("Upsampl")
    for number, kind in enumerate(site.types):
        hidden = number == 1 and name in ("RNN", "GRU")
        if ranks is not None:
            _need_rank(name, kind, (3,) if hidden else ranks)
        if indices:
            need_integer(name, kind)
        elif not moves and name != "Identity":
            need_float(name, kind)


def _ranks(name: str) -> tuple[int, ...] | None:
    if name in _RANKS:
        return _RANKS[name]
    digit = re.search(r"([123])d$", name)
    return (int(digit[1]) + 2,) if digit else None


def _need_rank(name: str, kind: TensorType, ranks: tuple[int, ...]) -> None:
    if ranks == _ANY[1:]:
        if kind.rank < 2:
            message = f"`{name}` needs an input of two or more dimensions, got {kind}"
            raise OpError(message, "`op: unsqueeze` or `op: reshape` before it adds dimensions")
        return
    other = re.sub(r"[123]d$", f"{kind.rank - 2}d", name)
    fits = kind.rank in (3, 4, 5) and other != name and hasattr(nn, other)
    hint = f"`{other}` takes an input of this shape" if fits else None
    layouts = SEQUENCES if family(name) in ("recurrent", "attention") else MAPS
    need_rank(name, kind, ranks, hint, layouts)


def inferred(name: str, args: Args, site: Site) -> dict[str, Any]:
    """Return the arguments of a layer that follow from its inputs.

    Raises:
        OpError: If they would depend on the size of the batch.
    """
    known = _constructor_arguments(name)
    sizes: dict[str, Any] = {
        argument: size_at(name, site.types[which], dim)
        for argument, (which, dim) in SIZES.items()
        if argument in known
    }
    if "normalized_shape" in known:
        sizes["normalized_shape"] = _normalized(name, args, site.type)
    if name == "MultiheadAttention":
        sizes["kdim"] = size_at(name, site.types[min(1, len(site.types) - 1)], -1)
        sizes["vdim"] = size_at(name, site.types[-1], -1)
    if "batch_first" in known:
        sizes["batch_first"] = True
    return sizes


@cache
def _constructor_arguments(name: str) -> frozenset[str]:
    """Return the names of a layer's constructor arguments; looking them up takes a while."""
    layer = getattr(nn, name)
    init = nn.RNNBase if issubclass(layer, nn.RNNBase) else layer
    return frozenset(inspect.signature(init.__init__).parameters)


def _normalized(name: str, args: Any, kind: TensorType) -> tuple[int, ...]:
    given = args.normalized_shape
    if given is None:
        return (size_at(name, kind, -1),)
    shape = given if isinstance(given, tuple) else (given,)
    if kind.shape[1:][-len(shape) :] != shape:
        text = f"[{', '.join(map(str, shape))}]"
        message = f"`normalized_shape: {text}` is not how {kind} ends"
        raise OpError(message, "leave it out for the last dimension", "normalized_shape")
    return shape


def check_arguments(name: str, args: Args, site: Site, sizes: Mapping[str, Any]) -> None:
    """Check that a layer's arguments agree with each other and with the inputs.

    Raises:
        OpError: If they do not.
    """
    values = {**{each: getattr(args, each) for each in type(args).model_fields}, **sizes}
    for argument, others in _DIVIDES.items():
        for other in others:
            if argument in values and other in values:
                _check_divides(name, argument, values[argument], other, values[other])
    _check_lengths(name, values, site.type.rank - 2)
    for argument in _SAMPLE_DIMS:
        if argument in values:
            sample_dimension(name, site.type, values[argument], argument)
    if values.get("dropout") and values.get("num_layers") == 1:
        message = "`dropout` acts between the layers of a stack, and `num_layers` is 1"
        raise OpError(message, "leave out `dropout`, or raise `num_layers`", "dropout")
    if name in ("Upsample", "UpsamplingNearest2d", "UpsamplingBilinear2d"):
        _check_either(name, values, "size", "scale_factor")
    if name.startswith("FractionalMaxPool"):
        _check_either(name, values, "output_size", "output_ratio")


def _check_divides(name: str, argument: str, value: int, other: str, size: int) -> None:
    if size % value:
        divisors = [number for number in range(1, min(size, 4096) + 1) if size % number == 0]
        listed = ", ".join(map(str, divisors[:12])) + (", ..." if len(divisors) > 12 else "")
        message = f"`{argument}: {value}` of `{name}` does not divide {size}, its `{other}`"
        raise OpError(message, f"divisors of {size}: {listed}", argument)


def _check_lengths(name: str, values: Mapping[str, Any], dims: int) -> None:
    """A list with one value per dimension has as many values as there are dimensions."""
    pads = getattr(nn, name).__module__.endswith(".padding")
    wanted = 2 * dims if pads else 2 if name in ("Fold", "Unfold") else dims
    for argument in _PER_DIM:
        value = values.get(argument)
        if isinstance(value, tuple) and len(value) != wanted:
            what = "values for both sides of each dimension" if pads else "of them"
            message = f"`{argument}` of `{name}` has {len(value)} values, {wanted} are wanted"
            raise OpError(message, f"give one number, or {wanted} {what}", argument)


def _check_either(name: str, values: Mapping[str, Any], one: str, other: str) -> None:
    if (values[one] is None) == (values[other] is None):
        message = f"`{name}` needs either `{one}` or `{other}`"
        raise OpError(message, f"give one of `{one}` and `{other}`", one)


def infer(name: str) -> Callable[[Any, Site], Types] | None:
    """Return how a layer's output types follow without running it, where running is slow.

    On the meta device torch runs a recurrent layer step by step and a bilinear one output by
    output, in Python.
    """
    if name in ("RNN", "LSTM", "GRU"):
        return partial(_recurrent, name)
    return _bilinear if name == "Bilinear" else None


def _bilinear(args: Any, site: Site) -> Types:
    """Type of the output, all sizes but the last being those of the inputs.

    Raises:
        OpError: If they differ.
    """
    left, right = site.types
    if left.shape[:-1] != right.shape[:-1]:
        message = "`Bilinear` needs inputs that differ in the last size only"
        message += f", got {listing(site.types)}"
        raise OpError(message, "`op: reshape` or `op: flatten` one of them")
    return TensorType((*left.shape[:-1], args.out_features), left.dtype)


def _recurrent(name: str, args: Any, site: Site) -> Types:
    """Types of ``output, h_n`` or ``output, (h_n, c_n)``."""
    batch, length, _ = site.type.shape
    directions = 2 if args.bidirectional else 1
    projected = getattr(args, "proj_size", 0) or args.hidden_size
    layers = directions * args.num_layers
    dtype = site.type.dtype
    output = TensorType((batch, length, directions * projected), dtype)
    hidden = TensorType((layers, batch, projected), dtype)
    cell = TensorType((layers, batch, args.hidden_size), dtype)
    return output, ((hidden, cell) if name == "LSTM" else hidden)
