"""What a data source is: its signature, known without its files, and a function that reads them.

A new source is a new file beside this one that makes a `Source`, and one more name in the list in
`graphspec.data.sources`. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphspec.language.recipe import Data
from graphspec.language.signature import Signature
from graphspec.language.tasks import Task

Configure = Callable[[Data, Mapping[str, Task]], "Source"]
"""Gives the source for the ``data:`` and ``tasks:`` of one spec; raises `SpecError`."""


@dataclass(frozen=True, eq=False)
class Part:
    """Inputs and labels as they are in the files, in the order of the files.

    Attributes:
        inputs: Arrays by the name of the input, each of shape ``(N, ...)``. An image is uint8 of
            shape ``(N, C, H, W)``, 0 to 255; anything else is float32 or int64 and served as it is.
        labels: For each task the target of each sample. Classification: int64 of shape ``(N,)``.
            Multi-label: float32 of shape ``(N, labels)``, 0 or 1. Regression: float32 of shape
            ``(N, *shape)``. Segmentation: uint8 or int64 of shape ``(N, *positions)``.
    """

    inputs: Mapping[str, NDArray[Any]]
    labels: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(next(iter(self.labels.values())))

    @property
    def images(self) -> NDArray[np.uint8]:
        """The input ``image``, of the sources that have one."""
        return self.inputs["image"]


@dataclass(frozen=True, eq=False)
class Raw:
    """What a source's files hold.

    Attributes:
        train: The official training split, of which validation is drawn later.
        test: The official test split.
        origin: The folder or file that was read.
        differing: Names of the files whose checksum is not the official one.
    """

    train: Part
    test: Part
    origin: Path
    differing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """A place that data comes from.

    Attributes:
        name: How a spec calls it.
        title: How people call it.
        signature: Its inputs and tasks.
        read: Reads its files, from the given folder or else from the cache or the package; raises
            `SpecError` where there are none or they are broken.
        fingerprint: The fingerprint of the official data (see `DataSet.fingerprint`), or empty
            where there is nothing official.
        origin: The module that defines it, for messages about duplicates.
        configure: For a source whose inputs and tasks depend on the spec: gives the source, with
            its `signature` and `read`, for a spec's ``data:`` and ``tasks:``.
    """

    name: str
    title: str
    signature: Signature
    read: Callable[[Path | None], Raw]
    fingerprint: str
    origin: str
    configure: Configure | None = None

    def configured(self, section: Data, tasks: Mapping[str, Task]) -> Source:
        """Return the source for one spec's ``data:`` and ``tasks:``.

        Raises:
            SpecError: What `configure` raises.
        """
        return self if self.configure is None else self.configure(section, tasks)
