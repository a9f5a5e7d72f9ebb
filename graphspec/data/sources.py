"""The catalogue of data sources: what each one offers, and how it is loaded.

`describe` and `check` read no inputs and import no torch, so that a spec can be validated anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from graphspec.data import (
    arrays,
    cifar10,
    cifar100,
    download,
    fashion_mini,
    fashion_mnist,
    folder,
    table,
    vision,
)
from graphspec.data.source import Source
from graphspec.errors import Code, Sink, Span, fail
from graphspec.language import hierarchies, labels
from graphspec.language.recipe import Data
from graphspec.language.signature import Signature
from graphspec.language.tasks import Task
from graphspec.ops import places
from graphspec.ops.registry import Registry

if TYPE_CHECKING:
    from graphspec.data.dataset import DataSet

SOURCES: Registry[Source] = Registry(
    "data source", Code.UNKNOWN_DATA, "docs/data.md describes each", group="graphspec.data"
)
for _source in (
    *(cifar100.SOURCE, cifar10.SOURCE, fashion_mnist.SOURCE, fashion_mini.SOURCE),
    *(arrays.SOURCE, folder.SOURCE, table.SOURCE),
    *vision.SOURCES,
):
    SOURCES.add(_source.name, _source)

_COMMON = frozenset(("source", "root", "augment", "normalize", "validation", "test"))
"""Keys of ``data:`` that say something of every source."""

_NO_TASKS: Mapping[str, Task] = MappingProxyType({})


def register_source(source: Source, override: bool = False) -> Source:
    """Add a data source, as a plugin does; ``data: NAME`` then means it.

    Args:
        source: The source; its origin is taken from the caller.
        override: Replace a source of this name.

    Returns:
        The source as it is registered.

    Raises:
        TakenError: If there is a source of this name, and ``override`` is false.
    """
    placed = replace(source, origin=places.caller())
    SOURCES.add(source.name, placed, override)
    return placed


def describe(section: Data | str, tasks: Mapping[str, Task] = _NO_TASKS) -> Signature:
    """Return the inputs and tasks of a source, without reading its samples.

    Args:
        section: The ``data:`` section of a spec, or the name of a source.
        tasks: The spec's ``tasks:``, by which the source `arrays` knows what is to be predicted;
            those with ``labels`` are offered too.

    Raises:
        SpecError: ``unknown-data`` if there is no such source; what the source itself raises where
            its inputs and tasks are in its files.
    """
    if isinstance(section, str):
        section = Data(source=section)
    offered = _configured(section, tasks).signature
    return replace(offered, tasks=offered.tasks | labels.borrowed(tasks, offered.tasks))


def _configured(section: Data, tasks: Mapping[str, Task]) -> Source:
    """Return the source for a spec, with the parents of tasks that the spec declares."""
    source = SOURCES.get(section.source).configured(section, tasks)
    offered = source.signature
    parents = hierarchies.declared(tasks, offered.tasks)
    return replace(source, signature=replace(offered, tasks=parents))


def check(section: Data, sink: Sink, span: Callable[[tuple[str, ...]], Span | None]) -> None:
    """Report a ``data:`` section that names an unknown source, or a key that its source has not.

    Args:
        section: The section.
        sink: Takes the mistake.
        span: Gives the place of a path in the spec, such as ``("data", "source")``.
    """
    name = section.source
    if name not in SOURCES:
        place = span(("data", "source")) or span(("data",))
        message = f"there is no data source `{name}`"
        sink.error(Code.UNKNOWN_DATA, place, message, SOURCES.hint(name))
        return
    source = SOURCES.get(name)
    if source.bundled and section.root is not None:
        message = f"`data.root` is not for the source `{name}`, whose files come with its package"
        hint = "leave it out, or name the source whose files lie there: `--data NAME`"
        sink.error(Code.BAD_VALUE, span(("data", "root")), message, hint)
    known = source.keys
    if known is None:
        return
    for key in sorted(section.model_fields_set - known - _COMMON):
        owned = (each for each in SOURCES if key in (SOURCES.get(each).keys or ()))
        kinds = dict.fromkeys(re.sub(":.*", ":NAME", each) for each in owned)
        *most, last = (f"`{each}`" for each in kinds)
        owners = f"{', '.join(most)} and {last}" if most else last
        message = f"`data.{key}` is not for the source `{name}`"
        if getattr(section, key) != type(section).model_fields[key].default:
            hint = f"leave it out; it is for {owners}"
            sink.error(Code.BAD_VALUE, span(("data", key)), message, hint)


def load(
    section: Data,
    seed: int,
    tasks: Mapping[str, Task] = _NO_TASKS,
    watch: Callable[[int, int], None] | None = None,
) -> DataSet:
    """Read a data set, check it and draw its validation split.

    Args:
        section: Which source, from which folder, and how much to hold out.
        seed: Seed of the validation split.
        tasks: The spec's ``tasks:``; see `describe`.
        watch: Told now and then how many pictures in files were read, and of how many.

    Returns:
        The data set. The same section and seed give the same splits on every machine.

    Raises:
        SpecError: ``unknown-data``, ``data-not-found``, ``data-corrupt`` or ``data-mismatch``;
            ``file-unreadable`` where a file cannot be read, ``cannot-write`` or ``disk-full`` where
            the cache cannot be written, ``out-of-memory`` where it does not fit.
    """
    from graphspec.data.dataset import assemble  # imports torch
    from graphspec.data.storage import store

    source = _configured(section, tasks)
    root = download.expand(section.root) if section.root is not None else None
    try:
        raw = source.read(root)
    except OSError as error:  # a folder without permission, a path that is too long, ...
        message = f"cannot read {source.title} in `{root or download.cache()}`: "
        hint = "check the path and its permissions"
        raise fail(Code.FILE_UNREADABLE, message + (error.strerror or str(error)), hint) from error
    raw, storage = store(raw, section, watch)
    data = assemble(source, raw, section.validation, seed, storage)
    return data.with_tasks(labels.borrowed(tasks, data.signature.tasks))
