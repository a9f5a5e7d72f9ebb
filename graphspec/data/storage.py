"""Where pictures are while a run goes on: in memory, or streamed from their files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from graphspec.data import memory, workers
from graphspec.data.decoding import PictureError
from graphspec.data.pictures import Pictures
from graphspec.data.source import Files, Part, Raw
from graphspec.data.survey import Survey, Watch, survey
from graphspec.errors import Code, Diagnostic, Severity, SpecError, fail
from graphspec.graph.analysis import bytes_text
from graphspec.language.recipe import Data

_NAMED = 20
"""How many damaged files a warning names."""


@dataclass(frozen=True)
class Storage:
    """Where the samples are.

    Attributes:
        text: In words, for the header of a run.
        workers: Processes that read pictures.
    """

    text: str = "in memory"
    workers: int = 0


def store(raw: Raw, section: Data, watch: Watch | None = None) -> tuple[Raw, Storage]:
    """Look at all pictures, leave out or refuse the damaged ones, and keep them if they fit.

    Args:
        raw: What a source found.
        section: The ``data:`` section.
        watch: Told now and then how many pictures were read.

    Returns:
        The same with pictures as arrays, or still as files where they are to be streamed, and
        where they are.

    Raises:
        SpecError: ``data-corrupt`` for a damaged file, unless they are to be skipped;
            ``data-mismatch`` for one unlike the others; ``out-of-memory``, ``workers-failed``.
    """
    names = [name for name, value in raw.train.inputs.items() if isinstance(value, Pictures)]
    if not names:
        return raw, Storage(f"in memory, {bytes_text(_size(raw))}")
    count = workers.default_count() if section.workers is None else section.workers
    parts = raw.parts
    size = sum(_pictures(part, name).nbytes for part in parts.values() for name in names)
    keep = memory.is_kept(size, section.memory)
    for name in names:
        whole = _joined([_pictures(part, name) for part in parts.values()])
        found = survey(whole, count, keep, watch)
        warnings = _check(whole, found, section.corrupt == "skip")
        parts = _divided(parts, name, found)
        raw = replace(raw, warnings=(*raw.warnings, *warnings))
    if not len(parts["train"]):
        message = f"no sound picture is left in the training split of `{raw.origin}`"
        raise fail(Code.DATA_CORRUPT, message, "look at the files named above the error")
    raw = raw.with_parts(parts)
    if keep:
        return raw, Storage(f"in memory, {bytes_text(_size(raw))}")
    count_of = sum(len(part) for part in parts.values()) * len(names)
    filed = all(_pictures(part, name).is_filed for part in parts.values() for name in names)
    what = f"{count_of:,} files" if filed else f"{count_of:,} pictures in {raw.origin}"
    by = f"{count} worker{'s' if count != 1 else ''}" if count else "the main process"
    return raw, Storage(f"streamed from {what} by {by}", count)


def _pictures(part: Part, name: str) -> Pictures:
    value = part.inputs[name]
    assert isinstance(value, Pictures)
    return value


def _joined(each: list[Pictures]) -> Pictures:
    """Return the pictures of all splits as one; they have their names in common."""
    first = each[0]
    return first.at(np.concatenate([pictures.index for pictures in each]))


def _size(raw: Raw) -> int:
    return sum(values.nbytes for part in raw.parts.values() for values in part.inputs.values())


def _check(pictures: Pictures, found: Survey, skip: bool) -> list[Diagnostic]:
    """Refuse what cannot be used, or return the warning about what is left out."""
    unlike = {row: e for row, e in found.mistakes.items() if not e.is_damaged}
    if unlike:
        raise _unlike(pictures, unlike)
    if not found.mistakes:
        return []
    rows = sorted(found.mistakes)
    named = [f"`{pictures.path(row)}`: {found.mistakes[row]}" for row in rows[:_NAMED]]
    more = f"\nand {len(rows) - _NAMED:,} more" if len(rows) > _NAMED else ""
    if not skip:
        message = f"`{pictures.path(rows[0])}` is no sound image: {found.mistakes[rows[0]]}"
        hint = "replace or delete it, or leave such files out with `corrupt: skip`"
        if len(rows) > 1:
            others = f"so are {len(rows) - 1:,} others" if len(rows) > 2 else "so is 1 other"
            hint = f"{others}:\n" + "\n".join(named[1:]) + f"{more}\n{hint}"
        raise fail(Code.DATA_CORRUPT, message, hint)
    files = "file" if len(rows) == 1 else "files"
    message = f"{len(rows):,} damaged {files} of {len(pictures):,} left out"
    warning = Severity.WARNING
    return [Diagnostic(Code.DATA_SKIPPED, warning, None, message, "\n".join(named) + more)]


def _unlike(pictures: Pictures, mistakes: Mapping[int, PictureError]) -> SpecError:
    row = min(mistakes)
    message = f"`{pictures.path(row)}` is unlike the others: {mistakes[row]}"
    form = pictures.form
    hint = f"resize all to one size, e.g. `size: [{form.height}, {form.width}]`"
    if "colour" in str(mistakes[row]):
        hint = "state `channels: 3` for colour, or `channels: 1` for grey"
    more = len(mistakes) - 1
    others = f"; so {'are' if more > 1 else 'is'} {more:,} other{'s' if more > 1 else ''}"
    others = others if more else ""
    return fail(Code.DATA_MISMATCH, message + others, hint)


def _divided(parts: Mapping[str, Part], name: str, found: Survey) -> dict[str, Part]:
    """Return the splits with what was found in them, without the damaged rows."""
    sound = np.ones(len(found.looks), np.bool_)
    sound[list(found.mistakes)] = False
    divided, first = {}, 0
    for split, part in parts.items():
        rows = slice(first, first + len(part))
        first += len(part)
        files = Files(_pictures(part, name), found.files[rows], found.looks[rows],
                      found.sums[rows], found.squares[rows])  # fmt: skip
        value: Any = part.inputs[name] if found.pixels is None else found.pixels[rows]
        whole = replace(
            part,
            inputs={**part.inputs, name: value},
            files={**part.files, name: files},
        )
        divided[split] = whole if sound[rows].all() else whole[sound[rows]]
    return divided
