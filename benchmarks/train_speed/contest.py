"""What all contestants train, and how they take turns."""

from __future__ import annotations

import os
import pickle
import resource
import sys
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SIDE, FINE, COARSE = 32, 100, 20
BATCH, LR, DROPOUT = 100, 5e-4, 0.25
FINE_WEIGHT, COARSE_WEIGHT = 2.0, 1.0
PAD = 4
MEAN, STD = (0.507, 0.487, 0.441), (0.267, 0.256, 0.276)
"""Those of CIFAR-100, which every contestant normalises by, whatever the images are."""


@dataclass(frozen=True)
class Settings:
    """What is the same for all contestants.

    Attributes:
        width: ``width`` of arch5.
        threads: Threads of torch.
        file: The images and labels, see `write_images`.
        folder: A folder for what a contestant writes.
    """

    width: int
    threads: int
    file: Path
    folder: Path

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return ``image`` (N, 3, 32, 32) in bytes, ``fine`` and ``coarse`` (N,) in int64."""
        with np.load(self.file) as found:
            return {name: found[f"train_{name}"] for name in ("image", "fine", "coarse")}


@dataclass(frozen=True)
class Result:
    """One round of a contestant: an epoch.

    Attributes:
        seconds: Time of the epoch: its batches and its steps.
        processor: Processor time of the epoch in seconds, that of data workers and of all that
            follows the epoch, such as a checkpoint, included.
        loss: Mean weighted loss of the epoch.
        fine: Part of the images whose fine class was predicted.
        memory: Peak memory of the process so far, in bytes.
        workers: That of its largest child process, in bytes; 0 if it had none.
    """

    seconds: float
    processor: float
    loss: float
    fine: float
    memory: int
    workers: int


@dataclass
class Turn:
    """A contestant's end of the line: it is told when to run and tells how it went."""

    line: Connection
    _started: float = field(default=0.0)
    _used: float = field(default=0.0)

    def ready(self, parameters: int) -> None:
        """Say that everything is loaded, and how many trainable parameters there are."""
        self.line.send(parameters)

    def begin(self) -> bool:
        """Wait for the next round and start the clock; False if there is none."""
        try:
            again = bool(self.line.recv())
        except EOFError:
            return False
        self._used = _processor()
        self._started = time.perf_counter()
        return again

    def end(
        self, loss: float, fine: float, seconds: float | None = None, workers: bool = False
    ) -> None:
        """Stop the clock and tell how the round went.

        Args:
            loss: Mean weighted loss of the epoch.
            fine: Part of the images whose fine class was predicted.
            seconds: Time of the epoch's steps, where more was done after them.
            workers: Whether it has child processes that matter.
        """
        whole = time.perf_counter() - self._started
        own = whole if seconds is None else seconds
        memory = _peak(resource.RUSAGE_SELF)
        largest = _peak(resource.RUSAGE_CHILDREN) if workers else 0
        used = _processor() - self._used
        self.line.send(Result(own, used, loss, fine, memory, largest))


def _processor() -> float:
    """Return the processor time of the process and of its children that ended, in seconds."""
    return sum(os.times()[:4])


def _peak(who: int) -> int:
    """Return the peak of the resident set in bytes."""
    return resource.getrusage(who).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def write_images(file: Path, count: int, cifar100: Path | None) -> str:
    """Write the images that all train on.

    Args:
        file: The ``.npz`` file to write, in the form of the data source ``arrays``.
        count: How many images.
        cifar100: A folder ``cifar-100-python`` to take them from; None to make some up.

    Returns:
        What they are, in words.
    """
    if cifar100 is None:
        image, fine, coarse = _made_up(count)
        words = "made-up images"
    else:
        with (cifar100 / "train").open("rb") as stream:
            found = pickle.load(stream, encoding="latin1")
        image = found["data"][:count].reshape(-1, 3, SIDE, SIDE)
        fine = np.asarray(found["fine_labels"][:count])
        coarse = np.asarray(found["coarse_labels"][:count])
        words = "images of CIFAR-100"
    arrays = {"image": image, "fine": fine, "coarse": coarse}
    splits = {f"train_{name}": values for name, values in arrays.items()}
    splits |= {f"test_{name}": values[:BATCH] for name, values in arrays.items()}
    np.savez(file, **splits)
    return words


def _made_up(count: int) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """Return images that can be learned: a pattern of 4 x 4 patches for each class, and noise."""
    generator = np.random.default_rng(0)
    patterns = generator.uniform(0, 255, (FINE, 3, 4, 4)).repeat(8, 2).repeat(8, 3)
    fine = np.arange(count) % FINE
    noise = generator.normal(0, 30, (count, 3, SIDE, SIDE)).astype(np.float32)
    image = (patterns[fine] + noise).clip(0, 255).astype(np.uint8)
    return image, fine, fine // (FINE // COARSE)
