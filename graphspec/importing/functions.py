"""Functions of torch and the ops that compute the same: arithmetic, activations, layers, merging.

`shapes` has those that move, cut and reduce dimensions.
"""

from __future__ import annotations

import math
from typing import Any

from graphspec.importing.calls import HANDLERS, Call, Made, Result, handles, made
from graphspec.importing.drafts import Part, Raw, Ref, UnsupportedError
from graphspec.ops.registry import OPS

_POINTWISE = (
    "sigmoid", "tanh", "exp", "log", "log1p", "sqrt", "rsqrt", "abs", "neg", "square", "sign",
    "sin", "cos",
)  # fmt: skip
"""Functions of one tensor without arguments that have an op of their name."""

_LAYERS: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("relu", {}),
    "silu": ("silu", {}),
    "relu6": ("ReLU6", {}),
    "hardswish": ("Hardswish", {}),
    "hardsigmoid": ("Hardsigmoid", {}),
    "mish": ("Mish", {}),
    "selu": ("SELU", {}),
    "logsigmoid": ("LogSigmoid", {}),
    "softsign": ("Softsign", {}),
    "tanhshrink": ("Tanhshrink", {}),
    "leaky_relu": ("LeakyReLU", {"negative_slope": 0.01}),
    "elu": ("ELU", {"alpha": 1.0}),
    "celu": ("CELU", {"alpha": 1.0}),
    "hardtanh": ("Hardtanh", {"min_val": -1.0, "max_val": 1.0}),
    "hardshrink": ("Hardshrink", {"lambd": 0.5}),
    "softshrink": ("Softshrink", {"lambd": 0.5}),
    "softplus": ("Softplus", {"beta": 1.0, "threshold": 20.0}),
    "gelu": ("GELU", {"approximate": "none"}),
    "glu": ("GLU", {"dim": -1}),
    "local_response_norm": (
        "LocalResponseNorm",
        {"size": None, "alpha": 1e-4, "beta": 0.75, "k": 1.0},
    ),
    "pixel_shuffle": ("PixelShuffle", {"upscale_factor": None}),
    "pixel_unshuffle": ("PixelUnshuffle", {"downscale_factor": None}),
    "channel_shuffle": ("ChannelShuffle", {"groups": None}),
    "unfold": ("Unfold", {"kernel_size": None, "dilation": 1, "padding": 0, "stride": 1}),
}
"""Functions by the op that computes the same, and their arguments with defaults."""

for _d in "123":
    _LAYERS[f"max_pool{_d}d"] = (
        f"MaxPool{_d}d",
        {"kernel_size": None, "stride": None, "padding": 0, "dilation": 1, "ceil_mode": False},
    )
    _LAYERS[f"avg_pool{_d}d"] = (
        f"AvgPool{_d}d",
        {
            "kernel_size": None,
            "stride": None,
            "padding": 0,
            "ceil_mode": False,
            "count_include_pad": True,
            **({"divisor_override": None} if _d != "1" else {}),
        },
    )
    _LAYERS[f"adaptive_avg_pool{_d}d"] = (f"AdaptiveAvgPool{_d}d", {"output_size": None})
    _LAYERS[f"adaptive_max_pool{_d}d"] = (f"AdaptiveMaxPool{_d}d", {"output_size": None})

_RENAMED = {"return_indices": False}


def _layer(call: Call) -> Result:
    op, defaults = _LAYERS[call.name]
    if call.kwargs.get("return_indices"):
        message = f"the indices of `{call.name}` are not an edge of a topology"
        raise UnsupportedError(message, "leave out `return_indices`")
    kwargs = {key: value for key, value in call.kwargs.items() if key != "return_indices"}
    known = Call(call.name, call.args, kwargs, call.node, call.value, call.values)
    values = known.bind("input", **defaults)
    args = dict(zip(defaults, values[1:], strict=False))
    if args.get("stride") in ((), [], args.get("kernel_size", ())):
        args.pop("stride", None)
    return made(op, values[0], **args)


def _pointwise(call: Call) -> Result:
    return made(call.name, *call.bind("input"))


for _name in _POINTWISE:
    HANDLERS[_name] = _pointwise
for _name in _LAYERS:
    HANDLERS[_name] = _layer


@handles("dropout", "dropout1d", "dropout2d", "dropout3d", "feature_dropout", "alpha_dropout")
def dropout(call: Call) -> Result:
    """Dropout that is on; one that is off passes its input through."""
    value, p, training = call.bind("input", p=0.5, training=True, inplace=False)[:3]
    if not training or p == 0:
        return value  # type: ignore[no-any-return]
    op = {"dropout": "Dropout", "alpha_dropout": "AlphaDropout"}.get(call.name)
    return made(op or call.name.replace("dropout", "Dropout"), value, p=float(p))


@handles("stochastic_depth")
def stochastic_depth(call: Call) -> Result:
    """``torchvision.ops.stochastic_depth``."""
    value, p, mode, training = call.bind("input", "p", "mode", training=True)
    return made("drop_path", value, p=float(p), mode=mode) if training else value


