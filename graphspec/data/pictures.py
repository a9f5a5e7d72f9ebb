"""Pictures in files: which files are some, and what each becomes when it is asked for.

`Pictures` stands for an array of images that is decoded row by row, in whatever process: what a
file becomes depends on its bytes and the `Form` alone, so a picture that is streamed and one that
was read into memory before are the same, bit for bit. Nothing here imports torch.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphspec.data.decoding import Form, PictureError, decode, peek

SUFFIXES = frozenset(
    (
        *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".webp"),
        *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"),
    )
)
"""Ends of the names of image files, in lower case."""

UNREAD = frozenset(
    (
        *(
            ".heic",
            ".heif",
            ".avif",
            ".jp2",
            ".jxl",
            ".tga",
            ".svg",
            ".psd",
            ".exr",
            ".hdr",
            ".dcm",
        ),
        *(".raw", ".dng", ".cr2", ".nef", ".arw"),
    )
)
"""Ends of the names of image files that are not read, in lower case."""

MAX_FILE_BYTES = 1 << 30
"""Largest file that is read."""

_PEEKED = 64
"""Files whose headers say whether a set of pictures is in colour."""


class Names:
    """Very many file names as one array of bytes: small, and shared by forked processes.

    It may as well hold the contents of files.
    """

    def __init__(self, names: Iterable[str | bytes]) -> None:
        encoded = [os.fsencode(name) for name in names]
        self._bytes = np.frombuffer(b"".join(encoded), np.uint8)
        self._ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: int) -> str:
        return os.fsdecode(self.content(index))

    def content(self, index: int) -> bytes:
        """Return an entry as bytes."""
        first, last = int(self._ends[index]), int(self._ends[index + 1])
        return self._bytes[first:last].tobytes()


class Pictures:
    """Images in files, as an array of shape ``(N, C, H, W)`` that is decoded when it is read.

    Attributes:
        root: The folder that the names start from.
        form: What each of them becomes.
        index: For each row the number of its name.
        is_filed: Whether each has a file of its own.
    """

    is_filed = True

    def __init__(
        self, root: Path, names: Names, form: Form, index: NDArray[np.int64] | None = None
    ) -> None:
        self.root = root
        self.form = form
        self._names = names
        self.index = np.arange(len(names)) if index is None else index

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, chosen: NDArray[Any]) -> Pictures:
        """Return some of the rows, by their numbers or by a mask."""
        return self.at(self.index[chosen])

    def at(self, index: NDArray[np.int64]) -> Pictures:
        """Return pictures of the same names and form, by the numbers of their names."""
        return type(self)(self.root, self._names, self.form, index)

    @property
    def shape(self) -> tuple[int, ...]:
        """``(N, C, H, W)``."""
        return (len(self), *self.form.shape)

    @property
    def nbytes(self) -> int:
        """Size of all of them in memory, decoded."""
        return len(self) * self.form.bytes

    def name(self, row: int) -> str:
        """Return the name of a row's file, as it stands after `root`."""
        return self._names[int(self.index[row])]

    def path(self, row: int) -> Path:
        """Return the file of a row."""
        return self.root / self.name(row)

    def read(self, row: int) -> bytes:
        """Return the bytes of a row's file.

        Raises:
            PictureError: If it cannot be read.
        """
        return content(self.path(row))

    def decode(self, row: int) -> NDArray[np.uint8]:
        """Return a row, of shape ``(C, H, W)``.

        Raises:
            PictureError: If its file cannot be read or is no such picture.
        """
        return decode(self.read(row), self.form)


class Packed(Pictures):
    """Images whose files are in one table: `root` is the table, its names are their contents."""

    is_filed = False

    def name(self, row: int) -> str:
        """Return the number of a row in the table, from 1."""
        return f"row {int(self.index[row]) + 1}"

    def read(self, row: int) -> bytes:
        """Return the bytes of a row."""
        return self._names.content(int(self.index[row]))


def is_picture(name: str) -> bool:
    """Return whether a file's name says that it is an image."""
    return os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122 - a million names


def content(path: Path) -> bytes:
    """Return the bytes of a file.

    Raises:
        PictureError: If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            found = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        reason = error.strerror or str(error)
        raise PictureError(f"it cannot be read: {reason}") from error  # noqa: EM102
    if len(found) > MAX_FILE_BYTES:
        message = f"it has more than {MAX_FILE_BYTES >> 20} MiB"
        raise PictureError(message)
    return found


def find_form(
    pictures: Iterable[Path | bytes], size: tuple[int, int] | None, channels: int | None
) -> Form | None:
    """Return the form of a set of pictures: what is stated, else what the files have.

    Without a stated size it is that of the first file that is an image; without stated channels it
    is in colour if any of the files looked at is.

    Args:
        pictures: The files, or what is in them; see `spread`.
        size: Height and width that are asked for.
        channels: Channels that are asked for.

    Returns:
        The form, or None where none of the files is an image.
    """
    if size is not None and channels is not None:
        return Form(channels, *size, is_resized=True, is_stated=True)
    found = []
    for each in pictures:
        try:
            found.append(peek(each if isinstance(each, bytes) else content(each)))
        except PictureError:
            continue  # told when all files are read
    if not found:
        return None
    height, width = size or found[0][1:]
    most = channels or max(each[0] for each in found)
    return Form(most, height, width, size is not None, channels is not None)


def spread(count: int) -> list[int]:
    """Return the numbers of a few rows spread over all, the first of all among them."""
    step = max(1, count // _PEEKED)
    return list(range(0, count, step))[:_PEEKED]
