"""The ``tasks:`` section as data: what is predicted and what its loss looks like."""

from __future__ import annotations

from pydantic import Field

from graphspec.language.recipe import Section

MAX_CLASSES = 2**31 - 1
"""Most classes: torch's kernels index with 32 bits."""


class Task(Section):
    """What a head predicts, and how much its loss counts."""

    weight: float = Field(1.0, ge=0.0)
    """Factor of the task's loss in the sum."""
    classes: int | None = Field(None, ge=1, le=MAX_CLASSES)
    """Number of classes; comes from the data set where there is one."""
