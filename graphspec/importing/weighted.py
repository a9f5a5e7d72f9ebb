"""Functions that take their weights as arguments, and the layers that own such weights."""

from __future__ import annotations

from typing import Any

from graphspec.importing.calls import Call, Made, Result, handles
from graphspec.importing.drafts import Part, Raw, UnsupportedError


def _weights(call: Call, **given: Any) -> dict[str, Raw]:
    """Return the weights of a call by their names in the layer.

    Raises:
        UnsupportedError: If one of them is computed.
    """
    found = {}
    for name, value in given.items():
        if value is None:
            continue
        if not isinstance(value, Raw):
            message = f"the {name} of `{call.name}` is computed, and layers have learned ones"
            raise UnsupportedError(message)
        found[name] = value
    return found


def _layer(call: Call, op: str, value: Any, args: dict[str, Any], weights: dict[str, Raw]) -> Made:
    return Made((Part(op, args),), (value,), weights, call.name)


@handles("linear")
def linear(call: Call) -> Result:
    """A Linear layer."""
    value, weight, bias = call.bind("input", "weight", bias=None)
    weights = _weights(call, weight=weight, bias=bias)
    args = {"out_features": weight.shape[0], "bias": bias is not None}
    return _layer(call, "Linear", value, args, weights)


@handles("embedding")
def embedding(call: Call) -> Result:
    """An Embedding."""
    value, weight, padding = call.bind("input", "weight", padding_idx=None)
    weights = _weights(call, weight=weight)
    args = {"num_embeddings": weight.shape[0], "embedding_dim": weight.shape[1]}
    if padding is not None and padding >= 0:
        args["padding_idx"] = padding
    return _layer(call, "Embedding", value, args, weights)


@handles("layer_norm")
def layer_norm(call: Call) -> Result:
    """A LayerNorm."""
    value, shape, weight, bias, eps = call.bind(
        "input", "normalized_shape", weight=None, bias=None, eps=1e-5
    )
    if weight is None and bias is not None:
        message = "`layer_norm` with a bias and no weight is not in the language"
        raise UnsupportedError(message)
    args: dict[str, Any] = {"eps": eps, "elementwise_affine": weight is not None}
    if weight is not None:
        args["bias"] = bias is not None
    if len(shape) > 1:
        args["normalized_shape"] = list(shape)
    return _layer(call, "LayerNorm", value, args, _weights(call, weight=weight, bias=bias))


@handles("group_norm")
def group_norm(call: Call) -> Result:
    """A GroupNorm."""
    value, groups, weight, bias, eps = call.bind(
        "input", "num_groups", weight=None, bias=None, eps=1e-5
    )
    if (weight is None) != (bias is None):
        message = "`group_norm` with only one of weight and bias is not in the language"
        raise UnsupportedError(message)
    args = {"num_groups": groups, "eps": eps, "affine": weight is not None}
    return _layer(call, "GroupNorm", value, args, _weights(call, weight=weight, bias=bias))


@handles("conv1d", "conv2d", "conv3d")
def convolution(call: Call) -> Result:
    """A convolution."""
    value, weight, bias, stride, padding, dilation, groups = call.bind(
        "input", "weight", bias=None, stride=1, padding=0, dilation=1, groups=1
    )
    weights = _weights(call, weight=weight, bias=bias)
    args = {
        "out_channels": weight.shape[0],
        "kernel_size": list(weight.shape[2:]),
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "bias": bias is not None,
    }
    return _layer(call, f"Conv{call.name[4]}d", value, args, weights)
