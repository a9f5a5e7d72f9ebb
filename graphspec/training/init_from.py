"""Initial weights from another run: taken over by node name, between topologies that may differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from graphspec.errors import Code, fail
from graphspec.graph.ir import Graph
from graphspec.graph.transfer import Transfer, transfer
from graphspec.training import checkpoint, folder, patterns


@dataclass(frozen=True)
class Takeover:
    """What was taken over from a run.

    Attributes:
        run: The run folder.
        checkpoint: Which of its checkpoints: ``best`` or ``last``.
        epoch: The epoch that the weights are of.
        nodes: The patterns that were asked for; empty for all.
        tensors: What was taken and what was left.
    """

    run: Path
    checkpoint: str
    epoch: int
    nodes: Sequence[str]
    tensors: Transfer

    def lines(self) -> list[str]:
        """Return what was taken, what was left and why, a line for each reason."""
        first = f"initial weights of {self.run} ({self.checkpoint}, epoch {self.epoch})"
        told = self.tensors.lines("took", "left", f"see {folder.ENVIRONMENT}")
        return [first, *(f"  {line}" for line in told)]

    def plain(self) -> dict[str, Any]:
        """Return it as plain data, for ``environment.json``."""
        return {
            "run": str(self.run),
            "checkpoint": self.checkpoint,
            "epoch": self.epoch,
            "nodes": list(self.nodes),
            "taken": self.tensors.taken,
            "left": self.tensors.left,
        }


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
    kept: dict[str, Tensor] = saved["model"]
    shapes = {full: tuple(tensor.shape) for full, tensor in kept.items()}

    def wanted(full: str) -> bool:
        return not asked or patterns.any_matches(asked, full)

    made = Takeover(run, name, int(saved["epoch"]), asked, transfer(graph, shapes, wanted))
    own: dict[str, Tensor] = model.state_dict(keep_vars=True)
    with torch.no_grad():
        for node, tensors in made.tensors.taken.items():
            for each in tensors:
                own[f"{node}.{each}"].copy_(kept[f"{node}.{each}"])
    if not made.tensors.taken:
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
