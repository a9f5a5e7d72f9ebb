"""Tensors of which every process may have a part (FSDP): the own part, and the whole."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def local(value: Tensor) -> Tensor:
    """Return what this process has of a tensor, in the same memory."""
    from torch.distributed.tensor import DTensor

    return value.to_local() if isinstance(value, DTensor) else value


def whole(value: Any) -> Any:
    """Return a tensor put together on the CPU, anything else as it is; all processes ask."""
    from torch.distributed.tensor import DTensor

    if isinstance(value, DTensor):
        value = value.full_tensor()
    return value.detach().cpu() if isinstance(value, Tensor) else value
