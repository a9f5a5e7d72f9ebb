"""Who a process is among those that train together, and what they tell each other.

A process alone is a world of size 1, in which every question is answered at once: the loop asks
the same questions either way.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from graphspec.errors import Code, SpecError, fail
from graphspec.training.distributed.meeting import meet

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup
    from torch.distributed.distributed_c10d import Store

_WORDS = (
    "Connection closed by peer", "Connection reset by peer", "Broken pipe", "Socket closed",
    "Connection refused", "Timed out", "timed out", "recvValueWithTimeout", "failed to recv",
    "store->get", "Rank", "NCCL error", "Socket Timeout", "remote process has terminated",
)  # fmt: skip
"""Parts of what gloo, NCCL and the store say when another process is gone."""

_LIBRARIES = ("gloo", "nccl", "tcpstore")
"""One of which an error names that does not have a type of its own."""


@dataclass(frozen=True)
class World:
    """The processes that train together, seen from one of them.

    Attributes:
        rank: Number of this process, from 0.
        size: How many there are.
        local_rank: Number of this process on its machine, from 0: the device it uses.
        control: The group through which they talk about anything but gradients, on the CPU; None
            for a process alone.
        restarts: How often torchrun has started them again.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    control: ProcessGroup | None = None
    restarts: int = 0

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes files and tells the user."""
        return self.rank == 0

    @property
    def together(self) -> bool:
        """Whether there are other processes."""
        return self.control is not None

    def any(self, flag: bool) -> bool:
        """Return whether the flag is true in any process; all must ask."""
        if self.control is None:
            return flag
        import torch.distributed as dist

        value = torch.tensor([int(flag)])
        with explained_peers():
            dist.all_reduce(value, op=dist.ReduceOp.MAX, group=self.control)
        return bool(value.item())

    def sum(self, values: Sequence[Tensor]) -> list[Tensor]:
        """Return each tensor added up over the processes, on the device where it was."""
        if self.control is None:
            return list(values)
        import torch.distributed as dist

        result = []
        with explained_peers():
            for value in values:
                total = value.detach().cpu().clone()
                dist.all_reduce(total, group=self.control)
                result.append(total.to(value.device))
        return result

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all processes in the order of their ranks; all must ask."""
        if self.control is None:
            return [value]
        import torch.distributed as dist

        found: list[Any] = [None] * self.size
        with explained_peers():
            dist.all_gather_object(found, value, group=self.control)
        return found

    def lead(self, value: Any) -> Any:
        """Return the value that process 0 has; all must ask."""
        if self.control is None:
            return value
        import torch.distributed as dist

        box = [value]
        with explained_peers():
            dist.broadcast_object_list(box, src=0, group=self.control)
        return box[0]

    @contextmanager
    def led(self) -> Iterator[bool]:
        """Give whether this process does what one process alone may do; the others wait for it.

        What it raises is raised in all of them.

        Raises:
            SpecError: What process 0 raises inside the block.
        """
        error: SpecError | None = None
        try:
            yield self.leads
        except SpecError as raised:
            error = raised
        if self.control is not None:
            error = self.lead(error)
        if error is not None:
            raise error


ALONE = World()
"""A process that trains alone."""

_joined: list[World] = []
"""The world that this process has joined, if any."""


def is_worker() -> bool:
    """Return whether torchrun started this process, or one like it, to train with others."""
    return {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys()


def follows() -> bool:
    """Return whether this is one of several processes, but not the first, which tells all."""
    return is_worker() and os.environ["RANK"] != "0"


@contextmanager
def joined(kind: str, store: Store | None = None) -> Iterator[World]:
    """Join the others for as long as the block lasts.

    Who this process is stands in the variables that torchrun sets: ``RANK``, ``WORLD_SIZE``,
    ``LOCAL_RANK``, ``MASTER_ADDR``, ``MASTER_PORT``. Without them it is alone.

    Args:
        kind: Type of the device, by which the way of exchanging gradients is chosen: NCCL for
            ``cuda``, gloo for the others.
        store: Where the processes meet, instead of the address of ``MASTER_ADDR``.

    Yields:
        The world, of size 1 where nothing started several processes.

    Raises:
        SpecError: ``process-lost`` if another process does not come, or goes away.
    """
    if _joined or (store is None and not is_worker()):
        yield _joined[-1] if _joined else ALONE
        return
    import torch.distributed as dist
    from torch.distributed.constants import default_pg_timeout
    from torch.distributed.rendezvous import rendezvous

    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    local = int(os.environ.get("LOCAL_RANK", rank))
    restarts = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0))
    if kind == "cuda":
        torch.cuda.set_device(local)
    backend = "nccl" if kind == "cuda" else "gloo"
    with explained_peers():
        if store is None:
            common, _, _ = next(rendezvous("env://", rank, size, timeout=default_pg_timeout))
            store = meet(common, rank, size, default_pg_timeout)
        dist.init_process_group(backend, store=store, rank=rank, world_size=size)
        control = dist.new_group(backend="gloo")
    _joined.append(World(rank, size, local, cast("ProcessGroup", control), restarts))
    try:
        with explained_peers():  # the exchanges inside a step
            yield _joined[-1]
    finally:
        _joined.clear()
        dist.destroy_process_group()


@contextmanager
def explained_peers() -> Iterator[None]:
    """Turn what an exchange says when another process is gone into a diagnostic.

    Raises:
        SpecError: ``process-lost``.
    """
    try:
        yield
    except RuntimeError as error:
        if not _tells_of_a_peer(error):
            raise
        text = str(error)
        message = "another process of the run is gone or cannot be reached"
        first = text.strip().splitlines()[0] if text.strip() else ""
        hint = (
            "the message of that process tells why (a process that is killed without one often ran "
            "out of memory); go on with `--resume`"
        )
        raise fail(Code.PROCESS_LOST, f"{message} ({first[:200]})", hint) from error


def _tells_of_a_peer(error: RuntimeError) -> bool:
    """Return whether an error comes from an exchange and says that the other side is gone."""
    import torch.distributed as dist

    text = str(error)
    exchanged = isinstance(error, dist.DistError) or any(
        library in text.lower() for library in _LIBRARIES
    )
    return exchanged and any(word in text for word in _WORDS)
