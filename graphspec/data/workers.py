"""Work in other processes: a function applied to items in order, by torch's DataLoader workers.

What is computed does not depend on how many workers there are, nor on whether one of them died:
their work is asked for again. Ctrl-C is the main process's business, they go on; they end with the
iteration, or when the main process is gone.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from graphspec.data import memory
from graphspec.errors import Code, Diagnostic, SpecError, fail

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST = 8
"""Most workers that are started without being asked for."""

PREFETCH = 2
"""Results that each worker prepares ahead."""

RESTARTS = 3
"""How often workers that died are replaced during one iteration."""

SHARED_MEMORY = Path("/dev/shm")
"""The file system through which workers hand over what they made."""


def default_count() -> int:
    """Return how many workers there are unless the user says: the cores that are free, at most 8.

    One core is left to the main process, unless there is only one. Where several processes train
    together on this machine, each has its part of the cores.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    return min(MOST, max(1, cores // memory.trainers() - 1))


def affordable(workers: int, result_bytes: int) -> tuple[int, int]:
    """Return how many workers, and how many results ahead of each, the shared memory has room for.

    Half of what is free is taken at most. Docker gives a container 64 MiB unless told otherwise
    (``--shm-size``), and a process that writes beyond the end is killed.

    Args:
        workers: How many there should be.
        result_bytes: Size of one result.

    Returns:
        Workers and results ahead of each; ``(0, 0)`` where not even one worker has room.
    """
    if not SHARED_MEMORY.is_dir():
        return workers, PREFETCH
    room = shutil.disk_usage(SHARED_MEMORY).free // 2 // max(1, result_bytes)
    for ahead in range(PREFETCH, 0, -1):
        # one result is in use and one on its way
        if (room - 2) // ahead >= workers:
            return workers, ahead
    return (max(0, min(workers, room - 2)), 1) if room > 2 else (0, 0)


def ordered(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int,
    *,
    ahead: int = PREFETCH,
    pin: bool = False,
    warn: Callable[[str], None] = lambda _text: None,
) -> Generator[Result, None, None]:
    """Apply a function to items in other processes and give the results in order.

    Args:
        function: What to apply; it may raise `SpecError`.
        items: The items.
        workers: Number of processes; 0 to do the work here.
        ahead: Results that each prepares ahead.
        pin: Whether tensors are put into pinned memory, from which a GPU copies faster.
        warn: Told when a worker died and was replaced.

    Yields:
        The results, in the order of the items.

    Raises:
        SpecError: What the function raises; ``workers-failed`` where workers die again and again.
    """
    done, deaths, results = 0, 0, None
    try:
        while done < len(items):
            if not workers:
                found: Any = function(items[done])
            else:
                try:
                    if results is None:
                        results = _started(function, items[done:], workers, ahead, pin)
                    found = next(results)
                except (RuntimeError, OSError) as error:
                    results, deaths = None, deaths + 1
                    if deaths > RESTARTS:
                        raise _failed(error) from error
                    warn(f"a data worker died and was replaced: {_reason(error)}")
                    continue
            if isinstance(found, _Mistakes):
                raise SpecError(found.diagnostics)
            done += 1
            yield found
    finally:
        results = None  # ends the workers


class _Mistakes:
    """What a worker gives where its function raised `SpecError`: DataLoader would mangle that."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        self.diagnostics = diagnostics


class _Work(Dataset[Any], Generic[Item, Result]):
    """The function, as DataLoader wants it."""

    def __init__(self, function: Callable[[Item], Result]) -> None:
        self._function = function

    def __getitem__(self, item: Item) -> Result | _Mistakes:
        try:
            return self._function(item)
        except SpecError as error:
            return _Mistakes(error.diagnostics)


def _started(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int, ahead: int, pin: bool
) -> Iterator[Any]:
    """Start workers and return the iterator over their results."""
    # fork shares the data with the workers and needs no `if __name__ == "__main__"` in scripts
    context = multiprocessing.get_context("fork") if sys.platform == "linux" else None
    with _as_it_was(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of many workers, and of forking with threads
        loader: DataLoader[Any] = DataLoader(
            _Work(function),
            batch_size=None,
            sampler=items,
            num_workers=min(workers, len(items)),
            collate_fn=_unchanged,
            prefetch_factor=ahead,
            pin_memory=pin,
            worker_init_fn=_begin,
            multiprocessing_context=context,
            generator=torch.Generator(),  # or it draws from the one that dropout uses
        )
        return iter(loader)


@contextmanager
def _as_it_was() -> Iterator[None]:
    """Keep DataLoader from raising in the middle of a step when a worker dies.

    It installs a handler of SIGCHLD for that; without it a death is noticed when the next result
    is waited for, within five seconds.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGCHLD"):
        yield
        return
    before = signal.getsignal(signal.SIGCHLD)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, before if before is not None else signal.SIG_DFL)


def _begin(_number: int) -> None:
    """Begin a worker: Ctrl-C goes to all processes of a terminal, but is the main one's to hear."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _unchanged(result: Any) -> Any:
    return result


def _reason(error: Exception) -> str:
    return str(error).split("\n")[0].rstrip(".")


def _failed(error: Exception) -> SpecError:
    times = f"{RESTARTS + 1} time{'s' if RESTARTS else ''}"
    message = f"the processes that read the data died {times}: {_reason(error)}"
    hint = (
        "they may be out of memory: take fewer with `data.workers`, 0 to read in the main process;"
        "\nin a container give more shared memory, e.g. `docker run --shm-size 2g`"
    )
    return fail(Code.WORKERS_FAILED, message, hint)
