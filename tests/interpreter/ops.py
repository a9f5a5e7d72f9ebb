"""What an op computes, on tensors, by torch's functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from tests.interpreter.weights import Shelf


@dataclass
class Site:
    """Where an op runs.

    Attributes:
        shelf: Its tensors.
        training: Whether the model is in training mode.
        tasks: The ``tasks:`` section.
    """

    shelf: Shelf
    training: bool
    tasks: dict[str, Any]

    def inside(self, name: str | int) -> Site:
        """Return the site of one layer of a sequence."""
        return Site(self.shelf.inside(name), self.training, self.tasks)


def run(what: dict[str, Any], inputs: list[Tensor], site: Site) -> Any:
    """Return what a node computes."""
    if "layers" in what:
        (value,) = inputs
        for index, layer in enumerate(what["layers"]):
            ((name, given),) = (layer if isinstance(layer, dict) else {layer: None}).items()
            # A layer of another sequence has the names that it has there.
            alone = site.shelf.weights.layer_of is not None
            value = _op(name, given, [value], site if alone else site.inside(index))
        return value
    arguments = {
        k: v for k, v in what.items() if k not in ("op", "from", "init", "tie", "trainable")
    }
    return _op(what["op"], arguments, inputs, site)


def _op(name: str, given: Any, inputs: list[Tensor], site: Site) -> Any:
    arguments = given if isinstance(given, dict) else {}
    if given is not None and not isinstance(given, dict):
        arguments = {_SHORT[name]: given}
    return OPS[name](inputs, arguments, site)


_SHORT = {
    "Linear": "out_features", "Dropout": "p", "MaxPool2d": "kernel_size", "softmax": "dim",
    "Softmax": "dim", "fc": "units", "conv": "channels", "concat": "dim", "dropout": "p",
    "activation": "kind", "norm": "kind", "scale": "factor", "chunk": "chunks", "pool": "size",
}  # fmt: skip


def _linear(x: Tensor, out: int, bias: bool, site: Site) -> Tensor:
    weight = site.shelf.parameter("weight")
    if tuple(weight.shape) != (out, x.shape[-1]):
        weight = weight.t()  # tied to the weight of a layer in the other direction
    return F.linear(x, weight, site.shelf.parameter("bias") if bias else None)


def _conv2d(x: Tensor, a: dict[str, Any], site: Site) -> Tensor:
    bias = site.shelf.parameter("bias") if a.get("bias", True) else None
    weight = site.shelf.parameter("weight")
    return F.conv2d(x, weight, bias, a.get("stride", 1), a.get("padding", 0))


def _batch_norm(x: Tensor, site: Site) -> Tensor:
    shelf = site.shelf
    mean, variance = shelf.buffer("running_mean"), shelf.buffer("running_var")
    batches = shelf.buffer("num_batches_tracked")
    if site.training:
        batches.add_(1)
    weight, bias = shelf.parameter("weight"), shelf.parameter("bias")
    return F.batch_norm(x, mean, variance, weight, bias, site.training, 0.1, 1e-5)


def _layer_norm(x: Tensor, site: Site) -> Tensor:
    weight, bias = site.shelf.parameter("weight"), site.shelf.parameter("bias")
    return F.layer_norm(x, weight.shape, weight, bias, 1e-5)


_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "gelu": F.gelu,
    "silu": F.silu, "none": lambda x: x,
}  # fmt: skip


def _activation(x: Tensor, kind: str) -> Tensor:
    return _ACTIVATIONS[kind.lower()](x)


def _fc(inputs: list[Tensor], a: dict[str, Any], site: Site) -> Tensor:
    x = inputs[0].flatten(1)
    number = 0
    for units in a["units"] if isinstance(a["units"], list) else [a["units"]]:
        x = _linear(x, units, True, site.inside(number))
        number += 1
        if a.get("activation", "ReLU") != "none":
            x, number = _activation(x, a.get("activation", "ReLU")), number + 1
        if a.get("dropout", 0.25):
            x, number = F.dropout(x, a.get("dropout", 0.25), site.training), number + 1
        norm = a.get("norm", "batch")
        if norm != "none":
            each = site.inside(number)
            x = _batch_norm(x, each) if norm == "batch" else _layer_norm(x, each)
            number += 1
    return x


def _conv(inputs: list[Tensor], a: dict[str, Any], site: Site) -> Tensor:
    (x,), number = inputs, 0
    channels = a["channels"] if isinstance(a["channels"], list) else [a["channels"]]
    for entry in channels:
        for _ in entry if isinstance(entry, list) else [entry]:
            kernel = a.get("kernel_size", 3)
            x = _conv2d(x, {"padding": kernel // 2}, site.inside(number))
            number += 1
            if a.get("activation", "ReLU") != "none":
                x, number = _activation(x, a.get("activation", "ReLU")), number + 1
        if isinstance(entry, list):
            if a.get("pool", "max") != "none":
                pool = F.max_pool2d if a.get("pool", "max") == "max" else F.avg_pool2d
                x, number = pool(x, a.get("pool_size", 2)), number + 1
            if a.get("norm", "batch") == "batch":
                x, number = _batch_norm(x, site.inside(number)), number + 1
    return x


def _head(inputs: list[Tensor], a: dict[str, Any], site: Site) -> Tensor:
    task = site.tasks[a["task"]]
    kind = task.get("type", "classification")
    bias = a.get("bias", True)
    if kind == "segmentation":
        return _conv2d(inputs[0], {"bias": bias}, site)
    if kind != "regression":
        return _linear(inputs[0], task["classes"], bias, site)
    shape = task.get("shape") or [1]
    if len(shape) > 1:
        return _linear(inputs[0], prod(shape), bias, site.inside(0)).unflatten(1, shape)
    return _linear(inputs[0], prod(shape), bias, site)


def _fold(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    def folded(inputs: list[Tensor], a: dict[str, Any], site: Site) -> Tensor:
        total = inputs[0]
        for other in inputs[1:]:
            total = function(total, other)
        return total

    return folded


def _mean(inputs: list[Tensor], a: dict[str, Any], site: Site) -> Tensor:
    if len(inputs) == 1:
        return inputs[0].mean(tuple(range(1, inputs[0].dim())))
    total = inputs[0]
    for other in inputs[1:]:
        total = total + other
    return total / len(inputs)


def _weighted_sum(inputs: list[Tensor], a: dict[str, Any], site: Site) -> Tensor:
    factors, *values = inputs
    total: Any = None
    for number, value in enumerate(values):
        factor = factors[:, number].reshape(-1, *(1,) * (value.dim() - 1))
        total = factor * value if total is None else total + factor * value
    assert isinstance(total, Tensor)
    return total


def _mix(inputs: list[Tensor], a: dict[str, Any], site: Site) -> Tensor:
    factors = site.shelf.parameter("weight")
    total = factors[0] * inputs[0]
    for number, value in enumerate(inputs[1:], 1):
        total = total + factors[number] * value
    return total


def _norm(inputs: list[Tensor], a: dict[str, Any], site: Site) -> Tensor:
    kind = a.get("kind", "batch")
    if kind == "batch":
        return _batch_norm(inputs[0], site)
    weight, bias = site.shelf.parameter("weight"), site.shelf.parameter("bias")
    if inputs[0].dim() == 2:
        return F.layer_norm(inputs[0], weight.shape, weight, bias, 1e-5)
    return F.group_norm(inputs[0], 1, weight, bias, 1e-5)


def _parameter(inputs: list[Tensor], a: dict[str, Any], site: Site) -> Tensor:
    weight = site.shelf.parameter("weight")
    return weight.expand(inputs[0].shape[0], *weight.shape) if inputs else weight


def _simple(function: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda inputs, a, site: function(inputs[0])


OPS: dict[str, Callable[..., Any]] = {
    "Linear": lambda i, a, s: _linear(i[0], a["out_features"], a.get("bias", True), s),
    "Conv2d": lambda i, a, s: _conv2d(i[0], a, s),
    "BatchNorm1d": lambda i, a, s: _batch_norm(i[0], s),
    "BatchNorm2d": lambda i, a, s: _batch_norm(i[0], s),
    "LayerNorm": lambda i, a, s: _layer_norm(i[0], s),
    "Embedding": lambda i, a, s: F.embedding(i[0], s.shelf.parameter("weight")),
    "ReLU": _simple(torch.relu),
    "Tanh": _simple(torch.tanh),
    "GELU": _simple(F.gelu),
    "Flatten": _simple(lambda x: x.flatten(1)),
    "MaxPool2d": lambda i, a, s: F.max_pool2d(i[0], a["kernel_size"]),
    "Dropout": lambda i, a, s: F.dropout(i[0], a.get("p", 0.5), s.training),
    "Softmax": lambda i, a, s: torch.softmax(i[0], a.get("dim", 1)),
    "conv": _conv,
    "fc": _fc,
    "head": _head,
    "concat": lambda i, a, s: torch.cat(i, a.get("dim", 1)),
    "add": _fold(torch.add),
    "mul": _fold(torch.mul),
    "maximum": _fold(torch.maximum),
    "minimum": _fold(torch.minimum),
    "mean": _mean,
    "weighted_sum": _weighted_sum,
    "mix": _mix,
    "norm": _norm,
    "parameter": _parameter,
    "global_pool": _simple(lambda x: x.mean((2, 3))),
    "pool": lambda i, a, s: F.max_pool2d(i[0], a.get("size", 2)),
    "flatten": _simple(lambda x: x.flatten(1)),
    "identity": _simple(lambda x: x),
    "detach": _simple(lambda x: x.detach()),
    "activation": lambda i, a, s: _activation(i[0], a.get("kind", "ReLU")),
    "dropout": lambda i, a, s: F.dropout(i[0], a.get("p", 0.5), s.training),
    "softmax": lambda i, a, s: torch.softmax(i[0], a.get("dim", -1)),
    "scale": lambda i, a, s: i[0] * a["factor"],
    "chunk": lambda i, a, s: i[0].chunk(a["chunks"], a.get("dim", 1)),
    **{name: _simple(_ACTIVATIONS[name]) for name in ("relu", "tanh", "sigmoid", "gelu", "silu")},
}
"""What the interpreter understands: op by name, from inputs, arguments and site."""
