"""Where the processes of torchrun meet: what earlier ones left in the store does no harm."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from torch import multiprocessing
from torch.distributed import HashStore, Store, TCPStore  # type: ignore[attr-defined]

from graphspec.training.distributed.meeting import Meeting, meet

from . import work

PATIENCE = timedelta(minutes=2)


def start(store: Store, size: int, again: bool = False) -> list[Meeting]:
    """Let the processes of one start meet, each in a thread, the first coming last."""
    found: dict[int, Meeting] = {}

    def come(rank: int) -> None:
        found[rank] = meet(store, rank, size, PATIENCE, again)

    threads = [threading.Thread(target=come, args=(rank,)) for rank in reversed(range(size))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[rank] for rank in range(size)]


def test_each_start_has_an_empty_part_of_the_store_that_all_share() -> None:
    store = HashStore()
    for earlier in range(3):
        first, *others = start(store, 3)
        assert [met.earlier for met in (first, *others)] == [earlier] * 3
        assert not first.store.check(["address"])
        first.store.set("address", str(earlier))
        assert [met.store.get("address") for met in others] == [b"%d" % earlier] * 2


def test_the_same_processes_may_meet_again_which_is_no_start() -> None:
    store = HashStore()
    start(store, 2)
    first, second = start(store, 2, again=True)
    assert first.earlier == second.earlier == 0
    first.store.set("word", "new")
    assert second.store.get("word") == b"new"


def test_a_start_of_another_size_meets_in_the_same_store() -> None:
    store = HashStore()
    start(store, 3)
    assert [met.earlier for met in start(store, 1)] == [1]
    assert [met.earlier for met in start(store, 2)] == [2, 2]


def test_who_died_on_the_way_is_not_waited_for() -> None:
    store = HashStore()
    with pytest.raises((RuntimeError, TimeoutError)):  # it put its name down, and was never heard
        meet(store, 1, 2, timedelta(milliseconds=100))
    first, second = start(store, 2)
    first.store.set("word", "new")
    assert second.store.get("word") == b"new"


def test_a_process_that_does_not_come_is_named() -> None:
    with pytest.raises(TimeoutError, match="no word of process 1, 2"):
        meet(HashStore(), 0, 3, timedelta(milliseconds=100))


@pytest.mark.slow
def test_processes_meet_in_the_store_of_an_agent_that_started_others_before() -> None:
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=PATIENCE)
    heard = multiprocessing.get_context("spawn").SimpleQueue()
    for restarts in range(2):
        # the second time process 1 comes first, and finds the address of the dead process 0
        delays = (3.0 * restarts, 0.0)
        multiprocessing.spawn(work.restarted, (store.port, delays, heard), nprocs=2)  # type: ignore[no-untyped-call]
        assert [heard.get() for _ in range(2)] == [(restarts, 1.0)] * 2
