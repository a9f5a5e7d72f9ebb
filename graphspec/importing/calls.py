"""One call of a function or method in the traced forward pass, and what becomes of it.

A handler (in `functions`, `shapes`) reads the arguments of a `Call` with `bind` and returns a
`Made`: the ops that compute the same. Handlers are found by the function's name, which is the same
for ``torch.relu``, ``F.relu``, ``x.relu()`` and ``x.relu_()``.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own habit
from torch import Tensor, fx

from graphspec.importing.drafts import Part, Raw, Ref, UnsupportedError
from graphspec.importing.layers import function_of
from graphspec.ops.types import BATCH, TensorType

MISSING: Any = object()


@dataclass(frozen=True, slots=True)
class Made:
    """What computes the same as a call: ops in a row, the first of which reads the inputs.

    Attributes:
        parts: The ops.
        inputs: What the first one reads.
        ties: Parameters of it that are the model's own, by their names in the op.
        name: What the node is called, where that is not the name of its last op.
    """

    parts: tuple[Part, ...]
    inputs: tuple[Any, ...]
    ties: Mapping[str, Raw] | None = None
    name: str | None = None


def made(op: str, *inputs: Any, **args: Any) -> Made:
    """Return the result of a call that is one op."""
    return Made((Part(op, args),), inputs)


@dataclass(frozen=True, slots=True)
class Call:
    """A call.

    Attributes:
        name: The function's name (`name_of`).
        args: Its arguments, with a `Ref` or `Raw` for each tensor.
        kwargs: Likewise.
        node: The node of the trace.
        value: What it returns, on the meta device.
        values: Each tensor that it takes on the meta device, by its `Ref` or `Raw`.
    """

    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    node: fx.Node
    value: Any
    values: Mapping[Any, Any]

    def bind(self, *parameters: str, **defaults: Any) -> list[Any]:
        """Return the arguments in the order of the parameters.

        Args:
            parameters: Names of those without a default.
            defaults: The others, in order, with their defaults.

        Raises:
            UnsupportedError: If there are others, which are not their default.
        """
        names = [*parameters, *defaults]
        found = dict(zip(names, self.args, strict=False))
        if len(self.args) > len(names):
            message = f"`{self.name}` has more arguments than the language knows"
            raise UnsupportedError(message, f"known: {', '.join(names)}")
        for name, value in self.kwargs.items():
            if name in names:
                found[name] = value
            elif value is not None and name not in _HARMLESS:
                message = f"the argument `{name}` of `{self.name}` is not in the language"
                raise UnsupportedError(message, f"known: {', '.join(names)}")
        return [found.get(name, defaults.get(name)) for name in names]

    def type_of(self, value: Any) -> TensorType:
        """Return the type of a tensor that the call takes."""
        return tensor_type(self.values[value])

    @property
    def result(self) -> Tensor:
        """What it returns, where that is one tensor."""
        if not isinstance(self.value, Tensor):
            message = f"`{self.name}` returns several tensors here"
            raise UnsupportedError(message)
        return self.value


_HARMLESS = frozenset({"inplace", "memory_format", "_stacklevel", "non_blocking", "copy", "out"})
"""Arguments that change nothing in the values."""

Result: TypeAlias = "Made | Ref | Raw | tuple[Any, ...]"
Handler: TypeAlias = Callable[[Call], Result]

HANDLERS: dict[str, Handler] = {}
"""What translates a call, by the function's name."""


def handles(*names: str) -> Callable[[Handler], Handler]:
    """Make a function the handler of calls of these names."""

    def register(handler: Handler) -> Handler:
        for name in names:
            HANDLERS[name] = handler
        return handler

    return register


def tensor_type(value: Any) -> TensorType:
    """Return the type of a tensor on the meta device.

    Raises:
        UnsupportedError: If it is no single tensor.
    """
    if not isinstance(value, Tensor):
        message = "several tensors are used as one"
        raise UnsupportedError(message, "take one of them")
    return TensorType(tuple(value.shape), str(value.dtype).removeprefix("torch."))


_SPELLINGS = {
    "iadd": "add", "isub": "sub", "imul": "mul", "truediv": "div", "itruediv": "div",
    "imatmul": "matmul", "ipow": "pow", "true_divide": "div", "divide": "div", "multiply": "mul",
    "subtract": "sub", "negative": "neg", "concat": "cat", "concatenate": "cat", "view": "reshape",
    "swapaxes": "transpose", "swapdims": "transpose", "clip": "clamp", "absolute": "abs",
    "linalg_vecdot": "vecdot", "clamp_min": "clamp_min", "special_expit": "sigmoid",
    "upsample": "interpolate", "pow": "pow", "and_": "and", "mm": "matmul",
}  # fmt: skip
"""Other names of the same function."""


def _names() -> dict[int, str]:
    """Return the names of torch's functions, by identity."""
    found: dict[int, str] = {}
    for home in (operator, torch._C._nn, torch.special, torch, F):
        for name, value in vars(home).items():
            if callable(value) and not name.startswith("__"):
                found[id(value)] = name
    found[id(getattr)] = "getattr"
    return found


_NAMES: dict[int, str] = {}


def name_of(node: fx.Node) -> tuple[str, bool]:
    """Return the name under which a call is handled, and whether it changes its input in place."""
    if node.op == "call_method":
        name = str(node.target)
    else:
        if not _NAMES:
            _NAMES.update(_names())
        own = function_of(node.target)
        name = own or _NAMES.get(id(node.target)) or str(getattr(node.target, "__name__", "?"))
        if own is not None:
            return name, False
    is_operator = getattr(node.target, "__module__", "") == "_operator"
    in_place = (name.endswith("_") and not name.endswith("__")) or (
        is_operator and name.startswith("i") and name not in ("is_", "is_not", "invert", "index")
    )
    in_place = in_place or node.kwargs.get("inplace") is True
    if node.op == "call_function" and not in_place and name.strip("_") in _WITH_INPLACE:
        in_place = any(each is True for each in node.args[_WITH_INPLACE[name] :])
    name = name.rstrip("_") if not name.endswith("__") else name
    return _SPELLINGS.get(name, name), in_place


_WITH_INPLACE = {"relu": 1, "relu6": 1, "silu": 1, "hardswish": 1, "dropout": 3, "leaky_relu": 2}
"""Functions whose ``inplace`` may be given by position, and where."""


def is_batch(size: Any) -> bool:
    """Return whether a size is that of the batch, or a multiple of it."""
    return isinstance(size, int) and size != 0 and size % BATCH == 0


def dims_of(args: Sequence[Any]) -> Any:
    """Return sizes or dimensions that were given one by one or as one list."""
    if len(args) == 1 and isinstance(args[0], (list, tuple)):
        return list(args[0])
    return list(args)
