"""Batches: a split on its device, shuffled, augmented and normalised a whole batch at a time.

What batch ``k`` of an epoch holds depends on the seed, the epoch and ``k`` alone, so a run that
starts again in the middle of an epoch sees the same bits as one that was never interrupted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from graphspec.data.augment import AUGMENTATIONS
from graphspec.data.dataset import DataSet, Split


@dataclass(frozen=True, eq=False)
class Batch:
    """One batch on the device.

    Attributes:
        inputs: Tensors by the name of the input; ``image`` is float32 of shape ``(N, C, H, W)``,
            normalised.
        labels: For each task the class of each sample, int64 of shape ``(N,)``.
    """

    inputs: dict[str, Tensor]
    labels: dict[str, Tensor]


class Batches:
    """The batches of a split, epoch after epoch.

    The pixels are moved to the device once, as uint8. Nothing here waits for the device.

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
    ) -> None:
        """Move a split to a device and prepare its batches.

        Args:
            split: The split to serve.
            dataset: Its data set, whose constants normalise the images.
            batch_size: Samples in a batch; the last one of an epoch may have fewer.
            augment: A name in `graphspec.data.augment.AUGMENTATIONS`.
            normalize: ``standard`` for zero mean and unit deviation per channel, ``unit`` for
                values in ``[0, 1]``.
            shuffle: Whether to shuffle, as in training. A last batch of one sample is then left
                out, since batch-norm cannot train on a single sample; each epoch leaves out
                another one.
            seed: Seed of order and augmentation.
            device: Where the batches are made.
            channels_last: Whether images are laid out channels-last in memory.
        """
        self._images = split.images.to(device)
        self._labels = {task: labels.to(device) for task, labels in split.labels.items()}
        self._batch_size = batch_size
        self._augment = AUGMENTATIONS[augment]
        self._is_augmented = augment != "none"
        self._shuffle = shuffle
        self._seed = seed
        self._format = torch.channels_last if channels_last else torch.contiguous_format
        self._scale, self._shift = _normalization(dataset, normalize, self._images.device)
        self.samples = len(split)
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
        order = self._order(epoch)
        for number in range(start, len(self)):
            first = number * self._batch_size
            last = min(first + self._batch_size, self.samples)
            if order is None:
                images = self._images[first:last]
                labels = {task: values[first:last] for task, values in self._labels.items()}
            else:
                chosen = order[first:last]
                images = self._images.index_select(0, chosen)
                labels = {
                    task: values.index_select(0, chosen) for task, values in self._labels.items()
                }
            if self._is_augmented:
                images = self._augment(images, _generator(self._seed, epoch, number))
            yield Batch({"image": self._normalize(images)}, labels)

    def _order(self, epoch: int) -> Tensor | None:
        if not self._shuffle:
            return None
        order = torch.randperm(len(self._images), generator=_generator(self._seed, epoch))
        return order.to(self._images.device, non_blocking=True)

    def _normalize(self, images: Tensor) -> Tensor:
        result = torch.empty(
            images.shape, dtype=torch.float32, device=images.device, memory_format=self._format
        )
        return torch.addcmul(self._shift, images.float(), self._scale, out=result)


def _normalization(dataset: DataSet, normalize: str, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return scale and shift, each ``(1, C, 1, 1)``: pixel * scale + shift is the input."""
    mean = torch.tensor(dataset.mean, dtype=torch.float64)
    std = torch.tensor(dataset.std, dtype=torch.float64)
    if normalize == "unit":
        mean, std = torch.zeros_like(mean), torch.ones_like(std)
    std = torch.where(std > 0, std, 1.0)  # a constant channel becomes zero
    scale, shift = 1 / (255 * std), -mean / std
    return (
        scale.float().view(1, -1, 1, 1).to(device),
        shift.float().view(1, -1, 1, 1).to(device),
    )


def _generator(*key: int) -> torch.Generator:
    """Return a generator on the CPU whose numbers depend on all parts of the key."""
    digest = hashlib.blake2b("/".join(map(str, key)).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little"))
