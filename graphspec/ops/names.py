"""Names to things: ops, data sources and whatever else a spec names and a plugin may add.

A `Registry` holds one kind of thing. What is added is kept in order (`ADDITIONS`), so that a plugin
can be asked what it brought, and be taken back whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from graphspec.errors import Code, did_you_mean, fail, suggest

T = TypeVar("T")


class TakenError(ValueError):
    """A name is registered twice.

    Attributes:
        what: What it names, such as ``op``.
        name: The name.
        first: Where the one that was there is defined.
        second: Where the other is defined.
    """

    def __init__(self, what: str, name: str, first: str, second: str) -> None:
        super().__init__(f"{what} {name!r} is defined twice: {first} and {second}")
        self.what, self.name, self.first, self.second = what, name, first, second


@dataclass(frozen=True, slots=True)
class Addition:
    """One thing that was registered.

    Attributes:
        registry: Where.
        name: Its name.
        item: The thing.
        before: What had the name before, or None.
    """

    registry: Registry[Any]
    name: str
    item: Any
    before: Any

    @property
    def origin(self) -> str:
        """File and line of its definition, if it knows them."""
        return str(getattr(self.item, "origin", ""))

    def undo(self) -> None:
        """Bring the registry back to what it had before."""
        self.registry.put(self.name, self.before)

    def redo(self) -> None:
        """Register it again after `undo`."""
        self.registry.put(self.name, self.item)


ADDITIONS: list[Addition] = []
"""Everything that was registered in this process, in order: how a plugin's part is known."""

_REFUSED: dict[str, dict[str, str]] = {}
"""For each kind of thing why a name that people may expect is not offered."""


def refuse(what: str, name: str, reason: str) -> None:
    """Keep the reason why a name is not offered, for the registry of such things.

    Args:
        what: What the registry calls them, such as ``op``.
        name: The name.
        reason: The hint to whoever writes it.
    """
    _REFUSED.setdefault(what, {})[name] = reason


class Registry(Generic[T]):
    """Names to things, with an error for a second definition and a suggestion for a typo.

    Attributes:
        what: What it calls them, such as ``op``.
    """

    def __init__(self, what: str, code: Code, listing: str, group: str | None = None) -> None:
        """Make an empty registry.

        Args:
            what: What the things are called, such as ``op``.
            code: Of the error for an unknown name.
            listing: Where all are listed, for hints.
            group: The entry points by which installed packages offer more of them.
        """
        self.what = what
        self._code = code
        self._listing = listing
        self._group = group
        self._items: dict[str, T] = {}
        self._refused = _REFUSED.setdefault(what, {})

    def add(self, name: str, item: T, override: bool = False) -> None:
        """Register ``item``.

        Raises:
            TakenError: If the name is taken and ``override`` is false.
        """
        before = self._items.get(name)
        if before is not None and not override:
            first, second = getattr(before, "origin", ""), getattr(item, "origin", "")
            raise TakenError(self.what, name, first, second)
        ADDITIONS.append(Addition(self, name, item, before))
        self._items[name] = item

    def put(self, name: str, item: T | None) -> None:
        """Let a name stand for a thing, whatever it stood for; None takes the name away."""
        if item is None:
            self._items.pop(name, None)
        else:
            self._items[name] = item

    def refuse(self, name: str, reason: str) -> None:
        """Keep the reason why a name that people may expect is not offered, for `hint`."""
        self._refused[name] = reason

    def discover(self) -> None:
        """Load what installed packages offer, if that has not been done.

        It is done for a name that nobody here knows, and before all are listed.
        """
        if self._group is not None:
            from graphspec.ops import plugins

            plugins.discover(self._group)

    def find(self, name: str) -> T | None:
        """Return what is registered under ``name``, or None."""
        if name not in self._items:
            self.discover()
        return self._items.get(name)

    def known(self, name: str) -> T | None:
        """Return what is registered under ``name`` by now; nothing is loaded for it."""
        return self._items.get(name)

    def get(self, name: str) -> T:
        """Return what is registered under ``name``.

        Raises:
            SpecError: If there is no such name, with a suggestion.
        """
        found = self.find(name)
        if found is None:
            raise fail(self._code, f"there is no {self.what} `{name}`", self.hint(name))
        return found

    def hint(self, name: str) -> str:
        """Return what to say to someone who wrote ``name``: why not, or the nearest names."""
        if name in self._refused:
            return self._refused[name]
        hint = did_you_mean(name, self._items, f"{self.what}s") + f" ({self._listing})"
        if self._group is not None:
            from graphspec.ops import plugins

            near = suggest(name, list(self._items))
            own = [] if near else ["one of your own comes with `--plugin FILE`"]
            broken = (item.message for item in plugins.broken(self._group))
            hint = "\n".join([hint, *own, *broken])
        return hint

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.find(name) is not None

    def __len__(self) -> int:
        return len(self._items)
