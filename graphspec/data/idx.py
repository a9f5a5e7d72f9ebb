"""The IDX format of MNIST and its heirs: a magic number, the sizes, then the bytes.

Source:
    Y. LeCun et al., "The MNIST database of handwritten digits", section "File formats".
"""

from __future__ import annotations

import gzip
import io
import math
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from graphspec.errors import Code, fail

MAX_BYTES = 1 << 28
"""Largest content of a file, in bytes, so that a small ``.gz`` cannot fill the memory."""

_UINT8 = 0x08


def unpack(data: bytes, name: str) -> bytes:
    """Return the content of a file, unpacked if it is gzip.

    Args:
        data: The bytes of the file.
        name: The file, for messages.

    Raises:
        SpecError: ``data-corrupt`` if it is cut off, damaged or larger than `MAX_BYTES`.
    """
    if data[:2] != b"\x1f\x8b":
        return data
    hint = "delete the file and fetch the official one again"
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise fail(Code.DATA_CORRUPT, f"`{name}` is cut off or damaged: {error}", hint) from error
    if len(content) > MAX_BYTES:
        message = f"`{name}` unpacks to more than {MAX_BYTES >> 20} MiB"
        raise fail(Code.DATA_CORRUPT, message, hint)
    return content


def parse(content: bytes, dimensions: int, name: str) -> NDArray[np.uint8]:
    """Return the array that an IDX file holds.

    Args:
        content: The unpacked bytes.
        dimensions: How many dimensions the array must have.
        name: The file, for messages.

    Returns:
        The bytes in the shape that the file gives, writable.

    Raises:
        SpecError: ``data-corrupt`` if it is no IDX file of bytes with that many dimensions or its
            length is not what its header says.
    """
    hint = "delete the file and fetch the official one again"
    start = 4 + 4 * dimensions
    if content[:4] != bytes((0, 0, _UINT8, dimensions)) or len(content) < start:
        message = f"`{name}` is no IDX file of bytes with {dimensions} dimensions"
        raise fail(Code.DATA_CORRUPT, message, hint)
    shape: tuple[int, ...] = struct.unpack(f">{dimensions}I", content[4:start])
    expected = start + math.prod(shape)
    if len(content) != expected:
        message = f"`{name}` has {len(content)} bytes unpacked; its header says {expected}"
        raise fail(Code.DATA_CORRUPT, message, hint)
    # a copy, since bytes are read-only
    array: NDArray[np.uint8] = np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy()
    return array
