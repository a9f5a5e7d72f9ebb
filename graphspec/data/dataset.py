"""The data set: what a source's files become in memory.

`assemble` checks the labels, draws the validation split and works out the constants, all in exact
integer arithmetic or by documented generators, so that every machine gets the same `DataSet`.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphspec.data import hierarchy
from graphspec.data.source import Part, Raw, Source
from graphspec.errors import Code, Diagnostic, Severity
from graphspec.language.signature import Signature

_CHUNK = 512
"""Images summed at a time, so that their float64 copies stay in the processor's cache."""


@dataclass(frozen=True, eq=False)
class Split:
    """Some of the images of a data set, in memory.

    Attributes:
        images: Pixels, uint8 of shape ``(N, C, H, W)``.
        labels: For each task the class of each image, int64 of shape ``(N,)``.
    """

    images: Tensor
    labels: dict[str, Tensor]

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, eq=False)
class DataSet:
    """A data set with its splits.

    Attributes:
        name: Name of the source.
        signature: Its inputs and tasks.
        train: The training split without what is held out.
        validation: What is held out; it may be empty.
        test: The official test split.
        mean: Mean of each channel over the official training split, in units of ``[0, 1]``.
        std: Standard deviation likewise (that of the population).
        fingerprint: SHA-256, in hex, of all pixels and labels of the official training and test
            split. It identifies the data, whatever is held out of them.
        origin: The folder they were read from.
        warnings: What the user should know about the files.
    """

    name: str
    signature: Signature
    train: Split
    validation: Split
    test: Split
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str
    origin: str
    warnings: tuple[Diagnostic, ...] = ()


def assemble(source: Source, raw: Raw, validation: float, seed: int) -> DataSet:
    """Make a data set of what was read.

    Args:
        source: The source that was read.
        raw: What its files hold.
        validation: Part of the training split to hold out, from 0 up to but not including 1.
        seed: Seed of the choice.

    Raises:
        SpecError: ``data-corrupt`` if labels are outside their task or against the hierarchy.
    """
    tasks = source.signature.tasks
    hierarchy.check(tasks, raw.train.labels, "train")
    hierarchy.check(tasks, raw.test.labels, "test")
    held = hold_out(raw.train.labels[hierarchy.finest(tasks)], validation, seed)
    mean, std = channel_statistics(raw.train.images)
    digest = fingerprint(raw)
    return DataSet(
        name=source.name,
        signature=source.signature,
        train=_split(raw.train, ~held),
        validation=_split(raw.train, held),
        test=_split(raw.test, np.ones(len(raw.test.images), dtype=np.bool_)),
        mean=mean,
        std=std,
        fingerprint=digest,
        origin=str(raw.origin),
        warnings=_warnings(source, raw, digest),
    )


def hold_out(labels: NDArray[np.int64], fraction: float, seed: int) -> NDArray[np.bool_]:
    """Choose a stratified part of the samples.

    Of every class as near to the same part as whole samples allow (largest remainders), and never
    the whole class. The choice rests on `random.Random.random`, the one generator of Python and
    numpy whose numbers are promised to stay the same in every version.

    Args:
        labels: Class of each sample, shape ``(N,)``.
        fraction: Part to choose, from 0 up to but not including 1.
        seed: Seed of the choice.

    Returns:
        For each sample whether it is chosen, shape ``(N,)``.
    """
    generator = random.Random(seed)
    keys = np.array([generator.random() for _ in range(len(labels))])
    members = [np.flatnonzero(labels == value) for value in np.unique(labels)]
    ties = [generator.random() for _ in members]
    exact = [fraction * len(indices) for indices in members]
    counts = [int(share) for share in exact]
    spare = round(fraction * len(labels)) - sum(counts)
    by_remainder = sorted(range(len(members)), key=lambda i: (counts[i] - exact[i], ties[i]))
    for i in by_remainder[: max(spare, 0)]:
        counts[i] += 1
    chosen = np.zeros(len(labels), dtype=np.bool_)
    for indices, count in zip(members, counts, strict=True):
        order = np.argsort(keys[indices], kind="stable")
        chosen[indices[order[: min(count, len(indices) - 1)]]] = True
    return chosen


def channel_statistics(
    images: NDArray[np.uint8],
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each channel, in units of ``[0, 1]``.

    The sums are those of whole numbers below 2**53, so they are exact in float64 whatever the order
    of adding, and the result is the same on every machine.

    Args:
        images: Pixels of shape ``(N, C, H, W)``.
    """
    channels = images.shape[1]
    number = images.size // channels or 1
    totals, squares = [0] * channels, [0] * channels
    for start in range(0, len(images), _CHUNK):
        chunk = torch.from_numpy(images[start : start + _CHUNK])
        for channel in range(channels):
            values = chunk[:, channel].double().flatten()
            totals[channel] += int(values.sum())
            squares[channel] += int(values.dot(values))
    sums = list(zip(totals, squares, strict=True))
    mean = tuple(total / (255 * number) for total, _ in sums)
    std = tuple((number * square - total**2) ** 0.5 / (255 * number) for total, square in sums)
    return mean, std


def fingerprint(raw: Raw) -> str:
    """Return the SHA-256, in hex, of the pixels and labels of both official splits.

    Each array is preceded by its name and shape; labels are little-endian 64-bit numbers.
    """
    sha = hashlib.sha256()
    for name, part in (("train", raw.train), ("test", raw.test)):
        _update(sha, f"{name}/images", part.images)
        for task in sorted(part.labels):
            _update(sha, f"{name}/{task}", part.labels[task])
    return sha.hexdigest()


def _update(sha: hashlib._Hash, name: str, array: NDArray[Any]) -> None:
    little = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
    sha.update(f"{name}{list(array.shape)}\n".encode())
    sha.update(little.reshape(-1).view(np.uint8).data)


def _split(part: Part, chosen: NDArray[np.bool_]) -> Split:
    everything = bool(chosen.all())  # then the arrays are taken as they are, without a copy
    images = part.images if everything else part.images[chosen]
    labels = {
        task: values if everything else values[chosen] for task, values in part.labels.items()
    }
    return Split(
        torch.from_numpy(np.ascontiguousarray(images)),
        {task: torch.from_numpy(np.ascontiguousarray(values)) for task, values in labels.items()},
    )


def _warnings(source: Source, raw: Raw, digest: str) -> tuple[Diagnostic, ...]:
    if not raw.differing:
        return ()
    names = ", ".join(f"`{name}`" for name in raw.differing)
    message = f"{names} in `{raw.origin}` differ from the official files of {source.title}"
    if digest == source.fingerprint:
        hint = "all pixels and labels are the official ones, so results can be compared"
    else:
        hint = "results may not compare with those on the official data; check where they come from"
    return (Diagnostic(Code.DATA_CHECKSUM, Severity.WARNING, None, message, hint),)
