"""The source `folder`: pictures in a tree of folders whose names are the classes.

``root/coarse/fine/picture.png``: each level of folders is a task, and where each folder's name
stands below one name only, the deeper task refines the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from graphspec.data import download, tree
from graphspec.data.decoding import Form
from graphspec.data.pictures import UNREAD, Names, Pictures, find_form, spread
from graphspec.data.source import Part, Raw, Source, at_key
from graphspec.data.splitting import divide
from graphspec.data.tree import Found
from graphspec.errors import Code, Diagnostic, Severity, fail
from graphspec.language.recipe import Data
from graphspec.language.signature import InputSpec, Signature, TaskSpec
from graphspec.language.tasks import Task

KEYS = frozenset(("root", "path", "levels", "size", "channels", "corrupt", "memory", "workers"))
"""Keys of ``data:`` that it understands."""

_USUAL = {1: ("label",), 2: ("coarse", "fine")}
"""Names of the tasks where the spec gives none, by the number of levels."""


@dataclass(frozen=True, eq=False)
class _Level:
    """One level of folders as a task.

    Attributes:
        task: What it predicts.
        labels: Class of each picture, -1 where it lies above this level.
        clashes: Names that stand below several folders, each with these.
    """

    task: TaskSpec
    labels: NDArray[np.int64]
    clashes: Mapping[str, tuple[str, ...]]


def configure(section: Data, _tasks: Mapping[str, Task]) -> Source:
    """Return the source for the folder that a spec names.

    Args:
        section: Its ``data:`` section.
        _tasks: Its ``tasks:``; the folder says itself what they are.

    Raises:
        SpecError: ``missing-key`` where no folder is named; ``data-not-found``,
            ``file-unreadable``, ``data-corrupt`` or ``data-mismatch`` for what is in it.
    """
    root = _root(section)
    found = tree.walk(root)
    if not found.names:
        others = f"; `{found.foreign[0]}` is none by its name" if found.foreign else ""
        message = f"`{root}` holds no images{others}"
        hint = "put them into a folder for each class: `CLASS/picture.png`"
        raise fail(Code.DATA_NOT_FOUND, message, hint)
    levels = _levels(root, found, section.levels)
    size = None if section.size is None else (section.size[0], section.size[1])
    paths = (root / found.names[row] for row in spread(len(found.names)))
    form = find_form(paths, size, section.channels)
    if form is None:
        message = f"`{root / found.names[0]}` and others looked at are no sound images"
        raise fail(Code.DATA_CORRUPT, message, "replace them, or state `size` and `channels`")
    signature = Signature(
        {"image": InputSpec(form.shape)}, {name: level.task for name, level in levels.items()}
    )

    def read(_root: Path | None) -> Raw:
        tree.RECENT.forget()
        return _raw(root, found, levels, form, section.test)

    return replace(SOURCE, signature=signature, read=read)


def _root(section: Data) -> Path:
    given = [download.expand(each) for each in (section.root, section.path) if each is not None]
    if not given:
        hint = "name the folder: `data: {source: folder, root: DIR}`, or `--data-root DIR`"
        raise fail(Code.MISSING_KEY, "the key `root` of `data` is missing", hint)
    return given[0].joinpath(*given[1:])


def _levels(root: Path, found: Found, stated: Sequence[str] | None) -> dict[str, _Level]:
    """Return the tasks of the tree by name, the coarsest first."""
    depth = max(map(len, found.folders))
    deepest = found.names[next(i for i, each in enumerate(found.folders) if len(each) == depth)]
    if not depth:
        message = f"the images lie directly in `{root}`, such as `{deepest}`"
        hint = "put them into a folder for each class: `CLASS/picture.png`"
        raise fail(Code.DATA_MISMATCH, message, hint)
    if stated is not None and len(stated) != depth:
        message = f"`levels` names {len(stated)}, but `{deepest}` in `{root}` lies {depth} deep"
        raise at_key(Code.DATA_MISMATCH, "levels", message, "give each level a name")
    usual = _USUAL.get(depth) or tuple(f"level{number + 1}" for number in range(depth))
    names = tuple(stated) if stated is not None else usual
    levels: dict[str, _Level] = {}
    for number, name in enumerate(names):
        levels[name] = _level(found, number, names[number - 1] if number else None)
    return levels


def _level(found: Found, number: int, above: str | None) -> _Level:
    """Return one level as a task.

    Args:
        found: The tree.
        number: The level, from 0.
        above: Name of the task above.
    """
    names = sorted({folders[number] for folders in found.folders if len(folders) > number})
    index = {name: i for i, name in enumerate(names)}
    labels = np.array(
        [index[each[number]] if len(each) > number else -1 for each in found.folders], np.int64
    )
    shown = tuple(name.encode("utf-8", "replace").decode() for name in names)
    if above is None:
        return _Level(TaskSpec(len(names), shown), labels, {})
    parents: dict[str, set[str]] = {name: set() for name in names}
    for folders in found.folders:
        if len(folders) > number:
            parents[folders[number]].add(folders[number - 1])
    clashes = {name: tuple(sorted(each)) for name, each in parents.items() if len(each) > 1}
    task = TaskSpec(len(names), shown)
    if not clashes:
        coarser = sorted({each[number - 1] for each in found.folders if len(each) >= number})
        place = {name: i for i, name in enumerate(coarser)}
        task = replace(
            task, parent=above, parents=tuple(place[min(parents[name])] for name in names)
        )
    return _Level(task, labels, clashes)


def _raw(root: Path, found: Found, levels: Mapping[str, _Level], form: Form, test: float) -> Raw:
    """Return the pictures and their labels, by split."""
    pictures = Pictures(root, Names(found.names), form)
    whole = Part({"image": pictures}, {name: level.labels for name, level in levels.items()})
    labelled = np.array([bool(folders) for folders in found.folders])
    splits = np.array(found.splits) if found.splits else None
    tasks = {name: level.task for name, level in levels.items()}
    if not labelled.all():
        whole = whole[labelled]
        splits = None if splits is None else splits[labelled]
    train, validation, test_part = divide(whole, splits, tasks, test)
    warnings = _warnings(root, found, levels)
    return Raw(train, test_part, root, validation=validation, warnings=tuple(warnings))


def _warnings(root: Path, found: Found, levels: Mapping[str, _Level]) -> list[Diagnostic]:
    """Return what is odd about a tree."""
    texts: list[tuple[str, str | None]] = []
    doubts: list[tuple[str, str | None]] = []
    loose = [name for name, folders in zip(found.names, found.folders, strict=True) if not folders]
    if loose:
        texts.append((_listed(loose, "image", f"directly in `{root}`, of no class"), None))
    if found.empty:
        said = _listed(found.empty, "folder", f"of `{root}` without an image")
        texts.append((said, "such a folder is no class"))
    unread = [name for name in found.foreign if Path(name).suffix.lower() in UNREAD]
    if unread:
        said = _listed(unread, "image", f"of `{root}` in a format that is not read")
        texts.append((said, "convert them, e.g. to PNG"))
    for name, level in levels.items():
        missing = int((level.labels[[bool(f) for f in found.folders]] < 0).sum())
        if missing:
            said = f"{missing:,} of {len(found.names):,} images lie above the level `{name}`"
            texts.append((said, f"they have no label of `{name}` and do not count for it"))
        names = level.task.classes
        if level.clashes and 2 * len(level.clashes) < names:
            clash, parents = next(iter(level.clashes.items()))
            said = f"`{name}` is not taken to refine the level above: `{clash}` lies in "
            said += " and ".join(f"`{parent}`" for parent in parents[:3])
            doubts.append((said, "if these are different classes, give them different names"))
    if found.unsplit:
        doubts.append(_unsplit(root, found))
    return [
        Diagnostic(code, Severity.WARNING, None, text, hint)
        for code, told in ((Code.DATA_SKIPPED, texts), (Code.DATA_DOUBTFUL, doubts))
        for text, hint in told
    ]


def _unsplit(root: Path, found: Found) -> tuple[str, str]:
    """Return what is odd about folders that are named like splits, and what to do."""
    named = " and ".join(f"`{name}`" for name in found.unsplit)
    taken = "is taken as a class, not as a split" if len(found.unsplit) == 1 else (
        "are taken as classes, not as splits"
    )  # fmt: skip
    tops = sorted({folders[0] for folders in found.folders if folders} - set(found.unsplit))
    if not tops:
        reason, hint = "there is no image in a folder `train`", "put the training split there"
    else:
        reason, hint = f"`{tops[0]}` is no split", f"move `{tops[0]}` away or rename it"
    return f"{named} in `{root}` {taken}, since {reason}", f"if they are splits, {hint}"


def _listed(names: Sequence[str], what: str, where: str) -> str:
    plural = "" if len(names) == 1 else "s"
    shown = ", ".join(f"`{name}`" for name in names[:3]) + (", ..." if len(names) > 3 else "")
    return f"{len(names):,} {what}{plural} {where} left out: {shown}"


def _unconfigured(_root: Path | None) -> Raw:
    message = "the source `folder` is read for a spec, which names its folder"
    raise fail(Code.MISSING_KEY, message, "name it: `data: {source: folder, root: DIR}`")


SOURCE = Source("folder", "the folder", Signature(), _unconfigured, "", __name__, configure, KEYS)
