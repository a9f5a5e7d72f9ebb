"""Types of op arguments: strict, bounded, and with one message each when a value does not fit.

A spec is YAML, so a value is a number, a string, a boolean, null or a list of them. pydantic alone
would turn ``"3"`` into 3 and answer a wrong value of a union with one message per member; the types
here refuse both and say in one sentence what they expected. The texts are also what
``graphspec ops NAME`` shows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, GetCoreSchemaHandler, Strict, ValidationError
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from graphspec.errors import suggest

MAX_COUNT = 1024
"""Most layers, chunks or other parts that one op makes: beyond it building alone takes minutes."""

MAX_LAYERS = 256
"""Most layers of one recurrent module: torch's time to build them grows with their square."""

MAX_SIZE = 2**31 - 1
"""Largest size of a dimension: torch's kernels index with 32 bits."""

_MAX_SHOWN = 60
"""Most characters of a wrong value that a message repeats."""


@dataclass(frozen=True, slots=True)
class Expected:
    """Annotation of an argument's type: what the message and the documentation call it."""

    text: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(self._check, handler(source))

    def _check(self, value: Any, handler: core_schema.ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(value)
        except ValidationError as error:
            if [each["type"] for each in error.errors()] == ["expected"]:
                raise  # the inner type has said it better
            message = "expected {expected}, got `{got}`"
            raise complaint(message, expected=self.text, got=shown(value)) from None


@dataclass(frozen=True, slots=True)
class OneOf:
    """Annotation of an argument that is one of a few names; a typo gets a suggestion.

    Attributes:
        names: The names, spelt as they are stored.
        optional: Whether ``none`` and null stand for "without"; both are stored as None.
    """

    names: tuple[str, ...]
    optional: bool = False

    @property
    def text(self) -> str:
        """What the documentation calls it."""
        names = [f"`{name}`" for name in self.names] + (["`none`"] if self.optional else [])
        return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        choices: list[str | None] = [*self.names, *(["none", None] if self.optional else [])]
        return core_schema.no_info_before_validator_function(
            self._check, core_schema.literal_schema(choices)
        )

    def _check(self, value: Any) -> Any:
        if self.optional and (value is None or value == "none"):
            return None
        if isinstance(value, str):
            known = (*self.names, "none") if self.optional else self.names
            if value in known:
                return value
            near = suggest(value, known)
            if near is not None and near.lower() == value.lower().replace("_", ""):
                return near
            message = "`{got}` is none of {known}" + (": did you mean `{near}`?" if near else "")
            raise complaint(message, got=shown(value), near=near or "", known=self.text)
        message = "expected {expected}, got `{got}`"
        raise complaint(message, expected=self.text, got=shown(value))


def complaint(message: str, **details: str) -> PydanticCustomError:
    """Return the error for a value that does not fit; its type tells that it words itself."""
    kind: Literal["expected"] = "expected"
    return PydanticCustomError(kind, message, details)


def shown(value: Any) -> str:
    """Return a value as a spec writes it, cut to a length that fits a message."""
    text = _yaml(value)
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + "..."


def _yaml(value: Any, depth: int = 4) -> str:
    """Flow style; what lies deeper than ``depth`` is dots."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    if isinstance(value, (list, tuple)):
        items = value[:_MAX_SHOWN] if depth else ()
        return f"[{', '.join(_yaml(item, depth - 1) for item in items)}]" if depth else "[...]"
    if isinstance(value, dict):
        pairs = list(value.items())[:_MAX_SHOWN] if depth else ()
        text = ", ".join(f"{key}: {_yaml(item, depth - 1)}" for key, item in pairs)
        return f"{{{text}}}" if depth else "{...}"
    if isinstance(value, int) and abs(value) > 10**_MAX_SHOWN:
        return "a number of more than 60 digits"
    return str(value)


_Whole = Annotated[int, Strict(), Field(ge=-MAX_SIZE, le=MAX_SIZE)]
_Positive = Annotated[int, Strict(), Field(ge=1, le=MAX_SIZE)]
_Natural = Annotated[int, Strict(), Field(ge=0, le=MAX_SIZE)]
_Number = Annotated[float, Strict()]

Int = Annotated[_Whole, Expected("an integer")]
Size = Annotated[_Positive, Expected("a positive integer")]
Natural = Annotated[_Natural, Expected("an integer of at least 0")]
Count = Annotated[
    int, Strict(), Field(ge=1, le=MAX_COUNT), Expected(f"an integer from 1 to {MAX_COUNT}")
]
Layers = Annotated[
    int, Strict(), Field(ge=1, le=MAX_LAYERS), Expected(f"an integer from 1 to {MAX_LAYERS}")
]
Float = Annotated[_Number, Expected("a number")]
Probability = Annotated[_Number, Field(ge=0.0, le=1.0), Expected("a number from 0 to 1")]
Bool = Annotated[bool, Strict(), Expected("true or false")]
Text = Annotated[str, Strict(), Expected("a string")]

Ints = Annotated[tuple[_Whole, ...], Field(max_length=64), Expected("a list of integers")]
Sizes = Annotated[
    tuple[_Positive, ...],
    Field(min_length=1, max_length=64),
    Expected("a list of positive integers"),
]
SizeOrSizes = Annotated[_Positive | Sizes, Expected("a positive integer or a list of them")]
Shape = Annotated[
    tuple[_Whole, ...],
    Field(min_length=1, max_length=64),
    Expected("a list of sizes, of which one may be -1"),
]
Dims = Annotated[
    _Whole | Annotated[tuple[_Whole, ...], Field(min_length=1, max_length=64)],
    Expected("a dimension or a list of dimensions"),
]
SizeEach = Annotated[
    _Positive | Annotated[tuple[_Positive, ...], Field(min_length=1, max_length=3)],
    Expected("a positive integer, or a list of one for each dimension"),
]
NaturalEach = Annotated[
    _Natural | Annotated[tuple[_Natural, ...], Field(min_length=1, max_length=6)],
    Expected("an integer of at least 0, or a list of one for each dimension"),
]
FloatEach = Annotated[
    _Number | Annotated[tuple[_Number, ...], Field(min_length=1, max_length=3)],
    Expected("a number, or a list of one for each dimension"),
]
PaddingEach = Annotated[
    NaturalEach | Literal["same", "valid"],
    Expected("an integer of at least 0, a list of one for each dimension, `same` or `valid`"),
]
IntEach = Annotated[
    _Whole | Annotated[tuple[_Whole, ...], Field(min_length=1, max_length=6)],
    Expected("an integer, or a list of one for each side"),
]
AdaptiveEach = Annotated[
    _Positive | Annotated[tuple[_Positive | None, ...], Field(min_length=1, max_length=3)],
    Expected("a positive integer, or a list of them, null being the size of the input"),
]

PadMode = Annotated[str, OneOf(("constant", "reflect", "replicate", "circular"))]

_OR_NULL = ", or null"
OptionalInt = Annotated[Int | None, Expected("an integer" + _OR_NULL)]
OptionalSize = Annotated[Size | None, Expected("a positive integer" + _OR_NULL)]
OptionalFloat = Annotated[Float | None, Expected("a number" + _OR_NULL)]
OptionalBool = Annotated[Bool | None, Expected("true, false or null")]
OptionalDims = Annotated[Dims | None, Expected("a dimension, a list of dimensions, or null")]
OptionalSizes = Annotated[
    SizeOrSizes | None, Expected("a positive integer, a list of them, or null")
]
OptionalSizeEach = Annotated[
    SizeEach | None,
    Expected("a positive integer, a list of one for each dimension, or null"),
]
OptionalFloatEach = Annotated[
    FloatEach | None, Expected("a number, a list of one for each dimension, or null")
]
OptionalPaddingEach = Annotated[
    PaddingEach | None,
    Expected("an integer of at least 0, a list of one for each dimension, `same`, `valid` or null"),
]
