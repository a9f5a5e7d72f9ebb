"""Where the processes of torchrun meet: what earlier ones left in the store does no harm."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from torch import multiprocessing
from torch.distributed import (  # type: ignore[attr-defined]
    DistStoreError,
    HashStore,
    Store,
    TCPStore,
)

from graphspec.errors import Code, SpecError
from graphspec.training.distributed.meeting import meet
from graphspec.training.distributed.world import explained_peers

from . import work

PATIENCE = timedelta(minutes=2)


def start(store: Store, size: int) -> list[Store]:
    """Let the processes of one start meet, each in a thread, the first coming last."""
    found: dict[int, Store] = {}

    def come(rank: int) -> None:
        found[rank] = meet(store, rank, size, PATIENCE)

    threads = [threading.Thread(target=come, args=(rank,)) for rank in reversed(range(size))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[rank] for rank in range(size)]


def test_each_start_has_an_empty_part_of_the_store_that_all_share() -> None:
    store = HashStore()
    for size in (3, 3, 1, 2):
        first, *others = start(store, size)
        assert not first.check(["address"])
        first.set("address", str(size))
        assert [each.get("address") for each in others] == [b"%d" % size] * (size - 1)


def test_who_died_on_the_way_is_not_waited_for() -> None:
    store = HashStore()
    with pytest.raises(DistStoreError):  # it put its name down, and was never heard
        meet(store, 1, 2, timedelta(milliseconds=100))
    first, second = start(store, 2)
    first.set("word", "new")
    assert second.get("word") == b"new"


def test_a_process_that_does_not_come_is_named() -> None:
    with pytest.raises(DistStoreError, match="no word of process 1, 2"):
        meet(HashStore(), 0, 3, timedelta(milliseconds=100))


@pytest.mark.slow
def test_processes_meet_in_the_store_of_an_agent_that_started_others_before() -> None:
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=PATIENCE)
    heard = multiprocessing.get_context("spawn").SimpleQueue()
    for delay in (0.0, 3.0):
        # the second time process 1 comes first, and finds the address of the dead process 0
        delays = (delay, 0.0)
        multiprocessing.spawn(work.restarted, (store.port, delays, heard), nprocs=2)  # type: ignore[no-untyped-call]
        assert [heard.get() for _ in range(2)] == [1.0] * 2


GONE = [
    RuntimeError(
        "[/third_party/gloo/transport/tcp/pair.cc:545] Read error: Connection reset by peer"
    ),
    DistStoreError("wait timeout: Timed out after 100ms"),
]
OTHERS = [
    RuntimeError("Timed out: a library of the user's"),
    RuntimeError("gloo: Invalid scalar type"),
    BrokenPipeError("Broken pipe"),
]


@pytest.mark.parametrize("error", GONE)
def test_what_an_exchange_says_of_a_process_that_is_gone_is_explained(error: Exception) -> None:
    with pytest.raises(SpecError) as caught, explained_peers():
        raise error
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code is Code.PROCESS_LOST
    assert str(error) in diagnostic.message


@pytest.mark.parametrize("error", OTHERS)
def test_what_else_is_raised_stays_as_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, explained_peers():
        raise error
    assert caught.value is error
