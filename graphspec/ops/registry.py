"""The registry of ops: what an op is and how one is registered.

An op is data: its arguments as a pydantic model, how many inputs it takes, and a function that
builds its module or names the function to call. Files beside this one register the built-in ones,
plugins register more (see `plugins` and `custom`); torch is imported only when something is built.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict

from graphspec.errors import Code
from graphspec.language.signature import TaskSpec
from graphspec.ops.names import Registry as Registry
from graphspec.ops.types import TensorType

if TYPE_CHECKING:
    from torch import nn

ArgsT = TypeVar("ArgsT", bound="Args")


class Args(BaseModel):
    """Base of every op's arguments: frozen, closed, documented by the strings below the fields."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        defer_build=True,  # a spec uses few of the ops, and a validator takes milliseconds to make
    )


class NoArgs(Args):
    """The arguments of an op that has none."""


class OpError(Exception):
    """An op cannot be built or applied as asked; the stage that asked turns it into a diagnostic.

    Attributes:
        message: What is wrong, in a diagnostic's grammar: no position, no full stop.
        hint: What to change, or None.
        argument: The argument at fault, or None where it is the input.
    """

    def __init__(self, message: str, hint: str | None = None, argument: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.argument = argument


@dataclass(frozen=True, slots=True)
class Arity:
    """How many inputs an op takes.

    Attributes:
        least: Fewest inputs.
        most: Most inputs, or None for any number.
        names: Their names in order, where ``from:`` may also be a mapping.
    """

    least: int = 1
    most: int | None = 1
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.most == 0:
            return "no input"
        if self.most is None:
            return f"{self.least} or more inputs"
        if self.least == self.most:
            return f"{self.least} input{'s' if self.least != 1 else ''}"
        return f"{self.least} to {self.most} inputs"


ONE = Arity()
TWO = Arity(2, 2)
MANY = Arity(2, None)


@dataclass(frozen=True, slots=True)
class Site:
    """Where an op is built.

    Attributes:
        types: Types of its inputs, in order.
        tasks: The tasks of the topology by name.
    """

    types: tuple[TensorType, ...]
    tasks: Mapping[str, TaskSpec] = field(default_factory=dict)

    @property
    def type(self) -> TensorType:
        """Type of the first (often the only) input.

        Raises:
            OpError: If there is no input.
        """
        if not self.types:
            message = "it needs an input"
            raise OpError(message, "write `from: NODE`")
        return self.types[0]


@dataclass(frozen=True, slots=True)
class Call:
    """A function to call instead of a module: ``function(*inputs, *args, **kwargs)``.

    Attributes:
        function: An importable function, such as ``torch.cat``; it shows up by name in the code.
        args: Positional arguments after the inputs.
        kwargs: Keyword arguments.
        packed: Pass the inputs as one list: ``torch.cat([a, b], dim=1)``.
        fold: Chain a function of two arguments over the inputs: ``a + b + c``.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    packed: bool = False
    fold: bool = False

    def apply(self, inputs: Sequence[Any]) -> Any:
        """Call the function on ``inputs``."""
        if self.packed:
            return self.function(list(inputs), *self.args, **self.kwargs)
        if self.fold:
            value = inputs[0]
            for other in inputs[1:]:
                value = self.function(value, other)
            return value
        return self.function(*inputs, *self.args, **self.kwargs)


Plan: TypeAlias = "Callable[[], nn.Module | Call]"
"""Makes a module anew at each call, or gives the function to call."""

Types: TypeAlias = "TensorType | tuple[Types, ...]"
"""Types of an op's value: one tensor's, or a tuple of them nested as the value is."""


FAMILIES = (
    "conv", "dense", "norm", "activation", "pool", "merge", "head", "recurrent", "attention",
    "embedding", "reshape", "other",
)  # fmt: skip
"""What ops are drawn as."""


@dataclass(frozen=True, slots=True)
class Op:
    """A word of the vocabulary.

    Attributes:
        name: How a spec calls it: lower case for kinds and functions, torch's name for layers.
        summary: One sentence for lists and pages.
        category: ``kind``, ``layer``, ``function`` or ``plugin``.
        family: What it is drawn as: one of `FAMILIES`.
        Args: Its arguments.
        arity: How many inputs it takes.
        build: ``build(args, site)`` gives an ``nn.Module`` or a `Call`; raises `OpError`.
        shorthand: The argument that a bare value stands for, as in ``{MaxPool2d: 2}``.
        example: A complete spec, as YAML, that uses it; the tests compile and run it.
        origin: File and line of its definition, for messages about duplicates.
        infer: ``infer(args, site)`` gives the types of its outputs, nested as its value is nested,
            for the few ops whose run on the meta device is slow; None to run it there.
        differentiable: Whether a gradient flows from its outputs to its inputs; what is true of all
            integer outputs need not be said.
        plan: ``plan(args, site)`` gives what makes one module after the other, as ``build`` does,
            where much of the work is the same for all nodes of these arguments and inputs; None
            where it is not.
    """

    name: str
    summary: str
    category: str
    family: str
    Args: type[Args]
    arity: Arity
    build: Callable[[Any, Site], nn.Module | Call]
    shorthand: str | None = None
    example: str = ""
    origin: str = ""
    infer: Callable[[Any, Site], Types] | None = None
    differentiable: bool = True
    plan: Callable[[Any, Site], Plan] | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """An op with its arguments: a node is one step, a ``layers:`` node is several."""

    op: Op
    args: Args


OPS: Registry[Op] = Registry(
    "op", Code.UNKNOWN_OP, "`graphspec ops` lists all", group="graphspec.ops"
)


def register(
    name: str,
    Args: type[ArgsT],  # noqa: N803 - it is a class
    *,
    category: str,
    family: str,
    arity: Arity = ONE,
    shorthand: str | None = None,
    example: str = "",
    differentiable: bool = True,
    override: bool = False,
) -> Callable[[Callable[[ArgsT, Site], Any]], Callable[[ArgsT, Site], Any]]:
    """Register the decorated build function as an op.

    The first line of its docstring is the summary, the rest its page in the catalogue.

    Raises:
        TakenError: If the name is taken and ``override`` is false; both places are named.
    """

    def decorate(build: Callable[[ArgsT, Site], Any]) -> Callable[[ArgsT, Site], Any]:
        code = build.__code__
        summary = (inspect.getdoc(build) or name).split("\n")[0]
        origin = f"{code.co_filename}:{code.co_firstlineno}"
        op = Op(
            name=name,
            summary=summary,
            category=category,
            family=family,
            Args=Args,
            arity=arity,
            build=build,
            shorthand=shorthand,
            example=example,
            origin=origin,
            differentiable=differentiable,
        )
        OPS.add(name, op, override)
        return build

    return decorate
