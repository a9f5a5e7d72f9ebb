"""The vocabulary of topologies: kinds, torch.nn layers and functions, found by name.

`registry` says what an op is, `build` turns one into a module; the other files hold the ops. They
import torch, so they are loaded by `load_ops` and not by importing this package.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphspec.ops.registry import Op, Registry


@cache
def load_ops() -> Registry[Op]:
    """Register the built-in ops, once, and return the registry of all ops.

    It imports torch. Built-in ops are listed here and nowhere else: kinds first, since a typo is
    likeliest to be meant for one of them.
    """
    from graphspec.ops import (
        functions,  # noqa: F401
        kinds,  # noqa: F401
        layers,
        merging,  # noqa: F401
        pointwise,  # noqa: F401
        stacks,  # noqa: F401
    )
    from graphspec.ops.registry import OPS

    layers.register_layers()
    return OPS
