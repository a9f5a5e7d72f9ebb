"""``graphspec export``: a run or a spec as a file for other programs."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphspec.cli import terminal
from graphspec.cli.evaluate import Checkpoint
from graphspec.cli.options import (
    Assignments,
    DataName,
    DataRoot,
    Plugins,
    Tasks,
    overrides,
    shipped_specs,
    split,
)

if TYPE_CHECKING:
    from graphspec.training.export import Exported

EXAMPLES = (
    "graphspec export runs/narrow --to onnx",
    "graphspec export runs/narrow --tasks fine -o fine.pt2",
    "graphspec export arch5 --set width=16 --to safetensors",
)


class Target(str, Enum):
    """What is written."""

    ONNX = "onnx"
    TORCH_EXPORT = "torch-export"
    SAFETENSORS = "safetensors"


def command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="A run folder; or a spec, whose initial weights are exported.",
            autocompletion=shipped_specs,
            show_default=False,
        ),
    ],
    to: Annotated[
        Target | None,
        typer.Option("--to", help="What to write, or what FILE ends in.", show_default=False),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--out",
            metavar="FILE",
            help="The file; default: NAME.onnx, NAME.pt2 or NAME.safetensors here.",
            show_default=False,
        ),
    ] = None,
    tasks: Tasks = None,
    checkpoint: Annotated[
        Checkpoint, typer.Option("--checkpoint", help="Which weights of a run.")
    ] = Checkpoint.BEST,
    assignments: Assignments = None,
    data: DataName = None,
    data_root: DataRoot = None,
    plugins: Plugins = None,
) -> None:
    """Write a model as ONNX, torch.export or safetensors."""
    from graphspec.cli import finding
    from graphspec.training import export

    asked = overrides(assignments, data=data, data_root=data_root)
    given = Path(source)
    is_run = given.is_dir() or given.suffix == ".pt"
    done = export.export(
        finding.named(source) if is_run else source,
        out,
        to=to.value if to is not None else None,
        tasks=split(tasks),
        checkpoint=checkpoint.value,
        overrides=asked or None,
    )
    if done.epoch is None:
        remark = f"`{source}` is a spec: its initial weights are exported, nothing is trained"
        terminal.remark(remark, "warning")
    print("\n".join(_lines(done, checkpoint.value)))


def _lines(done: Exported, checkpoint: str) -> list[str]:
    weights = "initial weights"
    if done.epoch is not None:
        weights = f"{checkpoint} weights (epoch {done.epoch})"
    lines = [str(done.path), f"{done.name}, {weights}, as {done.to}"]
    if done.to == Target.SAFETENSORS.value:
        return lines
    for label, ports in (("takes", done.inputs), ("gives", done.outputs)):
        lines.append(f"{label} {', '.join(f'{name} {kind}' for name, kind in ports.items())}")
    return [*lines, _check(done)]


def _check(done: Exported) -> str:
    """Return what is known of the numbers that the file gives."""
    from graphspec.backends.program import CHECKED

    if done.difference is None:
        return "not compared with PyTorch: pip install 'graphspec[onnx]' brings onnxruntime"
    other = "PyTorch" if done.to == Target.ONNX.value else "the model"
    sizes = " and ".join(map(str, CHECKED))
    apart = f"{done.difference:.1e} of the largest output apart"
    apart = apart if done.difference else "the same numbers"
    return f"compared with {other} on batches of {sizes}: {apart}"
