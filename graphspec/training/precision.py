"""Precision: what a forward pass computes in, and what that needs besides.

In ``bf16`` and ``fp16`` torch's autocast decides by the op; weights, their gradients and the losses
stay float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from graphspec.errors import Code, fail

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Precision:
    """The precision of a run.

    Attributes:
        name: ``float32``, ``bf16`` or ``fp16``.
        device: Where the model is.
    """

    name: str
    device: torch.device

    def apply(self, model: nn.Module) -> nn.Module:
        """Return a module that runs ``model`` in this precision and gives float32."""
        dtype = _DTYPES.get(self.name)
        return model if dtype is None else Mixed(model, dtype, self.device.type)

    def context(self) -> AbstractContextManager[Any]:
        """Return the context in which a model computes in this precision."""
        dtype = _DTYPES.get(self.name)
        return nullcontext() if dtype is None else torch.autocast(self.device.type, dtype)

    def scaler(self) -> torch.amp.GradScaler:
        """Return what keeps small gradients of fp16 from vanishing; in others it does nothing."""
        enabled = self.name == "fp16"
        return torch.amp.GradScaler(self.device.type if enabled else "cpu", enabled=enabled)


@contextmanager
def explained_precision(name: str) -> Iterator[None]:
    """Turn an op that a precision does not have inside the block into a diagnostic.

    Args:
        name: The recipe's ``precision``.

    Raises:
        SpecError: ``bad-value``.
    """
    try:
        yield
    except (RuntimeError, NotImplementedError) as error:
        text = (str(error).splitlines() or [""])[0]
        if name not in _DTYPES or "not implemented for" not in text:
            raise
        others = "`float32`" if name == "bf16" else "`bf16` or `float32`"
        message = f"`precision: {name}` does not suit the model on this device: {text}"
        raise fail(Code.BAD_VALUE, message, f"use {others}") from error


class Mixed(nn.Module):
    """A model under autocast.

    Attributes:
        takes_labels: Whether the model is given the true labels while it learns.
    """

    def __init__(self, model: nn.Module, dtype: torch.dtype, device: str) -> None:
        super().__init__()
        self.model = model
        self.takes_labels = bool(getattr(model, "takes_labels", False))
        self._dtype = dtype
        self._device = device

    def forward(self, **inputs: Any) -> dict[str, Tensor]:
        """Return the model's predictions by task, half precision made float32."""
        with torch.autocast(self._device, self._dtype):
            outputs: dict[str, Tensor] = self.model(**inputs)
        return {
            task: output.float() if output.dtype == self._dtype else output
            for task, output in outputs.items()
        }
