"""Who is at work on a run: a file that a worker makes, keeps fresh, and removes when it ends.

Two workers in one run folder would write over each other. A study may be closed while its jobs go
on elsewhere, and a job may be started again on another machine while the first one lingers. Locks
of the operating system are not to be had on every shared file system; making a file that must not
exist yet is. Whoever finds a file looks whether its maker is alive: on the same machine by its
process, on another by the age of the file, by the clock of the file system. A worker that was taken
for dead and comes back (its machine was suspended) sees another's name in the file and ends without
writing anything.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

BEAT_S = 5.0
"""How often the file is made fresh, in seconds."""

STALE_S = 60.0
"""After how many seconds without that a worker on another machine counts as dead."""

LOST = 75
"""Exit code of a worker whose run another one has taken over (EX_TEMPFAIL)."""


@dataclass(frozen=True)
class Holder:
    """A process that is at work on a run.

    Attributes:
        machine: Its machine, or its container.
        pid: Its number there.
        began: When it began, in seconds since 1970: numbers are used again.
    """

    machine: str
    pid: int
    began: float

    def __str__(self) -> str:
        return f"process {self.pid} on {self.machine.partition(' ')[0]}"


def holder(path: Path) -> Holder | None:
    """Return who is at work on a run, or None.

    Args:
        path: The file in which a worker says so.
    """
    found = _read(path)
    return found if found is not None and _alive(found, path) else None


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Be the one who is at work on a run inside the block; wait as long as another one is.

    Args:
        path: The file in which this process says so.

    Raises:
        OSError: If the file cannot be written.
    """
    me = _me()
    _take(path, me)
    done = threading.Event()
    beating = threading.Thread(target=_beat, args=(path, me, done), daemon=True)
    beating.start()
    try:
        yield
    finally:
        done.set()
        beating.join()
        if _read(path) == me:
            path.unlink(missing_ok=True)


def refresh(folder: Path) -> float:
    """Return the time by the clock of a folder's file system.

    A network file system may go on telling for a minute that a file does not exist; after this
    call it looks again.
    """
    probe = folder / f".now.{socket.gethostname()}.{os.getpid()}"
    probe.touch()
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def _me() -> Holder:
    return Holder(_machine(), os.getpid(), psutil.Process().create_time())


def _machine() -> str:
    """Return the host, and the namespace of process numbers: containers may share a host name."""
    try:
        return f"{socket.gethostname()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def _take(path: Path, me: Holder) -> None:
    """Make the file; wait while another process that is alive has it."""
    told = False
    while not _made(path, me):
        other = _read(path)
        if other is not None and _alive(other, path):
            if not told:
                print(f"{other} is at work on this run; waiting for its end", flush=True)
                told = True
            time.sleep(1.0)
        elif _age(path) > 1.0:  # of a dead process, or empty: its maker died at once
            _remove(path)
        else:
            time.sleep(0.1)


def _made(path: Path, me: Holder) -> bool:
    """Make the file unless it exists; only one process on one machine can do so."""
    try:
        number = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    except FileExistsError:
        return False
    with os.fdopen(number, "w", encoding="utf-8") as file:
        json.dump(asdict(me), file)
    return True


def _remove(path: Path) -> None:
    """Take a dead process's file away; of several that try, one does."""
    aside = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.dead")
    with suppress(FileNotFoundError):
        path.rename(aside)
        aside.unlink()


def _beat(path: Path, me: Holder, done: threading.Event) -> None:
    """Keep the file fresh; end the process if it is another's."""
    while not done.wait(BEAT_S):
        try:
            found = _read(path)
            if found == me:
                os.utime(path)
            elif found is not None or not _made(path, me):
                _give_up(path)
        except OSError:
            continue  # a network file system that is away for a moment


def _give_up(path: Path) -> None:
    """End at once: what this process would write belongs to another one now."""
    print(f"{_read(path)} has taken this run over", flush=True)
    sys.stdout.flush()
    os._exit(LOST)


def _read(path: Path) -> Holder | None:
    try:
        plain: dict[str, Any] = json.loads(path.read_bytes())
        return Holder(str(plain["machine"]), int(plain["pid"]), float(plain["began"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _alive(found: Holder, path: Path) -> bool:
    if found.machine != _machine():
        return _age(path) < STALE_S
    try:
        process = psutil.Process(found.pid)
        same = abs(process.create_time() - found.began) < 1.0
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def _age(path: Path) -> float:
    """Return for how long a file was not made fresh, in seconds; infinitely long if it is gone."""
    try:
        with path.open("rb") as file:  # opening asks a network file system, where stat may not
            changed = os.fstat(file.fileno()).st_mtime
        return refresh(path.parent) - changed
    except FileNotFoundError:
        return float("inf")
