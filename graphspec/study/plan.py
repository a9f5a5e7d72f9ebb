"""What a study consists of: ``study.yaml`` read and written, each mistake at its place."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from graphspec.errors import Code, Sink, Span, fail
from graphspec.language import shipped
from graphspec.language.compose import Override
from graphspec.language.reader import Tree, read_file
from graphspec.language.studies import Study, StudyFile
from graphspec.language.validation import report
from graphspec.language.writer import dump

FILE = "study.yaml"
_MARK = "# Written by `graphspec study`; edit it and run `graphspec study {}` to go on with it.\n"
_WRITTEN = "# Written by `graphspec study`;"


@dataclass(frozen=True)
class Plan:
    """A study as it was asked for.

    Attributes:
        study: Its section.
        root: The folder that spec files are relative to.
        common: Values for all runs.
        grid: For each key of the grid its values.
        tree: The section with its places, if it was read from a file.
    """

    study: Study
    root: Path
    common: tuple[Override, ...] = ()
    grid: tuple[tuple[Override, ...], ...] = ()
    tree: Tree | None = field(default=None, repr=False)

    def spec(self, name: str) -> Path:
        """Return the file of a spec of the study.

        Raises:
            SpecError: ``file-not-found``.
        """
        beside = self.root / name
        return shipped.locate(_relative(beside) if beside.is_file() else name)

    def with_common(self, overrides: Sequence[Override]) -> Plan:
        """Return the plan with further values for all runs."""
        return replace(self, common=(*self.common, *overrides))

    def span(self, *path: str | int) -> Span | None:
        """Return where a part of the section stands in its file."""
        return None if self.tree is None else self.tree.locate(path)


def asked(
    study: Study, common: Sequence[Override] = (), grid: Sequence[Sequence[Override]] = ()
) -> Plan:
    """Return the plan of a study that is not in a file; its specs are relative to this folder."""
    return Plan(study, Path(), tuple(common), tuple(map(tuple, grid)))


def read(path: Path) -> Plan:
    """Read a study.

    Args:
        path: Its file, or the folder that has it under the name ``study.yaml``.

    Raises:
        SpecError: With every mistake in the file.
    """
    file = path / FILE if path.is_dir() else path
    if path.is_dir() and not file.is_file():
        message = f"`{path}` holds no `{FILE}`, so it is not the folder of a study"
        raise fail(Code.FILE_NOT_FOUND, message, "name specs, a `study.yaml` or the folder of one")
    sink = Sink()
    tree = read_file(file, shipped.shown(file), sink)
    sink.raise_if_errors()
    assert tree is not None
    start = Span(tree.span.source, tree.span.start, tree.span.start)
    if tree.mapping is None:
        message = "a study is a mapping with the key `study`"
        hint = "for example\nstudy:\n  specs: [arch1, arch2]\n  seeds: 3"
        sink.error(Code.WRONG_TYPE, tree.span, message, hint)
        sink.raise_if_errors()
    try:
        study = StudyFile.model_validate(tree.plain()).study
    except ValidationError as error:
        report(
            error, StudyFile, tree, start, sink, homes=dict.fromkeys(Study.model_fields, "study")
        )
        sink.raise_if_errors()
        raise
    section = tree.get("study")
    assert section is not None
    common = tuple(_override(section.get("set"), key, None) for key in study.set)
    grid = tuple(
        tuple(_override(section.get("grid"), key, at) for at in range(len(values)))
        for key, values in study.grid.items()
    )
    return Plan(study, file.parent, common, grid, section)


def is_study(path: Path) -> bool:
    """Return whether a path is a folder with a study, or the file of one."""
    return (path / FILE).is_file() or path.name == FILE or _has_study(path)


def _has_study(path: Path) -> bool:
    """Return whether a file has a line that begins with ``study:``, which no spec has."""
    if path.suffix not in (".yaml", ".yml") or not path.is_file():
        return False
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False  # reading it as a spec says why
    return any(line.startswith("study:") for line in lines)


def text(plan: Plan, folder: Path) -> str:
    """Return the content of the ``study.yaml`` that stands for a plan in a folder."""
    content = plan.study.model_dump(exclude_defaults=True)
    content["specs"] = [_from(folder, plan, name) for name in plan.study.specs]
    content["seeds"] = plan.study.seeds
    if plan.study.match is not None:
        given = content["match"]
        content["match"] = given["by"] if list(given) == ["by"] else given
    ordered = {key: content[key] for key in Study.model_fields if key in content}
    return _MARK.format(folder) + dump({"graphspec": 1, "study": ordered})


def write(plan: Plan, folder: Path) -> bool:
    """Write ``study.yaml`` of a study that was asked for on the command line.

    Returns:
        Whether it changed.

    Raises:
        SpecError: ``run-exists`` if a person wrote the file that is there.
    """
    from graphspec.training.folder import explained_writing, write_text

    path, new = folder / FILE, text(plan, folder)
    if path.is_file():
        old = path.read_text(encoding="utf-8", errors="replace")
        if old == new:
            return False
        if not old.startswith(_WRITTEN):
            message = f"`{path}` is there already, and it was not written by `graphspec study`"
            hint = f"go on with it: `graphspec study {folder}`; or choose another `--out`"
            raise fail(Code.RUN_EXISTS, message, hint)
    with explained_writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_text(path, new)
    return True


def _from(folder: Path, plan: Plan, name: str) -> str:
    """Return how a spec is named in the file: relative to it, or by its shipped name."""
    beside = plan.root / name
    if not beside.is_file():
        return name
    try:
        return Path(os.path.relpath(beside, folder)).as_posix()
    except ValueError:  # another drive
        return str(beside.resolve())


def _relative(path: Path) -> Path:
    """Return a path without detours, as messages show it."""
    return Path(shipped.shown(Path(os.path.normpath(path))))


def _override(section: Tree | None, key: str, at: int | None) -> Override:
    """Return the override that stands under a key, or in a list under a key, of a file."""
    assert section is not None
    value = section.get(key)
    assert value is not None
    if at is not None and value.items is not None:
        value = value.items[at]
    source, span = value.span.source, value.span
    written = source.text[span.start : span.end]
    if "\n" in written or not written:  # in block style a part of the text is not YAML by itself
        plain: Any = value.plain()
        return Override.item(key, plain)
    return Override(key, source, section.keys[key], span.start, written)
