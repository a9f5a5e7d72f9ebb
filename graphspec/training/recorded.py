"""``environment.json`` as it is read again: what a run says of its data, looked at before use.

What a model is given and how its classes are called follows from it, so what would change numbers
has a checksum, as checkpoints have.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graphspec.data import readings
from graphspec.errors import Code, fail
from graphspec.training import folder

CHECKSUM = "checksum"
"""Key of the checksum; runs of older versions have none."""

_COVERED = ("spec_hash", "seed", "data", "class_weights", "init_from")
"""What the checksum is of; the rest tells, and nothing depends on it."""


def sealed(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``environment.json`` is to hold, with its checksum."""
    return {**described, CHECKSUM: _checksum(described)}


def read(run: Path) -> dict[str, Any]:
    """Return what ``environment.json`` of a run holds.

    Raises:
        SpecError: ``not-a-run`` if it is missing or damaged.
    """
    path = run / folder.ENVIRONMENT
    found = folder.read_json(path)
    problem = _problem(found)
    if problem is not None:
        hint = "restore it from a copy, or train again into another folder"
        raise fail(Code.NOT_A_RUN, f"`{path}` is damaged: {problem}", hint)
    return found


def _problem(found: Any) -> str | None:
    """Return what is wrong with the content of the file, or None."""
    try:
        data = found["data"]
        texts = (data["name"], data["fingerprint"], data["origin"])
        stated = data["signature"]
        more = (data.get("names", {}), data.get("parents", {}))
        mappings = (stated["inputs"], stated["tasks"], *more)
        readings.recorded(data.get("inputs") or {})
        if not all(isinstance(each, str) for each in texts):
            return "its data have no name, fingerprint or origin"
        if not all(isinstance(each, dict) for each in mappings):
            return "its data have no inputs and tasks"
    except KeyError as error:
        return f"it has no {error}"
    except (TypeError, AttributeError, ValueError):
        return "it holds something unexpected"
    if CHECKSUM in found and found[CHECKSUM] != _checksum(found):
        return "what it says of the data does not have its checksum"
    return None


def _checksum(described: Mapping[str, Any]) -> str:
    covered = {key: described.get(key) for key in _COVERED}
    text = json.dumps(covered, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
