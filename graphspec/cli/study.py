"""``graphspec study``: many runs, trained side by side and compared."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphspec.cli import terminal
from graphspec.cli.options import (
    Assignments,
    DataName,
    DataRoot,
    Device,
    Plugins,
    overrides,
    plain,
    shipped_specs,
)
from graphspec.errors import Code, Sink, Source, Span, fail
from graphspec.language.compose import Override

if TYPE_CHECKING:
    from graphspec.study.entrance import Result
    from graphspec.study.plan import Plan

EXAMPLES = (
    "graphspec study specs/arch*.yaml --seeds 3",
    "graphspec study arch1 arch5 --data fashion-mini --set width=8 --epochs 5 --jobs 2",
    "graphspec study arch5 --grid train.balance=fixed,pcgrad,upgrad --seeds 5",
    "graphspec study arch1 arch2 --match params --baseline arch1 --out studies/sizes",
    "graphspec study studies/sizes",
)


def command(
    specs: Annotated[
        list[str],
        typer.Argument(
            metavar="SPEC",
            help="Specs, their files or shipped names; or a study.yaml, or its folder, to go on.",
            autocompletion=shipped_specs,
            show_default=False,
        ),
    ],
    seeds: Annotated[
        str | None,
        typer.Option(
            "--seeds",
            metavar="N",
            help="How many seeds, from 0 on, or a list such as 3,5,8; default: 3.",
            show_default=False,
        ),
    ] = None,
    data: DataName = None,
    data_root: DataRoot = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            "--epochs",
            metavar="N",
            min=1,
            help="Epochs of each run at most, instead of the recipes'.",
            show_default=False,
        ),
    ] = None,
    assignments: Assignments = None,
    grid: Annotated[
        list[str] | None,
        typer.Option(
            "--grid",
            metavar="KEY=A,B",
            help="Train each spec with each of these values. Repeatable: all combinations.",
            show_default=False,
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            "--baseline",
            metavar="NAME",
            help="What the others are compared with; default: the first.",
            show_default=False,
        ),
    ] = None,
    match: Annotated[
        str | None,
        typer.Option(
            "--match",
            metavar="SIZE",
            help="params or flops: change `width` of each spec until its size is the baseline's; "
            "params:NAME for another variable.",
            show_default=False,
        ),
    ] = None,
    device: Device = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Folder of the study; default: studies/ and the names of the specs.",
            show_default=False,
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            metavar="N",
            min=1,
            help="Runs at a time, which share the cores; default: one a GPU, or one a core.",
            show_default=False,
        ),
    ] = None,
    hours: Annotated[
        float | None,
        typer.Option(
            "--hours",
            metavar="H",
            help="Stop after so long; the same command goes on.",
            show_default=False,
        ),
    ] = None,
    engine: Annotated[
        str, typer.Option("--engine", metavar="NAME", help="Who trains: local, ray or slurm.")
    ] = "local",
    engine_options: Annotated[
        list[str] | None,
        typer.Option(
            "--engine-option",
            metavar="KEY=VALUE",
            help="What is particular to the engine, such as partition=gpu; see docs/engines.md. "
            "Repeatable.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the runs and what is done; train nothing.")
    ] = False,
    plugins: Plugins = None,
) -> int:
    """Train specs from several seeds; compare them in a report."""
    from graphspec.cli.study_table import following, planned_table
    from graphspec.study import engines, entrance, plan

    lists = _grid(grid)
    options = _engine_options(engine_options)
    folders = [word for word in specs if plan.is_study(Path(word))]
    if folders:
        changing = {
            "--seeds": seeds,
            "--set": assignments,
            "--data": data,
            "--grid": lists,
            "--epochs": epochs,
            "--baseline": baseline,
            "--match": match,
        }
        # Where the data lie and what trains makes no other run.
        own = overrides(data_root=data_root, device=device)
        chosen = _going_on(specs, folders, changing).with_common(own)
        folder = Path(out) if out is not None else chosen.root
    else:
        asked = overrides(assignments, data=data, data_root=data_root, device=device)
        chosen = _new(specs, seeds, asked, lists, baseline, match, epochs, hours)
        folder = Path(out) if out is not None else entrance.default_folder(chosen)
    if dry_run:
        found = entrance.preview(chosen, folder, terminal.remark)
        terminal.show(planned_table(found), partial(planned_table, found))
        return 0
    made = engines.make(engine, jobs, options)
    command_line = shlex.join(["graphspec", *sys.argv[1:]])
    with following() as watcher:
        result = entrance.conduct(chosen, folder, made, watcher, [command_line], hours)
    return _end(result)


def _new(
    specs: Sequence[str],
    seeds: str | None,
    asked: Sequence[Override],
    grid: Sequence[Sequence[Override]],
    baseline: str | None,
    match: str | None,
    epochs: int | None,
    hours: float | None,
) -> Plan:
    """Return the plan that the options ask for."""
    from graphspec.language.studies import Budget, Match, Study
    from graphspec.study import plan

    by, _, variable = (match or "").partition(":")
    if match is not None and by not in ("params", "flops"):
        message = f"`--match {match}` is not known"
        raise fail(Code.BAD_OPTION, message, "write `params`, `flops`, or `params:NAME`")
    if hours is not None and not hours > 0:
        raise fail(Code.BAD_OPTION, f"`--hours {hours:g}` is no time", "write a number above 0")
    sized = None
    if match is not None:
        sized = Match.model_validate({"by": by, "variable": variable or None})
    section = Study(
        specs=list(specs),
        seeds=_seeds(seeds),
        set=plain(asked),
        grid={each[0].path: list(map(_plain, each)) for each in grid},
        baseline=baseline,
        match=sized,
        budget=Budget(epochs=epochs),
    )
    return plan.asked(section, asked, grid)


def _going_on(specs: Sequence[str], folders: Sequence[str], changing: dict[str, Any]) -> Plan:
    """Return the plan of the study that is named.

    Raises:
        SpecError: ``bad-option`` if anything else is named or asked for.
    """
    from graphspec.study import plan

    if len(specs) > 1:
        message = f"`{folders[0]}` is a study, which has specs of its own"
        raise fail(Code.BAD_OPTION, message, f"go on with it: `graphspec study {folders[0]}`")
    given = [option for option, value in changing.items() if value not in (None, [])]
    if given:
        message = f"`{folders[0]}` says what the study consists of, so {given[0]} is not for it"
        hint = f"edit its `{plan.FILE}`, or name the specs instead of the study"
        raise fail(Code.BAD_OPTION, message, hint)
    return plan.read(Path(folders[0]))


def _seeds(text: str | None) -> int | list[int]:
    """Return a number of seeds, or the seeds that are listed.

    Raises:
        SpecError: ``bad-option``.
    """
    if text is None:
        return 3
    try:
        listed = [int(part) for part in text.split(",")]
    except ValueError as error:
        message = f"`--seeds {text}` is neither a number of seeds nor a list of them"
        raise fail(Code.BAD_OPTION, message, "write `--seeds 3` or `--seeds 3,5,8`") from error
    if min(listed) < 0 or ("," not in text and listed[0] < 1):
        message = f"`--seeds {text}`: a study has one seed or more, and none is negative"
        raise fail(Code.BAD_OPTION, message, "write `--seeds 3` or `--seeds 3,5,8`")
    return listed if "," in text else listed[0]


def _grid(texts: Sequence[str] | None) -> list[list[Override]]:
    """Return the values of each ``--grid`` as overrides that point at it.

    Raises:
        SpecError: ``bad-override``.
    """
    sink = Sink()
    lists = []
    for text in texts or ():
        whole = Override.assignment(text, sink, "--grid")
        if whole is None:
            continue
        values = _split(whole.value)
        if any(not value.strip() for _, value in values):
            message = f"`{text}` lists a value that is empty"
            hint = f"write `--grid {whole.path}=A,B`"
            sink.error(Code.BAD_OVERRIDE, Span(whole.source, 0, len(text)), message, hint)
        source = Source(whole.source.name, text)
        key = Span(source, 0, len(whole.path))
        base = whole.base
        lists.append([Override(whole.path, source, key, base + at, v) for at, v in values])
    sink.raise_if_errors()
    return lists


def _split(text: str) -> list[tuple[int, str]]:
    """Return the parts between commas that are in no bracket or quote, each with its offset."""
    parts, start, depth, quote = [], 0, 0, ""
    for at, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in "[{(":
            depth += 1
        elif char in "]})":
            depth -= 1
        elif char == "," and not depth:
            parts.append((start, text[start:at]))
            start = at + 1
    return [*parts, (start, text[start:])]


def _plain(item: Override) -> Any:
    return plain([item])[item.path]


def _engine_options(texts: Sequence[str] | None) -> dict[str, str]:
    found = {}
    for text in texts or ():
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            message = f"`--engine-option {text}` is not an assignment"
            raise fail(Code.BAD_OPTION, message, "write `--engine-option KEY=VALUE`")
        found[key.strip()] = value
    return found


def _end(result: Result) -> int:
    """Print the end of a study; return the exit code."""
    if result.comparison is not None:
        from graphspec.cli import verdicts

        verdicts.show(result.comparison)
    for title, message in result.failures.items():
        terminal.remark(f"{title} failed: {message}", "error")
    if result.report is not None:
        print(f"\nreport: {result.report.html}", flush=True)
    go_on = f"graphspec study {shlex.quote(str(result.folder))}"
    if result.failures:
        terminal.remark(f"try those that failed again: {go_on}")
    if result.status == "out of time":
        terminal.remark(f"the time is up; go on with: {go_on}")
    if result.status == "interrupted":
        terminal.remark(f"go on with: {go_on}")
        return 130
    return 2 if result.failures else 0
