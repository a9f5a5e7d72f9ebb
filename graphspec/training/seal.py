"""The checksum of a whole checkpoint, at its end, where a zip archive has room for a comment.

torch's archives have a checksum of each member's content, but none of the directory that says
which member is which and where: one flipped bit there can give a tensor other content. The seal is
a SHA-256 of every byte before it. Other programs see a comment; ``torch.load`` reads the file as
ever.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, cast

_MARK = b"graphspec sha256 "
_SIZE = len(_MARK) + 2 * hashlib.sha256().digest_size
_LENGTH = 2
"""Bytes of the last field of an archive: the length of the comment that follows."""

_CHUNK = 1 << 20


class _Sealing:
    """A file for `torch.save`, which writes from the beginning to the end."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._hash = file, hashlib.sha256()
        self._last = b""

    def write(self, data: bytes) -> int:
        """Write, but for the last field of what may be the end."""
        view = memoryview(data).cast("B")
        if len(view) < _LENGTH:
            view = memoryview(self._last + bytes(view))
        else:
            self._put(self._last)
        self._put(view[:-_LENGTH])
        self._last = bytes(view[-_LENGTH:])
        return len(data)

    def flush(self) -> None:
        """Do nothing: the end is not there yet."""

    def close(self) -> None:
        """Write the length of the comment in the place of none, and the comment."""
        assert self._last == bytes(_LENGTH), "torch's archives have no comment"
        self._put(_SIZE.to_bytes(_LENGTH, "little"))
        self._put(_MARK)
        self._file.write(self._hash.hexdigest().encode())

    def _put(self, data: bytes | memoryview) -> None:
        self._hash.update(data)
        self._file.write(data)


@contextmanager
def sealing(file: BinaryIO) -> Iterator[IO[bytes]]:
    """Give a file to write an archive to; it is sealed when the block ends well.

    Args:
        file: Where it goes, open for writing.
    """
    writer = _Sealing(file)
    yield cast("IO[bytes]", writer)
    writer.close()


def is_whole(path: Path) -> bool | None:
    """Return whether a file is as it was written; None where it has no seal.

    Args:
        path: An archive.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        covered = path.stat().st_size - 2 * digest.digest_size
        if covered < len(_MARK):
            return None
        file.seek(covered - len(_MARK))
        if file.read(len(_MARK)) != _MARK:
            return None
        stated = file.read()
        file.seek(0)
        while covered:
            data = file.read(min(_CHUNK, covered))
            digest.update(data)
            covered -= len(data)
    return stated == digest.hexdigest().encode()
