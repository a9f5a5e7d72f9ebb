"""``graphspec render``: diagrams of specs, into files or to stdout."""

from __future__ import annotations

import re
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphspec.cli import terminal
from graphspec.cli.options import (
    Assignments,
    DataName,
    DataRoot,
    Plugins,
    Specs,
    Tasks,
    overrides,
    split,
)
from graphspec.errors import Code, did_you_mean, fail

if TYPE_CHECKING:
    from graphspec.graph.ir import Graph

EXAMPLES = (
    "graphspec render arch5",
    "graphspec render specs/*.yaml -o diagrams/ --format png",
    "graphspec render arch5 -o - --format mmd",
    "graphspec render resnet18 --depth 0",
)

STDOUT = "-"


class Picture(str, Enum):
    """What a diagram is written as."""

    SVG = "svg"
    PNG = "png"
    DOT = "dot"
    MMD = "mmd"


def command(
    specs: Specs,
    out: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--out",
            metavar="OUT",
            help="A file, a folder that ends in /, or - for stdout; default: NAME.svg here.",
            show_default=False,
        ),
    ] = None,
    form: Annotated[
        Picture | None,
        typer.Option(
            "--format", help="svg, or what OUT ends in. mmd is Mermaid.", show_default=False
        ),
    ] = None,
    tasks: Tasks = None,
    depth: Annotated[
        int | None,
        typer.Option(
            "--depth",
            min=0,
            metavar="N",
            help="Open blocks N levels deep; at 0 each is one box. Default: all open.",
            show_default=False,
        ),
    ] = None,
    assignments: Assignments = None,
    data: DataName = None,
    data_root: DataRoot = None,
    plugins: Plugins = None,
) -> None:
    """Draw specs as diagrams."""
    from graphspec import compiler

    asked = overrides(assignments, data=data, data_root=data_root)
    wanted = split(tasks)
    target = _target(out, form, len(specs))
    made: dict[Path, str] = {}
    for spec in specs:
        checked = compiler.check(spec, asked)
        terminal.report(checked.warnings)
        suffix = (form or Picture.SVG).value
        if out == STDOUT:
            _print(checked.graph, wanted, suffix, depth)
            continue
        path = target
        if path is None or target_is_folder(out):
            path = (path or Path()) / f"{_file_name(checked.spec.name)}.{suffix}"
        if path in made:
            message = f"`{made[path]}` and `{spec}` would both be drawn into `{path}`"
            raise fail(
                Code.BAD_OPTION, message, "give one of them another `name:`, or draw it alone"
            )
        made[path] = spec
        compiler.render(checked.graph, path, wanted, depth)
        print(path, flush=True)


def target_is_folder(out: str | None) -> bool:
    """Return whether ``--out`` names a folder: it ends in a slash or is one."""
    return out is not None and (out.endswith(("/", "\\")) or Path(out).is_dir())


def _target(out: str | None, form: Picture | None, count: int) -> Path | None:
    """Return the file or folder that ``--out`` names; a folder is made.

    Raises:
        SpecError: ``bad-option`` where it does not fit the specs or the format, ``cannot-write``.
    """
    if out is None:
        return None
    if out == STDOUT:
        if count > 1 or (form is Picture.PNG and terminal.is_terminal(sys.stdout)):
            problem = f"{count} diagrams" if count > 1 else "a PNG"
            message = f"{problem} cannot be written to `-o -`"
            raise fail(Code.BAD_OPTION, message, "write to a folder: `-o diagrams/`")
        return None
    path = Path(out)
    if target_is_folder(out):
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f"the folder `{out}` cannot be made: {error.strerror or error}"
            raise fail(Code.CANNOT_WRITE, message, "choose another `-o`") from error
        return path
    if count > 1:
        message = f"`-o {out}` is one file, but there are {count} specs"
        raise fail(Code.BAD_OPTION, message, f"name a folder: `-o {path.with_suffix('')}/`")
    _check_suffix(out, path.suffix[1:].lower(), form)
    return path


def _check_suffix(out: str, suffix: str, form: Picture | None) -> None:
    known = [picture.value for picture in Picture]
    if not suffix:
        kind = form.value if form else "svg"
        hint = f"`-o {out}.{kind}` is a file, `-o {out}/` a folder"
        raise fail(Code.BAD_OPTION, f"`-o {out}` does not end in a format", hint)
    if suffix not in known:
        hint = did_you_mean(suffix, known, "formats")
        raise fail(Code.BAD_OPTION, f"`-o {out}` ends in `.{suffix}`, which is no format", hint)
    if form is not None and form.value != suffix:
        message = f"`-o {out}` and `--format {form.value}` ask for different formats"
        raise fail(Code.BAD_OPTION, message, "leave `--format` out: the file name says it")


def _print(graph: Graph, tasks: list[str] | None, suffix: str, depth: int | None) -> None:
    from graphspec import compiler
    from graphspec.graph import passes

    content = compiler.draw(passes.run(passes.select(graph, tasks)), suffix, depth)
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def _file_name(name: str) -> str:
    """Return a spec's name as a file's: it may hold slashes and spaces."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "diagram"
