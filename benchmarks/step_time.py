"""Time of a training step, compiled against hand-written, side by side in one process.

For each architecture and width both modules get the same weights and the same batch; steps
(forward, backward, Adam) alternate between the two, and the ratio of each pair is taken, so that a
drift of the machine's speed touches both alike. Printed is the median of the ratios.

    python benchmarks/step_time.py                       # all six, width 64 and 8
    python benchmarks/step_time.py --arch arch5 --width 8 --pairs 50
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).parent.parent))

import graphspec as gs
from tests.parity.reference import ARCHITECTURES, reference

LIMIT = 1.02


class Trainer:
    """One module with its optimizer."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module.train()
        self.optimizer = torch.optim.Adam(module.parameters(), lr=5e-4)

    def step(self, image: torch.Tensor, fine: torch.Tensor, coarse: torch.Tensor) -> float:
        """Return the seconds of one training step."""
        start = time.perf_counter()
        self.optimizer.zero_grad()
        out = self.module(image=image)
        loss = 2 * functional.cross_entropy(out["fine"], fine)
        loss = loss + functional.cross_entropy(out["coarse"], coarse)
        loss.backward()
        self.optimizer.step()
        return time.perf_counter() - start


def compare(name: str, width: int, batch: int, pairs: int) -> tuple[float, float, float]:
    """Return the median seconds of a step, compiled and hand-written, and the median ratio."""
    compiled = gs.compile(gs.load(name, {"width": width}))
    written = reference(name, width)
    written.load_state_dict(compiled.state_dict())
    trainers = Trainer(compiled), Trainer(written)
    data = (
        torch.randn(batch, 3, 32, 32),
        torch.randint(100, (batch,)),
        torch.randint(20, (batch,)),
    )
    for trainer in trainers:
        trainer.step(*data)
    times: tuple[list[float], list[float]] = ([], [])
    for index in range(pairs):
        # Who goes first alternates, so that neither always runs on the other's warm caches.
        for which in (0, 1) if index % 2 == 0 else (1, 0):
            times[which].append(trainers[which].step(*data))
    ratios = [a / b for a, b in zip(*times, strict=True)]
    return statistics.median(times[0]), statistics.median(times[1]), statistics.median(ratios)


def main() -> int:
    """Print a row per architecture and width; exit 1 if a ratio is above the limit."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--arch", nargs="*", default=sorted(ARCHITECTURES))
    parser.add_argument("--width", nargs="*", type=int, default=[64, 8])
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--pairs", type=int, help="steps of each; default 12 wide, 100 narrow")
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, batch {options.batch}")
    print(f"{'spec':8}{'width':>6}{'pairs':>7}{'compiled':>12}{'by hand':>12}{'ratio':>8}")
    worst = 0.0
    for width in options.width:
        for name in options.arch:
            pairs = options.pairs or (12 if width > 16 else 100)
            ours, theirs, ratio = compare(name, width, options.batch, pairs)
            worst = max(worst, ratio)
            print(
                f"{name:8}{width:6}{pairs:7}{ours * 1e3:9.1f} ms{theirs * 1e3:9.1f} ms{ratio:8.3f}",
                flush=True,
            )
    print(f"largest ratio {worst:.3f}, limit {LIMIT}")
    return int(worst > LIMIT)


if __name__ == "__main__":
    raise SystemExit(main())
