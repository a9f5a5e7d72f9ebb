"""Annotations of a plugin's signature as types of op arguments, with messages in words."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import Field, TypeAdapter
from pydantic.errors import PydanticUserError

from graphspec.ops import arguments as a
from graphspec.ops.plugins import DefinitionError

_BASIC = {int: a.Int, float: a.Float, bool: a.Bool, str: a.Text}
_LISTS = {int: "integers", float: "numbers", bool: "truth values", str: "strings"}
_MOST = 1024
"""Longest list that an argument takes."""


@dataclass(frozen=True, slots=True)
class Hint:
    """The type of an argument.

    Attributes:
        annotation: For the pydantic model.
        default: Its default, or ``...`` where it has none.
        as_list: Whether the plugin gets a list where the model, to stay frozen, has a tuple.
    """

    annotation: Any
    default: Any
    as_list: bool = False

    def value(self, value: Any) -> Any:
        """Return an argument as the plugin takes it."""
        return list(value) if self.as_list and isinstance(value, tuple) else value

    def field(self, description: str | None) -> tuple[Any, Any]:
        """Return the field of the model."""
        return self.annotation, Field(self.default, description=description)


def resolved(name: str, function: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations of a function as types.

    Args:
        name: The op, for messages.
        function: The function.

    Raises:
        DefinitionError: If one of them names what is not there at run time.
    """
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError) as error:
        message = f"an annotation of `{name}` cannot be read: {error}"
        raise DefinitionError(
            message, "import what it names, not only while type-checking"
        ) from error


def describes_tensor(annotation: Any) -> bool:
    """Return whether an annotation, a type or its text, speaks of tensors."""
    return "Tensor" in _text(annotation)


def is_tensor_list(annotation: Any) -> bool:
    """Return whether an annotation is a list of tensors."""
    text = _text(annotation).lower()
    return describes_tensor(annotation) and text.startswith(
        ("list[", "sequence[", "tuple[", "typing.list[", "typing.sequence[", "collections.abc.seq")
    )


def _text(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def argument_hint(annotation: Any, default: Any) -> Hint | None:
    """Return the type of an argument, or None where a spec cannot express it.

    Args:
        annotation: Its annotation, or None where it has none.
        default: Its default, or ``inspect.Parameter.empty``.
    """
    given = ... if default is inspect.Parameter.empty else default
    if annotation is None and given not in (..., None):
        annotation = type(given)
    kind, text, as_list = _kind(annotation)
    if kind is None:
        return None
    if given is None and text and not text.endswith("or null"):
        kind, text = kind | None, f"{text}, or null"
    if text:
        kind = Annotated[kind, a.Expected(text)]
    return Hint(kind, tuple(given) if isinstance(given, list) else given, as_list)


def _kind(annotation: Any) -> tuple[Any, str, bool]:
    """Return a type for pydantic (or None), what it is called, and whether it is a list."""
    if annotation in _BASIC:
        kind = _BASIC[annotation]
        return kind, _name(kind), False
    origin, members = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType) and not set(members) - {int, float}:
        return _kind(float)
    if origin in (Union, types.UnionType) and len(set(members) - {type(None)}) == 1:
        kind, text, as_list = _kind(next(each for each in members if each is not type(None)))
        return (None if kind is None else kind | None), text and f"{text}, or null", as_list
    if origin is Literal and all(isinstance(each, str) for each in members):
        return Annotated[str, a.OneOf(members)], "", False
    if origin in (list, tuple, Sequence) and members[0] in _BASIC and members[1:] in ((), (...,)):
        item: Any = types.GenericAlias(tuple, (_BASIC[members[0]], ...))
        return (
            Annotated[item, Field(max_length=_MOST)],
            f"a list of {_LISTS[members[0]]}",
            origin is list,
        )
    return (annotation if _is_data(annotation) else None), "", False


def _is_data(annotation: Any) -> bool:
    """Return whether pydantic can make values of a type from what YAML has."""
    if annotation is None:
        return False
    try:
        TypeAdapter(annotation).json_schema()
    except (PydanticUserError, TypeError, NameError):
        return False
    return True


def _name(kind: Any) -> str:
    return next(each.text for each in kind.__metadata__ if isinstance(each, a.Expected))
