"""Train the six architectures on CIFAR-100 one after another, and print a table of what they reach.

    python benchmarks/six.py --data-root DIR --width 16 --epochs 3 --out runs/six

Runs that are complete are only read, those that were interrupted go on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import graphspec as gs

NAMES = [f"arch{number}" for number in range(1, 7)]


def run(name: str, folder: Path, options: argparse.Namespace) -> gs.Run:
    """Return a finished run of one architecture."""
    if (folder / "summary.json").exists():
        found = gs.Run.open(folder)
        if found.status == "finished":
            return found
    if (folder / "last.pt").exists():
        return gs.train(resume=folder)
    return gs.train(
        name,
        data_root=options.data_root,
        epochs=options.epochs,
        out=folder,
        overrides={"width": options.width},
    )


def row(name: str, found: gs.Run) -> str:
    """Return a line of the table: losses of the first and last epoch, test accuracies."""
    lines = found.metrics
    train = [line["loss"] for line in lines if line["split"] == "train"]
    validation = [line["loss"] for line in lines if line["split"] == "validation"]
    test = next(line for line in lines if line["split"] == "test")
    losses = " -> ".join(f"{loss:.2f}" for loss in train)
    checked = " -> ".join(f"{loss:.2f}" for loss in validation)
    scores = [
        f"{100 * float(test[key]):.1f} %" for key in ("fine/top1", "fine/top5", "coarse/top1")
    ]
    return f"| {name} | {losses} | {checked} | {' | '.join(scores)} |"


def main() -> None:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data-root", help="folder with cifar-100-python; default: download")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs/six"))
    options = parser.parse_args()
    head = ("loss, train", "loss, validation", "fine top-1", "fine top-5", "coarse top-1")
    print(f"| architecture | {' | '.join(head)} |")
    print("|---" * (len(head) + 1) + "|")
    for name in NAMES:
        print(row(name, run(name, options.out / name, options)), flush=True)


if __name__ == "__main__":
    main()
