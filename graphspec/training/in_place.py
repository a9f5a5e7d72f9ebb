"""ReLUs that overwrite what they read, where nothing else can see it.

A ReLU's output is as large as its input, and a convolution has no use for its own output: neither
its backward pass nor anyone else reads it. Overwriting it saves one tensor a layer, and the time
that writing another one takes; no number changes.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from torch import fx, nn

_DONE = (
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
    *(nn.Linear, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d),
)
"""Layers that make a new tensor which their backward pass does not read."""


def overwrite(model: nn.Module) -> int:
    """Let ReLUs work in place where they stand behind such a layer inside a sequence.

    A ReLU that is also called elsewhere, on what others may read, is left as it is. So is one
    that is a node of its own: its input has a name, and whoever looks at the nodes sees it.

    Args:
        model: A compiled model; changed.

    Returns:
        How many ReLUs work in place.
    """
    places = Counter(id(each) for _, each in model.named_modules(remove_duplicate=False))
    called = _called(model)
    count = 0
    for path, sequence in model.named_modules():
        if type(sequence) is not nn.Sequential:
            continue
        for before, (name, layer) in pairwise(sequence.named_children()):
            alone = places[id(layer)] == 1 and f"{path}.{name}" not in called
            if type(layer) is nn.ReLU and isinstance(before[1], _DONE) and alone:
                layer.inplace = True
                count += 1
    return count


def _called(model: nn.Module) -> set[str]:
    """Return the paths of the modules that nodes of a compiled model call."""
    if not isinstance(model, fx.GraphModule):
        return set()
    return {str(node.target) for node in model.graph.nodes if node.op == "call_module"}
