"""Options that several commands share: types, help, and what they stand for.

Most stand for overrides of a spec. ``--plugin`` loads plugins while the command line is read, so a
command only has to have it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from enum import Enum
from typing import Annotated, Any

import typer

from graphspec.errors import Sink, Source, Span
from graphspec.language import shipped
from graphspec.language.compose import Override
from graphspec.language.reader import read_text


class Format(str, Enum):
    """How a result is written."""

    TEXT = "text"
    JSON = "json"


def shipped_specs(incomplete: str) -> list[str]:
    """Return the shipped specs for the shell's completion; files are completed by the shell."""
    return [name for name in shipped.names() if name.startswith(incomplete)]


SPEC_HELP = "A spec's file, or the name of a shipped one such as arch5."

Specs = Annotated[
    list[str],
    typer.Argument(
        metavar="SPEC", help=SPEC_HELP, autocompletion=shipped_specs, show_default=False
    ),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Set a variable (width=16) or any value of the spec (train.lr=1e-3). Repeatable.",
        show_default=False,
    ),
]
DataName = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="NAME",
        help="Data source instead of the spec's, such as cifar100, fashion-mnist, fashion-mini.",
        show_default=False,
    ),
]
DataRoot = Annotated[
    str | None,
    typer.Option(
        "--data-root",
        metavar="DIR",
        help="Folder that holds the data; without it the cache, or a download.",
        show_default=False,
    ),
]


def _load_plugins(context: typer.Context, names: list[str] | None) -> list[str]:
    """Load what ``GRAPHSPEC_PLUGINS`` and ``--plugin`` name; return all names.

    Raises:
        SpecError: ``plugin-not-found``, ``plugin-failed`` or ``plugin-clash``.
    """
    if context.resilient_parsing:  # the shell asks for completions
        return []
    listed = os.environ.get(PLUGINS_VARIABLE, "").split(os.pathsep)
    found = [name for name in [*listed, *(names or ())] if name.strip()]
    if found:
        from graphspec.ops.plugins import load_plugin

        for name in found:
            load_plugin(name)
    return found


PLUGINS_VARIABLE = "GRAPHSPEC_PLUGINS"
"""Names plugins for every command, separated as in ``PATH``; for editors and notebooks."""

Plugins = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin",
        metavar="FILE",
        help="A Python file (or installed module) with ops or data sources of your own. "
        "Repeatable.",
        callback=_load_plugins,
        show_default=False,
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        "--device", metavar="DEVICE", help="auto, cpu, cuda, cuda:1 or mps.", show_default=False
    ),
]
Tasks = Annotated[
    list[str] | None,
    typer.Option(
        "--tasks",
        metavar="TASK",
        help="Only what these tasks need: fine, or fine,coarse. Repeatable.",
        show_default=False,
    ),
]
MemoryLimit = Annotated[
    str | None,
    typer.Option(
        "--memory-limit",
        metavar="SIZE",
        help="Refuse a model whose training needs more, such as 16GiB; default: this machine's.",
        show_default=False,
    ),
]
TextOrJson = Annotated[Format, typer.Option("--format", help="How the result is written.")]


def overrides(
    assignments: Sequence[str] | None = None,
    *,
    data: str | None = None,
    data_root: str | None = None,
    epochs: str | None = None,
    seed: str | None = None,
    device: str | None = None,
    option: str = "--set",
) -> list[Override]:
    """Return what the options ask of a spec; mistakes in the values will point at the options.

    Args:
        assignments: What ``--set`` was given; the options with a name of their own win over it.
        data: A data source; the spec's folder is not its folder, so `data_root` goes with it.
        data_root: Folder of the data.
        epochs: Text of ``--epochs``.
        seed: Text of ``--seed``.
        device: Text of ``--device``.
        option: The option that `assignments` were given to.

    Raises:
        SpecError: ``bad-override`` where a ``--set`` is not an assignment.
    """
    sink = Sink()
    found = [Override.assignment(text, sink, option) for text in assignments or ()]
    sink.raise_if_errors()
    result = [item for item in found if item is not None]
    if data is not None:
        result.append(_text("--data", "data.source", data))
        if data_root is None and all(item.path != "data.root" for item in result):
            result.append(Override.option("--data", "data.root", "null"))
    if data_root is not None:
        result.append(_text("--data-root", "data.root", data_root))
    if epochs is not None:
        result.append(Override.option("--epochs", "train.epochs", epochs))
    if seed is not None:
        result.append(Override.option("--seed", "train.seed", seed))
    if device is not None:
        result.append(_text("--device", "train.device", device))
    return result


def _text(option: str, path: str, value: str) -> Override:
    """Return the override for a text, which YAML must not take for a number or a mapping."""
    source = Source(f"{option} {value}", value)
    return Override(path, source, Span(source, 0, len(value)), 0, json.dumps(value))


def plain(items: Sequence[Override]) -> dict[str, Any]:
    """Return overrides as the Python API takes them: paths to values.

    Raises:
        SpecError: If a value is not YAML.
    """
    sink = Sink()
    values: dict[str, Any] = {}
    for item in items:
        tree = read_text(item.value, item.source, sink, item.base)
        values[item.path] = tree.plain() if tree is not None and item.value.strip() else None
    sink.raise_if_errors()
    return values


def split(names: Sequence[str] | None) -> list[str] | None:
    """Return names that may also be joined by commas, or None where there is none."""
    found = [name.strip() for text in names or () for name in text.split(",")]
    return [name for name in found if name] or None
