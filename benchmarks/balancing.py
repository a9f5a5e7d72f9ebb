"""What balancing costs: processor time of a training step by method, as a ratio to `fixed`.

Every method has a model of its own with the same weights and sees the same batch. Steps (forward,
backward, fused Adam) alternate between `fixed` and the method, and the ratio of each pair is taken,
so that a drift of the machine's speed touches both alike. Printed is the median of the ratios. The
row `conflicts` is a step of `fixed` in which the gradients of the tasks are compared; what that
costs at the default rate is printed below, and the exit code is 1 if it is above the limit.

    python benchmarks/balancing.py                        # arch5, width 64 and 8, every method
    python benchmarks/balancing.py --method upgrad mgda --width 8
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).parent.parent))

import graphspec as gs
from graphspec.graph import passes
from graphspec.language.balance import Conflicts
from graphspec.language.recipe import Train
from graphspec.training.balancing.methods import METHODS
from graphspec.training.balancing.site import Site
from graphspec.training.conflicts import watched

LIMIT = 0.02
"""Largest part of a run's time that comparing gradients may take."""

COMPARISON = "conflicts"


class Trainer:
    """A model under one method, with its optimizer."""

    def __init__(self, name: str, width: int, method: str) -> None:
        graph = passes.run(gs.analyze(gs.load(name, {"width": width})))
        self.model = gs.compile(graph, seed=0).train()
        for p in self.model.parameters():
            if p.dim() == 4:
                p.data = p.data.to(memory_format=torch.channels_last)
        site = Site(
            graph, self.model, graph.tasks, {"fine": 2.0, "coarse": 1.0}, torch.device("cpu")
        )
        compared = method == COMPARISON
        recipe = {"balance": "fixed" if compared else method, "conflicts": int(compared)}
        self.balancer = watched(Train.model_validate(recipe), site)
        parameters = [*self.model.parameters(), *self.balancer.parameters()]
        self.optimizer = torch.optim.Adam(parameters, lr=5e-4, fused=True)

    def step(self, image: torch.Tensor, labels: dict[str, torch.Tensor]) -> float:
        """Return the processor seconds of one training step, which other programs do not change."""
        start = time.process_time()
        self.optimizer.zero_grad(set_to_none=True)
        out = self.model(image=image)
        self.balancer.backward({t: functional.cross_entropy(out[t], labels[t]) for t in labels})
        self.optimizer.step()
        return time.process_time() - start


def ratio(fixed: Trainer, other: Trainer, batch: int, pairs: int) -> float:
    """Return the median ratio of the other's step to that of `fixed`."""
    image = torch.randn(batch, 3, 32, 32).to(memory_format=torch.channels_last)
    labels = {"fine": torch.randint(100, (batch,)), "coarse": torch.randint(20, (batch,))}
    for trainer in (fixed, other):
        trainer.step(image, labels)
    found = []
    for index in range(pairs):
        # Who goes first alternates, so that neither always runs on the other's warm caches.
        pair = (fixed, other) if index % 2 == 0 else (other, fixed)
        times = {id(trainer): trainer.step(image, labels) for trainer in pair}
        found.append(times[id(other)] / times[id(fixed)])
    return statistics.median(found)


def main() -> int:
    """Print a row per method; exit 1 if comparing gradients costs more than it may."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--arch", default="arch5")
    parser.add_argument("--method", nargs="*", default=[COMPARISON, *METHODS])
    parser.add_argument("--width", nargs="*", type=int, default=[64, 8])
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--pairs", type=int, help="steps of each; default 8 wide, 40 narrow")
    options = parser.parse_args()
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, batch {options.batch}")
    print(f"{options.arch:14}" + "".join(f"{f'width {width}':>10}" for width in options.width))
    fixed = {width: Trainer(options.arch, width, "fixed") for width in options.width}
    costs: list[float] = []
    for method in options.method:
        found = []
        for width in options.width:
            pairs = options.pairs or (8 if width > 16 else 40)
            other = Trainer(options.arch, width, method)
            found.append(ratio(fixed[width], other, options.batch, pairs))
        if method == COMPARISON:
            costs += [(each - 1.0) / Conflicts().steps(2) for each in found]
        print(f"{method:14}" + "".join(f"{each:10.2f}" for each in found), flush=True)
    if costs:
        every = Conflicts().steps(2)
        print(f"comparing every {every} steps costs {max(costs):.1%}, limit {LIMIT:.0%}")
    return int(max(costs, default=0.0) > LIMIT)


if __name__ == "__main__":
    raise SystemExit(main())
