"""Where the processes that torchrun started meet: a part of its store that is theirs alone.

torchrun's agent keeps its store when it starts the processes again, with what those before had put
there: the addresses at which they listened. A process that reads the address of one that is gone
cannot connect, or waits for it, depending on who comes first. So they agree on a new name for each
start, and what they write stands below it.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

_PAUSE_S = 0.02
"""How long process 0 waits before it looks for the others again, in seconds."""

_ROOM = "graphspec/meeting"
"""Prefix of the keys by which they agree on a name."""


@dataclass(frozen=True)
class Meeting:
    """What the processes of one start have agreed on.

    Attributes:
        store: Where they write, which is empty at the beginning.
        earlier: How many starts before have met in the same store.
    """

    store: Store
    earlier: int


def meet(store: Store, rank: int, size: int, timeout: timedelta, again: bool = False) -> Meeting:
    """Agree with the others of this start on a part of a store.

    What the processes of earlier starts left in the store does no harm: process 0 answers whoever
    has put a name down, and one that is gone does not confirm the answer. It is done when every
    process has confirmed the name of this start.

    Args:
        store: The store that all of them reach.
        rank: Number of this process.
        size: How many there are.
        timeout: How long they wait for each other.
        again: Whether this process has met the others before, which makes this no new start.

    Raises:
        TimeoutError: If another process does not come.
        RuntimeError: From the store, likewise.
    """
    from torch.distributed.distributed_c10d import PrefixStore

    room = PrefixStore(_ROOM, store)
    room.set_timeout(timeout)
    if rank:
        own = secrets.token_hex(8)
        room.set(f"here/{rank}", own)
        name, _, earlier = room.get(f"come/{own}").decode().partition(" ")
        room.set(f"there/{name}/{rank}", "")
    else:
        name, earlier = secrets.token_hex(8), str(room.add("starts", int(not again)) - 1)
        _gather(room, f"{name} {earlier}", set(range(1, size)), timeout)
    return Meeting(PrefixStore(f"{_ROOM}/{name}", store), int(earlier))


def _gather(room: Store, answer: str, missing: set[int], timeout: timedelta) -> None:
    """Answer the others until all have confirmed."""
    deadline = time.monotonic() + timeout.total_seconds()
    name = answer.partition(" ")[0]
    while missing:
        for rank in sorted(missing):
            if room.check([f"there/{name}/{rank}"]):
                missing.discard(rank)
            elif room.check([f"here/{rank}"]):
                room.set(f"come/{room.get(f'here/{rank}').decode()}", answer)
        if time.monotonic() > deadline:
            waited = ", ".join(str(rank) for rank in sorted(missing))
            message = f"Timed out: no word of process {waited}"
            raise TimeoutError(message)
        if missing:
            time.sleep(_PAUSE_S)
