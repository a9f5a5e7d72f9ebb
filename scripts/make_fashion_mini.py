#!/usr/bin/env python3
"""Make the bundled data set `fashion-mini` from the official files of Fashion-MNIST.

    python scripts/make_fashion_mini.py FOLDER            # writes graphspec/data/mini/*.gz
    python scripts/make_fashion_mini.py FOLDER --out DIR

FOLDER holds the four official files, packed or not (Debian: package dataset-fashion-mnist, folder
/usr/share/datasets/fashion-mnist). Their checksums are verified first. Taken are the first 600
images of each class of the training split and the first 200 of the test split, in the official
order. The gzip files carry no name and no time, so a second run gives the same bytes. The checksums
that it prints are those in graphspec/data/fashion_mini.py.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from graphspec.data import fashion_mnist
from graphspec.data.source import Part
from graphspec.errors import SpecError

PER_CLASS = {"train": 600, "t10k": 200}
OUT = Path(__file__).resolve().parent.parent / "graphspec" / "data" / "mini"


def first_of_each(labels: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return the indices of the first ``count`` samples of each class, in ascending order."""
    chosen = [np.flatnonzero(labels == value)[:count] for value in np.unique(labels)]
    return np.sort(np.concatenate(chosen))


def to_idx(array: NDArray[np.uint8]) -> bytes:
    """Return an array of bytes in the IDX format."""
    header = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


def to_gzip(content: bytes) -> bytes:
    """Return content packed by gzip, without a file name or a time in the header."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=buffer, mtime=0) as file:
        file.write(content)
    return buffer.getvalue()


def select(prefix: str, part: Part) -> dict[str, bytes]:
    """Return the two unpacked files of a split by name."""
    chosen = first_of_each(part.labels["fine"], PER_CLASS[prefix])
    return {
        f"{prefix}-images-idx3-ubyte": to_idx(part.images[chosen, 0]),
        f"{prefix}-labels-idx1-ubyte": to_idx(part.labels["fine"][chosen].astype(np.uint8)),
    }


def main() -> None:
    """Read the official files and write the four of the mini set."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    try:
        official = fashion_mnist.read(options.folder)
    except SpecError as error:
        parser.exit(2, f"{error}\n")
    if official.differing:
        parser.exit(2, f"not the official files: {', '.join(official.differing)}\n")
    options.out.mkdir(parents=True, exist_ok=True)
    for name, content in {
        **select("train", official.train),
        **select("t10k", official.test),
    }.items():
        packed = to_gzip(content)
        (options.out / f"{name}.gz").write_bytes(packed)
        print(f'"{name}": "{hashlib.sha256(content).hexdigest()}",  # {len(packed):,} bytes packed')


if __name__ == "__main__":
    main()
