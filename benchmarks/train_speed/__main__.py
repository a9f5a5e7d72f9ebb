"""Images a second of `graphspec train` on arch5 against other ways to train the same, in turn.

Everyone trains the same model with the same recipe on the same CIFAR-sized images: batches of 100,
shuffled, cropped and flipped at random; 2 x cross-entropy of the fine class + that of the coarse
one; Adam; the running loss and accuracy. A round is an epoch of everyone, one after the other, each
in a process of its own that stays alive in between. Ratios are taken round by round, so that a
machine that becomes faster or slower touches all alike; printed are medians. On a machine that
others use too, `--clock processor --threads 1` compares processor time; what we spend on saving the
state after each epoch is then held against us.

    python -m benchmarks.train_speed                      # width 64 and 8
    python -m benchmarks.train_speed --width 8 --rounds 12 --only graphspec tuned
    python -m benchmarks.train_speed --cifar100 DIR       # images of DIR/cifar-100-python

Lightning and Keras take part where they are installed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.train_speed.contest import BATCH, Result, Settings, write_images
from benchmarks.train_speed.worker import CONTESTANTS, Worker

OURS, TUNED, PLAIN = "graphspec", "tuned", "plain"
WIDE = 16
"""Widths above it count as wide: a step takes long, and few make a round."""
LIMITS = {True: 1.7, False: 2.0}
"""How many times the speed of the plain loop is asked for, wide and narrow."""
TUNED_LIMIT = 0.97
"""What part of the speed of the hand-tuned loop is asked for."""


def compete(
    names: Sequence[str], settings: Settings, rounds: int
) -> tuple[dict[str, list[Result]], dict[str, int]]:
    """Run rounds.

    Args:
        names: Who takes part.
        settings: What is trained.
        rounds: How many rounds, after one to warm up.

    Returns:
        By contestant the results of its rounds, the first being the one to warm up, and how many
        parameters its model has.
    """
    workers: list[Worker] = []
    found: dict[str, list[Result]] = {name: [] for name in names}
    try:
        for name in names:
            workers.append(Worker(name, settings))
            found[name].append(workers[-1].round())
        for number in range(rounds):
            # Who goes first changes, so that nobody always runs after the same one.
            first = number % len(workers)
            for worker in (*workers[first:], *workers[:first]):
                found[worker.name].append(worker.round())
            _tell(f"round {number + 1} of {rounds}")
        return found, {worker.name: worker.parameters for worker in workers}
    finally:
        for worker in workers:
            worker.close()


def table(found: Mapping[str, Sequence[Result]], images: int, clock: str) -> list[str]:
    """Return the lines of the table: speeds, ratios to ours, memory, loss."""
    head = f"{'':32}{'images/s':>10}{'ms a step':>11}{'ratio':>8}{'lowest':>9}{'highest':>9}"
    lines = [head + f"{'memory':>11}{'loss':>16}"]
    for name, results in found.items():
        timed = results[1:]
        seconds = statistics.median(getattr(each, clock) for each in timed)
        against = ratios(found, name, clock)
        memory = f"{max(each.memory for each in results) / 2**20:,.0f} MiB"
        loss = f"{results[0].loss:.2f} to {results[-1].loss:.2f}"
        lines.append(
            f"{CONTESTANTS[name].words:32}{images / seconds:>10,.0f}"
            f"{1e3 * seconds * BATCH / images:>11,.1f}{statistics.median(against):>8.2f}"
            f"{min(against):>9.2f}{max(against):>9.2f}{memory:>11}{loss:>16}"
        )
        workers = max(each.workers for each in results)
        if workers:
            lines.append(f"{'':4}and {workers / 2**20:,.0f} MiB in each of its workers")
    return lines


def ratios(found: Mapping[str, Sequence[Result]], name: str, clock: str) -> list[float]:
    """Return round by round how many times as fast as a contestant ours is."""
    pairs = zip(found[name][1:], found[OURS][1:], strict=True)
    return [getattr(theirs, clock) / getattr(ours, clock) for theirs, ours in pairs]


def verdicts(
    found: Mapping[str, Sequence[Result]], parameters: Mapping[str, int], wide: bool, clock: str
) -> list[str]:
    """Return what is not as it must be."""
    wrong = [
        f"{name} has {count:,} parameters, ours {parameters[OURS]:,}"
        for name, count in parameters.items()
        if count != parameters[OURS]
    ]
    wrong += [
        f"{name} does not learn: its loss was {results[0].loss:.3f} and is {results[-1].loss:.3f}"
        for name, results in found.items()
        if not results[-1].loss < results[0].loss
    ]
    for name, limit in ((PLAIN, LIMITS[wide]), (TUNED, TUNED_LIMIT)):
        ratio = statistics.median(ratios(found, name, clock)) if name in found else limit
        if ratio < limit:
            wrong.append(f"ours is {ratio:.2f} times as fast as {name}, asked for are {limit}")
    return wrong


def _tell(text: str) -> None:
    """Say on stderr how far it is."""
    print(text, file=sys.stderr, flush=True)


def _taking_part(asked: Sequence[str]) -> list[str]:
    """Return who takes part of those that are asked for, ours among them; tell who is missing."""
    names = [name for name in CONTESTANTS if name in asked or name == OURS]
    for name in names:
        if not CONTESTANTS[name].is_there:
            print(f"{CONTESTANTS[name].words} takes no part: `{name}` is not installed")
    return [name for name in names if CONTESTANTS[name].is_there]


def main() -> int:
    """Print a table for each width; 1 if something is not as it must be."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.train_speed", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--width", nargs="*", type=int, default=[64, 8])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--images", type=int, help="images of a round; by default by the width")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", nargs="*", choices=CONTESTANTS, default=list(CONTESTANTS))
    parser.add_argument("--cifar100", type=Path, metavar="DIR", help="folder of real CIFAR-100")
    parser.add_argument("--clock", choices=("seconds", "processor"), default="seconds")
    options = parser.parse_args()
    names = _taking_part(options.only)
    wrong: list[str] = []
    for width in options.width:
        wide = width > WIDE
        images = options.images or (1_000 if wide else 5_000)
        with tempfile.TemporaryDirectory() as folder:
            settings = Settings(width, options.threads, Path(folder) / "images.npz", Path(folder))
            source = options.cifar100 and options.cifar100 / "cifar-100-python"
            what = write_images(settings.file, images, source)
            found, parameters = compete(names, settings, options.rounds)
        print(
            f"\narch5, width {width}, {parameters[OURS]:,} parameters: {options.rounds} rounds of "
            f"{images:,} {what}, {options.threads} threads"
        )
        print("\n".join(table(found, images, options.clock)))
        wrong += [
            f"width {width}: {text}" for text in verdicts(found, parameters, wide, options.clock)
        ]
    # last, as a process that is started has at least the peak memory that this one had before
    from benchmarks.train_speed import arithmetic

    print()
    for width in options.width:
        print(f"width {width}: {arithmetic.words(width, options.threads)}")
    print("\n".join(["", *wrong]) if wrong else "\nall as it must be", flush=True)
    return int(bool(wrong))


if __name__ == "__main__":
    raise SystemExit(main())
