"""Fashion-MNIST in small, bundled: 6,000 training and 2,000 test images, equally many a class.

The files lie in ``graphspec/data/mini``; ``scripts/make_fashion_mini.py`` makes them.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from graphspec.data import fashion_mnist, idx
from graphspec.data.source import Raw, Source
from graphspec.errors import Code, fail

SHA256 = {
    "train-images-idx3-ubyte": "cf313073c7eb485392848071d5c433571d7166043e971e3345b095cc30518084",
    "train-labels-idx1-ubyte": "097b93fbcf9bd5bc648b1a457ddc55c9e4ab49afb33f9ecae8ce068399a75e3a",
    "t10k-images-idx3-ubyte": "15a92dd1e9b16ea361928086e77df4dfa890c255c00b5a8c8162c1040ce8eef1",
    "t10k-labels-idx1-ubyte": "234596aeb6eb48133ec99a62541f90bc0728c9559a681f1e0638037462458f2c",
}
"""Checksums of the unpacked files."""


FINGERPRINT = "0bce0ba28820ca117e3283c363058af17d6533f93aff80bf91c750acad5a669a"
"""Fingerprint of the official data."""


def read(_root: Path | None) -> Raw:
    """Read the bundled images. They come with the package, so there is no ``root``.

    Raises:
        SpecError: ``data-corrupt`` if the files are not those that were bundled.
    """
    with resources.as_file(resources.files("graphspec.data") / "mini") as folder:
        raw = fashion_mnist.parse(lambda name: _content(folder, name), folder, SHA256)
    if raw.differing:
        files = ", ".join(f"`{name}.gz`" for name in raw.differing)
        message = f"the bundled images in `{raw.origin}` were changed: {files}"
        raise fail(Code.DATA_CORRUPT, message, "install graphspec again")
    return raw


def _content(folder: Path, name: str) -> bytes:
    path = folder / f"{name}.gz"
    try:
        return idx.unpack(path.read_bytes(), str(path))
    except OSError as error:
        message = f"the bundled file `{path}` cannot be read: {error.strerror or error}"
        raise fail(Code.DATA_CORRUPT, message, "install graphspec again") from error


SOURCE = Source(
    "fashion-mini",
    "Fashion-MNIST in small",
    fashion_mnist.SIGNATURE,
    read,
    FINGERPRINT,
    __name__,
    keys=frozenset(),
    bundled=True,
)
