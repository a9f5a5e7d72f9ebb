"""How parameters start: functions of ``torch.nn.init`` by name, checked and applied."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn

from graphspec.errors import Code, Sink, Span, did_you_mean
from graphspec.graph.ir import Init
from graphspec.language.reader import Tree

FUNCTIONS = {
    name.rstrip("_"): getattr(nn.init, name)
    for name in sorted(vars(nn.init))
    if name.endswith("_") and not name.startswith("_") and callable(getattr(nn.init, name))
}
"""What `init` may name: `normal` for ``torch.nn.init.normal_``."""

_SHORT = {"normal": "std", "trunc_normal": "std", "constant": "val", "uniform": "b"}
"""The argument that a bare number stands for."""


def inits_of(tree: Tree | None, sink: Sink) -> tuple[Init, ...]:
    """Return what a node's ``init`` says; mistakes go to the sink.

    Args:
        tree: A function's name for all weights (parameters named ``weight`` of two or more
            dimensions), or a mapping of parameters, or globs over their names, to functions.
        sink: Where ``bad-value`` and ``bad-argument`` go.
    """
    if tree is None or tree.value is None:
        return ()
    if tree.mapping is None:
        found = _init("*weight", tree, tree.span, sink)
        return () if found is None else (found,)
    made = [_init(name, child, tree.keys[name], sink) for name, child in tree.mapping.items()]
    return tuple(each for each in made if each is not None)


def _init(parameter: str, tree: Tree, key: Span, sink: Sink) -> Init | None:
    name, arguments, span = tree.plain(), None, tree.span
    if tree.mapping is not None and len(tree.mapping) == 1:
        ((name, arguments),) = tree.mapping.items()
        span = tree.keys[name]
    if not isinstance(name, str):
        message = f"`init` of `{parameter}` takes one function of torch.nn.init"
        hint = "write `zeros`, or `{normal: {std: 0.02}}`"
        sink.error(Code.BAD_VALUE, tree.span, message, hint)
        return None
    short = name.rstrip("_")
    if short not in FUNCTIONS:
        message = f"`{name}` is no function of torch.nn.init"
        sink.error(Code.BAD_VALUE, span, message, did_you_mean(short, FUNCTIONS, "functions", 20))
        return None
    kwargs = _kwargs(short, arguments, sink)
    return None if kwargs is None else Init(parameter, short, kwargs, key)


def _kwargs(name: str, tree: Tree | None, sink: Sink) -> Mapping[str, Any] | None:
    if tree is None or tree.value is None:
        return {}
    given = tree.plain()
    if not isinstance(given, dict):
        if name not in _SHORT or isinstance(given, (str, bool, list)):
            message = f"`{name}` takes its arguments by name"
            sink.error(Code.BAD_ARGUMENT, tree.span, message, f"write `{{{name}: {{NAME: ...}}}}`")
            return None
        return {_SHORT[name]: given}
    known = [p for p in list(inspect.signature(FUNCTIONS[name]).parameters)[1:] if p != "generator"]
    for key in given:
        if key not in known:
            message = f"`{key}` is not one of the arguments of `{name}`"
            hint = did_you_mean(key, known, "arguments")
            sink.error(Code.UNKNOWN_ARGUMENT, tree.keys[key], message, hint)
            return None
    try:
        inspect.signature(FUNCTIONS[name]).bind(torch.empty(0), **given)
    except TypeError as error:
        sink.error(Code.MISSING_ARGUMENT, tree.span, f"`{name}`: {error}", "give it a value")
        return None
    return given


def matching(init: Init, parameters: Mapping[str, int]) -> list[str]:
    """Return the parameters that an initialiser is for.

    Args:
        init: The initialiser.
        parameters: Number of dimensions by name. A pattern without dots also matches the last part
            of a name, and ``*weight`` without more only weights of two or more dimensions.
    """
    pattern = init.parameter
    found = []
    for name, rank in parameters.items():
        last = name.rpartition(".")[2]
        if pattern == "*weight":
            if last.endswith("weight") and rank >= 2:
                found.append(name)
        elif fnmatchcase(name, pattern) or ("." not in pattern and fnmatchcase(last, pattern)):
            found.append(name)
    return found


def complaint(init: Init, shape: Sequence[int]) -> str | None:
    """Return why a function cannot fill a parameter, or None where it can.

    It is tried on a small tensor of as many dimensions.

    Args:
        init: The initialiser.
        shape: The parameter's shape.
    """
    small = torch.empty([*shape[:1], *(min(size, 3) for size in shape[1:])])
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            FUNCTIONS[init.function](small, **init.kwargs)
    except (ValueError, TypeError, RuntimeError, ArithmeticError) as error:
        return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
    return None


def apply(inits: tuple[Init, ...], module: nn.Module) -> None:
    """Give the parameters of a module their initial values, in the order of the initialisers."""
    parameters = dict(module.named_parameters())
    for init in inits:
        for name in matching(init, {n: p.dim() for n, p in parameters.items()}):
            with torch.no_grad():
                FUNCTIONS[init.function](parameters[name], **init.kwargs)
