"""The decorator that makes an op of a plugin's module or function.

What a spec may write is read from the signature, as it is for the layers of torch.nn: arguments
from the constructor (or from what follows the tensors of a function), inputs from ``forward``,
descriptions from the docstring. `hints` has the types.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from pydantic import create_model
from torch import nn

from graphspec.ops import places
from graphspec.ops.checks import size_at
from graphspec.ops.hints import Hint, argument_hint, describes_tensor, is_tensor_list, resolved
from graphspec.ops.layer_rules import SIZES
from graphspec.ops.plugins import DefinitionError
from graphspec.ops.registry import FAMILIES, OPS, Args, Arity, Call, Op, OpError, Site
from graphspec.ops.signatures import LayerArgs, described, plain

Target = TypeVar("Target", bound=Callable[..., Any])

_TAKEN = frozenset(
    {"op", "from", "each", "copies", "repeat", "when", "trainable", "init", "tie", "copy", "share"}
)
"""Keys of a node, which no argument can be called."""

_MANY = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@overload
def op(target: Target, /) -> Target: ...
@overload
def op(
    name: str | None = None,
    /,
    *,
    family: str = "other",
    sizes: Mapping[str, int | tuple[int | str, int]] | None = None,
    shorthand: str | None = None,
    example: str = "",
    differentiable: bool = True,
    override: bool = False,
) -> Callable[[Target], Target]: ...
def op(
    name: Any = None,
    /,
    *,
    family: str = "other",
    sizes: Mapping[str, int | tuple[int | str, int]] | None = None,
    shorthand: str | None = None,
    example: str = "",
    differentiable: bool = True,
    override: bool = False,
) -> Any:
    """Make an op of an ``nn.Module`` class or of a function of tensors.

    The arguments of a class are those of its constructor, its inputs those of ``forward``. Of a
    function the inputs are the parameters annotated as tensors, which come first; the others are
    its arguments. Arguments are annotated: numbers, strings, booleans, lists of them,
    ``Literal["a", "b"]``, ``X | None``, or anything else that pydantic knows.

    Args:
        name: How a spec calls it; by default the name of the class or function.
        family: What it is drawn as, one of `graphspec.ops.registry.FAMILIES`.
        sizes: Arguments of the constructor that a spec does not write, since they are the size of a
            dimension of the input: ``{"width": -1}`` for the last of the first input,
            ``{"width": ("memory", -1)}`` for that of the input ``memory``. By default those that
            torch calls ``in_features``, ``in_channels``, ``num_features``, ``embed_dim`` and so on.
        shorthand: The argument that a bare value stands for; by default the first.
        example: A complete spec, as YAML, for its page.
        differentiable: Whether a gradient flows from its output to its inputs.
        override: Replace an op of this name.

    Returns:
        A decorator that gives back what it is put before.

    Raises:
        DefinitionError: If what it is put before cannot be made an op of.
        TakenError: If there is an op of this name, and ``override`` is false.

    Example:
        >>> @op("squash")  # doctest: +SKIP
        ... def squash(x: Tensor, dim: int = -1) -> Tensor:
        ...     return x / (1 + x.norm(dim=dim, keepdim=True))
    """
    if name is not None and not isinstance(name, str):
        return op()(name)

    def decorate(target: Target) -> Target:
        asked = str(name or getattr(target, "__name__", ""))
        if not re.fullmatch(r"[A-Za-z_]\w*", asked):
            message = f"`{asked}` cannot be the name of an op"
            raise DefinitionError(message, "use letters, digits and underscores")
        if family not in FAMILIES:
            message = f"the family `{family}` of `{asked}` is not known"
            raise DefinitionError(message, f"one of {', '.join(FAMILIES)}")
        form = _read(asked, target, sizes)
        if shorthand is not None and shorthand not in form.args.model_fields:
            message = f"the shorthand `{shorthand}` of `{asked}` is none of its arguments"
            raise DefinitionError(message, f"its arguments: {', '.join(form.args.model_fields)}")
        made = Op(
            name=asked,
            summary=form.summary,
            category="plugin",
            family=family,
            Args=form.args,
            arity=form.arity,
            build=form.build,
            shorthand=shorthand or next(iter(form.args.model_fields), None),
            example=inspect.cleandoc(example),
            origin=places.caller(),
            differentiable=differentiable,
        )
        places.add_home(places.file_of(made.origin))
        OPS.add(asked, made, override or _again(made, target))
        return target

    return decorate


def _again(made: Op, target: Any) -> bool:
    """Return whether a notebook defines an op anew, by running its cell again."""
    before = OPS.known(made.name)
    if before is None or target.__module__ != "__main__":
        return False
    first, second = before.build, made.build
    return (first.__module__, first.__qualname__) == (second.__module__, second.__qualname__)


@dataclass(frozen=True, slots=True)
class _Form:
    """What was read from a class or a function."""

    summary: str
    args: type[Args]
    arity: Arity
    build: Callable[[Any, Site], nn.Module | Call]


def _read(name: str, target: Any, sizes: Mapping[str, Any] | None) -> _Form:
    is_class = isinstance(target, type) and issubclass(target, nn.Module)
    if not is_class and not inspect.isfunction(target):
        message = f"`{name}` is neither a sub-class of `nn.Module` nor a function"
        raise DefinitionError(message, "put `@gs.op` before `class ...(nn.Module)` or `def`")
    if not is_class and not target.__qualname__.isidentifier():
        message = (
            f"the function of `{name}` is inside another one, where compiled code cannot find it"
        )
        raise DefinitionError(message, "define it at the top of the file")
    text = _docstring(target)
    make = _class_form if is_class else _function_form
    fields, arity, build = make(name, target, sizes, described(text))
    build.__doc__ = _without_arguments(text)
    build.__module__, build.__qualname__ = target.__module__, target.__qualname__
    model: Any = create_model(f"{name}_args", __base__=LayerArgs, __module__=__name__, **fields)
    model.__doc__ = f"Arguments of `{name}`."
    return _Form(_summary(name, text), model, arity, build)


def _class_form(
    name: str, layer: Any, sizes: Mapping[str, Any] | None, texts: Mapping[str, str]
) -> tuple[dict[str, Any], Arity, Any]:
    arity = _arity(name, list(inspect.signature(layer.forward).parameters.values())[1:], layer)
    parameters = list(inspect.signature(layer.__init__).parameters.values())[1:]
    given = [each for each in parameters if each.kind not in _MANY]
    known = {each.name for each in given}
    asked = {k: v for k, v in SIZES.items() if k in known} if sizes is None else sizes
    inferred = {key: _where(name, key, value, arity, known) for key, value in asked.items()}
    hints = resolved(name, layer.__init__)
    kinds = _hints(name, [each for each in given if each.name not in inferred], hints)

    def build(args: Args, site: Site) -> nn.Module:
        words = {key: kind.value(getattr(args, key)) for key, kind in kinds.items()}
        for key, (which, dim) in inferred.items():
            if which >= len(site.types):
                message = f"`{name}` finds `{key}` in its input {which + 1}, which is missing"
                raise OpError(message, "give it in `from:`")
            words[key] = size_at(name, site.types[which], dim)
        made: nn.Module = layer(**words)
        return made

    return {key: kind.field(texts.get(key)) for key, kind in kinds.items()}, arity, build


def _where(name: str, key: str, value: Any, arity: Arity, known: set[str]) -> tuple[int, int]:
    """Return the input and the dimension of which an argument is the size."""
    if key not in known:
        message = f"`sizes` of `{name}` names `{key}`, which is no argument of its constructor"
        raise DefinitionError(message, f"its arguments: {', '.join(sorted(known))}")
    which, dim = value if isinstance(value, tuple) else (0, value)
    if isinstance(which, str) and which in arity.names:
        which = arity.names.index(which)
    if not isinstance(which, int) or not isinstance(dim, int):
        message = f"`sizes` of `{name}` says `{value}` of `{key}`"
        raise DefinitionError(message, "write a dimension, or an input and a dimension")
    return which, dim


def _function_form(
    name: str, function: Any, sizes: Mapping[str, Any] | None, texts: Mapping[str, str]
) -> tuple[dict[str, Any], Arity, Any]:
    if sizes:
        message = f"`sizes` of `{name}` has no use: a function has the tensors themselves"
        raise DefinitionError(message, "leave it out")
    parameters = list(inspect.signature(function).parameters.values())
    inputs = _inputs(parameters)
    packed = len(inputs) == 1 and is_tensor_list(inputs[0].annotation)
    if not inputs or inputs != parameters[: len(inputs)]:
        message = f"`{name}` takes no tensor first" if inputs else f"`{name}` takes no tensor"
        raise DefinitionError(message, "its inputs come first, annotated as `Tensor`")
    arity = Arity(1, None) if packed else _arity(name, inputs, function)
    others = [each for each in parameters[len(inputs) :] if each.kind not in _MANY]
    kinds = _hints(name, others, resolved(name, function))

    def build(args: Args, site: Site) -> Call:
        words = {key: kind.value(getattr(args, key)) for key, kind in kinds.items()}
        return Call(function, kwargs=words, packed=packed)

    return {key: kind.field(texts.get(key)) for key, kind in kinds.items()}, arity, build


def _inputs(parameters: list[inspect.Parameter]) -> list[inspect.Parameter]:
    """Return the parameters that are tensors.

    They are annotated so. What has neither annotation nor default counts where nothing is annotated
    as a tensor, and what is None by default counts without an annotation.
    """
    annotated = {each.name for each in parameters if describes_tensor(each.annotation)}

    def counts(each: inspect.Parameter) -> bool:
        if each.annotation is not each.empty or each.kind is each.VAR_KEYWORD:
            return each.name in annotated
        return each.default is None or (each.default is each.empty and not annotated)

    return [each for each in parameters if counts(each)]


def _arity(name: str, parameters: list[inspect.Parameter], owner: Any) -> Arity:
    """Return how many inputs there are, from the parameters that take them."""
    if getattr(owner, "forward", None) is nn.Module.forward:
        message = f"the class of `{name}` has no `forward`"
        raise DefinitionError(message, "define what it computes: `def forward(self, x: Tensor)`")
    inputs = [each for each in _inputs(parameters) if each.kind not in _MANY]
    for each in parameters:
        if each not in inputs and each.kind not in _MANY and each.default is each.empty:
            message = f"`forward` of `{name}` needs `{each.name}`, which is no tensor"
            raise DefinitionError(message, "make it an argument of the constructor")
    least = sum(each.default is each.empty for each in inputs)
    if any(each.kind is inspect.Parameter.VAR_POSITIONAL for each in parameters):
        return Arity(max(least, 1), None)
    # The optional inputs of a function go by position, so only the last of them can be missing.
    named = isinstance(owner, type) or len(inputs) - least < 2
    names = tuple(each.name for each in inputs) if len(inputs) > 1 and named else ()
    return Arity(least, len(inputs), names)


def _hints(
    name: str, parameters: list[inspect.Parameter], hints: Mapping[str, Any]
) -> dict[str, Hint]:
    """Return the types of the arguments that a spec may write, by name."""
    found = {}
    for each in parameters:
        if each.name in ("device", "dtype") and each.default is None:
            continue  # the trainer places modules, and weights have the default dtype
        if each.kind is each.POSITIONAL_ONLY:
            message = f"the argument `{each.name}` of `{name}` can only be given by position"
            raise DefinitionError(message, "remove the `/` from the signature")
        if each.name in _TAKEN or each.name.startswith("_") or hasattr(Args, each.name):
            message = f"the argument `{each.name}` of `{name}` cannot be called so in a spec"
            raise DefinitionError(message, "give it another name")
        hint = argument_hint(hints.get(each.name), each.default)
        if hint is not None:
            found[each.name] = hint
        elif each.default is each.empty:
            what = "has no annotation" if each.name not in hints else "is of no type for a spec"
            message = f"the argument `{each.name}` of `{name}` {what}"
            raise DefinitionError(
                message, "annotate it as a number, a string, a boolean, or a list of them"
            )
    return found


def _docstring(target: Any) -> str:
    """Return the docstring of a class with that of its constructor, or of a function."""
    texts = [vars(target).get("__doc__") if isinstance(target, type) else target.__doc__]
    if isinstance(target, type) and "__init__" in vars(target):
        texts.append(vars(target)["__init__"].__doc__)
    return "\n\n".join(inspect.cleandoc(text) for text in texts if text)


def _without_arguments(text: str) -> str:
    """Return a docstring without its ``Args:`` section, which a page shows as a table."""
    kept, inside = [], False
    for line in text.splitlines():
        if line and not line[0].isspace():
            inside = line.rstrip() in ("Args:", "Parameters:")
        if not inside:
            kept.append(line)
    return "\n".join(kept).strip()


def _summary(name: str, text: str) -> str:
    paragraph = re.split(r"\n\s*\n", text, maxsplit=1)[0]
    return plain(paragraph) or f"`{name}`, which has no docstring."
