"""Initial weights from another run: taken over by node name, between topologies that may differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from graphspec.errors import Code, fail
from graphspec.graph.ir import Graph
from graphspec.training import checkpoint, folder, patterns

_NOT_ASKED = "not asked for"
_ABSENT = "not in that run"
_COUNTER = "num_batches_tracked"
_SHOWN = 3
"""Most tensors of a node that are named with the reason why they were left."""


@dataclass(frozen=True)
class Takeover:
    """What was taken over from a run.

    Attributes:
        run: The run folder.
        checkpoint: Which of its checkpoints: ``best`` or ``last``.
        epoch: The epoch that the weights are of.
        nodes: The patterns that were asked for; empty for all.
        taken: For each node the names of its tensors that were taken.
        left: For each node why tensors were left, by the tensor's name in the node.
    """

    run: Path
    checkpoint: str
    epoch: int
    nodes: Sequence[str] = ()
    taken: dict[str, list[str]] = field(default_factory=dict)
    left: dict[str, dict[str, str]] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Return what was taken, what was left and why, a line for each reason."""
        whole = [node for node in self.taken if node not in self.left]
        found = [f"initial weights of {self.run} ({self.checkpoint}, epoch {self.epoch})"]
        found += [f"  took {', '.join(whole)}"] if whole else []
        for node in self.taken:
            if node in self.left:
                count = len(self.taken[node])
                parts = _each(self.left[node])
                found.append(f"  took {count} of {count + len(self.left[node])} of {node}; {parts}")
        reasons: dict[str, list[str]] = {}
        for node, tensors in self.left.items():
            if node not in self.taken:
                reasons.setdefault(_together(tensors), []).append(node)
        return found + [f"  left {', '.join(nodes)}: {why}" for why, nodes in reasons.items()]

    def plain(self) -> dict[str, Any]:
        """Return it as plain data, for ``environment.json``."""
        return {
            "run": str(self.run),
            "checkpoint": self.checkpoint,
            "epoch": self.epoch,
            "nodes": list(self.nodes),
            "taken": self.taken,
            "left": self.left,
        }


def _together(tensors: Mapping[str, str]) -> str:
    """Return why all tensors of a node were left."""
    words = dict.fromkeys(tensors.values())
    if len(words) == 1:
        return next(iter(words))
    return _each(tensors)


def _each(tensors: Mapping[str, str]) -> str:
    """Return why tensors were left, the first few by name; the run's folder has all of them."""
    shown = [f"{name}: {why}" for name, why in list(tensors.items())[:_SHOWN]]
    more = len(tensors) - len(shown)
    return "; ".join(shown) + (f"; {more} others (see {folder.ENVIRONMENT})" if more else "")


def take(model: nn.Module, graph: Graph, source: str | Path, nodes: Iterable[str]) -> Takeover:
    """Give a model the weights that another run has under the same names in the same shapes.

    Args:
        model: The model; changed.
        graph: The graph that it was made from.
        source: The folder of the run, whose best weights are taken; or one of its checkpoints.
        nodes: Patterns of what to take (see `graphspec.training.patterns`); none for all.

    Returns:
        What was taken and what was left.

    Raises:
        SpecError: ``not-a-run``, ``bad-checkpoint``; ``unknown-node`` for a pattern that means
            nothing here, ``run-mismatch`` if nothing fits.
    """
    asked = list(nodes)
    for pattern in asked:
        trouble = patterns.trouble(pattern, graph)
        if trouble is not None:
            raise fail(Code.UNKNOWN_NODE, f"`--nodes`: {trouble[0]}", trouble[1])
    run, name = _source(Path(source))
    saved = checkpoint.load_weights(run, name, None)
    made = Takeover(run, name, int(saved["epoch"]), asked)
    with torch.no_grad():
        for full, tensor in _tensors(model):
            _take_one(made, graph, full, tensor, saved["model"], asked)
    if not made.taken:
        hint = "\n".join(made.lines()[1:])
        message = f"`{run}` has no weights that fit this topology"
        raise fail(Code.RUN_MISMATCH, message, hint or None)
    return made


def _source(path: Path) -> tuple[Path, str]:
    """Return the run and the name of its checkpoint."""
    if path.is_file() and path.name in (folder.BEST, folder.LAST):
        return folder.require_run(path.parent), path.stem
    run = folder.require_run(path)
    return run, "best" if (run / folder.BEST).exists() else "last"


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield every parameter and buffer that a checkpoint has, shared ones once."""
    kept = model.state_dict(keep_vars=True)
    for name, parameter in model.named_parameters():
        yield name, parameter
    for name, buffer in model.named_buffers():
        if name in kept:
            yield name, buffer


def _take_one(
    made: Takeover,
    graph: Graph,
    full: str,
    tensor: Tensor,
    saved: Mapping[str, Tensor],
    asked: Sequence[str],
) -> None:
    """Take over one tensor, or note why not."""
    node = _owner(graph, full)
    name = full[len(node) + 1 :]
    other = saved.get(full)
    if asked and not patterns.any_matches(asked, full):
        why = _NOT_ASKED
    elif other is None:
        why = _ABSENT
    elif other.shape != tensor.shape:
        why = f"its shape is {list(other.shape)} there and {list(tensor.shape)} here"
    elif name.removesuffix(_COUNTER) + "running_mean" in made.left.get(node, {}):
        why = "it counts batches of statistics that were left"
    else:
        tensor.copy_(other)
        made.taken.setdefault(node, []).append(name)
        return
    made.left.setdefault(node, {})[name] = why


def _owner(graph: Graph, full: str) -> str:
    """Return the node whose weights have a tensor."""
    name = full
    while name not in graph.weights and "." in name:
        name = name.rpartition(".")[0]
    owner = graph.weights.get(name)
    return name if owner is None or owner.layer_of is None else owner.layer_of
