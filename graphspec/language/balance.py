"""The keys ``train.balance`` and ``train.conflicts`` as data: how tasks share what they share.

Which methods there are, and which arguments each takes, is checked by the trainer, which owns their
table (`graphspec.training.balancing`).
"""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field, model_validator

from graphspec.language.section import Section


class Balance(Section):
    """How the tasks' losses become one gradient; every further key is the method's argument."""

    model_config = ConfigDict(extra="allow")

    method: str = Field("fixed", examples=["fixed", "uncertainty", "dwa", "gradnorm", "upgrad"])
    """`fixed` (a sum with the tasks' weights), or a method of docs/balancing.md, such as
    `uncertainty`, `dwa`, `gradnorm`, `random`, `geometric`, `upgrad`, `mgda`, `pcgrad`."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"method": value} if isinstance(value, str) else value

    @property
    def arguments(self) -> dict[str, Any]:
        """The method's arguments."""
        return dict(self.model_extra or {})


class Conflicts(Section):
    """How often the gradients of the tasks are compared; ``conflicts: N`` is short for every N."""

    every: int | None = Field(None, ge=0)
    """Steps from one comparison to the next, by default 50 for each task, but at least 100; 0:
    never."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        if isinstance(value, bool):
            return {} if value else {"every": 0}
        return {"every": value} if isinstance(value, int) else value

    def steps(self, tasks: int) -> int:
        """Return the steps from one comparison to the next; 0: never.

        A comparison goes back from the loss of each task, which by operations is at most two
        thirds of a step: by default all of them take at most one part in 75 of a run.

        Args:
            tasks: How many tasks are compared.
        """
        return max(100, 50 * tasks) if self.every is None else self.every
