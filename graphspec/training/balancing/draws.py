"""Random numbers of balancing: the k-th step of a seed draws the same ones, whatever was before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b

import torch


def seed_of(seed: int, call: int) -> int:
    """Return the seed of one step's draws.

    Args:
        seed: The run's seed.
        call: The number of the step.
    """
    digest = blake2b(f"balancing {seed} {call}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


@contextmanager
def drawing(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's random numbers for a while, and leave them as they were.

    So dropout draws the same numbers whichever method balances.
    """
    kind = device.type
    devices = [device] if kind == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(seed)
        if kind == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
