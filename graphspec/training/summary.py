"""The end of a run on one screen: what was reached, what is confused with what, what was made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from graphspec.training.measures import measure, named, ordered

if TYPE_CHECKING:
    from graphspec.training.trained import Run

_TABLE_CLASSES = 20
"""Most classes for which the table of confusion is printed; beyond, only the worst pairs."""

_WORST_PAIRS = 5

_NOTHING = "–"
"""What stands in a table where there is nothing."""


def lines(run: Run, width: int = 100) -> str:
    """Return the summary of a run as plain text.

    Args:
        run: The run.
        width: Columns of the screen, to which the table of confusion is fitted.

    Returns:
        Lines without a final newline.
    """
    summary = run.summary
    if run.status == "interrupted":
        return _interrupted(run)
    best = summary["best"]
    ended = "stopped early" if summary["reason"] == "early-stopping" else "finished"
    epochs = _count(summary["epochs"], "epoch")
    speed = summary["images_per_s"]
    blocks = [
        f"{summary['name']} on {summary['data']}: {ended} after {epochs}, "
        f"{duration(summary['seconds'])}"
        + (f", {speed:,.0f} {summary.get('unit', 'images')}/s" if speed else ""),
        f"best epoch {best['epoch']} ({best_text(best)})",
        "",
        *tables(*scores(summary), width),
    ]
    blocks += labelled(summary)
    blocks += hierarchy(summary["hierarchy"], summary["tasks"])
    if summary["confusion"]:
        blocks += ["", *confusion(summary["confusion"], width)]
    blocks += ["", f"in {run.folder}:", *_files(summary["files"])]
    return "\n".join(blocks)


def best_text(best: Any) -> str:
    """Return what the best epoch was chosen by, with the values it has."""
    metrics = best.get("metrics") or {best["metric"]: best["value"]}
    return ", ".join(
        f"{name} {'no number' if value is None else f'{value:.4f}'}"
        for name, value in metrics.items()
    )


def scores(summary: Any) -> tuple[list[str], list[list[str]]]:
    """Return the results as a header and one row of text by task and split."""
    splits = list(summary["loss"])
    measured = {
        name
        for found in summary["tasks"].values()
        for split in splits
        for name in found[split]
        if (each := named(name)) is not None and not each.of_hierarchy
    }
    names = ordered(measured)
    rows = [
        [
            task,
            str(found["classes"] or _NOTHING),
            split,
            *(cell(n, found[split].get(n)) for n in names),
        ]
        for task, found in summary["tasks"].items()
        for split in splits
    ]
    return ["task", "classes", "split", *(measure(name).title for name in names)], rows


def labelled(summary: Any) -> list[str]:
    """Return one line per task of which samples lack the label: how many have it."""
    found = []
    for name, task in summary["tasks"].items():
        samples = summary["samples"]
        parts = [f"{s} {task['labelled'][s]:,} of {n:,}" for s, n in samples.items()]
        if any(task["labelled"][split] < number for split, number in samples.items()):
            found.append(f"{name} is labelled in {', '.join(parts)} {summary['unit']}")
    return ["", *found] if found else []


def hierarchy(related: Any, tasks: Any) -> list[str]:
    """Return how tasks fit their parents: a table of the metrics, and the classes most confused.

    Args:
        related: For each task with a parent and each split ``parent`` and ``pairs``.
        tasks: For each task and split its metrics by name.

    Returns:
        Lines that begin with an empty one; none where no task has a parent.
    """
    if not related:
        return []
    blocks = ["", *table(*kin_scores(related, tasks))]
    for task, splits in related.items():
        split = list(splits)[-1]
        pairs = [pair_text(pair, splits[split]) for pair in splits[split]["pairs"][:_WORST_PAIRS]]
        if pairs:
            blocks += ["", f"{task} classes most often confused ({split}):"]
            blocks += [f"  {pair}" for pair in pairs]
    return blocks


def kin_scores(related: Any, tasks: Any) -> tuple[list[str], list[list[str]]]:
    """Return the metrics of tasks with a parent as a header and one row of text by task and split.

    Args:
        related: See `hierarchy`, as for the other.
        tasks: For each task and split its metrics by name.
    """
    names = ordered(
        name
        for task, splits in related.items()
        for split in splits
        for name in tasks[task][split]
        if (each := named(name)) is not None and each.of_hierarchy
    )
    rows = [
        [f"{task} in {found['parent']}", split]
        + [cell(name, tasks[task][split].get(name)) for name in names]
        for task, splits in related.items()
        for split, found in splits.items()
    ]
    return ["hierarchy", "split", *(measure(name).title for name in names)], rows


def pair_text(pair: Any, found: Any) -> str:
    """Return a pair of confused classes in words.

    Args:
        pair: One of the ``pairs``.
        found: What they are part of, which names the parent.
    """
    kin = f"same {found['parent']}" if pair["same_parent"] else f"another {found['parent']}"
    counts = f"{pair['count']} of {pair['of']}"
    return f"{pair['true']} taken for {pair['predicted']}: {counts} ({kin})"


def part(split: str) -> str:
    """Return which part of the data a split is, in words."""
    return "all splits" if split == "all" else f"the {split} split"


def confusion(found: Any, width: int = 100) -> list[str]:
    """Return the table of confusion (row: true, column: predicted), or its worst pairs.

    Args:
        found: ``task``, ``split``, ``names`` and ``counts`` of a summary.
        width: Columns of the screen.
    """
    names, counts = found["names"], found["counts"]
    size = max(3, *(len(str(count)) for row in counts for count in row))
    label = max(len(name) for name in names)
    title = f"{found['task']} on {part(found['split'])}: true class by row, predicted by column"
    fits = label + 4 + (size + 1) * len(names) <= width
    if len(names) > _TABLE_CLASSES or not fits:
        return [f"{found['task']} classes most often confused ({found['split']}):", *_worst(found)]
    head = " " * (label + 4) + " ".join(f"{i:>{size}}" for i in range(len(names)))
    rows = [
        f"{name:<{label}} {i:>2} " + " ".join(f"{n or '·':>{size}}" for n in counts[i])
        for i, name in enumerate(names)
    ]
    return [title, head, *rows]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table of text as aligned lines: the first column to the left, the others right."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    return [
        "  ".join(
            f"{cell:<{width}}" if i == 0 else f"{cell:>{width}}"
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (header, *rows)
    ]


def tables(header: Sequence[str], rows: Sequence[Sequence[str]], width: int = 100) -> list[str]:
    """Return a table, or one for each kind of row where it is wider than the screen.

    Args:
        header: Titles of the columns.
        rows: Their text; a dash where a row has nothing.
        width: Columns of the screen.

    Returns:
        Lines; an empty one between two tables.
    """
    whole = table(header, rows)
    if max(map(len, whole)) <= width:
        return whole
    parts = [["", *table(*group)] for group in grouped(header, rows)]
    return [line for part in parts for line in part][1:]


def grouped(
    header: Sequence[str], rows: Sequence[Sequence[str]]
) -> list[tuple[list[str], list[list[str]]]]:
    """Return the rows that have something in the same columns together, with these columns alone.

    Args:
        header: Titles of the columns.
        rows: Their text; a dash where a row has nothing.

    Returns:
        Header and rows of each group, in the order of the first row of each.
    """
    groups: dict[tuple[int, ...], list[list[str]]] = {}
    for row in rows:
        filled = tuple(number for number, text in enumerate(row) if text != _NOTHING)
        groups.setdefault(filled, []).append([row[number] for number in filled])
    return [([header[number] for number in filled], found) for filled, found in groups.items()]


def cell(name: str, value: float | None) -> str:
    """Return the value of a metric, or a dash where a task does not have it."""
    return _NOTHING if value is None else measure(name).text(value)


def duration(seconds: float) -> str:
    """Return a time as people say it: ``8.4 s``, ``3 min 20 s``, ``2 h 05 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def _interrupted(run: Run) -> str:
    summary = run.summary
    where = f"after {_count(summary['epochs'], 'epoch')}"
    if summary["step"]:
        where += f" and {summary['step']} of {summary['steps']} steps"
    rest = f"of {summary['epochs_asked']} epochs" if not summary["reason"] else "before its test"
    return (
        f"{summary['name']} on {summary['data']}: interrupted {where} {rest}\n"
        f"the state is saved in {run.folder}; resume to go on where it stopped"
    )


def _worst(found: Any) -> list[str]:
    names, counts = found["names"], found["counts"]
    pairs = sorted(
        (
            (count, row, column)
            for row, line in enumerate(counts)
            for column, count in enumerate(line)
            if row != column and count
        ),
        key=lambda pair: (-pair[0], pair[1], pair[2]),
    )
    return [
        f"  {names[row]} taken for {names[column]}: {count} of {sum(counts[row])}"
        for count, row, column in pairs[:_WORST_PAIRS]
    ] or ["  none"]


_DESCRIBED = {
    "report.html": "all of this to look at in a browser",
    "curves.png": "loss and metrics by epoch",
    "graph.svg": "the diagram",
    "metrics.jsonl": "every number, one line an epoch and split",
    "conflicts.jsonl": "how the gradients of the tasks agree, by epoch and node",
    "best.pt": "the best weights",
    "last.pt": "the state to resume from",
    "spec.yaml": "the spec after everything",
    "environment.json": "versions, data, machine",
}


def _files(names: Sequence[str]) -> list[str]:
    width = max((len(name) for name in names), default=0)
    return [f"  {name:<{width}}  {_DESCRIBED.get(name, '')}".rstrip() for name in names]


def _count(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")
