"""The ``study:`` section as data: which runs a study consists of."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from graphspec.language.section import Section, listed


class Match(Section):
    """How all variants are brought to the size of the baseline."""

    by: Literal["params", "flops"]
    """What is made equal: trainable parameters, or the FLOPs of a forward pass."""
    variable: str | None = None
    """The declared whole number that is changed; absent: `width`, or the only one there is."""
    tolerance: float = Field(0.02, gt=0.0, lt=1.0)
    """By which part of the baseline's size another may differ."""


class Budget(Section):
    """What a study may cost."""

    epochs: int | None = Field(None, ge=1)
    """Epochs of each run at most, instead of the recipes'."""
    hours: float | None = Field(None, gt=0.0)
    """After so much time runs are stopped, to be resumed when the study goes on."""


def _match(value: Any) -> Any:
    return {"by": value} if isinstance(value, str) else value


def _single(value: Any) -> Any:
    """Return a grid whose values are lists: one value is a list of it."""
    if not isinstance(value, dict):
        return value
    return {key: each if isinstance(each, list) else [each] for key, each in value.items()}


class Study(Section):
    """Many runs: each spec, with each combination of the grid, from each seed."""

    name: str = ""
    """Title of the report; absent: the names of the specs."""
    description: str = ""
    """What is asked, in a sentence or two; the report begins with it."""
    specs: Annotated[list[str], BeforeValidator(listed, json_schema_input_type=str | list[str])] = (
        Field(min_length=1)
    )
    """Files, relative to this one, or names of shipped specs."""
    seeds: int | list[int] = 3
    """How many seeds, from 0 on, or a list of them."""
    set: dict[str, Any] = Field(default_factory=dict)
    """Values for all runs: `{width: 8, train.lr: 1e-3}`."""
    grid: Annotated[dict[str, list[Any]], BeforeValidator(_single)] = Field(default_factory=dict)
    """Values of which each run has one combination: `{train.balance: [fixed, pcgrad]}`."""
    baseline: str | None = None
    """The variant that the others are compared with; absent: the first."""
    match: Annotated[Match | None, BeforeValidator(_match)] = None
    """`params` or `flops`: a variable of each spec is changed until its size is the baseline's."""
    budget: Budget = Budget()
    """Limits: `{epochs: 10, hours: 8}`."""

    @property
    def all_seeds(self) -> list[int]:
        """The seeds, each once."""
        return list(dict.fromkeys(range(self.seeds) if isinstance(self.seeds, int) else self.seeds))


class StudyFile(Section):
    """The file ``study.yaml``."""

    graphspec: Literal[1] = 1
    """Version of the language."""
    study: Study
    """What is compared."""
