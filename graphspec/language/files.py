"""Files of specs: found in folders, and replaced so that none is ever half there."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from graphspec.errors import Code, fail

_SUFFIXES = (".yaml", ".yml")
_SPEC = re.compile(rb"^(graphspec|extends|blocks|nodes)[ \t]*:", re.MULTILINE)
"""A section that tells a spec from other YAML files."""

_FULL = (errno.ENOSPC, errno.EDQUOT)


def specs_in(folder: Path) -> list[Path]:
    """Return the specs in a folder and the folders below it, hidden ones left out, by name.

    Raises:
        SpecError: ``file-not-found`` if there is none.
    """
    found = []
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in inside.parts)
        if path.suffix in _SUFFIXES and not hidden and path.is_file() and _is_spec(path):
            found.append(path)
    if not found:
        raise fail(Code.FILE_NOT_FOUND, f"there is no spec in the folder `{folder}`")
    return found


def _is_spec(path: Path) -> bool:
    try:
        return _SPEC.search(path.read_bytes()) is not None
    except OSError:
        return True  # whoever reads it will say what is wrong


@contextmanager
def replacing(path: Path, what: str = "file") -> Iterator[Path]:
    """Give a name to write to; what is written there takes the place of ``path`` in the end.

    Readers see the old or the new file, whole, whatever happens in between. A link stays a link,
    and a file keeps its permissions.

    Args:
        path: The file to write.
        what: What messages call it.

    Raises:
        SpecError: ``disk-full`` or ``cannot-write``.
    """
    target = path.resolve()
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        if not target.parent.is_dir():  # now, not after a long time of work
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        try:
            yield part
            with part.open("rb") as file:
                os.fsync(file.fileno())
            if target.exists():
                shutil.copymode(target, part)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        code = Code.DISK_FULL if error.errno in _FULL else Code.CANNOT_WRITE
        reason = error.strerror or str(error)
        raise fail(code, f"cannot write the {what} `{path}`: {reason}") from error


def write_text(path: Path, text: str, what: str = "file") -> None:
    """Replace a text file; see `replacing`.

    Raises:
        SpecError: ``disk-full`` or ``cannot-write``.
    """
    with replacing(path, what) as part:
        part.write_text(text, encoding="utf-8", newline="\n")
