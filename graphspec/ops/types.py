"""Tensor types: a shape with a symbolic batch, and a dtype.

Shapes are inferred by running modules on the meta device with a batch of `BATCH` samples, a large
prime: a size that is a multiple of it can only come from the batch, so ``2 * BATCH`` is read as
"twice the batch" and no symbolic arithmetic is needed. Nothing of that size is ever allocated.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

BATCH = 1_000_003
"""The batch size that stands for "any number of samples" in a `TensorType`."""


@dataclass(frozen=True, slots=True)
class TensorType:
    """Shape and dtype of a tensor whose batch size is not known yet.

    Attributes:
        shape: Sizes, in which a multiple of `BATCH` stands for that multiple of the batch.
        dtype: Name of the torch dtype, e.g. ``float32``.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"

    @property
    def rank(self) -> int:
        """Number of dimensions, batch included."""
        return len(self.shape)

    @property
    def size_per_sample(self) -> int:
        """Number of elements per sample of the batch."""
        return prod(self.shape) // BATCH if self.has_batch else prod(self.shape)

    @property
    def bytes_per_sample(self) -> int:
        """Memory per sample of the batch, in bytes."""
        return self.size_per_sample * self.torch_dtype.itemsize

    @property
    def has_batch(self) -> bool:
        """Whether a dimension of it grows with the batch."""
        return any(size and size % BATCH == 0 for size in self.shape)

    @property
    def torch_dtype(self) -> torch.dtype:
        """The dtype as torch's object."""
        return _dtype(self.dtype)

    def meta(self) -> torch.Tensor:
        """Return a tensor of this type on the meta device: shape without storage."""
        import torch

        return torch.empty(self.shape, dtype=self.torch_dtype, device="meta")

    @classmethod
    def of(cls, tensor: torch.Tensor) -> TensorType:
        """Return the type of a tensor that was computed from `meta` tensors."""
        return cls(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))

    def __str__(self) -> str:
        kind = "" if self.dtype == "float32" else f" {self.dtype}"
        return f"[{', '.join(size_text(size) for size in self.shape)}]{kind}"


@cache
def _dtype(name: str) -> torch.dtype:
    import torch

    dtype = getattr(torch, name)
    assert isinstance(dtype, torch.dtype)
    return dtype


def size_text(size: int) -> str:
    """Return a size as it is shown: ``64``, ``N`` for the batch, ``4N`` for four batches."""
    if size and size % BATCH == 0:
        return "N" if size == BATCH else f"{size // BATCH}N"
    return str(size)
