"""The cache of downloaded data, and how files get there: whole and checked, or not at all.

A download goes into a temporary folder inside the cache, is checked against its MD5 and only then
moved into place, file by file. A run that is killed half-way leaves a folder that nothing reads.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import socket
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError

from graphspec.errors import Code, SpecError, fail

TIMEOUT_S = 10.0
"""How long one network operation may take, in seconds, before the download is given up."""


@dataclass(frozen=True)
class Remote:
    """A file to download.

    Attributes:
        url: Where it is.
        md5: Its checksum.
        is_tar: Whether it is a tar archive, whose files are wanted rather than itself.
    """

    url: str
    md5: str
    is_tar: bool = False


def cache() -> Path:
    """Return the folder for downloaded data.

    ``GRAPHSPEC_DATA`` if set, else ``graphspec/data`` in the user's cache folder (XDG).
    """
    if own := os.environ.get("GRAPHSPEC_DATA"):
        return expand(own)
    return expand(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "graphspec" / "data"


def expand(path: str) -> Path:
    """Return a path with its ``~`` replaced, or as it is where that home does not exist."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def remedies(source: str) -> str:
    """Return what to do where a source has no data."""
    return (
        f"give the folder that holds {source} with `--data-root DIR`, "
        "or train on the bundled images with `--data fashion-mini`"
    )


def download(name: str, remotes: Sequence[Remote], folder: Path) -> None:
    """Download files into a folder of the cache.

    Args:
        name: The source, for messages.
        remotes: The files. The members of an archive are taken without their folders.
        folder: Where they go; it is made, and files of the same names are replaced.

    Raises:
        SpecError: ``data-not-found`` if a file cannot be had, ``data-corrupt`` if its checksum is
            wrong, ``cannot-write`` or ``disk-full`` if it cannot be stored.
    """
    work = _work_folder()
    try:
        for remote in remotes:
            _fetch(name, remote, work)
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(work.iterdir()):
            path.replace(folder / path.name)
    except OSError as error:
        raise _storage_error(folder, error) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def locate(
    source: str,
    title: str,
    name: str,
    files: Sequence[str],
    remotes: Sequence[Remote],
    root: Path | None,
) -> Path:
    """Return the folder with the files of a data set, downloading them into the cache if need be.

    Args:
        source: What a spec calls it.
        title: What people call it.
        name: Name of the folder.
        files: The files that must be in it.
        remotes: Where they come from.
        root: The folder or the one that contains it; None for the cache.

    Raises:
        SpecError: ``data-not-found``, or what `download` raises.
    """
    if root is None:
        folder = cache() / name
        if _missing(folder, files):
            download(source, remotes, folder)
        return folder
    for folder in (root / name, root):
        if not _missing(folder, files):
            return folder
    if not root.is_dir():
        raise fail(Code.DATA_NOT_FOUND, f"there is no folder `{root}`", remedies(source))
    inner = root / name if (root / name).is_dir() else root
    lacking = ", ".join(f"`{each}`" for each in _missing(inner, files))
    message = f"`{root}` does not hold {title}: `{inner}` lacks {lacking}"
    raise fail(Code.DATA_NOT_FOUND, message, remedies(source))


def _missing(folder: Path, files: Sequence[str]) -> list[str]:
    return [name for name in files if not (folder / name).is_file()]


def md5_of(path: Path) -> str:
    """Return the MD5 of a file, in hex."""
    md5 = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            md5.update(chunk)
    return md5.hexdigest()


def make_folder(folder: Path) -> None:
    """Make a folder of the cache.

    Raises:
        SpecError: ``cannot-write`` or ``disk-full``.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _storage_error(folder, error) from error


def _work_folder() -> Path:
    folder = cache()
    make_folder(folder)
    try:
        return Path(tempfile.mkdtemp(prefix=".download-", dir=folder))
    except OSError as error:
        raise _storage_error(folder, error) from error


def _fetch(name: str, remote: Remote, work: Path) -> None:
    from torchvision.datasets.utils import download_url

    filename = remote.url.rsplit("/", 1)[-1]
    try:
        with patience():
            download_url(remote.url, work, filename, remote.md5)
    except RuntimeError as error:  # what torchvision raises for a wrong checksum
        message = f"the download of `{name}` from {remote.url} is damaged: {error}"
        raise fail(Code.DATA_CORRUPT, message, f"try again, or {remedies(name)}") from error
    except (OSError, HTTPException) as error:
        if isinstance(error, OSError) and error.errno in _STORAGE:
            raise
        if isinstance(error, HTTPError):  # it is the response as well
            error.close()
            reason: object = error
        else:
            reason = getattr(error, "reason", error)
        message = f"`{name}` is not here and cannot be downloaded from {remote.url}: {reason}"
        raise fail(Code.DATA_NOT_FOUND, message, remedies(name)) from error
    if remote.is_tar:
        archive = work / filename
        _unpack(archive, work)
        archive.unlink()


def _unpack(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            if content is not None:
                # only the last part of its name: a member can never leave the folder
                with (folder / Path(member.name).name).open("wb") as file:
                    shutil.copyfileobj(content, file)


@contextmanager
def patience() -> Iterator[None]:
    """Give up network operations that take more than `TIMEOUT_S`."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


_FULL = (errno.ENOSPC, errno.EDQUOT)
_STORAGE = (*_FULL, errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EEXIST)


def _storage_error(folder: Path, error: OSError) -> SpecError:
    hint = "name a folder with space and write permission in the variable GRAPHSPEC_DATA"
    if error.errno in _FULL:
        return fail(Code.DISK_FULL, f"the disk is full: cannot store data in `{folder}`", hint)
    reason = error.strerror or str(error)
    return fail(Code.CANNOT_WRITE, f"cannot store data in `{folder}`: {reason}", hint)
