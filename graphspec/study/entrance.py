"""The entrance: a study from what was asked to its report, stage by stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from graphspec.errors import Code, fail
from graphspec.language.compose import Override
from graphspec.language.studies import Match, Study
from graphspec.ops import plugins
from graphspec.study import engines, ledger, matching, plan, report
from graphspec.study import variants as variants_
from graphspec.study.board import DONE, FAILED, FINISHED, INTERRUPTED, Board, Unwatched, Watcher
from graphspec.study.comparison import Comparison, Entry, compare
from graphspec.study.plan import Plan
from graphspec.study.runner import Runner
from graphspec.study.variants import Variant
from graphspec.training.folder import explained_writing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphspec.study.report import Report

LOCK = ".lock"
STUDIES = Path("studies")


@dataclass(frozen=True)
class Result:
    """What came of a study.

    Attributes:
        folder: Its folder.
        status: ``finished``, ``interrupted``, ``out of time`` or ``failed`` (one run at least).
        board: The state of each run.
        comparison: What the runs that are done say, or None where there are too few.
        report: The files that tell it, likewise.
        failures: For each run that failed, why.
    """

    folder: Path
    status: str
    board: Board
    comparison: Comparison | None = None
    report: Report | None = None
    failures: Mapping[str, str] = field(default_factory=dict)


def run_study(
    specs: str | Path | Sequence[str | Path],
    *,
    seeds: int | Sequence[int] | None = None,
    overrides: Mapping[str, Any] | None = None,
    grid: Mapping[str, Sequence[Any]] | None = None,
    baseline: str | None = None,
    match: str | Mapping[str, Any] | None = None,
    epochs: int | None = None,
    hours: float | None = None,
    out: str | Path | None = None,
    jobs: int | None = None,
    engine: str = "local",
    engine_options: Mapping[str, str] | None = None,
    watcher: Watcher | None = None,
) -> Result:
    """Train every spec from every seed, and compare them.

    Runs that are done already, told by a hash of architecture, data, recipe and seed, are only
    read; those that were interrupted go on.

    Args:
        specs: Specs, their files or names of shipped ones; or one ``study.yaml``, or the folder of
            a study, to go on with it.
        seeds: How many seeds from 0 on, or which; 3 by default.
        overrides: Values for all runs, e.g. ``{"width": 8}``.
        grid: Values of which each run has one combination.
        baseline: The variant that the others are compared with; by default the first.
        match: ``params`` or ``flops``, to bring all to the size of the baseline; or a mapping with
            ``by``, ``variable`` and ``tolerance``.
        epochs: Epochs of each run at most.
        hours: After how long runs are stopped, to be resumed by the next call.
        out: Folder of the study; by default ``studies/`` and the names of the specs.
        jobs: Runs at a time; by default as many as suit the engine.
        engine: ``local``, ``ray`` or ``slurm``.
        engine_options: What is particular to the engine.
        watcher: Who is told how it goes; nobody by default.

    Returns:
        What came of it.

    Raises:
        SpecError: With the mistakes of the study and all of its specs, before anything is trained.
    """
    named = [specs] if isinstance(specs, (str, Path)) else list(specs)
    if len(named) == 1 and plan.is_study(Path(named[0])):
        given = (seeds, overrides, grid, baseline, match, epochs)
        if any(each is not None for each in given):
            message = f"`{named[0]}` says what the study consists of"
            raise fail(Code.BAD_OPTION, message, "edit it, or name the specs instead")
        asked = plan.read(Path(named[0]))
        folder = Path(out) if out is not None else asked.root
    else:
        content = {
            "specs": [str(each) for each in named],
            "seeds": seeds if isinstance(seeds, int) else list(seeds or range(3)),
            "set": dict(overrides or {}),
            "grid": {key: list(values) for key, values in (grid or {}).items()},
            "baseline": baseline,
            "match": match,
            "budget": {"epochs": epochs},
        }
        section = _section(content)
        common = [Override.item(key, value) for key, value in section.set.items()]
        lists = [[Override.item(k, v) for v in values] for k, values in section.grid.items()]
        asked = plan.asked(section, common, lists)
        folder = Path(out) if out is not None else default_folder(asked)
    chosen = engines.make(engine, jobs, dict(engine_options or {}))
    return conduct(asked, folder, chosen, watcher or Unwatched(), hours=hours)


def conduct(
    asked: Plan,
    folder: Path,
    engine: engines.Engine,
    watcher: Watcher,
    commands: Sequence[str] = (),
    hours: float | None = None,
) -> Result:
    """Do what a plan says.

    Args:
        asked: The plan.
        folder: The folder of the study.
        engine: Who trains.
        watcher: Who is told how it goes.
        commands: What the user typed, for the report.
        hours: After how long runs are stopped, instead of what the plan says.

    Raises:
        SpecError: See `run_study`; ``run-exists`` if another process is at work on the study.
    """
    with closing(engine):
        found, base, notes = _compared(asked)
        with _locked(folder):
            if asked.tree is None:
                plan.write(asked, folder)
            runs = ledger.planned(found, asked.study.all_seeds, folder, watcher.warning)
            limit = hours if hours is not None else asked.study.budget.hours
            seconds = None if limit is None else 3600 * limit
            names = tuple(each.name for each in plugins.loaded() if not each.package)
            runner = Runner(runs, folder, engine, watcher, names, seconds)
            runner.run([*notes, *_doubles(runs)])
            return _concluded(asked, folder, runner, base, notes, commands)


def _section(content: Mapping[str, Any]) -> Study:
    """Return the section that arguments ask for.

    Raises:
        SpecError: ``bad-option``, for the first argument that is wrong.
    """
    try:
        return Study.model_validate(content)
    except ValidationError as error:
        item = error.errors(include_url=False)[0]
        message = f"`{item['loc'][0]}`: {item['msg']}, got `{item['input']}`"
        raise fail(Code.BAD_OPTION, message, "see `help(graphspec.run_study)`") from error


def preview(asked: Plan, folder: Path, warn: Callable[[str], None]) -> list[ledger.Planned]:
    """Return the runs of a study and which are done; nothing is trained or written."""
    found, _, notes = _compared(asked)
    for note in notes:
        warn(note)
    return ledger.planned(found, asked.study.all_seeds, folder, warn)


def _compared(asked: Plan) -> tuple[list[Variant], Variant, list[str]]:
    """Return the variants, the baseline, and what a reader should know of them."""
    found = variants_.variants(asked)
    base = variants_.baseline(asked, found)
    match = asked.study.match
    if match is None:
        return found, base, []
    found = matching.matched(found, base, match)
    return found, base, _matching_notes(found, base, match)


def default_folder(asked: Plan) -> Path:
    """Return the folder of a study by the names of its specs, so that asking again goes on."""
    stems = [Path(name).stem for name in asked.study.specs]
    name = stems[0] if len(stems) == 1 else f"{stems[0]}-{stems[-1]}"
    return STUDIES / name


def _concluded(
    asked: Plan,
    folder: Path,
    runner: Runner,
    base: Variant,
    notes: Sequence[str],
    commands: Sequence[str],
) -> Result:
    """Compare what is done and write the report."""
    board = runner.board
    failures = {entry.title: entry.message for entry in board.entries if entry.state == FAILED}
    cut = any(entry.state == INTERRUPTED for entry in board.entries)  # a cluster may do so
    status = "failed" if failures else "interrupted" if cut else "finished"
    if runner.interrupted or runner.out_of_time:
        status = "interrupted" if runner.interrupted else "out of time"
    done = [entry for entry in board.entries if entry.state in (DONE, FINISHED)]
    entries = [Entry(e.planned.variant.label, e.planned.seed, e.planned.folder) for e in done]
    if not any(entry.variant == base.label for entry in entries):
        return Result(folder, status, board, failures=failures)
    comparison = compare(entries, baseline=base.label)
    told = list(notes)
    waiting = len(board.entries) - len(done) - len(failures)
    if waiting:
        told.append(f"{waiting} of {len(board.entries)} runs are not done yet.")
    written = report.write(
        comparison,
        folder,
        title=asked.study.name or "Study of " + ", ".join(_stems(asked)),
        question=asked.study.description,
        notes=told,
        commands=commands or [f"graphspec study {folder}"],
        failures=failures,
    )
    return Result(folder, status, board, comparison, written, failures)


def _stems(asked: Plan) -> list[str]:
    return [Path(name).stem for name in asked.study.specs]


def _matching_notes(found: Sequence[Variant], base: Variant, match: Match) -> list[str]:
    """Return how the variants were brought to one size, in sentences."""
    word = matching.WORDS[match.by]
    changed = [f"{each.label}: {each.note}" for each in found if each.note]
    size = matching.size(base.checked, match.by)
    text = f"All variants have the {word} of {base.label} ({size:,}) within "
    text += f"{100 * match.tolerance:g} %"
    return [f"{text}; changed for that: {'; '.join(changed)}." if changed else f"{text}."]


def _doubles(runs: Sequence[ledger.Planned]) -> list[str]:
    """Return which variants are the same in all but their names."""
    owners: dict[str, str] = {}
    told: dict[str, None] = {}
    for run in runs:
        label = run.variant.label
        first = owners.setdefault(run.identity, label)
        if first != label:
            told[f"{label} is the same as {first} in all that counts: one run for both"] = None
    return list(told)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep a second process away from the folder of a study.

    Raises:
        SpecError: ``run-exists`` if there is one.
    """
    from filelock import FileLock, Timeout

    with explained_writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:  # an OSError too
        message = f"another process is at work on the study in `{folder}`"
        raise fail(
            Code.RUN_EXISTS, message, "wait until it ends, or choose another `--out`"
        ) from error
    try:
        yield
    finally:
        lock.release()
