"""The vocabulary of topologies: kinds, torch.nn layers and functions, found by name.

`registry` says what an op is, `build` turns one into a module; the other files hold the ops. They
import torch, so they are loaded by `load_ops` and not by importing this package.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphspec.ops.registry import Op, Registry

_MODULES = (
    "stacks", "merging", "learned", "kinds", "heads", "reductions", "pointwise", "reshaping",
    "functions",
)  # fmt: skip
"""Files that register ops when they are imported."""


@cache
def load_ops() -> Registry[Op]:
    """Register the built-in ops, once, and return the registry of all ops.

    It imports torch. Built-in ops are listed here and nowhere else.
    """
    from importlib import import_module

    for module in _MODULES:
        import_module(f"graphspec.ops.{module}")
    from graphspec.ops.layers import register_layers
    from graphspec.ops.registry import OPS

    register_layers()
    return OPS
