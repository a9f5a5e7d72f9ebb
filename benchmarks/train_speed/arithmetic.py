"""How much a step computes, and how fast this machine multiplies: about what no loop is below."""

from __future__ import annotations

import time

import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.train_speed.contest import BATCH, COARSE, FINE, SIDE
from tests.parity.reference import reference

SIZE = 4096
"""Rows and columns of the matrices that are multiplied."""


def flops(width: int) -> int:
    """Return the floating-point operations of the forward and backward pass of a batch."""
    model = reference("arch5", width)
    images = torch.zeros(BATCH, 3, SIDE, SIDE)
    with FlopCounterMode(display=False) as counter:
        outputs = model(images)
        losses = [
            functional.cross_entropy(outputs[name], torch.arange(BATCH) % classes)
            for name, classes in (("fine", FINE), ("coarse", COARSE))
        ]
        torch.stack(losses).sum().backward()
    return int(counter.get_total_flops())


def rate(threads: int, repeats: int = 5) -> float:
    """Return the operations a second of a large float32 matrix product, the best of some tries.

    Args:
        threads: Threads of torch.
        repeats: How often they are multiplied, after once to warm up.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    left, right = torch.randn(SIZE, SIZE), torch.randn(SIZE, SIZE)
    product = left @ right
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        torch.mm(left, right, out=product)
        seconds.append(time.perf_counter() - started)
    torch.set_num_threads(before)
    return 2 * SIZE**3 / min(seconds)


def words(width: int, threads: int) -> str:
    """Return a line that says how long a step takes at the speed of a matrix product."""
    needed, speed = flops(width), rate(threads)
    return (
        f"a step is {needed / 1e9:,.1f} GFLOP, and a product of {SIZE} x {SIZE} matrices runs at "
        f"{speed / 1e9:,.0f} GFLOP/s here: at that speed it would take "
        f"{1e3 * needed / speed:,.1f} ms"
    )
