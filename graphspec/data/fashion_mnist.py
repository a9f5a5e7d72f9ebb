"""Fashion-MNIST: 70,000 grey images of 28x28 pixels in 10 classes, and 6 groups of these.

Sources:
    H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine
    Learning Algorithms", 2017. https://arxiv.org/abs/1708.07747
    Y. Seo, K. Shin, "Hierarchical convolutional neural networks for fashion image classification",
    Expert Systems with Applications 116, 2019 (a model for the groups).
    https://doi.org/10.1016/j.eswa.2018.09.022
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from graphspec.data import download, idx
from graphspec.data.source import Part, Raw, Source
from graphspec.errors import Code, fail
from graphspec.language.signature import InputSpec, Signature, TaskSpec

FOLDER = "FashionMNIST/raw"
"""Where torchvision puts the files; the cache keeps its layout."""

SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
"""Checksums of the *unpacked* official files: how a file was compressed says nothing about it."""

NAMES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
GROUPS = {
    "Tops": ("T-shirt/top", "Pullover", "Shirt"),
    "Bottoms": ("Trouser",),
    "Dresses": ("Dress",),
    "Outers": ("Coat",),
    "Accessories": ("Bag",),
    "Shoes": ("Sandal", "Sneaker", "Ankle boot"),
}
PARENTS = tuple(
    next(i for i, group in enumerate(GROUPS.values()) if name in group) for name in NAMES
)
SIGNATURE = Signature(
    inputs={"image": InputSpec((1, 28, 28))},
    tasks={
        "fine": TaskSpec(len(NAMES), NAMES, "coarse", PARENTS),
        "coarse": TaskSpec(len(GROUPS), tuple(GROUPS)),
    },
)


FINGERPRINT = "fe4bc98b6a56f71d0cad2624f13a2407e3679117bcaed28a6ce67bd141dfdbdd"
"""Fingerprint of the official data."""


def read(root: Path | None) -> Raw:
    """Read both splits, downloading them into the cache if need be.

    Args:
        root: A folder with the four files, packed or not, or the one above ``FashionMNIST/raw``;
            None for the cache.

    Raises:
        SpecError: ``data-not-found``, ``data-corrupt``, or what `download.download` raises.
    """
    folder = _folder(root)
    contents = {name: _content(folder, name) for name in SHA256}
    return parse(contents.__getitem__, folder, SHA256)


def parse(content: Callable[[str], bytes], origin: Path, sha256: dict[str, str]) -> Raw:
    """Make splits of the four files.

    Args:
        content: Gives the unpacked bytes of a file by its name.
        origin: The folder, for messages.
        sha256: The checksums that the files should have.

    Raises:
        SpecError: ``data-corrupt`` if a file is damaged or images and labels differ in number.
    """
    files = {name: content(name) for name in SHA256}
    train, test = (_part(files, origin, prefix) for prefix in ("train", "t10k"))
    differing = tuple(
        name for name, data in files.items() if hashlib.sha256(data).hexdigest() != sha256[name]
    )
    return Raw(train, test, origin, differing)


def _part(files: dict[str, bytes], origin: Path, prefix: str) -> Part:
    name = f"{prefix}-images-idx3-ubyte"
    images = idx.parse(files[name], 3, str(origin / name))
    labels_name = f"{prefix}-labels-idx1-ubyte"
    fine = idx.parse(files[labels_name], 1, str(origin / labels_name)).astype(np.int64)
    shape = SIGNATURE.inputs["image"].shape
    if images.shape[1:] != shape[1:] or len(images) != len(fine):
        message = (
            f"`{origin / name}` has images of shape {images.shape} and {len(fine)} labels; "
            f"expected {len(fine)} images of {shape[1]}x{shape[2]} pixels"
        )
        raise fail(Code.DATA_CORRUPT, message, "replace the files by the official ones")
    if fine.size and fine.max() >= len(NAMES):
        message = f"`{origin / labels_name}` holds the label {fine.max()}; expected 0 to 9"
        raise fail(Code.DATA_CORRUPT, message, "replace the file by the official one")
    coarse = np.asarray(PARENTS, dtype=np.int64)[fine]
    return Part({"image": images.reshape(-1, *shape)}, {"fine": fine, "coarse": coarse})


def _folder(root: Path | None) -> Path:
    if root is None:
        folder = download.cache() / FOLDER
        if _missing(folder):
            _download(folder)
        return folder
    for folder in (root, root / FOLDER, root / "raw"):
        if not _missing(folder):
            return folder
    hint = download.remedies("fashion-mnist")
    if not root.is_dir():
        raise fail(Code.DATA_NOT_FOUND, f"there is no folder `{root}`", hint)
    lacking = ", ".join(f"`{name}`" for name in _missing(root))
    message = f"`{root}` does not hold Fashion-MNIST: it lacks {lacking} (with `.gz` or without)"
    raise fail(Code.DATA_NOT_FOUND, message, hint)


def _missing(folder: Path) -> list[str]:
    return [name for name in SHA256 if _path(folder, name) is None]


def _path(folder: Path, name: str) -> Path | None:
    candidates = (folder / f"{name}.gz", folder / name)
    return next((path for path in candidates if path.is_file()), None)


def _content(folder: Path, name: str) -> bytes:
    path = _path(folder, name)
    assert path is not None
    try:
        data = path.read_bytes()
    except OSError as error:
        message = f"cannot read `{path}`: {error.strerror or error}"
        raise fail(Code.FILE_UNREADABLE, message, "check the file and its permissions") from error
    return idx.unpack(data, str(path))


def _download(folder: Path) -> None:
    from torchvision.datasets import FashionMNIST

    base = FashionMNIST.mirrors[0]
    remotes = [download.Remote(base + name, md5) for name, md5 in FashionMNIST.resources]
    download.download("fashion-mnist", remotes, folder)


SOURCE = Source(
    "fashion-mnist", "Fashion-MNIST", SIGNATURE, read, FINGERPRINT, __name__, keys=frozenset()
)
