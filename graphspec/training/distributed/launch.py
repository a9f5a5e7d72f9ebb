"""The processes of ``--devices``: started, watched and interrupted by the one the user started.

They meet in a store of the parent and send it what happens, as an `Observer` hears it, through a
socket on this machine. So whoever watches a run watches it in the parent, whatever the number of
processes. Ctrl-C reaches the parent, which passes it on to all; as long as they have not all come,
nothing has begun, and it ends them.
"""

from __future__ import annotations

import logging
import os
import pickle
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from multiprocessing import AuthenticationError, resource_tracker
from multiprocessing.connection import Client, Connection, Listener
from types import FrameType
from typing import TYPE_CHECKING, Any

import torch
from torch.distributed import TCPStore  # type: ignore[attr-defined]
from torch.multiprocessing.spawn import ProcessException, ProcessExitedException, start_processes

from graphspec.errors import Code, SpecError, fail
from graphspec.training.observer import Header, Observer, Progress, Record

if TYPE_CHECKING:
    from graphspec.training.distributed.world import World

_HOST = "127.0.0.1"
_PATIENCE = timedelta(minutes=5)
"""How long the processes wait for each other at the start."""

_ENDED_S = 60.0
"""How long the parent listens at most to what processes said that have ended, in seconds."""

_INTERRUPTED = 130
"""Exit code of a process at a second Ctrl-C."""

Work = Callable[["World", Observer], Any]
"""What each process does; its result goes to the parent. It must be picklable."""


def run(work: Work, count: int, kind: str, observer: Observer) -> Any:
    """Let several processes of this machine do something together.

    Args:
        work: What each does, given its world and the observer to tell.
        count: How many processes.
        kind: Type of the device, ``cpu`` or ``cuda``.
        observer: Who hears what process 0 tells, and every other's warnings.

    Returns:
        What ``work`` returned in process 0.

    Raises:
        SpecError: What a process raised; ``process-lost`` if one died.
        KeyboardInterrupt: At a second Ctrl-C, or at the first before the processes have come.
    """
    key = secrets.token_bytes(16)
    store = TCPStore(_HOST, 0, is_master=True, wait_for_workers=False, timeout=_PATIENCE)
    threads = max(1, torch.get_num_threads() // count) if kind == "cpu" else 0
    with Listener((_HOST, 0), backlog=count, authkey=key) as listener:
        post = _Post(listener, observer, count)
        with _Forwarding(post) as forwarding, _quiet():
            with _deaf():
                context = start_processes(  # type: ignore[no-untyped-call]
                    _process,
                    args=(work, count, kind, threads, store.port, listener.address, key),
                    nprocs=count,
                    join=False,
                    start_method="spawn",
                )
            post.start()
            forwarding.pids = context.pids()
            try:
                while not context.join(timeout=0.2):
                    forwarding.look()
            except ProcessException as error:
                post.finish()
                forwarding.look()
                raise _explained(error, post, count) from error
            except KeyboardInterrupt:
                for process in context.processes:
                    process.kill()
                post.finish()
                raise
        post.finish()
    failure = post.failure()
    if failure is not None:
        raise failure
    return post.result


class _Post(threading.Thread):
    """Hears all processes, and tells the observer in the order in which they speak.

    Attributes:
        come: How many have come.
        result: What process 0 found.
    """

    def __init__(self, listener: Listener, observer: Observer, count: int) -> None:
        super().__init__(daemon=True, name="graphspec-post")
        self.come = 0
        self.result: Any = None
        self._listener, self._observer, self._count = listener, observer, count
        self._is_over = False
        self._failures: dict[int, SpecError] = {}
        self._lock = threading.Lock()
        self._readers: list[threading.Thread] = []

    @property
    def is_complete(self) -> bool:
        """Whether all processes have come."""
        return self.come == self._count

    def run(self) -> None:
        """Take each process's connection."""
        while not (self.is_complete or self._is_over):
            try:
                connection = self._listener.accept()
            except (OSError, EOFError, AuthenticationError):
                continue  # it died while it came; the parent sees that
            reader = threading.Thread(target=self._read, args=(connection,), daemon=True)
            self._readers.append(reader)
            reader.start()
            self.come += 1

    def finish(self) -> None:
        """Wait until what was sent has been heard; processes that have ended send no more."""
        self._is_over = True
        deadline = time.monotonic() + _ENDED_S
        while self.is_alive() and time.monotonic() < deadline:
            # a process that died early never came: something must, for the thread to look up
            with suppress(OSError):
                socket.create_connection(self._listener.address, timeout=1.0).close()
            self.join(timeout=0.1)
        for reader in self._readers:
            reader.join(timeout=_ENDED_S)

    def failure(self) -> SpecError | None:
        """Return the error that explains the others: not that a process was left alone."""
        with self._lock:
            found = sorted(self._failures.items())
        causes = [e for _, e in found if e.diagnostics[0].code is not Code.PROCESS_LOST]
        return next(iter([*causes, *(e for _, e in found)]), None)

    def _read(self, connection: Connection) -> None:
        with suppress(EOFError, OSError):
            while True:
                rank, what, value = pickle.loads(connection.recv_bytes())
                with self._lock:
                    self._hear(rank, what, value)

    def _hear(self, rank: int, what: str, value: Any) -> None:
        if what == "result":
            self.result = value if rank == 0 else self.result
        elif what == "error":
            self._failures[rank] = value
        else:
            getattr(self._observer, what)(value)


class _Voice:
    """The observer of one process, which tells the parent."""

    def __init__(self, connection: Connection, rank: int) -> None:
        self._connection, self._rank = connection, rank

    def send(self, what: str, value: Any) -> None:
        """Tell the parent; one that is gone hears nothing."""
        with suppress(OSError):
            # not `send`, whose tensors would live in memory that this process takes along
            self._connection.send_bytes(pickle.dumps((self._rank, what, value)))

    def start(self, header: Header) -> None:
        """Pass it on."""
        self.send("start", header)

    def step(self, progress: Progress) -> None:
        """Pass it on."""
        self.send("step", progress)

    def epoch(self, records: Sequence[Record]) -> None:
        """Pass it on."""
        self.send("epoch", list(records))

    def warning(self, text: str) -> None:
        """Pass it on."""
        self.send("warning", text)

    def end(self, summary: Mapping[str, Any]) -> None:
        """Pass it on."""
        self.send("end", dict(summary))


class _Forwarding:
    """A context in which Ctrl-C and SIGTERM go to the processes instead of this one.

    Attributes:
        pids: The processes.
    """

    def __init__(self, post: _Post) -> None:
        self.pids: Sequence[int | None] = ()
        self._post = post
        self._asked = False
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> _Forwarding:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, self._pass_on)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def look(self) -> None:
        """Let a Ctrl-C that came before the processes did end what has not begun.

        Raises:
            KeyboardInterrupt: If there was one.
        """
        if self._asked:
            raise KeyboardInterrupt

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        if not self._post.is_complete:
            self._asked = True
            return
        for pid in self.pids:
            if pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)


