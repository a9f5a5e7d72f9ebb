"""A run keeps the recipe that it began with: what may change, and what is said of the rest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from graphspec import compiler
from graphspec.errors import Code, SpecError, fail
from graphspec.language.recipe import OUTWARD_DATA, OUTWARD_TRAIN
from graphspec.training import folder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphspec.language.models import Spec

SECTIONS = ("train", "data", "tasks")
"""The sections of a spec besides its topology."""

FREE_TRAIN = ("epochs", "early_stopping", *OUTWARD_TRAIN)
"""Keys of ``train:`` that may differ from the run's."""

FREE_DATA = ("path", *OUTWARD_DATA)
"""Keys of ``data:`` that may: files may move, and a fingerprint says whether they are the same."""

_SHOWN = 5
"""How many values a remark lists."""


def remark(spec: Spec | str | Path | None, own: Spec, overrides: Mapping[str, Any]) -> str | None:
    """Return what is to be said of a named spec whose values are not those of the run, if any.

    The run goes on with its own: they may come from options that need not be given again.

    Args:
        spec: What the user named.
        own: The spec that the run goes on with.
        overrides: What the user asks for besides.
    """
    if spec is None:
        return None
    asked = compiler.load(spec, overrides=overrides or None)
    found = [
        f"`{section}.{key}: {shown(old)}` (there {shown(new)})"
        for section, key, new, old in differing(asked, own)
    ]
    if not found:
        return None
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return (
        f"the run goes on with its own values, not with those of `{asked.name}`: "
        f"{', '.join(found[:_SHOWN])}{more}; what may change is given as an option"
    )


def differing(first: Spec, second: Spec) -> Iterator[tuple[str, str, Any, Any]]:
    """Yield section, key and both values where two recipes differ."""
    for section in SECTIONS:
        parts = [getattr(spec, section) for spec in (first, second)]
        if parts[0] is None or parts[1] is None:
            continue  # a spec may leave its data to an option
        keys = [list(p if section == "tasks" else type(p).model_fields) for p in parts]
        for key in dict.fromkeys(keys[0] + keys[1]):
            values = [value(spec, section, key) for spec in (first, second)]
            if values[0] != values[1]:
                yield section, key, values[0], values[1]


def learned_by(saved: Mapping[str, Any]) -> Spec | None:
    """Return the spec that a state learned by; None where this version reads specs otherwise."""
    try:
        return compiler.load_text(str(saved.get("spec", "")))
    except SpecError:
        return None


def require(run: Path, before: Spec, own: Spec) -> None:
    """Refuse a run whose ``spec.yaml`` is not what its last state learned by.

    Args:
        run: The run folder.
        before: The spec in the state, which its checksum protects.
        own: The spec that the run goes on with.

    Raises:
        SpecError: ``run-mismatch``.
    """
    for section, key, new, old in differing(own, before):
        if not is_free(section, key):
            path = run / folder.SPEC
            message = f"`{path}` has `{section}.{key}: {shown(new)}`, but the run has learned "
            message += f"with {shown(old)}"
            hint = f"undo the change of that file, or train a new run: `graphspec train {path}`"
            raise fail(Code.RUN_MISMATCH, message, hint)


def is_free(section: str, key: str) -> bool:
    """Return whether a value may differ from the run's."""
    return (section == "train" and key in FREE_TRAIN) or (section == "data" and key in FREE_DATA)


def shown(found: Any) -> str:
    """Return a value of a recipe as it is written in a spec."""
    plain = found.model_dump(exclude_defaults=True) if isinstance(found, BaseModel) else found
    if plain is None:
        return "null"
    return json.dumps(plain, default=str) if isinstance(plain, (dict, list)) else f"{plain}"


def value(spec: Spec, section: str, key: str) -> Any:
    """Return a value of a section, or the whole section of a task; None where there is none."""
    if section == "tasks":
        return spec.tasks.get(key)
    part = getattr(spec, section)
    return None if part is None else getattr(part, key, None)
