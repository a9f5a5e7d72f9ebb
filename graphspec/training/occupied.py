"""One process at a time trains in a run folder: two would write over each other.

The lock is the operating system's, on a file in the folder, so it ends with the process, however
that ends. It is of the kind that a forked worker does not inherit: one that outlives a killed run
for some seconds does not hold it. On a file system without locks a run goes on without one.
"""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from graphspec.errors import Code, SpecError, fail
from graphspec.training.folder import explained_writing

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"
"""File of the run folder that is there as long as a process trains in it."""

_HELD = (errno.EACCES, errno.EAGAIN)
"""What the system says where another process has the lock; anything else means it has no locks."""

_own: set[Path] = set()
"""Folders in which this process trains: the system refuses no process its own lock."""


@contextmanager
def occupied(run: Path) -> Iterator[None]:
    """Be the one process that trains in a run folder inside the block.

    Args:
        run: The folder, which exists.

    Raises:
        SpecError: ``run-busy`` where another process does; ``cannot-write`` or ``disk-full``.
    """
    if fcntl is None:
        yield
        return
    path = run.resolve() / LOCK
    if path.parent in _own:
        raise _busy(run, "this process")  # to look into the file and close it would unlock it
    number = _taken(run, path)
    _own.add(path.parent)
    try:
        yield
    finally:
        _own.discard(path.parent)
        with suppress(OSError):  # a folder that became read-only keeps a file that nobody locks
            path.unlink()
        os.close(number)


def is_occupied(run: Path) -> bool:
    """Return whether a process trains in a run folder, as far as the system tells."""
    path = run.resolve() / LOCK
    if path.parent in _own:
        return True
    if fcntl is None or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # until it is closed
    except OSError as error:
        return error.errno in _HELD
    return False


def _taken(run: Path, path: Path) -> int:
    """Open the file and lock it; return its number."""
    while True:
        with explained_writing(run):
            number = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
        try:
            fcntl.lockf(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _HELD:
                os.close(number)
                raise _busy(run, _holder(path)) from None
        if _is_there(number, path):
            break
        os.close(number)  # it was removed by who had it, between the two calls
    with suppress(OSError):  # on a full disk nobody is told who has it
        os.truncate(number, 0)
        os.write(number, json.dumps({"host": socket.gethostname(), "pid": os.getpid()}).encode())
    return number


def _is_there(number: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(number), path.stat())
    except FileNotFoundError:
        return False


def _holder(path: Path) -> str:
    """Return who says in the file that it has the lock."""
    try:
        told = json.loads(path.read_bytes())
        return f"process {told['pid']} on {told['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def _busy(run: Path, who: str) -> SpecError:
    message = f"`{run}` is being trained by {who}"
    hint = "wait until it ends, or stop it there with Ctrl-C; another run needs another `--out`"
    return fail(Code.RUN_BUSY, message, hint)
