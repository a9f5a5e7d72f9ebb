"""Modules that torch has in a form that does not fit a topology as it is."""

from __future__ import annotations

from torch import Tensor, nn


class MultiheadAttention(nn.MultiheadAttention):
    """``nn.MultiheadAttention`` with one output, and with self-attention for a single input.

    Parameters, their names and their initial values are torch's. The attention weights are not
    returned, so torch may use its fused kernels.

    Source:
        Vaswani et al., "Attention Is All You Need", NeurIPS 2017.
    """

    def forward(  # type: ignore[override]
        self, query: Tensor, key: Tensor | None = None, value: Tensor | None = None
    ) -> Tensor:
        """Attend from ``query`` to ``key`` and ``value``.

        Args:
            query: Of shape ``(N, L, embed_dim)``.
            key: Of shape ``(N, S, kdim)``; without it the query.
            value: Of shape ``(N, S, vdim)``; without it the key.

        Returns:
            What was attended to, of shape ``(N, L, embed_dim)``.
        """
        key = query if key is None else key
        value = key if value is None else value
        output: Tensor = super().forward(query, key, value, need_weights=False)[0]
        return output
