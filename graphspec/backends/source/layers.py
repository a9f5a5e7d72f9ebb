"""Constructor calls of modules as they were made: ``nn.Conv2d(3, 64, kernel_size=3, padding=1)``.

What a constructor was called with is written down while it runs (`Recorder`), by Python's own hook
for profilers. Modules keep most of their arguments as attributes too, but not all, not under the
same names, and a plugin's perhaps none.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any

import torch
from torch import nn

from graphspec.backends.source.code import literal
from graphspec.backends.source.parts import REQUIRED, Arg, Make, Name, Named, Part, row
from graphspec.errors import Code, fail

_SAME_PER_DIMENSION = frozenset(
    {
        "kernel_size", "stride", "padding", "dilation", "output_padding", "output_size",
        "scale_factor", "size", "normalized_shape",
    }
)  # fmt: skip
"""Arguments of torch's layers for which one number stands for as many equal ones."""

_BARE = frozenset(
    {
        "in_channels", "out_channels", "in_features", "out_features", "in1_features",
        "in2_features", "num_features", "num_channels", "num_groups", "num_embeddings",
        "embedding_dim", "embed_dim", "num_heads", "d_model", "nhead", "input_size", "hidden_size",
        "normalized_shape", "padding", "output_size", "kernel_size", "p", "negative_slope",
        "groups", "upscale_factor", "downscale_factor", "size", "shape", "initial", "task",
    }
)  # fmt: skip
"""Arguments that people write without their names, where they come first."""

_EVEN_WITH_DEFAULT = frozenset({"p", "negative_slope"})
"""Those of them that have a default."""

Namer = Callable[[Any], str]
"""How a class or a function is written in the file."""


