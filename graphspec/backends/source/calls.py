"""What stands in ``forward``: functions of tensors, edge policies, and outputs of several."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from graphspec.backends.source.code import Brackets, Code, call, flat, listed
from graphspec.backends.source.layers import Namer, written
from graphspec.backends.source.library import Function
from graphspec.backends.source.parts import REQUIRED, Arg, Make, Name, arguments
from graphspec.backends.source.tree import Read
from graphspec.graph.ir import Node
from graphspec.ops import policies, tensors
from graphspec.ops.registry import Call

_OPERATORS: Mapping[Any, str] = {
    operator.add: "+",
    operator.mul: "*",
    operator.sub: "-",
    operator.truediv: "/",
}
MOST_TERMS = 20
"""Operands of one sum or product; more are folded by ``functools.reduce``."""

_LAYERS: Mapping[Any, str] = {
    torch.flatten: "nn.Flatten",
    torch.relu: "nn.ReLU",
    torch.sigmoid: "nn.Sigmoid",
    torch.tanh: "nn.Tanh",
    torch.softmax: "nn.Softmax",
    torch.log_softmax: "nn.LogSoftmax",
    torch.nn.functional.gelu: "nn.GELU",
    torch.nn.functional.silu: "nn.SiLU",
    torch.nn.functional.softplus: "nn.Softplus",
}
"""Functions that torch has as layers too."""

_DEFAULTS: Mapping[str, object] = {"keepdim": False, "end_dim": -1, "is_causal": False}
"""Defaults of functions whose signature Python does not know."""

_POSITIONAL: Mapping[str, tuple[str, ...]] = {
    "reshape": ("shape",),
    "permute": ("dims",),
    "flip": ("dims",),
    "transpose": ("dim0", "dim1"),
    "chunk": ("chunks",),
    "split": ("sizes",),
    "pow": ("exponent",),
    "mul": ("factor",),
    "pad": ("padding",),
    "cast": ("dtype",),
    "einsum": ("equation",),
}
"""Names of the arguments that are given by position."""


@dataclass(frozen=True, slots=True)
class Applied:
    """A function applied to tensors.

    Attributes:
        form: ``call``; ``packed`` in a list; ``fold`` over them; ``operator`` between them;
            ``method`` of the first; ``last``, after the arguments; ``same``, the tensor itself.
        make: The function with its arguments.
        operands: The tensors, as code.
    """

    form: str
    make: Make
    operands: tuple[str, ...]


def is_pairwise(function: Call) -> bool:
    """Return whether a function joins its operands two by two."""
    return function.fold or function.function in _OPERATORS


def applied(function: Call, operands: Sequence[str], name_of: Namer) -> Applied:
    """Return the call of a function on operands."""
    given = tuple(operands)
    args = _args(function, name_of)
    if function.fold and len(given) == 1:
        return Applied("same", Make("same"), given)
    if function.function in _OPERATORS and len(given) <= MOST_TERMS:
        return Applied("operator", Make(_OPERATORS[function.function]), given)
    if function.function is torch.mul and len(given) == len(args) == 1:
        return Applied("operator", Make("*", args), given)
    if function.function is tensors.cast:
        return Applied("method", Make("to", args), given)
    if function.function is tensors.einsum:
        return Applied("last", Make("torch.einsum", args), given)
    if function.fold and len(given) > 2:
        if function.function in _OPERATORS:
            name = f"operator.{function.function.__name__}"
        else:
            name = name_of(function.function)
        return Applied("fold", Make(name), given)
    form = "packed" if function.packed else "call"
    return Applied(form, Make(name_of(function.function), args), given)


def _args(function: Call, name_of: Namer) -> tuple[Arg, ...]:
    callee = getattr(function.function, "__name__", "")
    known = _POSITIONAL.get(callee, ())
    found = []
    for number, value in enumerate(function.args):
        name = known[number] if number < len(known) else f"value{number}"
        found.append(Arg(name, written(callee, name, value, name_of), REQUIRED, bare=True))
    defaults = _defaults(function.function)
    for name, value in function.kwargs.items():
        default = defaults.get(name, REQUIRED)
        found.append(Arg(name, written(callee, name, value, name_of), default))
    return tuple(found)


def _defaults(function: Callable[..., Any]) -> Mapping[str, object]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # most functions of torch are not Python's
        return _DEFAULTS
    known = {each.name: each.default for each in parameters if each.default is not each.empty}
    return {**_DEFAULTS, **known}


def code_of(applied: Applied) -> Code:
    """Return the application of a function as code."""
    callee, tensors = applied.make.callee, applied.operands
    args = tuple(arguments(applied.make.args))
    if applied.form == "same":
        return tensors[0]
    if applied.form == "operator":
        return Brackets("(", (*tensors, *args), ")", joint=callee, loose=True)
    if applied.form == "method":
        return Brackets(f"{tensors[0]}.{callee}(", args)
    if applied.form == "last":
        return Brackets(f"{callee}(", (*args, *tensors))
    if applied.form == "fold":
        return call("reduce", callee, listed(tensors))
    if applied.form == "packed" and len(tensors) == 1 and tensors[0].startswith("*"):
        return Brackets(f"{callee}(", (tensors[0][1:], *args))
    if applied.form == "packed":
        return Brackets(f"{callee}(", (listed(tensors), *args))
    return Brackets(f"{callee}(", (*tensors, *args))


def layer_of(function: Call, name_of: Namer) -> Make:
    """Return a function of one tensor as a layer, so that it can stand in a sequence."""
    if function.fold:
        return Make("nn.Identity")
    args = _args(function, name_of)
    layer = _LAYERS.get(function.function)
    if layer is not None and not function.args:
        if layer == "nn.Flatten":
            defaults: Mapping[str, object] = {"start_dim": 1, "end_dim": -1}
            args = tuple(Arg(a.name, a.value, defaults[a.name]) for a in args)
        return Make(layer, args, swappable=not args)
    if function.function is tensors.cast:
        name = "torch.Tensor.to"
    elif function.function is tensors.einsum:
        return Make(name_of(Function), (Arg("function", _partial(args), REQUIRED, bare=True),))
    elif function.packed:
        words = "".join(f", {flat(each)}" for each in arguments(args))
        name = f"lambda x: {name_of(function.function)}([x]{words})"
        return Make(name_of(Function), (Arg("function", Name(name), REQUIRED, bare=True),))
    else:
        name = name_of(function.function)
    return Make(name_of(Function), (Arg("function", Name(name), REQUIRED, bare=True), *args))


def _partial(args: tuple[Arg, ...]) -> Name:
    words = ", ".join(flat(each) for each in arguments(args))
    return Name(f"partial(torch.einsum, {words})")


def passed(value: str, read: Read, teacher: str, name_of: Namer) -> str:
    """Return what a reader gets through an edge: the value under the edge's policy.

    Args:
        value: The value as code.
        read: The edge.
        teacher: The module of the task's true labels, where the edge asks for them.
        name_of: How functions are written.
    """
    _, _, form, detach, scale = read
    if form == "softmax":
        value = f"torch.softmax({value}, dim=1)"
    elif form == "sigmoid":
        value = f"torch.sigmoid({value})"
    elif form == "onehot":
        value = f"{name_of(policies.onehot)}({value})"
    elif form == "teacher":
        value = f"{teacher}({value}, labels)"
    if detach or scale == 0.0:
        return f"{value}.detach()"
    if scale != 1.0:
        return f"{name_of(policies.scale_gradient)}({value}, {scale!r})"
    return value


_TUPLES = ("chunk", "split", "RNN", "GRU", "LSTM", "LSTMCell")
"""Ops whose values are tuples of as many tensors as their outputs."""
MOST_TAKEN_APART = 6
"""Outputs up to which each gets a variable."""


def target_of(node: Node, op: str, names: Mapping[int, str]) -> tuple[str, dict[int, str]]:
    """Return how a node's value is assigned, and how each of its outputs is written from then on.

    Args:
        node: The node.
        op: The name of its op.
        names: Variables for the outputs that are read.
    """
    first = next(iter(names.values()))
    if node.ports == ((),):
        return first, {0: first}
    if op in _TUPLES and len(node.ports) <= MOST_TAKEN_APART:
        return _pattern(node, names, 0, range(len(node.ports))), dict(names)
    indices = {port: "".join(f"[{i}]" for i in node.ports[port]) for port in names}
    return first, {port: first + index for port, index in indices.items()}


def _pattern(node: Node, names: Mapping[int, str], depth: int, ports: Sequence[int]) -> str:
    """Return the left side of an assignment that takes a tuple apart."""
    parts: list[str] = []
    groups: dict[int, list[int]] = {}
    for port in ports:
        groups.setdefault(node.ports[port][depth], []).append(port)
    for members in groups.values():
        if len(node.ports[members[0]]) == depth + 1:
            parts.append(names.get(members[0], "_"))
        elif any(port in names for port in members):
            parts.append(f"({_pattern(node, names, depth + 1, members)})")
        else:
            parts.append("_")
    return ", ".join(parts) + ("," if len(parts) == 1 else "")
