"""Batches: a split on its device, shuffled, augmented and normalised a whole batch at a time.

What batch ``k`` of an epoch holds depends on the seed, the epoch and ``k`` alone, so a run that
starts again in the middle of an epoch sees the same bits as one that was never interrupted.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphspec.data import workers
from graphspec.data.augment import AUGMENTATIONS
from graphspec.data.dataset import Channels, DataSet, Split
from graphspec.data.decoding import PictureError
from graphspec.data.pictures import Pictures
from graphspec.errors import Code, fail

_LOG = logging.getLogger(__name__)

_SERVED = {torch.uint8: torch.int64}
"""Types in which labels are kept to save memory, and those in which they are served."""


@dataclass(frozen=True, eq=False)
class Batch:
    """One batch on the device.

    Attributes:
        inputs: Tensors by the name of the input. An image is float32 of shape ``(N, C, H, W)``,
            normalised; anything else is as the data set has it.
        labels: For each task the target of each sample: int64 classes of shape ``(N,)`` or
            ``(N, *positions)``, float32 numbers of shape ``(N, labels)`` or ``(N, *shape)``.
    """

    inputs: dict[str, Tensor]
    labels: dict[str, Tensor]


class Batches:
    """The batches of a split, epoch after epoch.

    What is in memory is moved to the device once, images as uint8. Pictures that are streamed are
    decoded by workers a few batches ahead and are from there on treated alike, so where they come
    from changes no bit. Nothing here waits for the device.

    Attributes:
        samples: Samples that one epoch serves.
    """

    def __init__(
        self,
        split: Split,
        dataset: DataSet,
        *,
        batch_size: int,
        augment: str = "none",
        normalize: str = "standard",
        shuffle: bool = False,
        seed: int = 0,
        device: str | torch.device = "cpu",
        channels_last: bool = False,
        inputs: Collection[str] | None = None,
    ) -> None:
        """Move a split to a device and prepare its batches.

        Args:
            split: The split to serve.
            dataset: Its data set, whose constants normalise the images.
            batch_size: Samples in a batch; the last one of an epoch may have fewer.
            augment: A name in `graphspec.data.augment.AUGMENTATIONS`; it varies every input that
                is an image, each by random numbers of its own.
            normalize: ``standard`` for zero mean and unit deviation per channel, ``unit`` for
                values in ``[0, 1]``.
            shuffle: Whether to shuffle, as in training. A last batch of one sample is then left
                out, since batch-norm cannot train on a single sample; each epoch leaves out
                another one.
            seed: Seed of order and augmentation.
            device: Where the batches are made.
            channels_last: Whether images are laid out channels-last in memory.
            inputs: The inputs to serve; None for all.
        """
        names = split.inputs if inputs is None else [n for n in split.inputs if n in inputs]
        self._inputs: dict[str, Tensor] = {}
        self._streamed: dict[str, Pictures] = {}
        for name in names:
            values = split.inputs[name]
            if isinstance(values, Pictures):
                self._streamed[name] = values
            else:
                self._inputs[name] = values.to(device)
        self._names = names
        self._workers = dataset.storage.workers
        # tasks with the same labels have them once
        moved = {id(labels): labels.to(device) for labels in split.labels.values()}
        self._labels = {task: moved[id(labels)] for task, labels in split.labels.items()}
        self._device = next(iter(self._labels.values())).device
        self._batch_size = batch_size
        self._augment = AUGMENTATIONS[augment]
        self._is_augmented = augment != "none"
        self._shuffle = shuffle
        self._seed = seed
        self._format = torch.channels_last if channels_last else torch.contiguous_format
        self._scales = {
            name: normalization(channels, normalize, self._device)
            for name, channels in dataset.channels.items()
        }
        self.samples = self._length = len(split)
        single = self.samples % batch_size == 1 and self.samples > batch_size > 1
        if shuffle and single:
            self.samples -= 1

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return -(-self.samples // self._batch_size)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Serve an epoch.

        Args:
            epoch: Which one; with `shuffle`, each has an order of its own.
            start: The first batch to serve, to go on in the middle of an epoch.

        Yields:
            The batches ``start``, ``start + 1``, ... to the end of the epoch.
        """
        order = None
        if self._shuffle:
            order = torch.randperm(self._length, generator=_generator(self._seed, epoch))
        streamed = self._stream(order, start)
        if order is not None:
            order = order.to(self._device, non_blocking=True)
        for number in range(start, len(self)):
            bounds = self._bounds(number)
            chosen = bounds if order is None else order[bounds]
            found = {name: _rows(values, chosen) for name, values in self._inputs.items()}
            found |= next(streamed)
            inputs = {n: self._input(n, found[n], epoch, number) for n in self._names}
            yield Batch(inputs, {task: _label(v, chosen) for task, v in self._labels.items()})

    def _bounds(self, number: int) -> slice:
        first = number * self._batch_size
        return slice(first, min(first + self._batch_size, self.samples))

    def _stream(self, order: Tensor | None, start: int) -> Iterator[dict[str, Tensor]]:
        """Give the streamed inputs of the batches from ``start`` on, on the device, in bytes."""
        if not self._streamed:
            while True:
                yield {}
        order = torch.arange(self._length) if order is None else order
        rows = [order[self._bounds(number)].numpy() for number in range(start, len(self))]
        size = self._batch_size * sum(p.form.bytes for p in self._streamed.values())
        count, ahead = workers.affordable(self._workers, size) if self._workers else (0, 1)
        if count < self._workers:
            _note_room(count, self._workers)
        decoded = workers.ordered(
            _Decoder(self._streamed),
            rows,
            count,
            ahead=ahead,
            pin=self._device.type == "cuda",
            warn=_LOG.warning,
        )
        with closing(decoded):
            for found in decoded:
                yield {n: v.to(self._device, non_blocking=True) for n, v in found.items()}

    def _input(self, name: str, values: Tensor, epoch: int, number: int) -> Tensor:
        """Return one input of a batch; an image augmented and normalised."""
        if name not in self._scales:
            form = self._format if values.dim() == 4 else torch.contiguous_format
            # a view would let a model that works in place change the data
            if self._shuffle:
                return values.contiguous(memory_format=form)
            return values.clone(memory_format=form)
        if self._is_augmented:
            own = () if name == "image" else (name,)
            values = self._augment(values, _generator(self._seed, epoch, number, *own))
        return normalized(values, *self._scales[name], self._format)


