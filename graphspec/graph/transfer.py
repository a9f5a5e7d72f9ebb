"""Which trained weights one topology has for another: by name and shape, and else why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from graphspec.graph.ir import Graph
from graphspec.graph.reachability import parameters

Shape = tuple[int, ...]

_ABSENT = "not in that run"
_NOT_ASKED = "not asked for"
_COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class Transfer:
    """What a topology can take over from another.

    Attributes:
        taken: For each node the names of its tensors that are taken.
        left: For each node why tensors are left, by the tensor's name in the node.
    """

    taken: dict[str, list[str]] = field(default_factory=dict)
    left: dict[str, dict[str, str]] = field(default_factory=dict)

    def lines(
        self,
        took: str,
        left: str,
        more: str,
        listed: Callable[[Sequence[str]], str] = ", ".join,
        shown: int = 3,
    ) -> list[str]:
        """Return what is taken, what is left and why, a line for each reason.

        Args:
            took: The word for what is taken: ``took``.
            left: The word for the rest: ``left``.
            more: Where all of it stands, for what is too long to tell.
            listed: Puts names in a row.
            shown: Most tensors of a node that are named with the reason why they are left.
        """
        whole = [node for node in self.taken if node not in self.left]
        found = [f"{took} {listed(whole)}"] if whole else []
        for node, tensors in self.taken.items():
            if node in self.left:
                count, others = len(tensors), self.left[node]
                parts = _each(others, more, shown)
                found.append(f"{took} {count} of {count + len(others)} of {node}; {parts}")
        reasons: dict[str, list[str]] = {}
        for node, others in self.left.items():
            if node not in self.taken:
                reasons.setdefault(_together(others, more, shown), []).append(node)
        return found + [f"{left} {listed(nodes)}: {why}" for why, nodes in reasons.items()]


def _together(tensors: Mapping[str, str], more: str, most: int) -> str:
    """Return why all tensors of a node are left."""
    words = dict.fromkeys(tensors.values())
    return next(iter(words)) if len(words) == 1 else _each(tensors, more, most)


def _each(tensors: Mapping[str, str], more: str, most: int) -> str:
    """Return why tensors are left, the first few by name."""
    shown = [f"{name}: {why}" for name, why in list(tensors.items())[:most]]
    rest = len(tensors) - len(shown)
    return "; ".join(shown) + (f"; {rest} other{'s' if rest > 1 else ''} ({more})" if rest else "")


def saved_shapes(graph: Graph) -> dict[str, Shape]:
    """Return the shape of every tensor in a checkpoint of a typed graph, by its full name.

    A parameter that several nodes have stands under each of their names.
    """
    found = {
        f"{user}.{name}": each.type.shape
        for each in parameters(graph).values()
        for user, name in each.uses
    }
    return found | _buffers(graph)


def own_shapes(graph: Graph) -> dict[str, Shape]:
    """Return the shape of every parameter and buffer of a typed graph, shared ones once."""
    found = {name: each.type.shape for name, each in parameters(graph).items()}
    return found | _buffers(graph)


def _buffers(graph: Graph) -> dict[str, Shape]:
    return {
        f"{weights.name}.{name}": kind.shape
        for weights in graph.weights.values()
        if weights.buffers and graph.calls[weights.name]
        for name, kind in weights.buffers.items()
    }


def transfer(
    graph: Graph,
    saved: Mapping[str, Sequence[int]],
    asked: Callable[[str], bool] = lambda name: True,
    old_names: Mapping[str, str] | None = None,
) -> Transfer:
    """Return which tensors of a checkpoint fit a topology, under the same name in the same shape.

    Args:
        graph: The topology that is to get them.
        saved: Shapes of the tensors there are, by name.
        asked: Whether a tensor is wanted.
        old_names: For nodes that are in the checkpoint under another name that one, so that it is
            told.
    """
    made = Transfer()
    others = old_names or {}
    for full, shape in own_shapes(graph).items():
        node = _owner(graph, full)
        name = full[len(node) + 1 :]
        other = saved.get(full)
        if not asked(full):
            why = _NOT_ASKED
        elif other is None:
            why = f"`{others[node]}` there" if node in others else _ABSENT
        elif tuple(other) != shape:
            why = f"its shape is {list(other)} there and {list(shape)} here"
        elif name.removesuffix(_COUNTER) + "running_mean" in made.left.get(node, {}):
            why = "it counts batches of statistics that were left"
        else:
            made.taken.setdefault(node, []).append(name)
            continue
        made.left.setdefault(node, {})[name] = why
    return made


def _owner(graph: Graph, full: str) -> str:
    """Return the node whose weights have a tensor."""
    name = full
    while name not in graph.weights and "." in name:
        name = name.rpartition(".")[0]
    owner = graph.weights.get(name)
    return name if owner is None or owner.layer_of is None else owner.layer_of
