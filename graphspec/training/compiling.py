"""torch.compile for the steps of training, where this machine can."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch._functorch import config as functorch_config

from graphspec.errors import Code, fail

_VARIANTS = 64
"""Most variants of a model that are compiled in a run."""


def compiled(model: nn.Module, device: torch.device) -> tuple[nn.Module, str | None]:
    """Return the model compiled, or as it is where that cannot be.

    A small function is compiled first, so that a missing compiler shows before the first step.

    Args:
        model: The model, on its device.
        device: Its device.

    Returns:
        What runs the steps, and what stands in the way, if anything does.
    """
    problem = _obstacle(device.type)
    if problem is not None:
        return model, problem
    # The losses of several tasks go back through the same graph one after another, so the first
    # pass must not give the memory of what the next ones read away.
    functorch_config.donated_buffer = False
    _forget()
    # Each size of a batch has code of its own: code for all sizes is only made once a second one is
    # seen, so that a run that goes on with an epoch's last batch would compute in another order.
    made = torch.compile(model, dynamic=False)
    assert isinstance(made, nn.Module)
    return made, None


def _forget() -> None:
    """Let code that earlier runs of this process had compiled not count among this one's.

    torch.compile gives up after a few variants of one function, and all models share the one that
    calls them; a run has a variant for each size of a batch and each set of frozen parameters.
    """
    torch.compiler.reset()
    for name in ("recompile_limit", "cache_size_limit"):  # torch before and after 2.7
        if hasattr(torch._dynamo.config, name):
            setattr(torch._dynamo.config, name, _VARIANTS)


@contextmanager
def explained_compiling(asked: bool) -> Iterator[None]:
    """Turn a model that cannot be compiled inside the block into a diagnostic.

    Args:
        asked: The recipe's ``compile``.

    Raises:
        SpecError: ``bad-value``.
    """
    if not asked:
        yield
        return
    from torch._dynamo.exc import TorchDynamoException

    try:
        yield
    except TorchDynamoException as error:
        message = f"`compile: true`: torch.compile cannot compile this model: {_first_line(error)}"
        raise fail(Code.BAD_VALUE, message, "write `compile: false`") from error


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0].rstrip(".")


def _obstacle(device: str) -> str | None:
    """Return why torch.compile does not work here, or None."""
    # a number that was never compiled before: what an old cache holds needs no compiler
    unique = time.time_ns() % 1_000_000_007

    def small(values: torch.Tensor) -> torch.Tensor:
        return (values * 2 + unique).relu().sum()

    try:
        torch.compile(small)(torch.ones(8, device=device))
    except Exception as error:  # a compiler may be missing or fail in any way
        return _first_line(error)
    return None
