"""``graphspec new``: a spec to begin with."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from graphspec.cli.options import shipped_specs
from graphspec.errors import Code, fail

EXAMPLES = (
    "graphspec new mine",
    "graphspec new mine --from arch5",
    "graphspec new wide --extends arch5 -o experiments/",
)


def command(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="Name of the new spec.", show_default=False),
    ],
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="SPEC",
            help="Copy this spec, comments included: a file, or a shipped one such as arch5.",
            autocompletion=shipped_specs,
            show_default=False,
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            "--extends",
            metavar="SPEC",
            help="Write a spec that extends this one, to change a few values of it.",
            autocompletion=shipped_specs,
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--out",
            metavar="OUT",
            help="A file, or a folder that ends in /; default: NAME.yaml here.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
) -> None:
    """Write a spec to begin with, or a copy of another."""
    from graphspec.language import files, template

    template.check_name(name)
    if source is not None and base is not None:
        message = "`--from` copies a spec and `--extends` refers to it"
        raise fail(Code.BAD_OPTION, message, "give one of the two")
    path = _target(name, out, force)
    if source is not None:
        text = template.copy(name, source, path)
    elif base is not None:
        text = template.extension(name, base, path)
    else:
        text = template.starter(name, path)
    files.write_text(path, text, "spec")
    shown = shlex.quote(str(path))
    print(f"{path}\n\nnext:")
    for step in ("validate", "render", "train"):
        print(f"  graphspec {step} {shown}")


def _target(name: str, out: str | None, force: bool) -> Path:
    """Return the file to write; the folder that ``--out`` names is made.

    Raises:
        SpecError: ``cannot-write`` if the file is there, or its folder is not and cannot be made.
    """
    path = Path(out or f"{name}.yaml")
    is_folder = out is not None and (out.endswith(("/", "\\")) or path.is_dir())
    if is_folder:
        path = path / f"{name}.yaml"
    elif path.suffix not in (".yaml", ".yml"):
        hint = f"`-o {out}.yaml` is a file, `-o {out}/` a folder"
        raise fail(Code.BAD_OPTION, f"`-o {out}` does not end in `.yaml`", hint)
    if path.exists() and not force:
        hint = "`--force` overwrites it, `-o FILE` writes elsewhere"
        raise fail(Code.CANNOT_WRITE, f"`{path}` is there already", hint)
    if is_folder:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f"the folder `{path.parent}` cannot be made: {error.strerror or error}"
            raise fail(Code.CANNOT_WRITE, message, "choose another `-o`") from error
    return path
