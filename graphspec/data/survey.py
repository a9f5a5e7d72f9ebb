"""The survey of picture files: every one is read and decoded once, before the first step.

It finds what is damaged, and gives for each file the checksum of its bytes, one of its pixels, and
the sums that the statistics of the channels are made of. What it finds is kept in the cache, and a
file whose size and time of change are as before is not read again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from graphspec.data import download, workers
from graphspec.data.decoding import PictureError, decode
from graphspec.data.pictures import Pictures

INLINE = 256
"""Number of files below which starting other processes does not pay."""

_CHUNK_BYTES = 4 << 20
"""Decoded size of what one worker hands over at a time."""

_VERSION = 1
"""Of the format of the files in the cache."""


Watch = Callable[[int, int], None]
"""Is told how many files were read, and of how many."""


@dataclass(frozen=True, eq=False)
class Survey:
    """What was found, row by row.

    Attributes:
        files: SHA-256 of each file's bytes, shape ``(N, 32)``.
        looks: A checksum of each picture's pixels (BLAKE2b), shape ``(N, 16)``.
        sums: Sum of each channel's bytes, shape ``(N, C)``.
        squares: Sum of their squares.
        mistakes: By row what is wrong with a file.
        pixels: All pictures, shape ``(N, C, H, W)``, where they were asked for; rows with a mistake
            are not to be used.
    """

    files: NDArray[np.uint8]
    looks: NDArray[np.uint8]
    sums: NDArray[np.int64]
    squares: NDArray[np.int64]
    mistakes: dict[int, PictureError]
    pixels: NDArray[np.uint8] | None


def survey(pictures: Pictures, count: int, keep: bool, watch: Watch | None = None) -> Survey:
    """Look at all files.

    Args:
        pictures: The pictures.
        count: Number of workers, 0 for none.
        keep: Whether to return the pixels too; then nothing is spared by the cache.
        watch: Told now and then how many files were read, and of how many.

    Raises:
        SpecError: ``workers-failed``.
    """
    rows, channels = len(pictures), pictures.form.channels
    found = Survey(
        files=np.zeros((rows, 32), np.uint8),
        looks=np.zeros((rows, 16), np.uint8),
        sums=np.zeros((rows, channels), np.int64),
        squares=np.zeros((rows, channels), np.int64),
        mistakes={},
        pixels=np.empty(pictures.shape, np.uint8) if keep else None,
    )
    stats = _stats(pictures) if pictures.is_filed else np.zeros((rows, 3), np.int64)
    place = _place(pictures)
    spared = pictures.is_filed and not keep
    known = _recall(place, stats, found) if spared else np.zeros(rows, np.bool_)
    todo = np.flatnonzero(~known)
    size = max(1, min(INLINE // 4, _CHUNK_BYTES // pictures.form.bytes))
    chunks = [todo[first : first + size] for first in range(0, len(todo), size)]
    looker = _Looker(pictures, keep)
    result = size * pictures.form.bytes if keep else 1
    affordable, ahead = workers.affordable(count, result)
    many = affordable if len(todo) >= INLINE else 0
    looked = workers.ordered(looker, chunks, many, ahead=ahead or 1)
    done = 0
    for chosen, seen in zip(chunks, looked, strict=True):
        _take(found, chosen, seen)
        done += len(chosen)
        if watch is not None:
            watch(done, len(todo))
    if len(todo) and pictures.is_filed:
        _remember(place, stats, found)
    return found


@dataclass(frozen=True, eq=False)
class _Seen:
    """What was found of a few rows."""

    files: NDArray[np.uint8]
    looks: NDArray[np.uint8]
    sums: NDArray[np.int64]
    squares: NDArray[np.int64]
    mistakes: dict[int, PictureError]
    pixels: torch.Tensor | None


class _Looker:
    """Looks at some rows; works in any process."""

    def __init__(self, pictures: Pictures, keep: bool) -> None:
        self._pictures = pictures
        self._keep = keep

    def __call__(self, rows: NDArray[np.int64]) -> _Seen:
        form, count = self._pictures.form, len(rows)
        files, looks = np.zeros((count, 32), np.uint8), np.zeros((count, 16), np.uint8)
        sums = np.zeros((2, count, form.channels), np.int64)
        pixels = np.zeros((count, *form.shape), np.uint8) if self._keep else None
        mistakes = {}
        for i, row in enumerate(rows.tolist()):
            try:
                data = self._pictures.read(row)
                image = decode(data, form)
            except PictureError as error:
                mistakes[row] = error
                continue
            files[i] = _checksum(hashlib.sha256(data))
            looks[i] = _checksum(hashlib.blake2b(image.data, digest_size=16))
            wide = image.reshape(form.channels, -1).astype(np.float64)  # whole numbers, so exact
            sums[0, i], sums[1, i] = wide.sum(1), (wide * wide).sum(1)
            if pixels is not None:
                pixels[i] = image
        kept = None if pixels is None else torch.from_numpy(pixels)
        return _Seen(files, looks, sums[0], sums[1], mistakes, kept)


def _checksum(found: Any) -> NDArray[np.uint8]:
    return np.frombuffer(found.digest(), np.uint8)


def _take(found: Survey, rows: NDArray[np.int64], seen: _Seen) -> None:
    for name in ("files", "looks", "sums", "squares"):
        getattr(found, name)[rows] = getattr(seen, name)
    found.mistakes.update(seen.mistakes)
    if found.pixels is not None and seen.pixels is not None:
        found.pixels[rows] = seen.pixels.numpy()


def _stats(pictures: Pictures) -> NDArray[np.int64]:
    """Return size and time of change of each file, and a checksum of its name; shape ``(N, 3)``."""
    found = np.zeros((len(pictures), 3), np.int64)
    for row in range(len(pictures)):
        name = pictures.name(row)
        digest = hashlib.blake2b(os.fsencode(name), digest_size=8).digest()
        found[row, 2] = int.from_bytes(digest, "little", signed=True)
        with contextlib.suppress(OSError):
            stat = os.stat(pictures.root / name)  # noqa: PTH116 - a million files
            found[row, :2] = stat.st_size, stat.st_mtime_ns
    return found


def _place(pictures: Pictures) -> Path:
    """Return the file of the cache for a folder that is decoded in one way."""
    import PIL

    parts = (_VERSION, PIL.__version__, pictures.root.resolve(), pictures.form)
    key = hashlib.sha256("\n".join(map(str, parts)).encode("utf-8", "surrogateescape")).hexdigest()
    return download.cache() / "surveys" / f"{key[:32]}.npz"


def _recall(place: Path, stats: NDArray[np.int64], found: Survey) -> NDArray[np.bool_]:
    """Fill in what is known of files that have not changed; return which rows these are."""
    try:
        with np.load(place, allow_pickle=False) as file:
            old = {name: file[name] for name in ("stats", "files", "looks", "sums", "squares")}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return np.zeros(len(stats), np.bool_)
    rows = {stat: row for row, stat in enumerate(map(tuple, old["stats"].tolist()))}
    source = np.array([rows.get(tuple(stat), -1) for stat in stats.tolist()], np.int64)
    known: NDArray[np.bool_] = source >= 0
    for name in ("files", "looks", "sums", "squares"):
        getattr(found, name)[known] = old[name][source[known]]
    return known


def _remember(place: Path, stats: NDArray[np.int64], found: Survey) -> None:
    """Store what was found; a cache that cannot be written is no reason to stop."""
    good = np.ones(len(stats), np.bool_)
    good[list(found.mistakes)] = False
    names = ("files", "looks", "sums", "squares")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=place.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, stats=stats[good], **{n: getattr(found, n)[good] for n in names})
            Path(name).replace(place)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError:
        return
