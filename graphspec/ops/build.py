"""From an op with its arguments to what runs: a module, or a function to call.

`build_part` makes one part, `plan_part` many alike, and both turn whatever torch raises on the way
into an `OpError`; `as_module` joins the parts of a node.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any, TypeVar

from torch import nn

from graphspec.ops.places import place_of
from graphspec.ops.registry import Call, OpError, Plan, Site, Step


class Function(nn.Module):
    """A function as a module, so that it can stand in a sequence between layers.

    Attributes:
        call: The function and its arguments.
    """

    def __init__(self, call: Call) -> None:
        super().__init__()
        self.call = call

    def forward(self, *inputs: Any) -> Any:
        """Return the function of the inputs."""
        return self.call.apply(inputs)

    def extra_repr(self) -> str:
        """Return the call as Python writes it, e.g. ``torch.softmax(_, dim=1)``."""
        return call_text(self.call)


def call_text(call: Call, inputs: int = 1) -> str:
    """Return a call as Python writes it, inputs shown as ``_``: ``torch.cat([_, ...], dim=1)``."""
    places = ["[_, ...]"] if call.packed else ["_, ..."] if call.fold else ["_"] * inputs
    words = [*places, *map(repr, call.args)]
    words += [f"{key}={value!r}" for key, value in call.kwargs.items()]
    return f"{_public_name(call.function)}({', '.join(words)})"


def _public_name(function: Callable[..., Any]) -> str:
    """The name by which people know a function, wherever torch implements it."""
    name = getattr(function, "__name__", type(function).__name__)
    for module in ("torch", "torch.nn.functional", "operator"):
        if getattr(import_module(module), name, None) is function:
            return f"{module}.{name}"
    return f"{function.__module__}.{name}"


def build_part(step: Step, site: Site) -> nn.Module | Call:
    """Build one op for its place in a topology, on torch's current default device.

    Args:
        step: The op and its arguments.
        site: Types of its inputs, and the tasks.

    Returns:
        A module with weights as torch initialises them, or a function to call.

    Raises:
        OpError: If the arguments or the inputs do not suit the op, whether the op noticed or the
            constructor in torch.
    """
    return plan_part(step, site)()


def plan_part(step: Step, site: Site) -> Plan:
    """Return what builds one op as often as there are nodes with it; see `build_part`.

    Raises:
        OpError: As `build_part`; what it returns raises it too.
    """
    if step.op.plan is None:
        return partial(_attempt, step, partial(step.op.build, step.args, site))
    return partial(_attempt, step, _attempt(step, partial(step.op.plan, step.args, site)))


_T = TypeVar("_T")


def _attempt(step: Step, make: Callable[[], _T]) -> _T:
    """Return what a function makes; any refusal of torch is about the user's arguments."""
    try:
        return make()
    except OpError:
        raise
    except Exception as error:
        message, argument = explain(error, tuple(type(step.args).model_fields))
        complaint = f"`{step.op.name}` cannot be built: {message}"
        place = place_of(error)
        complaint += f" ({place})" if place else ""
        raise OpError(complaint, None, argument) from error


def explain(error: BaseException, arguments: Sequence[str] = ()) -> tuple[str, str | None]:
    """Return torch's complaint as part of a diagnostic, and the argument that it speaks of.

    Args:
        error: What a constructor or a forward pass raised.
        arguments: Names of the op's arguments.

    Returns:
        One line, and the name of an argument that it mentions, if any.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0].rstrip(". ") if lines else type(error).__name__
    argument = next((word for word in re.findall(r"\w+", text) if word in arguments), None)
    return text, argument


def as_module(parts: Sequence[nn.Module | Call], sequence: bool) -> nn.Module | Call:
    """Join the parts of a node.

    Args:
        parts: What `build_part` made of each step, in order.
        sequence: Whether the node was written as ``layers:``.

    Returns:
        The part itself for a single op, else an ``nn.Sequential`` in which functions are wrapped in
        `Function`, so that the parts' names in the ``state_dict`` are their positions.
    """
    if not sequence and len(parts) == 1:
        return parts[0]
    return nn.Sequential(*(Function(part) if isinstance(part, Call) else part for part in parts))
