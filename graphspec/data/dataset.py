"""The data set: what a source's files become in memory.

`assemble` checks the labels, draws the validation split and works out the constants, all in exact
integer arithmetic or by documented generators, so that every machine gets the same `DataSet`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphspec.data import hierarchy, targets
from graphspec.data.source import Part, Raw, Source
from graphspec.data.splitting import hold_out, strata
from graphspec.errors import Code, Diagnostic, Severity
from graphspec.language.signature import Signature, TaskSpec

_CHUNK = 512
"""Images summed at a time, so that their float64 copies stay in the processor's cache."""


class Channels(NamedTuple):
    """The values of an image's channels over a whole split, in units of ``[0, 1]``."""

    mean: tuple[float, ...]
    """Mean of each channel."""
    std: tuple[float, ...]
    """Standard deviation of each channel (that of the population)."""


@dataclass(frozen=True, eq=False)
class Split:
    """Some of the samples of a data set, in memory.

    Attributes:
        inputs: Tensors by the name of the input, as `graphspec.data.source.Part` says.
        labels: For each task the target of each sample, likewise.
    """

    inputs: dict[str, Tensor]
    labels: dict[str, Tensor]

    def __len__(self) -> int:
        return len(next(iter(self.labels.values())))

    @property
    def images(self) -> Tensor:
        """The input ``image``, of the sources that have one: uint8, ``(N, C, H, W)``."""
        return self.inputs["image"]


@dataclass(frozen=True, eq=False)
class DataSet:
    """A data set with its splits.

    Attributes:
        name: Name of the source.
        signature: Its inputs and tasks.
        train: The training split without what is held out.
        validation: What is held out; it may be empty.
        test: The official test split.
        channels: For each input that is an image the statistics of its channels over the official
            training split.
        fingerprint: SHA-256, in hex, of all inputs and labels of the official training and test
            split. It identifies the data, whatever is held out of them.
        origin: The folder or file they were read from.
        warnings: What the user should know about the files.
    """

    name: str
    signature: Signature
    train: Split
    validation: Split
    test: Split
    channels: dict[str, Channels]
    fingerprint: str
    origin: str
    warnings: tuple[Diagnostic, ...] = ()

    def with_tasks(self, borrowed: Mapping[str, TaskSpec]) -> DataSet:
        """Return the data set with more tasks, which are trained on labels that it has.

        Args:
            borrowed: Tasks whose ``labels`` name tasks of the data set.
        """
        if not borrowed:
            return self
        signature = replace(self.signature, tasks={**self.signature.tasks, **borrowed})
        owners = {name: str(task.labels) for name, task in borrowed.items()}

        def lend(split: Split) -> Split:
            lent = {name: split.labels[owner] for name, owner in owners.items()}
            return replace(split, labels=split.labels | lent)

        return replace(
            self,
            signature=signature,
            train=lend(self.train),
            validation=lend(self.validation),
            test=lend(self.test),
        )

    @property
    def unit(self) -> str:
        """What its samples are called: ``images`` or ``samples``."""
        return "images" if self.channels else "samples"


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
    parts = (raw.train.labels, raw.test.labels)
    for where, part in (("train", raw.train), ("test", raw.test)):
        targets.check(tasks, part.labels, where, official=bool(source.fingerprint))
        hierarchy.check(tasks, part.labels, where)
    held = hold_out(strata(tasks, raw.train.labels, len(raw.train)), validation, seed)
    digest = fingerprint(raw)
    return DataSet(
        name=source.name,
        signature=replace(source.signature, tasks=targets.with_partial(tasks, parts)),
        train=_split(raw.train, ~held),
        validation=_split(raw.train, held),
        test=_split(raw.test, np.ones(len(raw.test), dtype=np.bool_)),
        channels={
            name: channel_statistics(values)
            for name, values in raw.train.inputs.items()
            if is_image(values)
        },
        fingerprint=digest,
        origin=str(raw.origin),
        warnings=_warnings(source, raw, digest),
    )


def is_image(values: NDArray[Any]) -> bool:
    """Return whether an input is images: bytes of shape ``(N, C, H, W)``."""
    return values.dtype == np.uint8 and values.ndim == 4


def channel_statistics(images: NDArray[np.uint8]) -> Channels:
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
    return Channels(mean, std)


def fingerprint(raw: Raw) -> str:
    """Return the SHA-256, in hex, of the inputs and labels of both official splits.

    Each array is preceded by its name, its shape and, unless it is one of images or classes, its
    type; numbers are little-endian. The input ``image`` goes by the name ``images``.
    """
    sha = hashlib.sha256()
    for name, part in (("train", raw.train), ("test", raw.test)):
        for key in sorted(part.inputs):
            path = "images" if key == "image" else f"inputs/{key}"
            _update(sha, f"{name}/{path}", part.inputs[key], usual="uint8")
        for task in sorted(part.labels):
            _update(sha, f"{name}/{task}", part.labels[task], usual="int64")
    return sha.hexdigest()


def _update(sha: hashlib._Hash, name: str, array: NDArray[Any], usual: str) -> None:
    little = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
    kind = "" if array.dtype.name == usual else f" {array.dtype.name}"
    sha.update(f"{name}{list(array.shape)}{kind}\n".encode())
    sha.update(little.reshape(-1).view(np.uint8).data)


def _split(part: Part, chosen: NDArray[np.bool_]) -> Split:
    everything = bool(chosen.all())  # then the arrays are taken as they are, without a copy

    def tensors(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
        picked = {name: a if everything else a[chosen] for name, a in arrays.items()}
        return {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in picked.items()}

    return Split(tensors(part.inputs), tensors(part.labels))


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
