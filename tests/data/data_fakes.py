"""Folders in the formats of the official files, small and with random pixels."""

from __future__ import annotations

import gzip
import pickle
import struct
from pathlib import Path

import numpy as np

from graphspec.data import cifar100, fashion_mnist


def write_cifar(folder: Path, per_class: int = 2) -> Path:
    """Write a folder in the format of cifar-100-python, with random pixels."""
    folder.mkdir(parents=True)
    tasks = cifar100.SIGNATURE.tasks
    meta = {f"{name}_label_names": list(task.names) for name, task in tasks.items()}
    (folder / "meta").write_bytes(pickle.dumps(meta, protocol=2))
    for seed, (name, count) in enumerate({"train": per_class, "test": 1}.items()):
        fine = list(range(100)) * count
        content = {
            "data": np.random.default_rng(seed).integers(0, 256, (len(fine), 3072), np.uint8),
            "fine_labels": fine,
            "coarse_labels": [tasks["fine"].parents[label] for label in fine],
        }
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    return folder


def idx_bytes(array: np.ndarray) -> bytes:
    header = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_fashion(folder: Path, packed: bool = True) -> Path:
    """Write the four files of Fashion-MNIST: 40 training and 20 test images of random pixels."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for name in fashion_mnist.SHA256:
        labels = np.arange(40 if name.startswith("train") else 20) % 10
        images = generator.integers(0, 256, (len(labels), 28, 28))
        content = idx_bytes(images if "images" in name else labels)
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
    return folder
