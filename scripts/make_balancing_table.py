#!/usr/bin/env python3
"""Train arch5 on CIFAR-100 under each balancing method and write the table of docs/balancing.md.

    python scripts/make_balancing_table.py --data-root DIR              # trains what is missing
    python scripts/make_balancing_table.py --data-root DIR --seeds 0 1 2 --epochs 20
    python scripts/make_balancing_table.py --table-only             # from the runs that are there

DIR holds cifar-100-python; without it the data are downloaded. Every method has the same recipe,
the same initial weights, batches and dropout of a seed. Runs that are complete are only read, those
that were interrupted go on, so it can be stopped and started at any time. The table has a row for
every method whose runs are complete.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "balancing.md"
MARK = "<!-- table: cifar100 -->\n"
sys.path.insert(0, str(ROOT))

import graphspec as gs  # noqa: E402 - the working copy, not an installed package
from graphspec.training import folder  # noqa: E402
from graphspec.training.conflict_figure import lines  # noqa: E402

METHODS = (
    "fixed", "uncertainty", "dwa", "random", "geometric", "gradnorm", "upgrad", "mgda", "pcgrad",
    "cagrad", "nash_mtl", "imtl_g", "aligned_mtl", "config", "graddrop", "fairgrad", "dualproj",
    "mean", "sum",
)  # fmt: skip
HEAD = (
    "| `balance` | runs | loss, validation | fine top-1 | fine top-5 | coarse top-1 | "
    "weights fine : coarse | conflicts |\n|---|--:|--:|--:|--:|--:|--:|--:|\n"
)


def finished(method: str, seed: int, options: argparse.Namespace) -> gs.Run | None:
    """Return the run of a method and a seed, if it has all its epochs."""
    path = options.out / f"{method}-{seed}"
    if not (path / folder.SUMMARY).exists():
        return None
    found = gs.Run.open(path)
    done = found.status == "finished" and found.summary["epochs"] >= options.epochs
    return found if done else None


def trained(method: str, seed: int, options: argparse.Namespace) -> bool:
    """Train, or go on where it was stopped; return False if that was interrupted."""
    print(f"{method}, seed {seed}", file=sys.stderr, flush=True)
    path = options.out / f"{method}-{seed}"
    if (path / folder.LAST).exists():
        return gs.train(resume=path, epochs=options.epochs).status == "finished"
    recipe = {
        "width": options.width,
        "data.augment": options.augment,
        "train.balance": method,
        "train.batch_size": options.batch_size,
        "train.lr": options.lr,
        "train.conflicts": 20,
    }
    run = gs.train(
        "arch5",
        data_root=options.data_root,
        epochs=options.epochs,
        seed=seed,
        out=path,
        overrides=recipe,
    )
    return run.status == "finished"


def row(method: str, runs: Sequence[gs.Run]) -> str:
    """Return a line of the table: means over seeds, with the deviation where there are several."""
    tests = [next(r for r in found.metrics if r["split"] == "test") for found in runs]
    losses = [found.summary["best"]["value"] for found in runs]
    cells = [number(losses, 3)]
    for key in ("fine/top1", "fine/top5", "coarse/top1"):
        cells.append(number([100 * test[key] for test in tests], 1) + " %")
    last = [[r for r in found.metrics if r["split"] == "train"][-1] for found in runs]
    cells.append(" : ".join(weight(last, task) for task in ("fine", "coarse")))
    at = [each for found in runs for each in lines(folder.read_conflicts(found.folder))]
    shared = [100 * each.conflict for each in at if each.node == "conv_layers"]
    cells.append(f"{statistics.mean(shared):.0f} %")
    return f"| `{method}` | {len(runs)} | {' | '.join(cells)} |\n"


def number(values: Sequence[float], digits: int) -> str:
    """Return a mean and, of several values, their standard deviation."""
    text = f"{statistics.mean(values):.{digits}f}"
    return text if len(values) < 2 else f"{text} ± {statistics.stdev(values):.{digits}f}"


def weight(records: Sequence[dict[str, Any]], task: str) -> str:
    """Return the mean weight of a task in the last epoch."""
    return f"{statistics.mean(record[f'{task}/weight'] for record in records):.2f}"


def renewed(page: str, table: str) -> str:
    """Return the page with the table below its mark in the place of the old one."""
    before, found, after = page.partition(MARK)
    assert found, f"{PAGE} has no line {MARK!r}"
    return before + MARK + table + re.sub(r"\A(\|.*\n)*", "", after)


def main() -> None:
    """Train what is missing; print the table, and write it into the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data-root", help="folder with cifar-100-python; default: download")
    parser.add_argument("--out", type=Path, default=Path("runs/balancing"))
    parser.add_argument("--methods", nargs="*", default=METHODS)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=250)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--augment", default="none")
    parser.add_argument("--table-only", action="store_true", help="train nothing")
    options = parser.parse_args()
    for method in () if options.table_only else options.methods:
        for seed in options.seeds:
            if finished(method, seed, options) is None and not trained(method, seed, options):
                return  # interrupted
    table = HEAD
    for method in METHODS:
        runs = [finished(method, seed, options) for seed in options.seeds]
        if None not in runs:
            table += row(method, [each for each in runs if each is not None])
    print(table, end="")
    if table != HEAD:
        PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8"), table), encoding="utf-8")


if __name__ == "__main__":
    main()
