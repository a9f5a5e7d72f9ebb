"""What is particular to an engine: the ``--engine-option KEY=VALUE`` of the command line."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from graphspec.errors import Code, did_you_mean, fail


class Options(BaseModel):
    """Options of an engine; a field is an option, the text below it its help."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


_O = TypeVar("_O", bound=Options)


def read(kind: type[_O], given: Mapping[str, str], engine: str) -> _O:
    """Return the options of an engine.

    Args:
        kind: Which options it has.
        given: What the user wrote.
        engine: Its name.

    Raises:
        SpecError: ``bad-option``, for the first option that is wrong.
    """
    try:
        return kind.model_validate(dict(given))
    except ValidationError as error:
        item = error.errors(include_url=False)[0]
        name = str(item["loc"][0])
        if item["type"] == "extra_forbidden":
            message = f"the engine `{engine}` has no option `{name}`"
            hint = did_you_mean(name, kind.model_fields, "its options", limit=20)
            raise fail(Code.BAD_OPTION, message, hint) from error
        why = item["msg"].removeprefix("Value error, ")
        why = why[:1].lower() + why[1:]
        message = f"`--engine-option {name}={item['input']}`: {why}"
        raise fail(Code.BAD_OPTION, message, f"`{name}`: {_help(kind, name)}") from error


def none(given: Mapping[str, str], engine: str) -> None:
    """Refuse options for an engine that has none.

    Raises:
        SpecError: ``bad-option``.
    """
    if given:
        message = f"the engine `{engine}` has no options, got `{next(iter(given))}`"
        raise fail(Code.BAD_OPTION, message, "`--engine ray` and `--engine slurm` have some")


def require(package: str, engine: str) -> None:
    """Refuse an engine whose package is not installed.

    Raises:
        SpecError: ``missing-package``.
    """
    if find_spec(package) is None:
        message = f"`--engine {engine}` needs `{package}`, not installed here"
        raise fail(Code.MISSING_PACKAGE, message, f"pip install 'graphspec[{engine}]'")


def _help(kind: type[Options], name: str) -> str:
    text = kind.model_fields[name].description or ""
    return text.rstrip(".").replace("``", "`")
