"""A comparison written down: one HTML page with everything, Markdown with pictures, and CSV.

The page answers first, in sentences, and shows the evidence after. It needs no other file and no
network, and runs no script; all text in it is escaped, whatever a spec's names and descriptions
hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import graphspec
from graphspec.errors import Code, fail
from graphspec.study import answer, costs, provenance, spreadsheet, tables
from graphspec.study.comparison import Comparison, Variant
from graphspec.study.confusion import confusion
from graphspec.study.costs import Cost
from graphspec.study.illustrations import Illustration, illustrations
from graphspec.study.tables import Table
from graphspec.training import folder
from graphspec.training.curves import data_uri
from graphspec.training.environment import now

HTML = "report.html"
MARKDOWN = "report.md"
RESULTS = "results.csv"
COMPARISON = "comparison.csv"
FIGURES = "figures"


@dataclass(frozen=True)
class Report:
    """The files of a report.

    Attributes:
        folder: Where they are.
        html: The page.
        markdown: The same with pictures in files, for a repository.
        results: CSV with a line for each run.
        comparison: CSV with a line for each variant and metric.
        figures: The pictures of the Markdown.
    """

    folder: Path
    html: Path
    markdown: Path
    results: Path
    comparison: Path
    figures: tuple[Path, ...]


@dataclass(frozen=True)
class _Topology:
    """A variant's diagram, and what is written under it."""

    name: str
    description: str
    picture: str
    spec: str


def check_free(out: Path) -> None:
    """Refuse the folder of a run, whose own report would be lost.

    Raises:
        SpecError: ``run-exists``.
    """
    if folder.is_run(out):
        message = f"`{out}` is the folder of a run, whose report would be lost"
        raise fail(Code.RUN_EXISTS, message, "choose another folder with `--out`")


def write(
    comparison: Comparison,
    folder: Path,
    *,
    title: str,
    question: str = "",
    notes: Sequence[str] = (),
    commands: Sequence[str] = (),
    failures: Mapping[str, str] | None = None,
) -> Report:
    """Write the report of a comparison; one that is there already is replaced.

    Args:
        comparison: The comparison.
        folder: Where to; it is made if it is not there.
        title: What the report is called.
        question: What is asked, in a sentence or two.
        notes: What its reader should know first, a sentence each.
        commands: The commands that made the runs; none for those that the runs have recorded.
        failures: Runs that failed, with why.

    Returns:
        Where everything is.

    Raises:
        SpecError: ``run-exists`` if the folder is that of a run, ``cannot-write`` or ``disk-full``.
    """
    check_free(folder)
    found = comparison
    known = {variant.name: costs.of(variant.first) for variant in found.variants}
    pictures = illustrations(found, known)
    told = _told(found, known, notes, commands, failures or {})
    told |= {"title": title, "question": question}
    page = _page(found, pictures, told)
    text = _markdown(found, pictures, told)
    return _written(folder, found, known, pictures, page, text)


def _written(
    out: Path,
    found: Comparison,
    known: Mapping[str, Cost | None],
    pictures: Mapping[str, Illustration],
    page: str,
    text: str,
) -> Report:
    with folder.explained_writing(out):
        (out / FIGURES).mkdir(parents=True, exist_ok=True)
    figures = []
    for name, picture in pictures.items():
        path = out / FIGURES / f"{name}.svg"
        folder.write_text(path, picture.svg)
        figures.append(path)
    for number, variant in enumerate(found.variants, start=1):
        if variant.first.diagram is not None:
            path = out / FIGURES / f"topology-{number}.svg"
            folder.write_text(path, variant.first.diagram.read_text(encoding="utf-8"))
            figures.append(path)
    files = {
        HTML: page,
        MARKDOWN: text,
        RESULTS: spreadsheet.results(found, known),
        COMPARISON: spreadsheet.comparison(found),
    }
    for name, content in files.items():
        folder.write_text(out / name, content)
    html, markdown, results, lines = (out / name for name in files)
    return Report(out, html, markdown, results, lines, tuple(figures))


