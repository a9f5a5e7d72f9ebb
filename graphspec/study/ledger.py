"""Which runs a study consists of, and which of them are done."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from graphspec.data import sources
from graphspec.errors import SpecError
from graphspec.study import identity as identities
from graphspec.study.jobs import RUNS
from graphspec.study.variants import Variant
from graphspec.training import folder
from graphspec.training.setup import words

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphspec.language.models import Spec


@dataclass(frozen=True)
class Planned:
    """One run of a study.

    Attributes:
        variant: What is trained.
        seed: From which seed.
        spec: Its spec, with the seed in it.
        identity: What it is; another variant with the same one shares the run.
        folder: Where it is or will be.
        done: Whether it has ended well.
        begun: Whether it was begun, so that it is gone on with.
    """

    variant: Variant
    seed: int
    spec: Spec
    identity: str
    folder: Path
    done: bool
    begun: bool


def planned(
    variants: Sequence[Variant],
    seeds: Sequence[int],
    study: Path,
    warn: Callable[[str], None],
) -> list[Planned]:
    """Return the runs of a study, seed by seed, so that what is done is balanced at any time.

    Args:
        variants: What is compared.
        seeds: From which seeds.
        study: The folder of the study.
        warn: Told what is worth knowing of the data and of folders that cannot be read.

    Raises:
        SpecError: If the data cannot be read.
    """
    found = dict(existing(study / RUNS, warn))
    prints = _fingerprints(variants, warn)
    runs = []
    for seed in seeds:
        for variant in variants:
            spec = variant.at(seed)
            name = identities.identity(spec, prints[_data(variant)])
            # A variant that is the same as an earlier one has the earlier one's folder.
            path = found.setdefault(name, study / RUNS / _folder_name(variant.label, seed, name))
            is_run = folder.is_run(path)
            runs.append(Planned(variant, seed, spec, name, path, is_done(path), is_run))
    return runs


def existing(runs: Path, warn: Callable[[str], None]) -> Mapping[str, Path]:
    """Return the runs in a folder by their identity; of two that are the same, one that is done."""
    found: dict[str, Path] = {}
    for path in sorted(runs.iterdir()) if runs.is_dir() else ():
        if not folder.is_run(path):
            continue
        try:
            name = identities.of_run(path)
        except (SpecError, KeyError, TypeError) as error:
            why = error.diagnostics[0].message if isinstance(error, SpecError) else repr(error)
            warn(f"`{path}` is left out: {why}")
            continue
        if name not in found or (is_done(path) and not is_done(found[name])):
            found[name] = path
    return found


def is_done(path: Path) -> bool:
    """Return whether a folder has a run that ended well."""
    try:
        return bool(folder.read_json(path / folder.SUMMARY)["status"] == "finished")
    except (SpecError, KeyError, TypeError):
        return False


def _fingerprints(variants: Sequence[Variant], warn: Callable[[str], None]) -> Mapping[str, str]:
    """Return the fingerprints of the variants' data, each data set read once."""
    found: dict[str, str] = {}
    told: set[str] = set()
    for variant in variants:
        key = _data(variant)
        if key in found:
            continue
        spec = variant.checked.spec
        assert spec.data is not None
        data = sources.load(spec.data, spec.train.seed, spec.tasks)
        found[key] = data.fingerprint
        for each in map(words, data.warnings):
            if each not in told:
                told.add(each)
                warn(each)
    return found


def _data(variant: Variant) -> str:
    """Return what decides which samples a variant's data are."""
    spec = variant.checked.spec
    assert spec.data is not None
    parents = {name: (task.labels, task.parent) for name, task in spec.tasks.items()}
    return f"{spec.data.model_dump_json(exclude={'augment', 'memory', 'workers'})} {parents}"


def _folder_name(label: str, seed: int, identity: str) -> str:
    stem = re.sub(r"[^\w.=-]+", "-", label).strip("-.")[:80] or "run"
    return f"{stem}-seed{seed}-{identity[:8]}"