class Recorder:
    """Builds modules and remembers the arguments of their constructors."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[nn.Module, Mapping[str, object]]] = {}

    def build(self, make: Callable[[], Any]) -> Any:
        """Return what ``make`` returns; modules that it makes are remembered."""
        before = sys.getprofile()
        sys.setprofile(self._note)
        try:
            with torch.device("meta"):
                return make()
        finally:
            # cProfile's hook is no function: it has to be switched on again.
            sys.setprofile(before if callable(before) else None)
            if before is not None and not callable(before):
                before.enable()

    def _note(self, frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event != "call" or code.co_name != "__init__" or not code.co_argcount:
            return
        values = frame.f_locals
        module = values.get(code.co_varnames[0])
        # The constructor of a base class is called second, for the same module.
        if isinstance(module, nn.Module) and id(module) not in self._made:
            self._made[id(module)] = (module, _given(frame))

    def part_of(self, module: nn.Module, name_of: Namer) -> Part:
        """Return the constructor call that makes a module like this one.

        Args:
            module: A module from `build`.
            name_of: How classes and functions are written that are not torch's.

        Raises:
            SpecError: ``cannot-eject`` if an argument has no form in Python.
        """
        if type(module) is nn.Sequential:
            children = list(module.named_children())
            parts = [self.part_of(child, name_of) for _, child in children]
            if [name for name, _ in children] == [str(i) for i in range(len(children))]:
                return row("nn.Sequential", parts)
            names = (name for name, _ in children)
            return Named("nn.Sequential", tuple(zip(names, parts, strict=True)))
        kind = type(module)
        ours = getattr(nn, kind.__name__, None) is not kind
        callee = name_of(kind) if ours else f"nn.{kind.__name__}"
        if id(module) not in self._made:
            message = f"`{callee}` was not made by its constructor, so it cannot be written"
            raise fail(Code.CANNOT_EJECT, message, "let the op build it by calling its class")
        values = dict(self._made[id(module)][1])
        _tidy(kind, values)
        swappable = kind.__module__ == nn.ReLU.__module__ or kind is nn.Identity
        return Make(callee, tuple(self._arguments(kind, values, name_of)), swappable)

    def _arguments(
        self, kind: type[nn.Module], values: Mapping[str, object], name_of: Namer
    ) -> Iterator[Arg]:
        bare = True
        number = 0
        known = _defaults(kind)
        for name in (*known, *(each for each in values if each not in known)):
            default = known.get(name, REQUIRED)
            if name not in values:
                bare = False
                continue
            value = self._written(kind, name, values[name], name_of)
            if inspect.isroutine(default) and default.__name__ == value:
                default = value  # torch takes an activation and its name alike
            has_default = default is not REQUIRED and name not in _EVEN_WITH_DEFAULT
            bare = bare and name in _BARE and not has_default
            bare = bare and (name != "kernel_size" or number == 0)
            number += 1
            yield Arg(name, value, default, bare)

    def _written(self, kind: type[nn.Module], name: str, value: object, name_of: Namer) -> object:
        """Return a value such that it can be written; modules among them as parts."""
        if isinstance(value, nn.Module):
            return self.part_of(value, name_of)
        return written(kind.__name__, name, value, name_of)


def written(callee: str, name: str, value: object, name_of: Namer) -> object:
    """Return the value of an argument such that it can be written.

    Args:
        callee: What it is an argument of.
        name: Its name.
        value: The value.
        name_of: How classes and functions are written.

    Raises:
        SpecError: ``cannot-eject`` if it has no form in Python.
    """
    if isinstance(value, type) or inspect.isroutine(value):
        return Name(name_of(value))
    try:
        literal(value)
    except TypeError as error:
        message = f"`{name}` of `{callee}` cannot be written: {error}"
        hint = "arguments are numbers, texts, lists, modules or functions"
        raise fail(Code.CANNOT_EJECT, message, hint) from error
    return value


def _given(frame: FrameType) -> dict[str, object]:
    """Return the arguments of a constructor that is about to run, by name."""
    names, extra, named, values = inspect.getargvalues(frame)
    found = {name: values[name] for name in names[1:]}
    found.update(values[named] if named else {})
    if extra and values[extra]:
        missing = [name for name in _defaults(type(values[names[0]])) if name not in found]
        found.update(zip(missing, values[extra], strict=False))
    return found


def _defaults(kind: type[nn.Module]) -> Mapping[str, object]:
    """Return the arguments of a class with their defaults, `REQUIRED` where they have none.

    A constructor that hands on ``*args`` and ``**kwargs`` takes those of its base class first.
    """
    first: dict[str, object] = {}
    last: dict[str, object] = {}
    for base in kind.__mro__:
        if base is nn.Module or "__init__" not in vars(base):
            continue
        parameters = list(inspect.signature(vars(base)["__init__"]).parameters.values())[1:]
        for each in parameters:
            if each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD) or each.name in first:
                continue
            to = last if each.kind is each.KEYWORD_ONLY else first
            to[each.name] = REQUIRED if each.default is each.empty else each.default
        if not any(each.kind is each.VAR_KEYWORD for each in parameters):
            break
    if issubclass(kind, nn.RNNBase):
        first.pop("mode", None)  # which of the three it is
    if kind is nn.RNN:
        first["nonlinearity"] = "tanh"
    return {**first, **last}


def _tidy(kind: type[nn.Module], values: dict[str, object]) -> None:
    """Bring the arguments of a layer of torch into the form that people write."""
    if issubclass(kind, nn.MultiheadAttention):
        for name in ("kdim", "vdim"):
            if values.get(name) == values.get("embed_dim"):
                values[name] = None
    if not kind.__module__.startswith("torch.nn."):
        return
    for name in _SAME_PER_DIMENSION & values.keys():
        value = values[name]
        if isinstance(value, (tuple, list)) and len(set(value)) == 1:
            values[name] = value[0]
    if "Pool" in kind.__name__ and values.get("stride", -1) == values.get("kernel_size", -2):
        values["stride"] = None  # the same by default
