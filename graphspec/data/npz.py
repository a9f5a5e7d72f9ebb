"""Reading ``.npz`` files of numpy without trust: headers first, no pickles, nothing oversized."""

from __future__ import annotations

import errno
import struct
import zipfile
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from graphspec.data import memory
from graphspec.errors import Code, SpecError, fail

_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}

_BROKEN = (
    ValueError, KeyError, TypeError, EOFError, NotImplementedError, RuntimeError,
    struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What reading a damaged or foreign file raises."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of one of its arrays.

    Attributes:
        shape: Its shape.
        dtype: Its type.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def bytes(self) -> int:
        """Its size in memory."""
        return prod(self.shape) * self.dtype.itemsize

    def __str__(self) -> str:
        sizes = ", ".join(["N", *map(str, self.shape[1:])])
        return f"[{sizes}] {self.dtype.name}"


def headers(path: Path) -> dict[str, Header]:
    """Return what a file holds, without reading its arrays.

    Args:
        path: The file.

    Raises:
        SpecError: ``data-not-found``, ``file-unreadable`` or ``data-corrupt``.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            found = {
                info.filename.removesuffix(".npy"): _header(archive, info)
                for info in archive.infolist()
            }
    except OSError as error:
        raise _unreadable(path, error) from error
    except _BROKEN as error:
        raise _damaged(path) from error
    objects = [name for name, header in found.items() if header.dtype.hasobject]
    if objects:
        message = f"`{objects[0]}` in `{path}` is an array of Python objects, which is never read"
        raise fail(Code.DATA_CORRUPT, message, "save an array of numbers, all rows of one length")
    return found


def arrays(
    path: Path, known: Mapping[str, Header], names: Collection[str]
) -> dict[str, NDArray[Any]]:
    """Return arrays of a file.

    Args:
        path: The file.
        known: What `headers` gave.
        names: The arrays to read.

    Raises:
        SpecError: ``out-of-memory`` if they are larger than the memory that is free;
            ``data-not-found``, ``file-unreadable`` or ``data-corrupt``.
    """
    size, free = sum(known[name].bytes for name in names), memory.available()
    if size > free:
        message = f"`{path}` holds {size / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB are free"
        raise fail(Code.OUT_OF_MEMORY, message, "save a part of the samples, or smaller numbers")
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in names}
    except OSError as error:
        raise _unreadable(path, error) from error
    except _BROKEN as error:
        raise _damaged(path) from error


def _header(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Header:
    with archive.open(info) as file:
        shape, _, dtype = _READERS[npy.read_magic(file)](file)
        header = Header(shape, dtype)
        if not dtype.hasobject and file.tell() + header.bytes != info.file_size:
            message = f"{info.filename} is not as long as it says"
            raise ValueError(message)
    return header


def _unreadable(path: Path, error: OSError) -> SpecError:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        hint = "correct `data.path`, or name the folder that it lies in with `--data-root DIR`"
        return fail(Code.DATA_NOT_FOUND, f"there is no file `{path}`", hint)
    message = f"cannot read `{path}`: {error.strerror or error}"
    return fail(Code.FILE_UNREADABLE, message, "check the path and its permissions")


def _damaged(path: Path) -> SpecError:
    message = f"`{path}` is damaged or no `.npz` file of numpy"
    return fail(Code.DATA_CORRUPT, message, "write it again with `numpy.savez_compressed`")
