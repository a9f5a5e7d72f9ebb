"""``graphspec import``: a spec of a model that is written in Python."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from graphspec.cli.options import Plugins
from graphspec.errors import Code, fail

EXAMPLES = (
    "graphspec import torchvision:resnet18 -o resnet18.yaml",
    "graphspec import torchvision:vgg11_bn --set num_classes=10 --input image=3,32,32",
    "graphspec import model.py:Arch5 --input image=3,32,32",
)

DTYPES = ("float32", "float64", "float16", "bfloat16", "int64", "int32")


def command(
    target: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:OBJECT",
            help="An nn.Module, its class, or a function that makes one: torchvision:resnet18, "
            "my_package.models:Net, net.py:Net. Its code runs.",
            show_default=False,
        ),
    ],
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="NAME=SIZES",
            help="Shape of an input without the batch, image=3,32,32; tokens=128:int64 for whole "
            "numbers. Repeatable, in the order of forward. torchvision's classifiers need none.",
            show_default=False,
        ),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="An argument of the class or function: num_classes=10. Repeatable.",
            show_default=False,
        ),
    ] = None,
    task: Annotated[
        str,
        typer.Option("--task", metavar="NAME", help="Name of the task of a single output."),
    ] = "label",
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            metavar="NAME",
            help="Name of the spec; default: the object's.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "-o", "--out", metavar="FILE", help="A file; default: printed.", show_default=False
        ),
    ] = None,
    flat: Annotated[bool, typer.Option("--flat", help="No blocks: one node a call.")] = False,
    evaluation: Annotated[
        bool,
        typer.Option("--eval", help="The forward pass of evaluation rather than of training."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
    plugins: Plugins = None,
) -> None:
    """Write a spec of a model that is written in Python."""
    from graphspec.language import files, template

    path = None if out is None or out == "-" else _target(out, force)
    _check_task(task)
    shapes = [_input(text) for text in inputs or ()]
    arguments = dict(_assignment(text) for text in assignments or ())

    from graphspec.importing import import_model, targets

    found = targets.load(target, arguments)
    given: dict[str, Any] = dict(shapes)
    if not given and found.shape is not None:
        given = {"image": found.shape}
    imported = import_model(
        found.model.eval() if evaluation else found.model,
        given,
        name=name or found.name,
        task=task,
        origin=f"`{target}`",
        fold=not flat,
    )
    if path is None:
        sys.stdout.write(imported.text)
    else:
        files.write_text(path, template.modeline(path) + imported.text, "spec")
        print(path)


def _target(out: str, force: bool) -> Path:
    """Return the file to write.

    Raises:
        SpecError: ``bad-option`` if it is no YAML file, ``cannot-write`` if it is there.
    """
    path = Path(out)
    if path.suffix not in (".yaml", ".yml"):
        raise fail(Code.BAD_OPTION, f"`-o {out}` does not end in `.yaml`", f"`-o {out}.yaml`")
    if path.exists() and not force:
        hint = "`--force` overwrites it, `-o FILE` writes elsewhere"
        raise fail(Code.CANNOT_WRITE, f"`{path}` is there already", hint)
    return path


def _check_task(task: str) -> None:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", task):
        message = f"`--task {task}` cannot be the name of a task"
        raise fail(Code.BAD_OPTION, message, "use letters, digits and `_`")


def _input(text: str) -> tuple[str, Any]:
    """Return name and shape of an input; whole numbers as an example of their dtype."""
    form = re.fullmatch(r"([A-Za-z_]\w*)=\s*\[?([\d,x\s]+)\]?(?::(\w+))?", text)
    sizes = re.findall(r"\d+", form[2]) if form else []
    if form is None or not sizes:
        hint = "sizes without the batch: `--input image=3,32,32`, `--input tokens=128:int64`"
        raise fail(Code.BAD_OPTION, f"`--input {text}` is not of the form NAME=SIZES", hint)
    shape = tuple(map(int, sizes))
    if form[3] is None or form[3] == "float32":
        return form[1], shape
    if form[3] not in DTYPES:
        message = f"`{form[3]}` is no dtype of an input"
        raise fail(Code.BAD_OPTION, message, f"one of {', '.join(DTYPES)}")
    import torch

    return form[1], torch.empty((1, *shape), dtype=getattr(torch, form[3]), device="meta")


def _assignment(text: str) -> tuple[str, Any]:
    """Return name and value of an argument; the value is YAML."""
    from graphspec.errors import Sink, Source
    from graphspec.language.reader import read_text

    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier():
        hint = "for example `--set num_classes=10`"
        raise fail(Code.BAD_OPTION, f"`--set {text}` is not of the form KEY=VALUE", hint)
    sink = Sink()
    tree = read_text(value, Source(f"--set {text}", value), sink)
    sink.raise_if_errors()
    return key, tree.plain() if tree is not None and value.strip() else None
