"""Where the processes that torchrun started meet: a part of its store that is theirs alone.

torchrun's agent keeps its store when it starts the processes again, with what those before had put
there: the addresses at which they listened. A process that reads the address of one that is gone
cannot connect, or waits for it, depending on who comes first. So they agree on a new name for each
start, and what they write stands below it.
"""

from __future__ import annotations

import secrets
import time
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

_PAUSE_S = 0.02
"""How long process 0 waits before it looks for the others again, in seconds."""

_ROOM = "graphspec/meeting"
"""Prefix of the keys by which they agree on a name."""


def meet(store: Store, rank: int, size: int, timeout: timedelta) -> Store:
    """Agree with the others of this start on a part of a store.

    What the processes of earlier starts left in the store does no harm: process 0 answers whoever
    has put a name down, and one that is gone does not confirm the answer. It is done when every
    process has confirmed the name of this start.

    Args:
        store: The store that all of them reach.
        rank: Number of this process.
        size: How many there are.
        timeout: How long they wait for each other.

    Returns:
        The part, which is empty at first.

    Raises:
        DistStoreError: If another process does not come.
    """
    from torch.distributed.distributed_c10d import PrefixStore

    room = PrefixStore(_ROOM, store)
    room.set_timeout(timeout)
    if rank:
        own = secrets.token_hex(8)
        room.set(f"here/{rank}", own)
        name = room.get(f"come/{own}").decode()
        room.set(f"there/{name}/{rank}", "")
    else:
        name = secrets.token_hex(8)
        _gather(room, name, set(range(1, size)), timeout)
    return PrefixStore(f"{_ROOM}/{name}", store)


def _gather(room: Store, name: str, missing: set[int], timeout: timedelta) -> None:
    """Tell the others the name until all have confirmed it."""
    from torch.distributed import DistStoreError

    deadline = time.monotonic() + timeout.total_seconds()
    while missing:
        for rank in sorted(missing):
            if room.check([f"there/{name}/{rank}"]):
                missing.discard(rank)
            elif room.check([f"here/{rank}"]):
                room.set(f"come/{room.get(f'here/{rank}').decode()}", name)
        if time.monotonic() > deadline:
            waited = ", ".join(str(rank) for rank in sorted(missing))
            message = f"Timed out: no word of process {waited}"
            raise DistStoreError(message)
        if missing:
            time.sleep(_PAUSE_S)
