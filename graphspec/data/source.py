"""What a data source is: its signature, known without its files, and a function that reads them.

A new source is a new file beside this one that makes a `Source`, and one more name in the list in
`graphspec.data.sources`. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from graphspec.language.signature import Signature


@dataclass(frozen=True, eq=False)
class Part:
    """Images and labels as they are in the files, in the order of the files.

    Attributes:
        images: Pixels of shape ``(N, C, H, W)``, 0 to 255.
        labels: For each task the class of each image, shape ``(N,)``.
    """

    images: NDArray[np.uint8]
    labels: Mapping[str, NDArray[np.int64]]


@dataclass(frozen=True, eq=False)
class Raw:
    """What a source's files hold.

    Attributes:
        train: The official training split, of which validation is drawn later.
        test: The official test split.
        origin: The folder that was read.
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
        fingerprint: The fingerprint of the official data (see `DataSet.fingerprint`).
        origin: The module that defines it, for messages about duplicates.
    """

    name: str
    title: str
    signature: Signature
    read: Callable[[Path | None], Raw]
    fingerprint: str
    origin: str
