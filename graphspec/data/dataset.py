"""The data set: what a source's files become in memory.

`assemble` checks the labels, draws the validation split and works out the constants, all in exact
integer arithmetic or by documented generators, so that every machine gets the same `DataSet`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphspec.data import hierarchy, targets
from graphspec.data.column import Use
from graphspec.data.pictures import Pictures
from graphspec.data.source import Encoding, Files, Part, Raw, Source
from graphspec.data.splitting import hold_out, strata
from graphspec.data.storage import Storage
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
    """Some of the samples of a data set.

    Attributes:
        inputs: Tensors by the name of the input, as `graphspec.data.source.Part` says; or pictures
            that are read from their files when they are served.
        labels: For each task the target of each sample, likewise.
        files: For inputs that come from one file a sample what is known of the files.
        rows: For samples of one table or array the number of each there.
    """

    inputs: dict[str, Tensor | Pictures]
    labels: dict[str, Tensor]
    files: dict[str, Files] = field(default_factory=dict)
    rows: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(next(iter(self.labels.values())))

    @property
    def images(self) -> Tensor:
        """The input ``image``, of the sources that have one in memory: uint8, ``(N, C, H, W)``."""
        values = self.inputs["image"]
        assert isinstance(values, Tensor)
        return values


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
        storage: Where the samples are: in memory, or streamed.
        encodings: For inputs from the columns of a table how they came about.
        columns: How the columns of a table were read, and what for.
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
    storage: Storage = Storage()  # noqa: RUF009 - it is frozen
    encodings: Mapping[str, Encoding] = field(default_factory=dict)
    columns: tuple[Use, ...] = ()

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


def assemble(
    source: Source,
    raw: Raw,
    validation: float,
    seed: int,
    storage: Storage = Storage(),  # noqa: B008 - it is frozen
) -> DataSet:
    """Make a data set of what was read.

    Args:
        source: The source that was read.
        raw: What its files hold.
        validation: Part of the training split to hold out, from 0 up to but not including 1; a
            source's own validation split is taken as it is.
        seed: Seed of the choice.
        storage: Where the samples are.

    Raises:
        SpecError: ``data-corrupt`` if labels are outside their task or against the hierarchy.
    """
    official = bool(source.fingerprint)
    labels = {where: part.labels for where, part in raw.parts.items()}
    for where, each in labels.items():
        targets.check(source.signature.tasks, each, where, official)
    called = {
        where: part.called("row" if raw.columns else "sample") for where, part in raw.parts.items()
    }
    named = {
        name: task if task.names else replace(task, names=raw.class_names.get(name, ()))
        for name, task in source.signature.tasks.items()
    }
    tasks = hierarchy.learned(named, raw.train.labels, "train", called["train"])
    for where, each in labels.items():
        hierarchy.check(tasks, each, where, official, called[where])
    fraction = validation if raw.validation is None else 0.0
    held = hold_out(strata(tasks, raw.train.labels, len(raw.train)), fraction, seed)
    digest = fingerprint(raw)
    return DataSet(
        name=source.name,
        signature=replace(source.signature, tasks=targets.with_partial(tasks, labels.values())),
        train=_split(raw.train, ~held),
        validation=_split(raw.train, held) if raw.validation is None else _whole(raw.validation),
        test=_whole(raw.test),
        channels=_channels(raw.train),
        fingerprint=digest,
        origin=str(raw.origin),
        warnings=(
            *_warnings(source, raw, digest),
            *raw.warnings,
            *targets.doubts(source.signature.tasks, labels.values()),
        ),
        storage=storage,
        encodings=raw.encodings,
        columns=raw.columns,
    )


def is_image(values: NDArray[Any] | Pictures) -> bool:
    """Return whether an input is images: bytes of shape ``(N, C, H, W)``."""
    return isinstance(values, Pictures) or (values.dtype == np.uint8 and values.ndim == 4)


def _channels(part: Part) -> dict[str, Channels]:
    """Return the statistics of every input that is an image."""
    found = {}
    for name, values in part.inputs.items():
        if name in part.files:
            found[name] = _surveyed(part.files[name])
        elif isinstance(values, np.ndarray) and is_image(values):
            found[name] = channel_statistics(values)
    return found


def _surveyed(files: Files) -> Channels:
    """Return what `channel_statistics` gives, of sums that are known file by file."""
    totals = [sum(column) for column in files.sums.T.tolist()]  # Python's integers do not overflow
    squares = [sum(column) for column in files.squares.T.tolist()]
    form = files.pictures.form
    return _moments(totals, squares, len(files.sums) * form.height * form.width)


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
    return _moments(totals, squares, number)


def _moments(totals: list[int], squares: list[int], number: int) -> Channels:
    """Return mean and standard deviation of bytes from sums over ``number`` of each channel."""
    sums = list(zip(totals, squares, strict=True))
    number = max(1, number)
    mean = tuple(total / (255 * number) for total, _ in sums)
    std = tuple((number * square - total**2) ** 0.5 / (255 * number) for total, square in sums)
    return Channels(mean, std)


def fingerprint(raw: Raw) -> str:
    """Return the SHA-256, in hex, of the inputs and labels of the source's own splits.

    Each array is preceded by its name, its shape and, unless it is one of images or classes, its
    type; numbers are little-endian. The input ``image`` goes by the name ``images``. For pictures
    that have a file each it is the SHA-256 of each file, and the form they are decoded to, that
    count: the fingerprint is then the same for every version of the decoder, and whether the
    pictures are in memory or not.
    """
    sha = hashlib.sha256()
    for name, part in raw.parts.items():
        for key in sorted(part.inputs):
            path = f"{name}/" + ("images" if key == "image" else f"inputs/{key}")
            values = part.inputs[key]
            if key in part.files:
                form = "x".join(map(str, part.files[key].pictures.form.shape))
                _update(sha, f"{path} files {form}", part.files[key].contents, usual="uint8")
            else:
                assert isinstance(values, np.ndarray)
                _update(sha, path, values, usual="uint8")
        for task in sorted(part.labels):
            _update(sha, f"{name}/{task}", part.labels[task], usual="int64")
    return sha.hexdigest()


def _update(sha: hashlib._Hash, name: str, array: NDArray[Any], usual: str) -> None:
    little = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
    kind = "" if array.dtype.name == usual else f" {array.dtype.name}"
    sha.update(f"{name}{list(array.shape)}{kind}\n".encode())
    sha.update(little.reshape(-1).view(np.uint8).data)


def _split(part: Part, chosen: NDArray[np.bool_]) -> Split:
    return _whole(part if chosen.all() else part[chosen])


def _whole(part: Part) -> Split:
    """Return a split of arrays as they are, without a copy."""
    inputs: dict[str, Tensor | Pictures] = {
        name: values if isinstance(values, Pictures) else _tensor(values)
        for name, values in part.inputs.items()
    }
    labels = {task: _tensor(values) for task, values in part.labels.items()}
    return Split(inputs, labels, dict(part.files), part.rows)


def _tensor(values: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values))


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
