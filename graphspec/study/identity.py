"""What a run is: a hash of its architecture, data, recipe and seed.

Two runs with the same identity give the same weights, so one of them is enough. What changes no
step (where the data lie, the device, how often checkpoints are written) does not count, nor do
names and descriptions. What has its default does not either, so that a key that a later version
adds makes no other run of one that does without it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphspec import compiler
from graphspec.language.recipe import OUTWARD_DATA, OUTWARD_TRAIN
from graphspec.language.section import Section
from graphspec.training import folder, recorded

if TYPE_CHECKING:
    from graphspec.language.models import Spec


def identity(spec: Spec, fingerprint: str) -> str:
    """Return the identity of a run.

    Args:
        spec: Its spec, with its seed.
        fingerprint: The fingerprint of its data (`DataSet.fingerprint`).

    Returns:
        16 hexadecimal digits.
    """
    data: dict[str, Any] = {}
    if spec.data is not None:
        data = _stated(spec.data, OUTWARD_DATA)
    content: dict[str, Any] = {
        "topology": spec.hash(),
        "data": data,
        "fingerprint": fingerprint,
        "tasks": {name: said for name, task in spec.tasks.items() if (said := _stated(task))},
        "train": _stated(spec.train, OUTWARD_TRAIN),
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _stated(section: Section, outward: Collection[str] = ()) -> dict[str, Any]:
    """Return what a section says besides defaults."""
    return section.model_dump(mode="json", exclude=set(outward), exclude_defaults=True)


def of_run(path: Path) -> str:
    """Return the identity of the run in a folder.

    Raises:
        SpecError: ``not-a-run``, or what is wrong with its spec.
    """
    environment = recorded.read(path)
    if environment.get("init_from"):
        return ""  # a run that began with other weights is none of a study's
    return identity(compiler.load(path / folder.SPEC), environment["data"]["fingerprint"])
