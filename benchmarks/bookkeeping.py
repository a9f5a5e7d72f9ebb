"""What the trainer adds to a step, in microseconds of processor time.

The same steps (two tasks, forward, losses, backward, fused Adam) are made by the trainer's
`graphspec.training.step.step`, with its running means and its looks at clock and gradients, by the
same without counting metrics, and written out by hand. Short blocks of steps alternate between the
three in one process; printed are medians of the differences. Processor time is taken, so that other
programs on the machine matter less.

    python benchmarks/bookkeeping.py
    python benchmarks/bookkeeping.py --classes 20 20 --blocks 300
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).parent.parent))

from graphspec.language.recipe import Train
from graphspec.language.signature import TaskSpec
from graphspec.training import allocator
from graphspec.training.balancing.balancer import Fixed
from graphspec.training.distributed.world import ALONE
from graphspec.training.losses import Losses
from graphspec.training.metrics import Meter
from graphspec.training.observer import Silent
from graphspec.training.pulse import Clock, Pulse
from graphspec.training.shares import Shares
from graphspec.training.state import State
from graphspec.training.step import step
from graphspec.training.symptoms import Anatomy, Gradients, Waited

CPU = torch.device("cpu")
STEPS = 50
"""Steps of a block."""
WEIGHTS = {"fine": 2.0, "coarse": 1.0}


class Net(nn.Module):
    """Two heads on one input: little to compute, so that what is added shows."""

    def __init__(self, classes: Mapping[str, int]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.heads = nn.ModuleDict({task: nn.Linear(16, classes[task]) for task in WEIGHTS})

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return logits by task."""
        return {task: head(image) for task, head in self.heads.items()}


class Uncounted:
    """A meter that takes nothing in: what is left are the trainer's own steps around a step."""

    samples = 0

    def add(self, *_arguments: Any) -> None:
        """Do nothing."""

    def scores(self) -> dict[str, float]:
        """Return nothing."""
        return {}


def ours(classes: Mapping[str, int], given: list[Any], counted: bool) -> Callable[[], None]:
    """Return what makes a block of steps with the trainer."""
    tasks = {task: TaskSpec(classes[task]) for task in WEIGHTS}
    model, losses = Net(classes), Losses(WEIGHTS)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    state = State(model, optimizer, Fixed(WEIGHTS))
    job: Any = SimpleNamespace(
        recipe=Train(), losses=losses, forward=model, train=given, tasks=tasks, observer=Silent(),
        world=ALONE, takes_labels=False, stops=lambda: False,
        anatomy=Anatomy(learned={name: name for name, _ in model.named_parameters()}),
    )  # fmt: skip
    meter: Any = Meter(tasks, losses, CPU) if counted else Uncounted()
    shares = Shares()
    pulse, gradients = Pulse(job, state, meter, Clock(0)), Gradients(job, state)

    def block() -> None:
        for batch in Waited(given):
            step(job, state, meter, shares, batch)
            if not gradients.is_over:
                gradients.look()
            pulse.beat()
            if job.stops():
                break

    return block


def by_hand(classes: Mapping[str, int], given: list[Any]) -> Callable[[], None]:
    """Return what makes a block of the same steps, written out."""
    model = Net(classes)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)

    def block() -> None:
        for batch in given:
            optimizer.zero_grad(set_to_none=True)
            out = model(**batch.inputs)
            loss = 2 * functional.cross_entropy(out["fine"], batch.labels["fine"])
            loss = loss + functional.cross_entropy(out["coarse"], batch.labels["coarse"])
            loss.backward()
            optimizer.step()

    return block


def seconds(block: Callable[[], None]) -> float:
    """Return the processor time of a step of a block."""
    started = time.process_time()
    block()
    return (time.process_time() - started) / STEPS


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    names = ("FINE", "COARSE")
    parser.add_argument("--classes", type=int, nargs=2, default=[100, 20], metavar=names)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--blocks", type=int, default=100)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    allocator.tune()  # as `graphspec train` does
    classes = dict(zip(WEIGHTS, asked.classes, strict=True))
    given = [
        SimpleNamespace(
            inputs={"image": torch.randn(asked.batch, 16)},
            labels={task: torch.randint(classes[task], (asked.batch,)) for task in WEIGHTS},
        )
        for _ in range(STEPS)
    ]
    blocks = by_hand(classes, given), ours(classes, given, False), ours(classes, given, True)
    for block in blocks:
        block()
    rounds = [[seconds(block) * 1e6 for block in blocks] for _ in range(asked.blocks)]
    plain = statistics.median(each[0] for each in rounds)
    keeping = statistics.median(each[1] - each[0] for each in rounds)
    counting = statistics.median(each[2] - each[1] for each in rounds)
    both = statistics.median(each[2] - each[0] for each in rounds)
    print(f"a step by hand {plain:.0f} us; the trainer adds {keeping:.0f} us of bookkeeping and")
    print(f"{counting:.0f} us of metrics, together {both:.0f} us")


if __name__ == "__main__":
    main()
