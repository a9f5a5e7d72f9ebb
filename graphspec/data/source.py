"""What a data source is: its signature, known without its files, and a function that reads them.

A new source is a new file beside this one that makes a `Source`, and one more name in the list in
`graphspec.data.sources`. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphspec.data.column import Use
from graphspec.data.pictures import Pictures
from graphspec.errors import Code, Diagnostic, Severity, SpecError
from graphspec.language.recipe import Data
from graphspec.language.signature import Signature
from graphspec.language.tasks import Task

Configure = Callable[[Data, Mapping[str, Task]], "Source"]
"""Gives the source for the ``data:`` and ``tasks:`` of one spec; raises `SpecError`."""


@dataclass(frozen=True, eq=False)
class Files:
    """What is known of the files of an input's pictures, row by row.

    Attributes:
        pictures: Where each comes from.
        contents: SHA-256 of each file's bytes, shape ``(N, 32)``.
        looks: A checksum of each picture's pixels, shape ``(N, 16)``.
        sums: Sum of the bytes of each channel, shape ``(N, C)``.
        squares: Sum of their squares.
    """

    pictures: Pictures
    contents: NDArray[np.uint8]
    looks: NDArray[np.uint8]
    sums: NDArray[np.int64]
    squares: NDArray[np.int64]

    def __getitem__(self, chosen: NDArray[np.bool_]) -> Files:
        return Files(
            self.pictures[chosen],
            self.contents[chosen],
            self.looks[chosen],
            self.sums[chosen],
            self.squares[chosen],
        )


@dataclass(frozen=True, eq=False)
class Part:
    """Inputs and labels as they are in the files, in the order of the files.

    Attributes:
        inputs: Arrays by the name of the input, each of shape ``(N, ...)``. An image is uint8 of
            shape ``(N, C, H, W)``, 0 to 255, or `Pictures` of that shape; anything else is float32
            or int64 and served as it is.
        labels: For each task the target of each sample. Classification: int64 of shape ``(N,)``.
            Multi-label: float32 of shape ``(N, labels)``, 0 or 1. Regression: float32 of shape
            ``(N, *shape)``. Segmentation: uint8 or int64 of shape ``(N, *positions)``. A label that
            a sample lacks is -1 among whole numbers and NaN among others.
        files: For inputs that come from one file a sample what is known of the files.
        rows: For samples of one table or array the number of each there, as people count them;
            None where that says nothing.
    """

    inputs: Mapping[str, NDArray[Any] | Pictures]
    labels: Mapping[str, NDArray[Any]]
    files: Mapping[str, Files] = field(default_factory=dict)
    rows: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(next(iter(self.labels.values())))

    def __getitem__(self, chosen: NDArray[np.bool_]) -> Part:
        """Return some of the samples."""
        return Part(
            {name: values[chosen] for name, values in self.inputs.items()},
            {name: values[chosen] for name, values in self.labels.items()},
            {name: files[chosen] for name, files in self.files.items()},
            None if self.rows is None else self.rows[chosen],
        )

    def called(self, word: str) -> Callable[[int], str]:
        """Return what gives the name of a sample: its file, or its number in what was read.

        Args:
            word: What is counted: rows or samples.
        """
        for values in self.inputs.values():
            if isinstance(values, Pictures):
                return values.name
        rows = self.rows
        return lambda sample: f"{word} {sample if rows is None else rows[sample]}"

    @property
    def images(self) -> NDArray[np.uint8]:
        """The input ``image``, of the sources that have one in memory."""
        values = self.inputs["image"]
        assert isinstance(values, np.ndarray)
        return values


@dataclass(frozen=True)
class Encoding:
    """How the cells of a table became an input.

    Attributes:
        columns: Its columns.
        words: For each column of text its words, by their numbers; empty for numbers and pictures.
        means: For each column of numbers what stands for a missing one; empty where none may miss.
    """

    columns: tuple[str, ...]
    words: tuple[tuple[str, ...], ...] = ()
    means: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Raw:
    """What a source's files hold.

    Attributes:
        train: The official training split, of which validation is drawn later.
        test: The official test split.
        origin: The folder or file that was read.
        differing: Names of the files whose checksum is not the official one.
        validation: The source's own validation split, or None where it has none.
        warnings: What the user should know of the files.
        encodings: For inputs from the columns of a table how they came about.
        columns: How the columns of a table were read, and what for.
        class_names: For tasks whose signature has no names the names that the files have.
    """

    train: Part
    test: Part
    origin: Path
    differing: tuple[str, ...] = ()
    validation: Part | None = None
    warnings: tuple[Diagnostic, ...] = ()
    encodings: Mapping[str, Encoding] = field(default_factory=dict)
    columns: tuple[Use, ...] = ()
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def parts(self) -> dict[str, Part]:
        """The splits by name."""
        own = {} if self.validation is None else {"validation": self.validation}
        return {"train": self.train, **own, "test": self.test}

    def with_parts(self, parts: Mapping[str, Part]) -> Raw:
        """Return the same with other splits, as `parts` gave them."""
        return replace(
            self, train=parts["train"], test=parts["test"], validation=parts.get("validation")
        )


class KeyedError(SpecError):
    """A mistake in a ``data:`` section, at one of its keys.

    Attributes:
        path: The key, such as ``("data", "levels")``.
    """

    path: tuple[str, ...] = ()


def at_key(
    code: Code, key: str, message: str, hint: str | None = None, section: str = "data"
) -> KeyedError:
    """Make the exception for a mistake at a key of ``data:``, or of another section."""
    error = KeyedError([Diagnostic(code, Severity.ERROR, None, message, hint)])
    error.path = (section, key)
    return error


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
        keys: Keys of ``data:`` that it understands besides those of every source; None for a
            source that does not say, such as a plugin's.
        bundled: Whether its files come with a package, so that it has no use for a ``root``.
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
    keys: frozenset[str] | None = None
    bundled: bool = False

    def configured(self, section: Data, tasks: Mapping[str, Task]) -> Source:
        """Return the source for one spec's ``data:`` and ``tasks:``.

        Raises:
            SpecError: What `configure` raises.
        """
        if self.configure is None:
            return self
        # a task with the labels of another is none of the source's
        own = {name: task for name, task in tasks.items() if task.labels is None}
        return self.configure(section, own)