def _is_tensor(value: Any) -> bool:
    return isinstance(value, (Ref, Raw))


def _number(call: Call, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        message = f"`{call.name}` takes {type(value).__name__} here, which is no tensor"
        raise UnsupportedError(message)
    if not math.isfinite(value):
        message = f"`{call.name}` with {value} is not in the language"
        raise UnsupportedError(message)
    return float(value)


@handles("add", "sub", "mul", "div")
def arithmetic(call: Call) -> Result:
    """Sums, differences, products and quotients of two tensors, or of a tensor and a number."""
    left, right, alpha = call.bind("input", "other", alpha=1)
    if alpha != 1:
        if not _is_tensor(right):
            right = right * alpha
        else:
            message = f"the argument `alpha` of `{call.name}` is not in the language"
            raise UnsupportedError(message, "multiply first")
    if _is_tensor(left) and _is_tensor(right):
        return made(call.name, left, right)
    reverse = not _is_tensor(left)
    value, number = (right, left) if reverse else (left, right)
    parts = _with_number(call.name, _number(call, number), reverse)
    return Made(parts, (value,)) if parts else value


def _with_number(name: str, number: float, reverse: bool) -> tuple[Part, ...]:
    """Return the ops for a tensor and a number; none where nothing changes."""
    if name == "add" or (name == "sub" and not reverse):
        number = number if name == "add" else -number
        return (Part("shift", {"amount": number}),) if number else ()
    if name == "sub":
        shift = (Part("shift", {"amount": number}),) if number else ()
        return (Part("neg"), *shift)
    if name == "div" and reverse:
        inverse = Part("pow", {"exponent": -1.0})
        return (inverse,) if number == 1 else (inverse, Part("scale", {"factor": number}))
    if name == "div":
        if number == 0:
            message = "a tensor is divided by 0"
            raise UnsupportedError(message)
        number = 1 / number
    return (Part("scale", {"factor": number}),) if number != 1 else ()


@handles("rsub")
def rsub(call: Call) -> Result:
    """``other - input``."""
    value, other, alpha = call.bind("input", "other", alpha=1)
    if alpha != 1 or _is_tensor(other):
        message = "`rsub` of two tensors is not in the language"
        raise UnsupportedError(message, "write `other - input`")
    return Made(_with_number("sub", _number(call, other), True), (value,))


@handles("matmul", "bmm", "maximum", "minimum")
def two(call: Call) -> Result:
    """Functions of two tensors."""
    return made(call.name, *call.bind("input", "other"))


@handles("pow", "float_power")
def power(call: Call) -> Result:
    """A tensor to a fixed power."""
    value, exponent = call.bind("input", "exponent")
    return made("pow", value, exponent=_number(call, exponent))


@handles("reciprocal")
def reciprocal(call: Call) -> Result:
    """One over each element."""
    return made("pow", *call.bind("input"), exponent=-1.0)


@handles("clamp", "clamp_min", "clamp_max")
def clamp(call: Call) -> Result:
    """Each element brought into a range."""
    if call.name == "clamp":
        value, low, high = call.bind("input", min=None, max=None)
    else:
        value, bound = call.bind("input", "bound")
        low, high = (bound, None) if call.name == "clamp_min" else (None, bound)
    limits = {"min": low, "max": high}
    given = {k: _number(call, v) for k, v in limits.items() if v is not None}
    return made("clamp", value, **given)


@handles("cat", "stack")
def joined(call: Call) -> Result:
    """Tensors side by side."""
    values, dim = call.bind("tensors", dim=0)
    op = "concat" if call.name == "cat" else "stack"
    if op == "concat" and len(values) == 1:
        return values[0]  # type: ignore[no-any-return]
    return Made((Part(op, {"dim": _from_front(dim, call)}),), tuple(values))


def _from_front(dim: int, call: Call) -> int:
    """Return a dimension as its place from the front, which is how most specs count."""
    return dim + call.result.dim() if dim < 0 else dim


@handles("einsum")
def einsum(call: Call) -> Result:
    """Einstein's notation."""
    equation, *values = call.args
    if len(values) == 1 and isinstance(values[0], (list, tuple)):
        values = list(values[0])
    return Made((Part("einsum", {"equation": equation}),), tuple(values))


@handles("packed_einsum")
def packed_einsum(call: Call) -> Result:
    """The function of a compiled model."""
    values, equation = call.bind("inputs", "equation")
    return Made((Part("einsum", {"equation": equation}),), tuple(values))


@handles("average")
def average(call: Call) -> Result:
    """The mean of several tensors."""
    return Made((Part("mean"),), tuple(call.bind("inputs")[0]))


@handles("weighted_sum")
def weighted_sum(call: Call) -> Result:
    """Tensors weighed by another."""
    return Made((Part("weighted_sum"),), call.args)


@handles("cast", "to", "type", "float", "double", "half", "bfloat16", "int", "long", "type_as")
def cast(call: Call) -> Result:
    """Another dtype; another device, or the same dtype, changes nothing."""
    first = call.args[0]
    before, after = call.type_of(first).dtype, str(call.result.dtype).removeprefix("torch.")
    return first if before == after else made("cast", first, dtype=after)


@handles("contiguous", "clone", "requires_grad", "cpu", "cuda", "positive", "pos", "resolve_conj")
def same(call: Call) -> Result:
    """What changes nothing in the values."""
    value: Result = call.args[0]
    return value


@handles("detach")
def detach(call: Call) -> Result:
    """An edge through which no gradient flows."""
    (value,) = call.bind("input")
    if not isinstance(value, Ref):
        return made("detach", value)
    return Ref(value.node, value.port, value.form, True) if value.scale == 1.0 else value


@handles("onehot")
def onehot(call: Call) -> Result:
    """An edge that passes on the likeliest class."""
    return _policy(call, call.bind("logits")[0], "onehot")


@handles("scale_gradient")
def scale_gradient(call: Call) -> Result:
    """An edge that scales the gradient."""
    value, scale = call.bind("input", "scale")
    if isinstance(value, Ref) and value.scale == 1.0 and not value.detach:
        return Ref(value.node, value.port, value.form, False, float(scale))
    message = "the gradient of one edge is scaled twice, or of a parameter"
    raise UnsupportedError(message)


def _policy(call: Call, value: Any, form: str) -> Result:
    if isinstance(value, Ref) and value.is_plain:
        return Ref(value.node, value.port, form)
    message = f"`{call.name}` of an edge that has a policy already"
    raise UnsupportedError(message)


@handles("softmax", "log_softmax")
def softmax(call: Call) -> Result:
    """Softmax along a dimension."""
    value, dim, dtype = call.bind("input", dim=None, dtype=None)
    if dtype is not None and str(dtype).removeprefix("torch.") != call.type_of(value).dtype:
        message = f"the argument `dtype` of `{call.name}` is not in the language"
        raise UnsupportedError(message, "cast the input")
    if dim is None:
        dim = 0 if call.result.dim() in (0, 1, 3) else 1
    return made(call.name, value, dim=dim)


@handles("normalize")
def normalize(call: Call) -> Result:
    """Vectors of length 1."""
    value, p, dim, eps = call.bind("input", p=2.0, dim=1, eps=1e-12)
    return made("normalize", value, p=float(p), dim=dim, eps=eps)


@handles("cosine_similarity", "pairwise_distance")
def distance(call: Call) -> Result:
    """How alike vectors are."""
    if call.name == "cosine_similarity":
        one, other, dim, eps = call.bind("x1", "x2", dim=1, eps=1e-8)
        return made("CosineSimilarity", one, other, dim=dim, eps=eps)
    one, other, p, eps, keepdim = call.bind("x1", "x2", p=2.0, eps=1e-6, keepdim=False)
    return made("PairwiseDistance", one, other, p=float(p), eps=eps, keepdim=keepdim)


@handles("interpolate")
def interpolate(call: Call) -> Result:
    """A map of another size."""
    value, size, factor, mode, corners, recompute, antialias = call.bind(
        "input",
        size=None,
        scale_factor=None,
        mode="nearest",
        align_corners=None,
        recompute_scale_factor=None,
        antialias=False,
    )
    if recompute or antialias:
        message = (
            "`recompute_scale_factor` and `antialias` of `interpolate` are not in the language"
        )
        raise UnsupportedError(message)
    scale = None if factor is None else _floats(factor)
    return made(
        "interpolate", value, size=size, scale_factor=scale, mode=mode, align_corners=corners
    )


def _floats(value: Any) -> Any:
    return [float(each) for each in value] if isinstance(value, (list, tuple)) else float(value)


@handles("scaled_dot_product_attention")
def attention(call: Call) -> Result:
    """Attention without weights."""
    query, key, value, mask, p, causal, scale = call.bind(
        "query", "key", "value", attn_mask=None, dropout_p=0.0, is_causal=False, scale=None
    )
    size = call.type_of(query).shape[-1]
    plain = scale is None or math.isclose(scale, size**-0.5)
    if mask is not None or p or not plain:
        message = (
            "masks, dropout and scales of `scaled_dot_product_attention` are not in the language"
        )
        raise UnsupportedError(message, "`is_causal=True` is")
    return made("scaled_dot_product_attention", query, key, value, is_causal=causal)


@handles("one_hot")
def one_hot(call: Call) -> Result:
    """Indices as rows of 0 and one 1."""
    value, classes = call.bind("input", num_classes=-1)
    return made("one_hot", value, classes=classes)


def plugin(call: Call) -> Result:
    """Return the op of a plugin's function."""
    op = OPS.get(call.name)
    fields = op.Args.model_fields
    inputs = [arg for arg in call.args if _is_tensor(arg)]
    if len(inputs) != len(call.args):
        inputs = list(call.args[0]) if isinstance(call.args[0], (list, tuple)) else inputs
    args = {key: value for key, value in call.kwargs.items() if key in fields}
    rest = [arg for arg in call.args if not _is_tensor(arg) and not isinstance(arg, (list, tuple))]
    args.update(zip(fields, rest, strict=False))
    return made(call.name, *inputs, **args)
