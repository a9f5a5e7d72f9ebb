"""``graphspec train``: a run, watched; or one gone on with."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphspec.cli import terminal
from graphspec.cli.options import (
    SPEC_HELP,
    Assignments,
    DataName,
    DataRoot,
    Device,
    Plugins,
    overrides,
    plain,
    shipped_specs,
)
from graphspec.errors import Code, fail

if TYPE_CHECKING:
    from graphspec.language.compose import Override
    from graphspec.training.trained import Run

EXAMPLES = (
    "graphspec train arch5 --data fashion-mini --epochs 3",
    "graphspec train arch5 --set width=16 --set train.lr=1e-3 --seed 1 --out runs/narrow",
    "graphspec train runs/narrow --resume",
    'graphspec train arch3 --init-from runs/narrow --nodes "conv_layers,fc*"',
)


def command(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SPEC",
            help=f"{SPEC_HELP} With --resume it may be a run folder.",
            autocompletion=shipped_specs,
            show_default=False,
        ),
    ] = None,
    data: DataName = None,
    data_root: DataRoot = None,
    epochs: Annotated[
        str | None,
        typer.Option(
            "--epochs",
            metavar="N",
            help="Epochs at most, instead of the recipe's.",
            show_default=False,
        ),
    ] = None,
    assignments: Assignments = None,
    seed: Annotated[
        str | None,
        typer.Option(
            "--seed", metavar="N", help="Seed of weights, order and split.", show_default=False
        ),
    ] = None,
    device: Device = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Run folder; default: runs/NAME-DATE-TIME.",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with the run in --out, or with the newest unfinished one of SPEC in runs/.",
        ),
    ] = False,
    init_from: Annotated[
        str | None,
        typer.Option(
            "--init-from",
            metavar="RUN",
            help="Take over the best weights of a run, node by node as far as they fit.",
            show_default=False,
        ),
    ] = None,
    nodes: Annotated[
        str | None,
        typer.Option(
            "--nodes",
            metavar="A,B",
            help="With --init-from: only these nodes; patterns such as `conv_layers,fc*`.",
            show_default=False,
        ),
    ] = None,
    devices: Annotated[
        int,
        typer.Option(
            "--devices", metavar="N", min=1, help="Devices of this machine that train together."
        ),
    ] = 1,
    plugins: Plugins = None,
) -> int:
    """Train a spec into a run folder: weights, curves, report."""
    asked = overrides(
        assignments, data=data, data_root=data_root, epochs=epochs, seed=seed, device=device
    )
    if resume:
        if init_from is not None or nodes is not None:
            message = "a run that goes on has its weights already"
            raise fail(Code.BAD_OPTION, message, "leave `--init-from` and `--nodes` away")
        spec, folder = _resumed(words or [], out, data, asked)
        return _end(_go_on(spec, folder, asked, devices))
    return _end(_begin(_single(words or []), out, asked, devices, init_from, nodes))


def _begin(
    spec: str,
    out: str | None,
    asked: Sequence[Override],
    devices: int,
    init_from: str | None,
    nodes: str | None,
) -> Run:
    """Train a spec in a new folder."""
    from graphspec.cli.progress import watching
    from graphspec.training.check import checked
    from graphspec.training.run import train

    _refuse_run_folder(spec)
    with watching() as observer:
        return train(
            checked(spec, asked).spec,
            out=out,
            init_from=init_from,
            nodes=nodes,
            devices=devices,
            observer=observer,
        )


def _go_on(spec: str | None, folder: Path, asked: Sequence[Override], devices: int) -> Run:
    """Go on with a run."""
    from graphspec.cli.progress import watching
    from graphspec.training.check import checked
    from graphspec.training.folder import SPEC
    from graphspec.training.run import train

    # `train` takes plain values; here first, mistakes in them still point at the options.
    checked(folder / SPEC if spec is None else spec, asked)
    with watching() as observer:
        return train(spec, resume=folder, observer=observer, devices=devices, **_arguments(asked))


def _single(words: Sequence[str]) -> str:
    """Return the one spec that is asked for.

    Raises:
        SpecError: ``bad-option`` for none or several.
    """
    if not words:
        message = "`graphspec train` needs a spec"
        raise fail(
            Code.BAD_OPTION, message, "for example `graphspec train arch5 --data fashion-mini`"
        )
    if len(words) > 1:
        listed = " ".join(words)
        message = f"`graphspec train` takes one spec, got {len(words)}: `{listed}`"
        value = next((word for word in words if "=" in word), None)
        hint = f"one by one: `graphspec train {words[0]}`"
        if value is not None:
            hint = f"a value is set by `--set {value}`"
        raise fail(Code.BAD_OPTION, message, hint)
    return words[0]


def _refuse_run_folder(spec: str) -> None:
    from graphspec.training import folder

    if Path(spec).is_dir() and folder.is_run(Path(spec)):
        hint = f"go on with it: `graphspec train {spec} --resume`"
        hint += f"\nor train its spec anew: `graphspec train {Path(spec) / folder.SPEC}`"
        raise fail(Code.BAD_OPTION, f"`{spec}` is the folder of a run, not a spec", hint)


def _resumed(
    words: Sequence[str], out: str | None, data: str | None, asked: Sequence[Override]
) -> tuple[str | None, Path]:
    """Return the spec that is named (None: the run's own) and the folder of the run to go on with.

    The folder is ``--out``, or a run folder among the words, or the newest unfinished run.

    Raises:
        SpecError: ``bad-option`` or ``not-a-run``.
    """
    from graphspec.cli import finding
    from graphspec.training import folder
    from graphspec.training.check import checked

    folders = [word for word in words if Path(word).is_dir() and folder.is_run(Path(word))]
    specs = [word for word in words if word not in folders]
    if out is not None:
        folders.append(out)
    if len({Path(name).resolve() for name in folders}) > 1:
        listed = " and ".join(f"`{name}`" for name in folders)
        raise fail(Code.BAD_OPTION, f"two runs to resume: {listed}", "name one of them")
    if folders:
        return (_single(specs) if specs else None), finding.named(folders[0])
    if not specs:
        hint = "for example `graphspec train runs/NAME --resume`"
        raise fail(Code.BAD_OPTION, "`--resume` needs a run folder or a spec", hint)
    first = Path(_single(specs))
    if first.is_dir() or (not first.suffix and first.parent != Path()):
        return None, finding.named(specs[0])
    run = finding.newest_unfinished(checked(specs[0], asked).spec, data)
    terminal.remark(f"going on with {run}")
    return None, run


def _arguments(asked: Sequence[Override]) -> dict[str, Any]:
    """Return the overrides as arguments of `graphspec.training.run.train`."""
    values = plain(asked)
    return {
        "data": values.pop("data.source", None),
        "data_root": values.pop("data.root", None),
        "epochs": values.pop("train.epochs", None),
        "seed": values.pop("train.seed", None),
        "device": values.pop("train.device", None),
        "overrides": values,
    }


def _end(run: Run) -> int:
    """Print the end of a run; return the exit code."""
    from graphspec.training.distributed.world import follows
    from graphspec.training.summary import lines

    width = shutil.get_terminal_size().columns if terminal.is_terminal(sys.stdout) else 100
    if not follows():
        print("\n" + lines(run, width), flush=True)
    if run.status == "finished":
        return 0
    terminal.remark(f"go on with: graphspec train {shlex.quote(str(run.folder))} --resume")
    return 130
