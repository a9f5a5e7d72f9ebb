"""Samples that occur more than once, by a checksum of what they show.

Two samples are the same if all their inputs are, bit for bit after decoding; a picture in another
format or file with the same pixels is the same, one that was resized or compressed again is not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from graphspec.data.dataset import DataSet, Split
from graphspec.data.pictures import Pictures

_SHOWN = 5
"""Examples that are named."""

Samples = Mapping[bytes, Sequence[int]]
"""Rows of a split by their checksum."""


@dataclass(frozen=True)
class Repeats:
    """Samples of one split that occur in another, or again in the same.

    Attributes:
        first: A split.
        second: A split.
        samples: Samples of ``second`` that are in ``first`` too; within one split those that an
            earlier sample equals.
        differing: How many of them have another label there, of any task.
        examples: Some of them: the sample in ``first`` and the one in ``second``, by file or row.
    """

    first: str
    second: str
    samples: int
    differing: int
    examples: tuple[tuple[str, str], ...]


def repeats(data: DataSet) -> list[Repeats]:
    """Return which splits have samples in common, and which have the same one twice.

    Args:
        data: The data set.

    Returns:
        What was found between the splits, then within each; nothing where there is nothing.
    """
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    known = {name: _samples(split) for name, split in splits.items()}
    found = []
    word = "row" if data.columns else "sample"
    for first, second in (("train", "validation"), ("train", "test"), ("validation", "test")):
        both = [(known[first][key][0], row) for key in known[second] if key in known[first]
                for row in known[second][key]]  # fmt: skip
        found.append(_told(first, second, splits[first], splits[second], both, word))
    for name, samples in known.items():
        again = [(rows[0], row) for rows in samples.values() for row in rows[1:]]
        found.append(_told(name, name, splits[name], splits[name], again, word))
    return [each for each in found if each.samples]


def _samples(split: Split) -> Samples:
    """Return the rows of a split by their checksum."""
    parts = [_looks(split, name) for name in sorted(split.inputs)]
    found: dict[bytes, list[int]] = {}
    for row, looks in enumerate(map(b"".join, zip(*parts, strict=True))):
        found.setdefault(looks, []).append(row)
    return found


def _looks(split: Split, name: str) -> list[bytes]:
    """Return a checksum of one input of each sample."""
    if name in split.files:
        return [row.tobytes() for row in split.files[name].looks]
    values = split.inputs[name]
    assert isinstance(values, Tensor)
    return [
        hashlib.blake2b(np.ascontiguousarray(row).data, digest_size=16).digest()
        for row in values.numpy()
    ]


def _told(
    first: str, second: str, one: Split, other: Split, pairs: list[tuple[int, int]], word: str
) -> Repeats:
    if not pairs:
        return Repeats(first, second, 0, 0, ())
    pairs.sort(key=lambda pair: pair[1])
    rows = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    differs = np.zeros(len(rows), np.bool_)
    for task, labels in one.labels.items():
        a, b = labels.numpy()[rows[:, 0]], other.labels[task].numpy()[rows[:, 1]]
        same = (a == b) | (np.isnan(a) & np.isnan(b) if a.dtype.kind == "f" else False)
        differs |= ~same.reshape(len(rows), -1).all(1)
    examples = tuple((called(one, a, word), called(other, b, word)) for a, b in pairs[:_SHOWN])
    return Repeats(first, second, len(rows), int(differs.sum()), examples)


def called(split: Split, row: int, word: str) -> str:
    """Return what a sample is called: its file, its row or number there, or that in the split."""
    files = [each.pictures for each in split.files.values() if isinstance(each.pictures, Pictures)]
    if files:
        return files[0].name(row)
    return f"{word} {row if split.rows is None else split.rows[row]}"
