"""The inputs of a model: their names and shapes, as the user says and as ``forward`` takes them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from torch import Tensor, fx, nn

from graphspec.errors import Code, did_you_mean, fail
from graphspec.importing.naming import word
from graphspec.ops.types import BATCH, TensorType

Shape: TypeAlias = "Tensor | Sequence[int] | int"
"""An input: the shape of one sample, or a tensor whose first dimension is the batch."""

Inputs: TypeAlias = "Mapping[str, Shape] | Sequence[Shape] | Tensor | None"
"""Inputs by name, or in the order in which ``forward`` takes them."""


@dataclass(frozen=True, slots=True)
class Input:
    """An input.

    Attributes:
        name: Its name in the spec.
        parameter: Its name in ``forward``; ``*`` before it where that takes any number.
        type: Its type.
    """

    name: str
    parameter: str
    type: TensorType

    def meta(self) -> Tensor:
        """Return a batch of it on the meta device."""
        return self.type.meta()

    def plain(self) -> dict[str, Any]:
        """Return it as a spec writes it."""
        found: dict[str, Any] = {"shape": list(self.type.shape[1:])}
        if self.type.dtype != "float32":
            found["dtype"] = self.type.dtype
        return found


def bound_inputs(model: nn.Module, given: Inputs) -> tuple[Input, ...]:
    """Return the inputs of a model.

    Args:
        model: The model.
        given: What the user says of them. Names that ``forward`` does not have are taken for new
            ones, in its order, if there are as many as it needs.

    Raises:
        SpecError: ``bad-option`` if they do not suit ``forward``.
    """
    required, optional, several = _parameters(model)
    if given is None:
        given = _noted(model)
    if isinstance(given, Tensor) or (_is_shape(given) and len(required) == 1):
        given = [given]  # type: ignore[list-item]
    if not given:
        takes = ", ".join(f"`{name}`" for name in required) or "no input"
        message = f"the shapes of the inputs are not known; `forward` takes {takes}"
        example = "; ".join(f"`--input {name}=3,224,224`" for name in required or ["image"])
        raise fail(Code.BAD_OPTION, message, f"give them without the batch: {example}")
    if not isinstance(given, Mapping):
        found = [*required, *optional][: len(given)]
        if several:
            found = [f"{several}_{number}" for number in range(len(given))]
        given = dict(zip(found, given, strict=False)) if len(found) == len(given) else {}
    known = [*required, *optional]
    by_name = [name for name in given if name in known]
    if several and not known:
        places = {name: f"*{number}{several}" for number, name in enumerate(given)}
    elif len(by_name) == len(given) and set(required) <= set(given):
        places = {name: name for name in given}
    elif not by_name and len(required) <= len(given) <= len(known):
        places = dict(zip(given, known, strict=False))
    else:
        missing = [name for name in required if name not in given]
        odd = next((name for name in given if name not in known), missing[0] if missing else "?")
        message = f"the inputs {', '.join(given) or 'given'} do not suit `forward`"
        raise fail(Code.BAD_OPTION, message, did_you_mean(odd, known, "it takes"))
    return tuple(
        Input(word(name), places[name], _type(name, value)) for name, value in given.items()
    )


def _noted(model: nn.Module) -> dict[str, Shape]:
    """Return the inputs of a compiled or exported graph, whose shapes it notes."""
    if not isinstance(model, fx.GraphModule):
        return {}
    nodes = [node for node in model.graph.nodes if node.op == "placeholder" and not node.args]
    values = {str(node.target): node.meta.get("val") for node in nodes}
    return {name: value for name, value in values.items() if isinstance(value, Tensor)}


def _parameters(model: nn.Module) -> tuple[list[str], list[str], str]:
    """Return the parameters of ``forward``: needed ones, others, and the one for any number."""
    parameters = list(inspect.signature(type(model).forward).parameters.values())[1:]
    required: list[str] = []
    optional: list[str] = []
    several = ""
    for each in parameters:
        if each.kind is each.VAR_POSITIONAL:
            several = each.name
        elif each.kind is not each.VAR_KEYWORD:
            (required if each.default is each.empty else optional).append(each.name)
    return required, optional, several


def _is_shape(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(type(each) is int for each in value)


def _type(name: str, value: Shape) -> TensorType:
    if isinstance(value, Tensor):
        if value.dim() < 2:
            message = f"the example of the input `{name}` has no batch: {list(value.shape)}"
            raise fail(Code.BAD_OPTION, message, "its first dimension is the batch")
        return TensorType((BATCH, *value.shape[1:]), str(value.dtype).removeprefix("torch."))
    sizes = (value,) if isinstance(value, int) else tuple(value)
    if not sizes or not all(type(size) is int and 0 < size < 2**31 for size in sizes):
        message = f"`{name}={value}` is no shape of an input"
        raise fail(Code.BAD_OPTION, message, "positive sizes without the batch, such as 3,224,224")
    return TensorType((BATCH, *sizes))
