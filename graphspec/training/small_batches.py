"""Batches that are too small for what a model measures in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from graphspec.errors import Code, fail


@contextmanager
def explained_small_batches(batch_size: int) -> Iterator[None]:
    """Turn a normalisation that has one value a channel inside the block into a diagnostic.

    Args:
        batch_size: Samples of a step, by the recipe.

    Raises:
        SpecError: ``bad-value``.
    """
    try:
        yield
    except ValueError as error:
        # torch's words; the node that a compiled model adds stands behind them, in brackets
        text, _, place = str(error).partition(" (in node `")
        if not text.startswith("Expected more than 1 value per channel when training"):
            raise
        node = place.partition(":")[0].partition("`")[0]
        where = f" of `{node}`" if node else ""
        message = f"`batch_size: {batch_size}` gives the normalisation{where} one value a channel, "
        message += "whose deviation is 0"
        hint = "give each process at least two samples a step, or replace batch-norm by `LayerNorm`"
        raise fail(Code.BAD_VALUE, message, hint) from error
