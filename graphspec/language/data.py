"""The ``data:`` section as data: what to train on.

Names of sources, and which keys each of them understands, are checked by the data room, which owns
their table (`graphspec.data.sources`).
"""

from __future__ import annotations

import keyword
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from graphspec.language.section import Section, listed


def _speakable(name: str) -> str:
    if not (name.isascii() and name.isidentifier()) or keyword.iskeyword(name):
        message = "use letters, digits and `_`, not beginning with a digit; no Python keyword"
        raise ValueError(message)
    return name


_Name = Annotated[str, AfterValidator(_speakable)]
_Side = Annotated[int, Field(ge=1, le=65_536)]


def _sides(value: Any) -> Any:
    return [value, value] if type(value) is int else value


_Columns = Annotated[
    list[str], Field(min_length=1), BeforeValidator(listed, json_schema_input_type=str | list[str])
]


def _distinct(names: list[str] | None) -> list[str] | None:
    if names is not None and len(set(names)) < len(names):
        message = f"two levels have one name: {', '.join(names)}"
        raise ValueError(message)
    return names


class Data(Section):
    """The data set and how samples are prepared. ``data: NAME`` is short for the source alone."""

    source: str
    """Name of a data source: `cifar100`, `cifar10`, `fashion-mnist`, `fashion-mini`, `folder`,
    `table`, `arrays`, `torchvision:MNIST`, ..."""
    root: str | None = None
    """Folder that holds the files of the source; without it they are downloaded into a cache."""
    path: str | None = None
    """The file of `table` or `arrays`, relative to `root` or else to the working folder."""
    inputs: dict[_Name, _Columns] | None = None
    """Columns of a `table` that are inputs: `{image: path, features: [a, b, c]}`."""
    targets: dict[str, _Columns] | None = None
    """Columns of a `table` that a task's target stands in, unless it has the task's name."""
    split: str | None = None
    """Column of a `table` that says `train`, `validation` or `test`."""
    missing: Literal["error", "mean"] = "error"
    """What becomes of an empty cell of a `table` that is an input: `error`, or the `mean` of the
    training split."""
    levels: Annotated[
        list[_Name] | None,
        Field(min_length=1, max_length=16),
        BeforeValidator(listed, json_schema_input_type=str | list[str] | None),
        AfterValidator(_distinct),
    ] = None
    """Tasks that the levels of a `folder` stand for, from the root inwards: `[coarse, fine]`."""
    size: Annotated[
        list[_Side] | None,
        Field(min_length=2, max_length=2),
        BeforeValidator(_sides, json_schema_input_type=_Side | list[_Side] | None),
    ] = None
    """Height and width that pictures in files are resized to: `[32, 32]`, or `32` for both."""
    channels: Literal[1, 3] | None = None
    """What pictures in files become: `1` grey, `3` red, green and blue; by default as they are."""
    corrupt: Literal["error", "skip"] = "error"
    """What becomes of a damaged picture file: `error`, or `skip` to leave the sample out."""
    memory: Literal["auto", "ram", "stream"] = "auto"
    """Where pictures in files are kept: `ram`, `stream` to read them again every epoch, or `auto`
    for memory if they fit."""
    workers: Annotated[int, Field(ge=0, le=256)] | None = None
    """Processes that read pictures in files; 0 for none, by default one less than the cores."""
    augment: Literal["founding", "crop-flip", "none"] = "none"
    """How training images vary: `founding` (rotation, shift, zoom, shear), `crop-flip`, `none`."""
    normalize: Literal["standard", "unit"] = "standard"
    """`standard`: zero mean and unit deviation per channel; `unit`: values in [0, 1]."""
    validation: float = Field(0.2, ge=0.0, lt=1.0)
    """Part of the training split that is held out for validation, stratified and seeded."""
    test: float = Field(0.2, ge=0.0, lt=1.0)
    """Part of the samples that is the test split where the source has none of its own (`folder`,
    `table`, `arrays`); the same samples whatever the seed."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"source": value} if isinstance(value, str) else value
