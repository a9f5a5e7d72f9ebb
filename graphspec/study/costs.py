"""What a variant costs to compute: FLOPs, from the topology that its run folder holds.

This is the one part of a comparison that needs torch: shapes are inferred on the meta device.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from graphspec.errors import SpecError
from graphspec.study.result import Result
from graphspec.training import folder


@dataclass(frozen=True)
class Cost:
    """What the graph of a run costs.

    Attributes:
        flops: Floating-point operations of a forward pass per sample, a multiply-add being two.
        shared: Parameters that the losses of several tasks train.
    """

    flops: int
    shared: int


def of(result: Result) -> Cost | None:
    """Return what the topology of a run costs, or None where it cannot be built here.

    The data need not be here: inputs and classes are those that the run has recorded.

    Args:
        result: The run.
    """
    from graphspec import compiler
    from graphspec.graph import analysis, reachability

    path = result.entry.folder / folder.SPEC
    try:
        spec = compiler.load(path)
        borrowed = {name for name, task in spec.tasks.items() if task.labels is not None}
        graph = compiler.analyze(compiler.load(spec, _recorded(result, borrowed)))
        flops = analysis.analyse(graph).flops
    except (SpecError, KeyError, TypeError, AttributeError):
        return None  # a plugin that is not loaded, or a record of another version
    by_tasks = reachability.sharing(graph).by_tasks
    return Cost(flops, sum(count for tasks, count in by_tasks.items() if len(tasks) > 1))


def _recorded(result: Result, borrowed: Collection[str]) -> dict[str, Any]:
    """Return overrides that state inputs and tasks instead of a data set.

    Args:
        result: The run.
        borrowed: Tasks with the labels of another, which say enough themselves.
    """
    signature: Mapping[str, Any] = result.environment["data"]["signature"]
    changes: dict[str, Any] = {"data": None, "inputs": signature["inputs"]}
    for name, task in signature["tasks"].items():
        if name in borrowed:
            continue
        changes[f"tasks.{name}.type"] = task["type"]
        if task["classes"]:
            changes[f"tasks.{name}.classes"] = task["classes"]
        if task.get("shape"):
            changes[f"tasks.{name}.shape"] = task["shape"]
    return changes
