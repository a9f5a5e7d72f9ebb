"""Walking a folder of pictures: which files count, what is left out, and how it is divided.

Nothing is opened here. Symbolic links are followed, but not round in circles.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from graphspec.data.pictures import is_picture
from graphspec.data.recent import Recent
from graphspec.errors import Code, fail

MAX_DEPTH = 32
"""Deepest level of folders that is looked into."""

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
"""Names of folders that are splits, in lower case."""

_LITTER = frozenset(("__macosx", "thumbs.db", "desktop.ini"))
"""What operating systems leave behind, in lower case, besides what begins with a dot."""


@dataclass(frozen=True, eq=False)
class Found:
    """What a folder holds.

    Attributes:
        names: Paths of all pictures, after the root, with ``/`` between the folders, in order.
        folders: For each picture the names of the folders that it lies in, without the split's.
        splits: For each picture its split, or nothing where the folder has none.
        unsplit: Folders named like different splits that are none: another folder lies beside them,
            or there is no training split.
        empty: Folders without a picture anywhere below them.
        foreign: Files whose names are not those of images.
    """

    names: list[str] = field(default_factory=list)
    folders: list[tuple[str, ...]] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    unsplit: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)


def walk(root: Path) -> Found:
    """Return what a folder holds.

    It is divided into splits if each folder directly in it is called ``train``, ``val``,
    ``validation`` or ``test``, and one of them ``train``. A picture directly in the root is of no
    class and says nothing of that.

    Args:
        root: The folder.

    Raises:
        SpecError: ``data-not-found`` or ``file-unreadable`` if it, or a folder in it, cannot be
            read; ``data-mismatch`` if two folders are the same split.
    """
    return RECENT.get(root, lambda: _walked(root))


RECENT: Recent[Found] = Recent()
"""The last folder that was walked."""


def _walked(root: Path) -> tuple[Found, list[Path]]:
    """Return what a folder holds, and all folders in it."""
    found = Found()
    seen: list[Path] = []
    paths: list[tuple[str, ...]] = []
    for parts in _files(root, found, seen):
        if is_picture(parts[-1]):
            paths.append(parts)
        else:
            found.foreign.append("/".join(parts))
    paths.sort()
    occupied = {parts[:depth] for parts in paths for depth in range(len(parts))}
    found.empty[:] = [each for each in found.empty if tuple(each.split("/")) not in occupied]
    divided = _splits(root, paths, found)
    for parts in paths:
        found.names.append("/".join(parts))
        found.folders.append(parts[1:-1] if divided else parts[:-1])
        if divided:
            found.splits.append(SPLITS[parts[0].lower()] if parts[1:] else "train")
    return found, seen


def _splits(root: Path, paths: list[tuple[str, ...]], found: Found) -> bool:
    """Return whether the folders directly in the root are splits; note what leaves doubts."""
    tops = sorted({parts[0] for parts in paths if len(parts) > 1})
    named = [top for top in tops if top.lower() in SPLITS]
    kinds = {SPLITS[top.lower()] for top in named}
    if len(named) < len(tops) or "train" not in kinds:
        vacant = {SPLITS.get(name.lower()) for name in found.empty} - {None}
        found.unsplit[:] = named if len(kinds | vacant) > 1 else []
        return False
    meant: dict[str, str] = {}
    for top in named:
        other = meant.setdefault(SPLITS[top.lower()], top)
        if other != top:
            message = f"`{other}` and `{top}` in `{root}` are both the {SPLITS[top.lower()]} split"
            raise fail(Code.DATA_MISMATCH, message, "put them into one folder, or rename one")
    return True


def _files(root: Path, found: Found, seen: list[Path]) -> list[tuple[str, ...]]:
    """Return all visible regular files below a folder; note all folders, as empty for now."""
    files: list[tuple[str, ...]] = []
    todo: list[tuple[tuple[str, ...], frozenset[tuple[int, int]]]] = [((), frozenset())]
    while todo:
        parts, above = todo.pop()
        folder = root.joinpath(*parts)
        try:
            stat = folder.stat()
            inside = above | {(stat.st_dev, stat.st_ino)}
            if len(inside) == len(above) or len(parts) > MAX_DEPTH:
                continue  # a link to a folder that it lies in
            seen.append(folder)
            found.empty.extend(["/".join(parts)] if parts else [])
            entries = list(os.scandir(folder))
        except OSError as error:
            raise _unreadable(folder, error) from error
        for entry in entries:
            if entry.name.startswith(".") or entry.name.lower() in _LITTER:
                continue
            is_folder, is_file = _kind(entry)
            if is_folder:
                todo.append(((*parts, entry.name), inside))
            elif is_file:
                files.append((*parts, entry.name))
    return files


def _kind(entry: os.DirEntry[str]) -> tuple[bool, bool]:
    """Return whether an entry is a folder, and whether it is a file; pipes and devices are none.

    A link named like a picture that leads nowhere is a file: reading it tells what is wrong.
    """
    try:
        if entry.is_dir():
            return True, False
        if entry.is_file():
            return False, True
    except OSError:  # a link to itself
        pass
    return False, entry.is_symlink() and not Path(entry.path).exists() and is_picture(entry.name)


def _unreadable(folder: Path, error: OSError) -> Exception:
    if isinstance(error, FileNotFoundError):
        hint = "correct `data.root`, or name the folder with `--data-root DIR`"
        return fail(Code.DATA_NOT_FOUND, f"there is no folder `{folder}`", hint)
    if isinstance(error, NotADirectoryError):
        message = f"`{folder}` is a file; the source `folder` reads a folder of pictures"
        return fail(Code.DATA_NOT_FOUND, message, "name the folder with `--data-root DIR`")
    message = f"cannot read the folder `{folder}`: {error.strerror or error}"
    return fail(Code.FILE_UNREADABLE, message, "check its permissions")
