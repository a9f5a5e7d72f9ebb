"""The sources `torchvision:NAME`: labelled data sets that torchvision knows where to find.

torchvision downloads, unpacks and checks the files and reads the labels; from there on pictures in
files are those of any other source, so they are kept in memory or streamed.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphspec.data import download
from graphspec.data.decoding import Form
from graphspec.data.pictures import Names, Pictures
from graphspec.data.source import Part, Raw, Source
from graphspec.data.splitting import TEST_SEED, hold_out, strata
from graphspec.data.vision_sets import SETS, Labels, VisionSet
from graphspec.errors import Code, SpecError, fail
from graphspec.language.recipe import Data
from graphspec.language.signature import InputSpec, Signature
from graphspec.language.tasks import Task
from graphspec.ops.names import refuse

PREFIX = "torchvision:"
"""Beginning of the names of these sources."""

KEYS = frozenset(("size", "channels", "corrupt", "memory", "workers"))
"""Keys of ``data:`` that those with a file for each picture understand."""


def source(known: VisionSet) -> Source:
    """Return the source for one data set of torchvision.

    Args:
        known: What is known of it.
    """
    tasks = {name: each.task for name, each in known.labels.items()}

    def configured(section: Data, _tasks: Mapping[str, Task]) -> Source:
        form = _form(known, section)

        def read(root: Path | None) -> Raw:
            return _read(known, form, root, section.test)

        return replace(
            plain, signature=Signature({"image": InputSpec(form.shape)}, tasks), read=read
        )

    def read_plain(root: Path | None) -> Raw:
        return _read(known, _form(known, Data(source=plain.name)), root, 0.2)

    plain = Source(
        name=PREFIX + known.name,
        title=f"torchvision's {known.name}",
        signature=Signature({"image": InputSpec(known.shape)}, tasks),
        read=read_plain,
        fingerprint="",
        origin=__name__,
        configure=configured,
        keys=KEYS if known.in_files else frozenset(),
    )
    return plain


def _form(known: VisionSet, section: Data) -> Form:
    """Return what a picture becomes."""
    channels, height, width = known.shape
    if section.size is not None:
        height, width = section.size
    is_resized = section.size is not None or not known.is_fixed
    return Form(section.channels or channels, height, width, is_resized, is_stated=True)


def _read(known: VisionSet, form: Form, root: Path | None, test: float) -> Raw:
    """Read all splits with all labels."""
    folder = root or download.cache() / "torchvision"
    splits = {name: _split(known, folder, options, root is None)
              for name, options in known.splits.items()}  # fmt: skip
    parts = _in_files(splits, folder, form) if known.in_files else _in_memory(known, splits)
    if "test" not in parts:
        whole = parts["train"]
        tasks = {name: each.task for name, each in known.labels.items()}
        held = hold_out(strata(tasks, whole.labels, len(whole)), test, TEST_SEED)
        parts |= {"train": whole[~held], "test": whole[held]}
    return Raw(parts["train"], parts["test"], folder, validation=parts.get("validation"))


Found = tuple[Any, dict[str, NDArray[Any]]]
"""The pictures of a split, an array or paths, and its labels."""


def _split(known: VisionSet, folder: Path, options: Mapping[str, Any], fetch: bool) -> Found:
    """Return the pictures and the labels of one split."""
    images: Any = None
    labels: dict[str, NDArray[Any]] = {}
    for task, where in known.labels.items():
        data = _made(known, folder, {**known.arguments, **options, **where.arguments}, fetch)
        found = getattr(data, known.images)
        if known.images.endswith("samples"):
            found = [path for path, _ in found]
        elif known.name == "CelebA":
            base = Path(data.root) / data.base_folder / "img_align_celeba"
            found = [base / name for name in found]
        if images is not None and list(map(str, found)) != list(map(str, images)):
            message = f"the labels of `{task}` in `{folder}` are of other pictures"
            raise fail(Code.DATA_CORRUPT, message, "replace the files by the official ones")
        images = found
        labels[task] = _labels(known, where, getattr(data, where.attribute))
    return images, labels


def _made(known: VisionSet, folder: Path, options: Mapping[str, Any], fetch: bool) -> Any:
    """Return torchvision's data set; what can go wrong there becomes a `SpecError`."""
    from torchvision import datasets

    make = getattr(datasets, known.name)
    if fetch:
        download.make_folder(folder)
    try:
        with warnings.catch_warnings(), download.patience():
            warnings.simplefilter("ignore")
            return make(str(folder), download=fetch, **options)
    except ImportError as error:
        package = (error.name or str(error)).partition(".")[0]
        message = f"torchvision's {known.name} needs `{package}`, which is not installed"
        raise fail(Code.DATA_NOT_FOUND, message, f"`pip install {package}`") from error
    except (RuntimeError, OSError, ValueError, KeyError, IndexError, StopIteration) as error:
        raise _absent(known, folder, fetch, error) from error


def _absent(known: VisionSet, folder: Path, fetch: bool, error: Exception) -> SpecError:
    reason = " ".join(str(getattr(error, "reason", error)).split()).removesuffix(
        " You can use download=True to download it"
    )
    reason = reason or type(error).__name__
    if fetch:
        message = f"torchvision's {known.name} is not here and cannot be downloaded: {reason}"
        return fail(Code.DATA_NOT_FOUND, message, download.remedies(PREFIX + known.name))
    what = "there is no such folder" if not folder.is_dir() else reason
    message = f"`{folder}` does not hold torchvision's {known.name}: {what}"
    hint = f"name the folder that `torchvision.datasets.{known.name}(root=...)` would be given"
    return fail(Code.DATA_NOT_FOUND, message, hint)


def _labels(known: VisionSet, where: Labels, found: Any) -> NDArray[Any]:
    if where.attribute.endswith("samples"):
        found = [label for _, label in found]
    values = np.asarray(found)
    if where.task.type == "multilabel":
        return values.astype(np.float32)
    return values.astype(np.int64).reshape(-1) - where.offset


def _in_memory(known: VisionSet, splits: Mapping[str, Found]) -> dict[str, Part]:
    parts = {}
    for name, (images, labels) in splits.items():
        pixels = np.ascontiguousarray(np.asarray(images, dtype=np.uint8))
        parts[name] = Part({"image": pixels.reshape(-1, *known.shape)}, labels)
    return parts


def _in_files(splits: Mapping[str, Found], folder: Path, form: Form) -> dict[str, Part]:
    """Return splits whose pictures have their names in common, as those of one tree."""
    paths = [os.path.relpath(path, folder) for images, _ in splits.values() for path in images]
    whole = Pictures(folder, Names(paths), form)
    parts, first = {}, 0
    for name, (images, labels) in splits.items():
        rows = np.arange(first, first + len(images))
        parts[name] = Part({"image": whole[rows]}, labels)
        first += len(images)
    return parts


for _name, _own in (
    ("CIFAR100", "cifar100"), ("CIFAR10", "cifar10"), ("FashionMNIST", "fashion-mnist"),
):  # fmt: skip
    refuse("data source", PREFIX + _name, f"`{_own}` is a source of its own: `data: {_own}`")

SOURCES = tuple(source(known) for known in SETS)
"""A source for each of them."""
