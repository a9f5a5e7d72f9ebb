"""What differs between two specs besides their graphs: data, recipe, and what their tasks ask."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphspec.language.models import Spec
from graphspec.language.section import Section
from graphspec.language.tasks import Task

_OF_THE_GRAPH = ("type", "classes", "shape")
"""Keys of a task that its graph tells: what it predicts."""


@dataclass(frozen=True, slots=True)
class Change:
    """One respect in which something differs.

    Attributes:
        what: The respect: ``op``, ``from``, ``gives``, ``weights``, an argument's name, or the path
            of a value such as ``train.lr``.
        old: What it was, in words; None where it was not.
        new: What it is now; None where it is not any more.
    """

    what: str
    old: str | None
    new: str | None

    def __str__(self) -> str:
        if self.old is None:
            return f"{self.what} {self.new} added"
        if self.new is None:
            return f"{self.what} {self.old} removed"
        return f"{self.what} {self.old} -> {self.new}"


def settings(old: Spec, new: Spec, tasks: Collection[str]) -> tuple[Change, ...]:
    """Return how data, recipe and the tasks' losses and metrics differ.

    A key that is left out has its default, so that writing a default down is no difference.

    Args:
        old: A spec.
        new: Another.
        tasks: The tasks that both predict.
    """
    found = [*_section("data", old.data, new.data)]
    for name in tasks:
        first, second = (each.tasks.get(name, Task()) for each in (old, new))
        found += _section(f"tasks.{name}", first, second, _OF_THE_GRAPH)
    return (*found, *_section("train", old.train, new.train))


def _section(
    path: str, old: Section | None, new: Section | None, without: Collection[str] = ()
) -> Iterator[Change]:
    if old is None or new is None:
        yield from between(path, *(each and _stated(each) for each in (old, new)))
        return
    for key in dict.fromkeys([*_keys(old), *_keys(new)]):
        if key in without:
            continue
        first, second = getattr(old, key, None), getattr(new, key, None)
        if isinstance(first, Section) or isinstance(second, Section):
            yield from _section(f"{path}.{key}", first, second)
        else:
            yield from between(f"{path}.{key}", first, second)


def _keys(section: Section) -> list[str]:
    """Return the keys of a section, those included that only this one has."""
    return [*type(section).model_fields, *(section.model_extra or {})]


def _stated(value: Any) -> Any:
    """Return sections as what they state: without the defaults."""
    if isinstance(value, Section):
        return value.model_dump(exclude_defaults=True)
    if isinstance(value, (list, tuple)):
        return [_stated(item) for item in value]
    return value


def between(what: str, old: Any, new: Any) -> Iterator[Change]:
    """Yield the change of one value, if it changed; None stands for a value that is not there."""
    if old != new:
        yield Change(what, *(None if each is None else words(_stated(each)) for each in (old, new)))


def words(value: Any) -> str:
    """Return a value as a spec has it: ``[64, 64]``, ``true``, ``{name: OneCycleLR}``."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(words, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {words(item)}' for key, item in value.items())}}}"
    return str(value)