@cache
def _note_room(count: int, wanted: int) -> None:
    """Warn, once, of too little shared memory."""
    text = "%s has room for %d of %d data workers%s; a container gets more with --shm-size"
    instead = "" if count else ", so the main process reads"
    _LOG.warning(text, workers.SHARED_MEMORY, count, wanted, instead)


class _Decoder:
    """Reads the pictures of a batch; works in any process."""

    def __init__(self, pictures: dict[str, Pictures]) -> None:
        self._pictures = pictures

    def __call__(self, rows: NDArray[np.int64]) -> dict[str, Tensor]:
        """Return bytes of shape ``(N, C, H, W)`` by input.

        Raises:
            SpecError: ``data-corrupt`` where a file is not any more what it was.
        """
        found = {}
        for name, pictures in self._pictures.items():
            batch = np.empty((len(rows), *pictures.form.shape), np.uint8)
            for i, row in enumerate(rows.tolist()):
                try:
                    batch[i] = pictures.decode(row)
                except PictureError as error:
                    message = f"`{pictures.path(row)}` has changed during the run: {error}"
                    hint = "put the file back and go on with `--resume`"
                    raise fail(Code.DATA_CORRUPT, message, hint) from error
            found[name] = torch.from_numpy(batch)
        return found


def _rows(values: Tensor, chosen: slice | Tensor) -> Tensor:
    return values[chosen] if isinstance(chosen, slice) else values.index_select(0, chosen)


def _label(values: Tensor, chosen: slice | Tensor) -> Tensor:
    rows = _rows(values, chosen)
    return rows.to(_SERVED.get(rows.dtype, rows.dtype))


def normalized(images: Tensor, scale: Tensor, shift: Tensor, form: torch.memory_format) -> Tensor:
    """Return the input that images are.

    Args:
        images: Bytes of shape ``(N, C, H, W)``.
        scale: What `normalization` gave.
        shift: Likewise.
        form: The memory order of the result.
    """
    result = torch.empty(
        images.shape, dtype=torch.float32, device=images.device, memory_format=form
    )
    # First the type, then the order, then the numbers, with constants of an image's size and order:
    # torch has a fast way for each of these, and for none of them together.
    result.copy_(images.float())
    size = (1, *images.shape[1:])
    scales, shifts = (each.expand(size).contiguous(memory_format=form) for each in (scale, shift))
    return torch.addcmul(shifts, result, scales, out=result)


def normalization(
    channels: Channels, normalize: str, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return scale and shift, each ``(1, C, 1, 1)``: pixel * scale + shift is the input.

    Args:
        channels: The constants.
        normalize: ``standard`` or ``unit``, as in `Batches`.
        device: Where they are needed.
    """
    mean = torch.tensor(channels.mean, dtype=torch.float64)
    std = torch.tensor(channels.std, dtype=torch.float64)
    if normalize == "unit":
        mean, std = torch.zeros_like(mean), torch.ones_like(std)
    std = torch.where(std > 0, std, 1.0)  # a constant channel becomes zero
    scale, shift = 1 / (255 * std), -mean / std
    return (
        scale.float().view(1, -1, 1, 1).to(device),
        shift.float().view(1, -1, 1, 1).to(device),
    )


def _generator(*key: int | str) -> torch.Generator:
    """Return a generator on the CPU whose numbers depend on all parts of the key."""
    digest = hashlib.blake2b("/".join(map(str, key)).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little"))
