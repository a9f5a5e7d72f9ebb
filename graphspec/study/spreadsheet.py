"""A comparison as CSV, for spreadsheets and other statistics: full precision, one fact a cell."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from graphspec.study.comparison import Cell, Comparison
from graphspec.study.costs import Cost

COLUMNS = (
    "variant", "metric", "split", "family", "less_is_better", "seeds", "mean", "deviation",
    "least", "greatest", "pairs", "difference", "plain_low", "plain_high", "corrected_low",
    "corrected_high", "corrected_level", "p", "p_corrected", "p_pooled", "p_sign_flip",
    "verdict",
)  # fmt: skip
"""The columns of ``comparison.csv``; docs/comparing.md explains them."""


def results(found: Comparison, costs: Mapping[str, Cost | None]) -> str:
    """Return a line for each run: what it is, costs and reaches."""
    keys = [metric.key for metric in found.metrics if metric.task]
    header = [
        "variant", "seed", "folder", "data", "parameters", "flops", "epochs", "best_epoch",
        "seconds", "split", *keys,
    ]  # fmt: skip
    rows = []
    for variant in found.variants:
        cost = costs.get(variant.name)
        for seed, result in sorted(variant.results.items()):
            scores, summary = result.scores(found.split), result.summary
            rows.append(
                [
                    variant.name, seed, result.entry.folder, found.data[0], summary["parameters"],
                    None if cost is None else cost.flops, summary["epochs"],
                    summary["best"]["epoch"], summary["seconds"], found.split,
                    *(scores.get(key) for key in keys),
                ]
            )  # fmt: skip
    return _csv(header, rows)


def comparison(found: Comparison) -> str:
    """Return a line for each variant and metric: mean, difference, intervals, p values, verdict."""
    cells = [
        cell
        for variant in found.variants
        for metric in found.metrics
        if (cell := found.cell(variant.name, metric.key))
    ]
    return _csv(COLUMNS, (list(record(found, cell).values()) for cell in cells))


def record(found: Comparison, cell: Cell) -> dict[str, Any]:
    """Return a cell as plain data by `COLUMNS`; None where there is nothing."""
    paired, spread, metric = cell.paired, cell.spread, cell.metric
    plain = None if paired is None else paired.interval
    values = (
        cell.variant, metric.key, found.split, metric.family, metric.measure.minimised,
        spread.count, spread.mean, spread.deviation, spread.least, spread.greatest,
        None if paired is None else len(paired.differences), cell.difference,
        None if plain is None else plain.low, None if plain is None else plain.high,
        *(
            (None, None, None)
            if cell.interval is None or cell.p is None
            else (cell.interval.low, cell.interval.high, cell.interval.level)
        ),
        None if paired is None else paired.p, cell.p, cell.p_pooled,
        None if paired is None else paired.p_flipped, cell.verdict.value,
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def _csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return file.getvalue()
