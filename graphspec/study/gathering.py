"""Runs that exist: which there are in some folders, and what each is a run of.

Two runs are of one variant if they differ in nothing but the seed. Variants are called by the name
of their spec; where runs of one name differ in topology, data or recipe, by what differs as well.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphspec.errors import Code, SpecError, fail
from graphspec.language.recipe import OUTWARD_DATA, OUTWARD_TRAIN
from graphspec.study import comparison
from graphspec.study.comparison import Comparison, Entry
from graphspec.study.result import is_finished
from graphspec.training import folder, listing

if TYPE_CHECKING:
    from graphspec.language.models import Spec

_LONGEST_VALUE = 40
"""Characters of a value in the name of a variant before it is cut."""

_MOST_KEYS = 4
"""Keys in the name of a variant; with more, a hash says that it is another."""

_LONGEST_TITLE = 60
"""Characters of names in the title of a report; with more it has their number."""

_APART = {
    "train.seed",
    *(f"train.{key}" for key in OUTWARD_TRAIN),
    *(f"data.{key}" for key in OUTWARD_DATA),
}
"""Keys that may differ within a variant."""

_TOPOLOGY = "topology"

_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.+)")
"""A variable's ``--set`` on a command line; a path has a dot before the ``=``."""


@dataclass(frozen=True)
class Gathered:
    """Runs to compare.

    Attributes:
        entries: The finished runs, by variant and seed; variants in the order of their folders.
        remarks: What was left out, and why.
    """

    entries: tuple[Entry, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class _Run:
    """A finished run, with what it is a run of."""

    folder: Path
    name: str
    seed: int
    values: Mapping[str, Any]
    parameters: int
    assignments: tuple[str, ...]
    started: str


def compare(
    runs: Sequence[str | Path] | str | Path,
    baseline: str | None = None,
    out: str | Path | None = None,
) -> Comparison:
    """Compare runs that exist: every metric of every variant, paired by seed with a baseline.

    Args:
        runs: Run folders, or folders that hold runs. Runs that differ in nothing but the seed are
            of one variant, which has the name of their spec (``arch5``), and where runs of one
            name differ, that and what differs (``arch5, train.lr=0.001``).
        baseline: The variant that the others are compared with; None for the first.
        out: A folder to write ``report.html``, ``report.md`` and tables in CSV to; None for none.

    Returns:
        The comparison: ``cell(variant, metric)`` has mean, difference, interval and p of each.

    Raises:
        SpecError: ``not-a-run`` if there are no finished runs; ``run-mismatch`` if they are of
            different data or tasks; ``bad-option`` if no variant has the name of `baseline`;
            ``cannot-write`` or ``disk-full``.

    Source:
        docs/comparing.md, which explains the statistics with their sources.
    """
    found = gather([runs] if isinstance(runs, (str, Path)) else runs)
    compared = comparison.compare(found.entries, baseline, found.remarks)
    if out is not None:
        from graphspec.study import report

        report.write(compared, Path(out), title=_title(compared))
    return compared


def _title(found: Comparison) -> str:
    names = ", ".join(variant.name for variant in found.variants)
    if len(names) > _LONGEST_TITLE:
        names = f"{len(found.variants)} variants"
    return f"{names} on {found.data[0]}"


def gather(runs: Iterable[str | Path]) -> Gathered:
    """Find the finished runs in some folders, and say what each is a run of.

    Args:
        runs: Run folders, or folders that hold runs, themselves or in folders below.

    Returns:
        The runs; of two runs of one variant and seed the one that began last. Others, and those
        that are not finished or damaged, are told in the remarks.

    Raises:
        SpecError: ``not-a-run`` if a folder is none, and holds none.
    """
    remarks: list[str] = []
    found: list[_Run] = []
    for path in _folders(runs):
        try:
            if not is_finished(path):
                remarks.append(f"`{path}` is not finished and was left out")
                continue
            found.append(_read(path))
        except SpecError as error:
            remarks.append(f"{error.diagnostics[0].message}; it was left out")
    variants: dict[str, dict[int, _Run]] = {}
    for name, run in _named(found):
        other = variants.setdefault(name, {}).get(run.seed)
        if other is not None:
            kept, left = sorted((run, other), key=lambda each: each.started, reverse=True)
            remarks.append(
                f"`{left.folder}` was left out: `{kept.folder}` is {name} with seed {run.seed} "
                "too, and began later"
            )
            run = kept
        variants[name][run.seed] = run
    entries = [
        Entry(name, seed, runs_of[seed].folder)
        for name, runs_of in variants.items()
        for seed in sorted(runs_of)
    ]
    kept_runs = [run for runs_of in variants.values() for run in runs_of.values()]
    return Gathered(tuple(entries), (*remarks, *_unlike(kept_runs)))


def _unlike(runs: Sequence[_Run]) -> list[str]:
    """Return in what recipe and data of runs differ: then not the topology alone is compared."""
    if len({run.name for run in runs}) < 2:
        return []  # the name of a variant says it
    keys = dict.fromkeys(key for run in runs for key in run.values)
    differing = [
        key
        for key in sorted(keys)
        if key.startswith(("train.", "data."))
        and len({_text(run.values.get(key)) for run in runs}) > 1
    ]
    if not differing:
        return []
    return [f"the variants differ in more than their topology: {', '.join(differing)}"]


def _folders(runs: Iterable[str | Path]) -> list[Path]:
    """Return the run folders that are meant, each once; those in one folder in natural order.

    Raises:
        SpecError: ``not-a-run``.
    """
    found: dict[Path, Path] = {}
    for each in map(Path, runs):
        inside = [each] if folder.is_run(each) else []
        if not inside and each.is_dir():
            inside = sorted((run.folder for run in listing.runs(each)), key=_natural)
        if not inside and each.is_dir():
            message = f"`{each}` is not a run folder and holds none"
            raise fail(Code.NOT_A_RUN, message, "name folders that `graphspec train` made")
        for path in inside or [folder.require_run(each)]:
            found.setdefault(path.resolve(), path)
    return list(found.values())


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """Return what makes ``arch10`` come after ``arch9``."""
    parts = re.split(r"(\d+)", str(path))
    return [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in parts]


def _read(path: Path) -> _Run:
    """Read what a run is of.

    Raises:
        SpecError: ``not-a-run`` if it is damaged, or what its spec raises.
    """
    from graphspec import compiler

    environment = folder.read_json(path / folder.ENVIRONMENT)
    spec = compiler.load(path / folder.SPEC)
    try:
        command = environment["command"]
        settings = [word for flag, word in pairwise(command) if flag == "--set"]
        return _Run(
            folder=path,
            name=spec.name,
            seed=int(environment["seed"]),
            values=_flat(spec) | {"init_from": environment.get("init_from")},
            parameters=int(environment["parameters"]),
            assignments=tuple(sorted(text for text in settings if _ASSIGNMENT.fullmatch(text))),
            started=str(environment["started"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        message = f"`{path}` holds something unexpected ({type(error).__name__}: {error})"
        raise fail(Code.NOT_A_RUN, message, "train again into another folder") from error


def _flat(spec: Spec) -> dict[str, Any]:
    """Return what a spec trains and how by dotted path, what it leaves to defaults included."""
    data = None if spec.data is None else spec.data.model_dump(mode="json")
    tasks = {name: task.model_dump(mode="json") for name, task in spec.tasks.items()}
    found: dict[str, Any] = {_TOPOLOGY: spec.hash()}
    waiting: list[tuple[str, Any]] = [
        ("train", spec.train.model_dump(mode="json")), ("data", data), ("tasks", tasks),
    ]  # fmt: skip
    while waiting:
        path, value = waiting.pop()
        if path in _APART:
            continue
        if isinstance(value, dict) and value:
            waiting += [(f"{path}.{key}", inner) for key, inner in value.items()]
        else:
            found[path] = value
    return found


def _named(runs: Sequence[_Run]) -> list[tuple[str, _Run]]:
    """Return each run with the name of its variant."""
    by_name: dict[str, list[_Run]] = {}
    for run in runs:
        by_name.setdefault(run.name, []).append(run)
    named = {run.folder: text for same in by_name.values() for run, text in _told_apart(same)}
    return [(named[run.folder], run) for run in runs]


def _told_apart(runs: Sequence[_Run]) -> list[tuple[_Run, str]]:
    """Return runs of one name with that name, and with what differs between them."""
    keys = sorted({key for run in runs for key in run.values})
    differing = [key for key in keys if len({_text(run.values.get(key)) for run in runs}) > 1]
    recipe = [key for key in differing if key != _TOPOLOGY]
    found = []
    for run in runs:
        values = {key: run.values.get(key) for key in recipe}
        parts = [f"{key}={_short(value)}" for key, value in values.items() if value is not None]
        if len(parts) > _MOST_KEYS:
            # the names of the first keys may be those of another variant, a hash of all is not
            digest = hashlib.sha256(_text(values).encode()).hexdigest()[:6]
            parts = [*parts[:_MOST_KEYS], f"and {len(parts) - _MOST_KEYS} more ({digest})"]
        if _TOPOLOGY in differing:
            parts.insert(0, _topology(run, runs))
        found.append((run, ", ".join([run.name, *parts])))
    return found


def _topology(run: _Run, runs: Sequence[_Run]) -> str:
    """Return what tells a topology from others of its name: variables, size, or its hash."""
    hashes = {each.values[_TOPOLOGY] for each in runs}

    def tells(values: Iterable[Any]) -> bool:
        pairs = set(zip((each.values[_TOPOLOGY] for each in runs), values, strict=True))
        return len(pairs) == len(hashes) == len({value for _, value in pairs})

    if run.assignments and tells(each.assignments for each in runs):
        return ", ".join(run.assignments)
    if tells(each.parameters for each in runs):
        return f"{run.parameters:,} parameters"
    return f"topology {run.values[_TOPOLOGY][:6]}"


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else _text(value)
    if len(text) <= _LONGEST_VALUE:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:6]
    return f"{text[: _LONGEST_VALUE - 3]}... ({digest})"
