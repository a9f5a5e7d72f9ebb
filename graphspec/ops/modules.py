"""Modules that torch lacks, or has in a form that does not fit a topology as it is.

They use torch alone, so a generated source file may hold a copy of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class Parameter(nn.Module):
    """A learned tensor: as it is, or once for each sample of an input.

    Attributes:
        weight: The tensor.
    """

    def __init__(self, shape: Sequence[int], initial: float | None = None, std: float = 1.0):
        """Make the tensor.

        Args:
            shape: Its shape.
            initial: The value of all its elements at the start; None draws them from a normal
                distribution around 0.
            std: Standard deviation of that distribution.
        """
        super().__init__()
        self.weight = nn.Parameter(torch.empty(*shape))
        if initial is None:
            nn.init.normal_(self.weight, std=std)
        else:
            nn.init.constant_(self.weight, initial)

    def forward(self, input: Tensor | None = None) -> Tensor:
        """Return the tensor, or with an input of ``N`` samples ``N`` views of it, one a sample."""
        if input is None:
            return self.weight
        return self.weight.expand(input.shape[0], *self.weight.shape)

    def extra_repr(self) -> str:
        """Return the shape."""
        return ", ".join(map(str, self.weight.shape))


class Mix(nn.Module):
    """A learned linear combination of tensors of one shape.

    Attributes:
        weight: The factors, of shape ``(inputs,)`` or ``(inputs, channels)``.

    Source:
        Misra et al., "Cross-stitch Networks for Multi-task Learning", CVPR 2016, eq. 1.
    """

    def __init__(self, initial: Sequence[float], channels: int | None = None):
        """Make the factors.

        Args:
            initial: Where the factor of each input starts.
            channels: Number of channels where each has factors of its own.
        """
        super().__init__()
        start = torch.tensor(tuple(initial))
        if channels is not None:
            start = start[:, None].repeat(1, channels)
        self.weight = nn.Parameter(start)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Combine tensors ``(N, C, ...)`` into one of their shape."""
        weight: Tensor = self.weight
        if weight.dim() == 2:
            weight = weight.reshape(*weight.shape, *(1,) * (inputs[0].dim() - 2))
        total = weight[0] * inputs[0]
        for number in range(1, len(inputs)):
            total = total + weight[number] * inputs[number]
        return total

    def extra_repr(self) -> str:
        """Return the numbers of inputs and channels."""
        return ", ".join(map(str, self.weight.shape))


class DropPath(nn.Module):
    """Stochastic depth: sets samples to zero while training and scales up those that stay.

    Attributes:
        p: Probability that a sample (``row``) or the whole batch (``batch``) becomes 0.
        mode: ``row`` or ``batch``.

    Source:
        Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016.
    """

    def __init__(self, p: float = 0.1, mode: str = "row") -> None:
        super().__init__()
        self.p = p
        self.mode = mode

    def forward(self, input: Tensor) -> Tensor:
        """Drop samples of a tensor ``(N, ...)``."""
        if not self.training or self.p == 0.0:
            return input
        kept = 1.0 - self.p
        rows = input.shape[0] if self.mode == "row" else 1
        shape = (rows, *(1,) * (input.dim() - 1))
        noise = torch.empty(shape, dtype=input.dtype, device=input.device).bernoulli_(kept)
        if kept > 0.0:
            noise = noise / kept  # the expected value stays
        return input * noise

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"p={self.p}, mode={self.mode!r}"


class MultiheadAttention(nn.MultiheadAttention):
    """``nn.MultiheadAttention`` with one output, self-attention for a single input, causal or not.

    Parameters, their names and their initial values are torch's. The attention weights are not
    returned, so torch may use its fused kernels.

    Source:
        Vaswani et al., "Attention Is All You Need", NeurIPS 2017.
    """

    def __init__(self, *args: Any, is_causal: bool = False, **kwargs: Any) -> None:
        """Take torch's arguments, and whether a position sees only itself and those before it."""
        super().__init__(*args, **kwargs)
        self.is_causal = is_causal

    def forward(  # type: ignore[override]
        self, query: Tensor, key: Tensor | None = None, value: Tensor | None = None
    ) -> Tensor:
        """Attend from ``query`` to ``key`` and ``value``.

        Args:
            query: Of shape ``(N, L, embed_dim)``.
            key: Of shape ``(N, S, kdim)``; without it the value, without that the query.
            value: Of shape ``(N, S, vdim)``; without it the key.

        Returns:
            What was attended to, of shape ``(N, L, embed_dim)``.
        """
        if key is None:
            key = query if value is None else value
        value = key if value is None else value
        mask: Tensor | None = None
        if self.is_causal:
            shape = (query.shape[1], key.shape[1])
            mask = torch.ones(shape, dtype=torch.bool, device=query.device).triu(1)
        output: Tensor = super().forward(
            query, key, value, need_weights=False, attn_mask=mask, is_causal=self.is_causal
        )[0]
        return output


class TransposedLinear(nn.Linear):
    """A Linear layer whose weight is another layer's, transposed, as in a tied autoencoder.

    Its ``weight`` has the shape ``(in_features, out_features)``.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return ``input @ weight + bias``.

        Args:
            input: Of shape ``(..., in_features)``.

        Returns:
            Of shape ``(..., out_features)``.
        """
        return nn.functional.linear(input, self.weight.t(), self.bias)
