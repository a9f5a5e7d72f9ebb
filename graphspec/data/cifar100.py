"""CIFAR-100: 60,000 colour images of 32x32 pixels, each with a fine and a coarse label.

Source:
    A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
    https://www.cs.toronto.edu/~kriz/cifar.html
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphspec.data import download, pickles
from graphspec.data.source import Part, Raw, Source
from graphspec.errors import Code, SpecError, fail
from graphspec.language.signature import InputSpec, Signature, TaskSpec

FOLDER = "cifar-100-python"
SHAPE = (3, 32, 32)
MD5 = {
    "train": "16019d7e3df5f24257cddd939b257f8d",
    "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
    "meta": "7973b15100ade9c7d40fb424638fde48",
}
"""Checksums of the official files, as torchvision checks them."""

# Coarse classes and their fine classes; class numbers are alphabetical in both.
CLASSES = {
    "aquatic_mammals": "beaver dolphin otter seal whale",
    "fish": "aquarium_fish flatfish ray shark trout",
    "flowers": "orchid poppy rose sunflower tulip",
    "food_containers": "bottle bowl can cup plate",
    "fruit_and_vegetables": "apple mushroom orange pear sweet_pepper",
    "household_electrical_devices": "clock keyboard lamp telephone television",
    "household_furniture": "bed chair couch table wardrobe",
    "insects": "bee beetle butterfly caterpillar cockroach",
    "large_carnivores": "bear leopard lion tiger wolf",
    "large_man-made_outdoor_things": "bridge castle house road skyscraper",
    "large_natural_outdoor_scenes": "cloud forest mountain plain sea",
    "large_omnivores_and_herbivores": "camel cattle chimpanzee elephant kangaroo",
    "medium_mammals": "fox porcupine possum raccoon skunk",
    "non-insect_invertebrates": "crab lobster snail spider worm",
    "people": "baby boy girl man woman",
    "reptiles": "crocodile dinosaur lizard snake turtle",
    "small_mammals": "hamster mouse rabbit shrew squirrel",
    "trees": "maple_tree oak_tree palm_tree pine_tree willow_tree",
    "vehicles_1": "bicycle bus motorcycle pickup_truck train",
    "vehicles_2": "lawn_mower rocket streetcar tank tractor",
}


def _signature() -> Signature:
    coarse = tuple(CLASSES)
    parent = {name: i for i, group in enumerate(CLASSES.values()) for name in group.split()}
    fine = tuple(sorted(parent))
    return Signature(
        inputs={"image": InputSpec(SHAPE)},
        tasks={
            "fine": TaskSpec(len(fine), fine, "coarse", tuple(parent[name] for name in fine)),
            "coarse": TaskSpec(len(coarse), coarse),
        },
    )


SIGNATURE = _signature()


FINGERPRINT = "1212c10da3a0ec0529f7b27ef227fea4fe5e9c1c110d6b7b6ea373a94d2dfe01"
"""Fingerprint of the official data."""


def read(root: Path | None) -> Raw:
    """Read both splits with both label sets, downloading them into the cache if need be.

    Args:
        root: The folder ``cifar-100-python`` or the one that contains it; None for the cache.

    Raises:
        SpecError: ``data-not-found``, ``data-corrupt``, or what `download.download` raises.
    """
    from torchvision.datasets import CIFAR100

    archive = download.Remote(CIFAR100.url, CIFAR100.tgz_md5, is_tar=True)
    folder = download.locate("cifar100", "CIFAR-100", FOLDER, tuple(MD5), [archive], root)
    _check_names(folder / "meta")
    train, test = (_part(folder / name) for name in ("train", "test"))
    differing = tuple(name for name, md5 in MD5.items() if download.md5_of(folder / name) != md5)
    return Raw(train, test, folder, differing)


def _check_names(path: Path) -> None:
    """Raise unless the file ``meta`` lists our 100 fine and 20 coarse classes in our order."""
    meta = pickles.read(path)
    for task, expected in SIGNATURE.tasks.items():
        found = meta.get(f"{task}_label_names")
        if not isinstance(found, list) or tuple(found) != expected.names:
            message = f"`{path}` does not list the {expected.classes} {task} classes of CIFAR-100"
            raise fail(Code.DATA_CORRUPT, message, "replace the file by the official one")


def _part(path: Path) -> Part:
    content = pickles.read(path)
    pixels = images(path, content)
    found = {task: labels(path, content, f"{task}_labels", len(pixels)) for task in SIGNATURE.tasks}
    return Part({"image": pixels}, found)


def images(path: Path, content: Mapping[str, Any]) -> NDArray[np.uint8]:
    """Return the images of a pickled batch, of shape ``(N, 3, 32, 32)``.

    Args:
        path: The file, for messages.
        content: What it holds.

    Raises:
        SpecError: ``data-corrupt`` if it holds none.
    """
    found = content.get("data")
    pixels = int(np.prod(SHAPE))
    if (
        not isinstance(found, np.ndarray)
        or found.dtype != np.uint8
        or found.ndim != 2
        or found.shape[1] != pixels
    ):
        raise _corrupt(path, f"`data` is not an array of images of {pixels} bytes")
    return found.reshape(-1, *SHAPE)


def labels(path: Path, content: Mapping[str, Any], key: str, count: int) -> NDArray[np.int64]:
    """Return labels of a pickled batch.

    Args:
        path: The file, for messages.
        content: What it holds.
        key: Which of it.
        count: How many there must be.

    Raises:
        SpecError: ``data-corrupt`` if they are not so many whole numbers.
    """
    found = content.get(key)
    if (
        not isinstance(found, list)
        or len(found) != count
        or not all(type(label) is int for label in found)
    ):
        raise _corrupt(path, f"`{key}` is not a list of {count} numbers")
    try:
        return np.asarray(found, dtype=np.int64)
    except OverflowError:
        raise _corrupt(path, f"`{key}` holds a number that is no class") from None


def _corrupt(path: Path, what: str) -> SpecError:
    message = f"`{path}` is damaged: {what}"
    return fail(Code.DATA_CORRUPT, message, "replace the file by the official one")


SOURCE = Source("cifar100", "CIFAR-100", SIGNATURE, read, FINGERPRINT, __name__, keys=frozenset())
