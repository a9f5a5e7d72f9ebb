"""A run or a spec as a file for other programs: ONNX, ``torch.export``, safetensors."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import graphspec
from graphspec import compiler
from graphspec.errors import Code, did_you_mean, fail
from graphspec.language.files import replacing
from graphspec.training import checkpoint as checkpoints
from graphspec.training import folder, recorded, setup
from graphspec.training.state import origin_of
from graphspec.training.trained import Run

if TYPE_CHECKING:
    from torch import fx

    from graphspec.compiler import Checked, Overrides
    from graphspec.graph.ir import Graph
    from graphspec.language.models import Spec

TARGETS = {"onnx": ".onnx", "torch-export": ".pt2", "safetensors": ".safetensors"}
"""What `export` writes, with the ending of its files."""

CHECKPOINTS = ("best", "last")


@dataclass(frozen=True)
class Exported:
    """A file that was written.

    Attributes:
        path: The file.
        to: One of `TARGETS`.
        name: Name of the topology.
        inputs: Shape and dtype of each input as they are shown, e.g. ``[N, 3, 32, 32]``.
        outputs: The same for each task, in the order of the outputs.
        epoch: The epoch of a run that the weights are of; None for initial weights.
        difference: Largest difference from PyTorch, as a part of the largest output; None where
            nothing was compared.
    """

    path: Path
    to: str
    name: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    epoch: int | None
    difference: float | None


def export(
    source: Run | Spec | str | Path,
    path: str | Path | None = None,
    *,
    to: str | None = None,
    tasks: Collection[str] | None = None,
    checkpoint: str = "best",
    overrides: Overrides = None,
) -> Exported:
    """Write a model for other programs, in evaluation mode, with a free batch size.

    Args:
        source: A run or its folder; or a spec, its file or the name of a shipped one, whose initial
            weights are exported.
        path: The file; by default ``NAME.onnx`` or the like in the current folder.
        to: ``onnx``, ``torch-export`` or ``safetensors``; by default what ``path`` ends in.
        tasks: Only what these tasks need; None for all.
        checkpoint: Which weights of a run: ``best`` or ``last``.
        overrides: Values of a spec (see `graphspec.load`); a run has its own.

    Returns:
        What was written.

    Raises:
        SpecError: With every mistake in the spec; ``export-failed`` where the target has no word
            for an op, a package is missing, or its numbers are not PyTorch's; ``bad-option``,
            ``not-a-run``, ``bad-checkpoint``, ``cannot-write``, ``disk-full``.
    """
    target = _target(to, None if path is None else Path(path))
    checked, weights = _opened(source, checkpoint, overrides)
    model, graph = _compiled(checked, tasks)
    epoch = None
    if weights is not None:
        known = model.state_dict()
        model.load_state_dict({k: v for k, v in weights["model"].items() if k in known})
        epoch = weights["epoch"]
    spec = checked.spec
    stem = re.sub(r"[^\w.-]+", "-", spec.name).strip("-.") or "model"
    file = Path(f"{stem}{TARGETS[target]}" if path is None else path)
    metadata = {
        "version": graphspec.__version__,
        "name": spec.name,
        "spec_hash": spec.hash(),
        "tasks": ", ".join(graph.heads),
        "weights": "initial" if epoch is None else f"{checkpoint}, epoch {epoch}",
        "spec": spec.resolved_yaml(),
    }
    with replacing(file, "export") as part:
        difference = _write(target, model.eval(), graph, part, metadata)
    outputs = {task: graph.nodes[name].outputs[0] for task, name in graph.heads.items()}
    return Exported(
        path=file,
        to=target,
        name=spec.name,
        inputs={name: str(kind) for name, kind in graph.inputs.items()},
        outputs={task: str(kind) for task, kind in outputs.items()},
        epoch=epoch,
        difference=difference,
    )


def _target(to: str | None, path: Path | None) -> str:
    """Return which of `TARGETS` is asked for."""
    if to is None:
        by_suffix = {suffix: name for name, suffix in TARGETS.items()}
        if path is not None and path.suffix in by_suffix:
            return by_suffix[path.suffix]
        message = "nothing says what to export to"
        if path is not None:
            message = f"`{path}` does not say what to export to"
        known = ", ".join(f"`{name}` ({suffix})" for name, suffix in TARGETS.items())
        raise fail(Code.BAD_OPTION, message, f"say it with `--to`: {known}")
    if to not in TARGETS:
        message = f"`--to {to}` is not known"
        raise fail(Code.BAD_OPTION, message, did_you_mean(to, TARGETS, "values of --to"))
    return to


def _opened(
    source: Run | Spec | str | Path, checkpoint: str, overrides: Overrides
) -> tuple[Checked, dict[str, Any] | None]:
    """Return the checked spec, and the checkpoint of a run."""
    run = source.folder if isinstance(source, Run) else None
    if isinstance(source, (str, Path)) and Path(source).is_dir():
        run = folder.require_run(Path(source))
    if run is None:
        assert not isinstance(source, Run)
        return compiler.check(source, overrides), None
    if overrides:
        message = f"`{run}` is a run, whose values stay as they were trained"
        raise fail(Code.BAD_OPTION, message, "leave `--set` and the like out")
    if checkpoint not in CHECKPOINTS:
        message = f"`--checkpoint {checkpoint}` is not known"
        hint = did_you_mean(checkpoint, CHECKPOINTS, "values of --checkpoint")
        raise fail(Code.BAD_OPTION, message, hint)
    spec = compiler.load(run / folder.SPEC)
    weights = checkpoints.load_weights(run, checkpoint, origin_of(spec))
    portable = setup.portable(spec, recorded.read(run))
    return compiler.check(portable), weights


def _compiled(checked: Checked, tasks: Collection[str] | None) -> tuple[fx.GraphModule, Graph]:
    from graphspec.graph import passes

    graph = passes.run(passes.select(checked.graph, tasks))
    return compiler.compile(graph, seed=checked.spec.train.seed), graph


def _write(
    to: str, model: fx.GraphModule, graph: Graph, path: Path, metadata: Mapping[str, str]
) -> float | None:
    """Write one of `TARGETS`; return how far it is from the model, where that was compared."""
    if to == "onnx":
        from graphspec.backends import onnx

        return onnx.write(model, graph, path, metadata)
    if to == "torch-export":
        from graphspec.backends import program

        return program.write(model, graph, path, metadata)
    from graphspec.backends import weights

    weights.write(model, path, metadata)
    return None
