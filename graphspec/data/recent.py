"""The last result of slow reading, given again while nothing changed.

One command looks at its data several times: to check the spec, to tell what it offers, to load it.
What was changed within two seconds before it was read is read again: two changes that near to each
other may bear the same time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")

_SURE_S = 2.0
"""Age from which the time of a change is trusted, in seconds."""


class Recent(Generic[T]):
    """Remembers one result."""

    def __init__(self) -> None:
        self._place: Path | None = None
        self._stamps: dict[Path, tuple[int, int, int]] = {}
        self._result: T | None = None

    def get(self, place: Path, make: Callable[[], tuple[T, Iterable[Path]]]) -> T:
        """Return a result, made anew unless it is the last one and its sources are as they were.

        Args:
            place: What is asked for.
            make: Makes the result, and says which files and folders it depends on.
        """
        place = place.absolute()
        if place == self._place and self._result is not None and self._is_current():
            return self._result
        started = time.time()
        result, sources = make()
        self._stamps = {path: _stamp(path) for path in sources}
        newest = max((stamp[0] for stamp in self._stamps.values()), default=0)
        is_sure = newest / 1e9 < started - _SURE_S
        self._place, self._result = (place, result) if is_sure else (None, None)
        return result

    def forget(self) -> None:
        """Let go of the result, which may be large."""
        self._place = self._result = None

    def _is_current(self) -> bool:
        return all(_stamp(path) == stamp for path, stamp in self._stamps.items())


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        stat = path.stat()
    except OSError:
        return (0, 0, 0)
    return (stat.st_mtime_ns, stat.st_size, stat.st_ino)
