"""CIFAR-10: 60,000 colour images of 32x32 pixels in 10 classes, and 2 groups of these.

The groups are ours: the classes are 6 animals and 4 vehicles.

Source:
    A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
    https://www.cs.toronto.edu/~kriz/cifar.html
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from graphspec.data import cifar100, download, pickles
from graphspec.data.source import Part, Raw, Source
from graphspec.errors import Code, fail
from graphspec.language.signature import InputSpec, Signature, TaskSpec

FOLDER = "cifar-10-batches-py"
MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
    "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
}
"""Checksums of the official files, as torchvision checks them."""

NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
GROUPS = ("animal", "vehicle")
PARENTS = tuple(int(name in ("airplane", "automobile", "ship", "truck")) for name in NAMES)
SIGNATURE = Signature(
    inputs={"image": InputSpec(cifar100.SHAPE)},
    tasks={
        "fine": TaskSpec(len(NAMES), NAMES, "coarse", PARENTS),
        "coarse": TaskSpec(len(GROUPS), GROUPS),
    },
)


def read(root: Path | None) -> Raw:
    """Read both splits, downloading them into the cache if need be.

    Args:
        root: The folder ``cifar-10-batches-py`` or the one that contains it; None for the cache.

    Raises:
        SpecError: ``data-not-found``, ``data-corrupt``, or what `download.download` raises.
    """
    from torchvision.datasets import CIFAR10

    archive = download.Remote(CIFAR10.url, CIFAR10.tgz_md5, is_tar=True)
    folder = download.locate("cifar10", "CIFAR-10", FOLDER, tuple(MD5), [archive], root)
    names = pickles.read(folder / "batches.meta").get("label_names")
    if not isinstance(names, list) or tuple(names) != NAMES:
        message = f"`{folder / 'batches.meta'}` does not list the 10 classes of CIFAR-10"
        raise fail(Code.DATA_CORRUPT, message, "replace the file by the official one")
    train = _joined([_part(folder / name) for name in MD5 if name.startswith("data_batch")])
    test = _part(folder / "test_batch")
    differing = tuple(n for n, md5 in MD5.items() if download.md5_of(folder / n) != md5)
    return Raw(train, test, folder, differing)


def _part(path: Path) -> Part:
    content = pickles.read(path)
    images = cifar100.images(path, content)
    fine = cifar100.labels(path, content, "labels", len(images))
    if fine.size and not 0 <= fine.min() <= fine.max() < len(NAMES):
        message = f"`{path}` holds labels from {fine.min()} to {fine.max()}; expected 0 to 9"
        raise fail(Code.DATA_CORRUPT, message, "replace the file by the official one")
    coarse = np.asarray(PARENTS, dtype=np.int64)[fine]
    return Part({"image": images}, {"fine": fine, "coarse": coarse})


def _joined(parts: Sequence[Part]) -> Part:
    images = np.concatenate([part.images for part in parts])
    labels = {task: np.concatenate([part.labels[task] for part in parts])
              for task in SIGNATURE.tasks}  # fmt: skip
    return Part({"image": images}, labels)


SOURCE = Source("cifar10", "CIFAR-10", SIGNATURE, read, "", __name__, keys=frozenset())
