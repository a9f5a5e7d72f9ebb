"""The catalogue of data sources: what each one offers, and how it is loaded.

`describe` and `check` read no data and import no torch, so that a spec can be validated anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from graphspec.data import cifar100, download, fashion_mini, fashion_mnist
from graphspec.data.source import Source
from graphspec.errors import Code, Sink, Span, fail
from graphspec.language.recipe import Data
from graphspec.language.signature import Signature
from graphspec.ops.registry import Registry

if TYPE_CHECKING:
    from graphspec.data.dataset import DataSet

SOURCES: Registry[Source] = Registry(
    "data source", Code.UNKNOWN_DATA, "docs/data.md describes each"
)
for _source in (cifar100.SOURCE, fashion_mnist.SOURCE, fashion_mini.SOURCE):
    SOURCES.add(_source.name, _source)


def describe(name: str) -> Signature:
    """Return the inputs and tasks of a source, without reading it.

    Raises:
        SpecError: ``unknown-data`` if there is no such source.
    """
    return SOURCES.get(name).signature


def check(section: Data, sink: Sink, span: Callable[[tuple[str, ...]], Span | None]) -> None:
    """Report a ``data:`` section that names an unknown source.

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


def load(section: Data, seed: int) -> DataSet:
    """Read a data set, check it and draw its validation split.

    Args:
        section: Which source, from which folder, and how much to hold out.
        seed: Seed of the validation split.

    Returns:
        The data set, in memory. The same section and seed give the same splits on every machine.

    Raises:
        SpecError: ``unknown-data``, ``data-not-found`` or ``data-corrupt``; ``file-unreadable``
            where a file cannot be read, ``cannot-write`` or ``disk-full`` where the cache cannot
            be written.
    """
    from graphspec.data.dataset import assemble  # imports torch

    source = SOURCES.get(section.source)
    root = download.expand(section.root) if section.root is not None else None
    try:
        raw = source.read(root)
    except OSError as error:  # a folder without permission, a path that is too long, ...
        message = f"cannot read {source.title} in `{root or download.cache()}`: "
        hint = "check the path and its permissions"
        raise fail(Code.FILE_UNREADABLE, message + (error.strerror or str(error)), hint) from error
    return assemble(source, raw, section.validation, seed)
