"""Deterministic algorithms, asked for and put back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from graphspec.errors import Code, fail


@contextmanager
def deterministic(asked: bool) -> Iterator[None]:
    """Let torch use deterministic algorithms alone inside the block, if that is asked for.

    Args:
        asked: The recipe's ``deterministic``.

    Raises:
        SpecError: ``bad-value`` if the model uses what has no deterministic algorithm.
    """
    if not asked:
        yield
        return
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.benchmark,
    )
    # cuBLAS reads it when it is first used; without it torch refuses matrix products.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        if "deterministic" not in text:
            raise
        message = f"`deterministic: true`: {text.split('. ')[0].splitlines()[0]}"
        hint = "replace the layer that uses it, or write `deterministic: false`"
        raise fail(Code.BAD_VALUE, message, hint) from error
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.backends.cudnn.benchmark = before[2]


def private_random_numbers(device: torch.device) -> AbstractContextManager[None]:
    """Return a context after which torch's random numbers go on as if nothing had been."""
    if device.type in ("cpu", "cuda"):
        return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
    return nullcontext()
