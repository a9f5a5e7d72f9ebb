"""The base of every model of the language."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Base of every model of the language: frozen, closed, documented by its attribute strings."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, strict=True, allow_inf_nan=False
    )


def listed(value: Any) -> Any:
    """Return one name as a list of it: a key of several names takes one as it is."""
    return [value] if isinstance(value, str) else value
