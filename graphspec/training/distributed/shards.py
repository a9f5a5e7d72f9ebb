"""Each process's rows of every batch.

All processes go through the same batches, the same as those of one process alone, and each takes
its rows. So which samples make a step, and how they are augmented, does not depend on how many
processes there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from graphspec.training.distributed.world import World
    from graphspec.training.job import Sample, Stream


@dataclass(frozen=True, slots=True)
class Shard:
    """The rows of one batch that a process has.

    Attributes:
        inputs: Inputs by name.
        labels: Targets by task.
        share: Which part of the samples of the whole batch they are, from 0 to 1.
    """

    inputs: Mapping[str, Tensor]
    labels: Mapping[str, Tensor]
    share: float


class Shards:
    """The batches of a stream, of each the rows of one process.

    A batch with fewer samples than processes is left out: nobody may be without a sample.

    Attributes:
        samples: Samples of an epoch, those of all processes.
    """

    def __init__(self, stream: Stream, world: World, batch_size: int) -> None:
        """Divide a stream.

        Args:
            stream: The batches of one process alone.
            world: The processes.
            batch_size: Samples of each batch but the last.
        """
        self._stream, self._world = stream, world
        rest = stream.samples % batch_size
        self._left_out = rest if 0 < rest < world.size else 0
        self.samples = stream.samples - self._left_out

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return len(self._stream) - bool(self._left_out)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Shard]:
        """Give this process's rows of the batches of an epoch, from the one numbered ``start``."""
        batches = self._stream.epoch(epoch, start)
        for _ in range(start, len(self)):
            yield self._shard(next(batches))

    def _shard(self, batch: Sample) -> Shard:
        labels = batch.labels
        count = len(next(iter(labels.values())))
        first = count * self._world.rank // self._world.size
        last = count * (self._world.rank + 1) // self._world.size

        def rows(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {name: values[first:last] for name, values in tensors.items()}

        return Shard(rows(batch.inputs), rows(labels), (last - first) / count)