def _told(
    found: Comparison,
    known: Mapping[str, Cost | None],
    notes: Sequence[str],
    commands: Sequence[str],
    failures: Mapping[str, str],
) -> dict[str, Any]:
    """Return what page and Markdown both say."""
    tasks = list(dict.fromkeys(metric.task for metric in found.metrics if metric.task))
    further = [table for task in tasks for table in tables.others(found, task, of_hierarchy=False)]
    kin = [table for task in tasks for table in tables.others(found, task, of_hierarchy=True)]
    return {
        "found": found,
        "headline": answer.headline(found),
        "paragraphs": answer.paragraphs(found),
        "notes": [text.rstrip(".") for text in (*notes, *found.remarks)],
        "failures": failures,
        "warnings": provenance.warnings(found),
        "overview": tables.overview(found, known),
        "differences": [tables.differences(found, metric) for metric in found.tested],
        "further": further,
        "kin": kin,
        "conflicts": tables.conflicts(found),
        "fronts": tradeoff_lines(found, known),
        "commands": list(commands) or provenance.commands(found),
        "facts": provenance.facts(found),
        "version": graphspec.__version__,
        "written": now(),
    }


def tradeoff_lines(found: Comparison, known: Mapping[str, Cost | None]) -> list[str]:
    """Return the Pareto fronts in words."""
    from graphspec.study.figures import tradeoffs

    return tradeoffs.fronts(found, known)


def _page(found: Comparison, pictures: Mapping[str, Illustration], told: Mapping[str, Any]) -> str:
    """Return the page."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    loaders = [
        PackageLoader(f"graphspec.{room}", package_path="") for room in ("study", "training")
    ]
    jinja = Environment(
        loader=ChoiceLoader(loaders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return jinja.get_template("comparison.html.j2").render(
        told,
        pictures={
            name: (each, data_uri(each.svg.encode(), "image/svg+xml"))
            for name, each in pictures.items()
        },
        topologies=[_topology(variant) for variant in found.variants],
        confusion=confusion(found),
    )


def _topology(variant: Variant) -> _Topology:
    result = variant.first
    diagram = result.diagram
    picture = "" if diagram is None else data_uri(diagram.read_bytes(), "image/svg+xml")
    spec = result.entry.folder / folder.SPEC
    return _Topology(
        variant.name,
        str(result.summary.get("description") or ""),
        picture,
        spec.read_text(encoding="utf-8", errors="replace"),
    )


def _markdown(
    found: Comparison, pictures: Mapping[str, Illustration], told: Mapping[str, Any]
) -> str:
    """Return the report as Markdown."""
    safe = tables.escaped
    parts = [f"# {safe(told['title'])}", safe(told["question"]), f"**{safe(told['headline'])}**"]
    parts = [part for part in parts if part]
    for paragraph in told["paragraphs"]:
        parts += [f"**{safe(paragraph.heading)}.** {safe(' '.join(paragraph.sentences))}"]
    told_of = [*told["notes"], *(f"{name} failed: {why}" for name, why in told["failures"].items())]
    if told_of:
        parts.append("\n".join(f"- {safe(text)}" for text in told_of))
    parts += ["## Results", *_tabled(told["overview"])]
    for table in told["differences"]:
        parts += _tabled(table, heading=True)
    places = {"hierarchy": told["kin"], "tradeoffs": [], "seeds": told["further"]}
    if told["conflicts"] is not None:
        places["conflicts"] = [told["conflicts"]]
    for name, picture in pictures.items():
        parts += [
            f"## {safe(picture.title)}",
            f"![{safe(picture.title)}]({FIGURES}/{name}.svg)",
            safe(picture.caption),
        ]
        if name == "tradeoffs":
            parts.append("\n".join(f"- {safe(line)}" for line in told["fronts"]))
        for table in places.get(name, ()):
            parts += _tabled(table, heading=True)
    drawn = [
        (number, safe(variant.name))
        for number, variant in enumerate(found.variants, start=1)
        if variant.first.diagram is not None
    ]
    if drawn:
        parts.append("## Topologies")
    for number, name in drawn:
        parts += [f"### {name}", f"![Diagram of {name}]({FIGURES}/topology-{number}.svg)"]
    parts += ["## How it was made", _fenced("\n".join(told["commands"]))]
    facts = [*told["facts"], *(("warning", text) for text in told["warnings"])]
    parts.append("\n".join(f"- {safe(label)}: {safe(text)}" for label, text in facts))
    parts.append(f"Written by graphspec {told['version']}, {told['written']}.")
    return "\n\n".join(parts) + "\n"


def _tabled(table: Table, heading: bool = False) -> list[str]:
    title = [f"### {tables.escaped(table.title)}"] if heading else []
    return [*title, tables.markdown(table), tables.escaped(table.caption)]


def _fenced(text: str) -> str:
    """Return a block of code whose fence is longer than any in the text."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}text\n{text}\n{fence}"
