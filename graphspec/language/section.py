"""The base of every model of the language."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Base of every model of the language: frozen, closed, documented by its attribute strings."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, strict=True, allow_inf_nan=False
    )

    elsewhere: ClassVar[dict[str, str]] = {}
    """Keys that are often looked for here, and what to write instead."""


def listed(value: Any) -> Any:
    """Return one name as a list of it: a key of several names takes one as it is."""
    return [value] if isinstance(value, str) else value
