"""What the trainer costs besides training: its bookkeeping of a step, and comparing the tasks.

The bookkeeping is the time of the trainer's step on a batch that is there, less that of the same
step written by hand: forward, losses, backward, fused Adam and nothing else. Losses, metrics of both
tasks, balancing, the look at the clock and its messages are what remains. The model is as small as
can be, so that little else is measured; both sides take turns in one process. `train.conflicts`
compares the gradients of the tasks now and then, at the price of further backward passes: that of one
comparison is taken against a step of arch5.

    python -m benchmarks.train_speed.overhead
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from benchmarks.train_speed.contest import (
    BATCH,
    COARSE,
    COARSE_WEIGHT,
    FINE,
    FINE_WEIGHT,
    LR,
    write_images,
)
from graphspec.training import assembly, setup
from graphspec.training.interrupts import Interrupts
from graphspec.training.job import Job
from graphspec.training.metrics import Meter
from graphspec.training.observer import Silent
from graphspec.training.pulse import Clock, Pulse
from graphspec.training.shares import Shares
from graphspec.training.state import State
from graphspec.training.step import step

SMALL = """
graphspec: 1
name: small
nodes:
  pooled: {op: global_pool, from: image}
  fine_head: {op: head, from: pooled, task: fine}
  coarse_head: {op: head, from: pooled, task: coarse}
"""
BOOKKEEPING_LIMIT_US = 50
CONFLICTS_LIMIT = 0.02


def prepared(spec: Path | str, file: Path, **changes: Any) -> tuple[Job, State]:
    """Return a run before its first step, as `graphspec.train` makes it."""
    data = {"source": "arrays", "path": str(file), "augment": "none", "validation": 0}
    classes = {"tasks.fine.classes": FINE, "tasks.coarse.classes": COARSE}
    weights = {"tasks.fine.weight": FINE_WEIGHT, "tasks.coarse.weight": COARSE_WEIGHT}
    checked = setup.load(spec, {"data": data, **classes, **weights, **changes}, Silent())
    made = setup.prepare(checked, Silent())
    batches = assembly.learning_batches(made)
    state, _ = assembly.start_state(made, len(batches))
    job = assembly.job_of(made, state, batches, file.parent / "run", Silent(), Interrupts())
    return job, state


def timed(steps: int, act: Callable[[], None]) -> float:
    """Return the seconds of an action, the mean over so many."""
    started = time.perf_counter()
    for _ in range(steps):
        act()
    return (time.perf_counter() - started) / steps


def bookkeeping(file: Path, rounds: int, steps: int) -> tuple[float, float]:
    """Return the median seconds of a step by hand, and of what the trainer adds to it."""
    spec = file.parent / "small.yaml"
    spec.write_text(SMALL)
    job, state = prepared(spec, file, **{"train.conflicts": False})
    _, other = prepared(spec, file)
    model = other.model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=LR, fused=True)
    batch = next(job.train.epoch(0))
    image, fine, coarse = batch.inputs["image"], batch.labels["fine"], batch.labels["coarse"]
    meter, shares = Meter(job.tasks, job.losses, job.device), Shares()
    pulse = Pulse(job, state, meter, Clock(0))

    def ours() -> None:
        step(job, state, meter, shares, batch)
        pulse.beat()

    def by_hand() -> None:
        optimizer.zero_grad()
        outputs = model(image=image)
        loss = FINE_WEIGHT * functional.cross_entropy(outputs["fine"], fine)
        loss = loss + COARSE_WEIGHT * functional.cross_entropy(outputs["coarse"], coarse)
        loss.backward()
        optimizer.step()

    pairs = [(timed(steps, ours), timed(steps, by_hand)) for _ in range(rounds + 1)][1:]
    hand = statistics.median(pair[1] for pair in pairs)
    return hand, statistics.median(pair[0] - pair[1] for pair in pairs)


def comparing(file: Path, width: int, pairs: int) -> tuple[float, float]:
    """Return the median seconds of a step of arch5, and of one with a comparison against it."""
    job, state = prepared("arch5", file, **{"width": width, "train.conflicts": 2})
    state.model.train()
    batch = next(job.train.epoch(0))
    meter, shares = Meter(job.tasks, job.losses, job.device), Shares()

    def ours() -> None:
        step(job, state, meter, shares, batch)

    timed(2, ours)
    # of two steps in a row the first compares
    found = [(timed(1, ours), timed(1, ours)) for _ in range(pairs)]
    plain = statistics.median(pair[1] for pair in found)
    return plain, statistics.median(pair[0] / pair[1] for pair in found)


def main() -> int:
    """Print both; 1 if one is above its limit."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.train_speed.overhead", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--steps", type=int, default=200, help="steps of a round")
    parser.add_argument("--width", nargs="*", type=int, default=[64, 8])
    parser.add_argument("--pairs", type=int, default=12, help="pairs of steps of arch5")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "images.npz"
        write_images(file, 10 * BATCH, None)
        hand, added = bookkeeping(file, options.rounds, options.steps)
        print(f"a small step by hand {hand * 1e6:,.0f} µs; bookkeeping {added * 1e6:,.0f} µs")
        worst = 0.0
        for width in options.width:
            plain, ratio = comparing(file, width, options.pairs)
            every = 100
            cost = (ratio - 1) / every
            worst = max(worst, cost)
            print(
                f"arch5, width {width}: a step {plain * 1e3:,.1f} ms, one that compares the tasks "
                f"{ratio:.2f} times that; every {every} steps: {100 * cost:.2f} %"
            )
    return int(added * 1e6 > BOOKKEEPING_LIMIT_US or worst > CONFLICTS_LIMIT)


if __name__ == "__main__":
    sys.exit(main())