@contextmanager
def _deaf() -> Iterator[None]:
    """Let processes that are started in the block wait with Ctrl-C until they are ready for it.

    A terminal sends it to all of them, and Python would print where each was in its imports.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # which lets signals through when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch from logging that it ends the processes that are left: the message says why."""
    log = logging.getLogger("torch.multiprocessing.spawn")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def _process(
    rank: int,
    work: Work,
    count: int,
    kind: str,
    threads: int,
    port: int,
    address: tuple[str, int],
    key: bytes,
) -> None:
    """Be one of the processes."""
    from graphspec.training.distributed import world

    with suppress(OSError, AttributeError):
        os.setpgrp()  # Ctrl-C in a terminal reaches the parent alone, which passes it on
    if threads:
        torch.set_num_threads(threads)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(count)}
    os.environ |= {"LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(count)}
    voice = None
    try:
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        voice = _Voice(Client(address, authkey=key), rank)
        store = TCPStore(_HOST, port, is_master=False, timeout=_PATIENCE)
        with world.joined(kind, store) as joined:
            voice.send("result", work(joined, voice))
    except SpecError as error:
        assert voice is not None  # without one nothing was tried
        voice.send("error", error)
    except KeyboardInterrupt:
        os._exit(_INTERRUPTED)


def _explained(error: ProcessException, post: _Post, count: int) -> BaseException:
    """Return what ended the processes: a mistake that one told of, a signal, or a defect."""
    told = post.failure()
    if told is not None and told.diagnostics[0].code is not Code.PROCESS_LOST:
        return told
    if not isinstance(error, ProcessExitedException):
        return error  # it raised what is no mistake of the user's
    if error.exit_code == _INTERRUPTED:
        return KeyboardInterrupt()
    name = error.signal_name
    how = f"was killed by {name}" if name else f"ended with the exit code {error.exit_code}"
    hint = "go on with `--resume`: the state after the last epoch is in the run folder"
    if name is None and not post.is_complete:  # it imports the caller's script first
        hint = (
            "what it said stands above; a script has to call `train(devices=...)` below "
            '`if __name__ == "__main__":`'
        )
    elif name == "SIGKILL":
        hint = (
            "the system kills a process when memory runs out: lower `train.batch_size`, or use "
            f"fewer processes\n{hint}"
        )
    message = f"process {error.error_index} of {count} {how}, so the run stopped"
    return fail(Code.PROCESS_LOST, message, hint)
