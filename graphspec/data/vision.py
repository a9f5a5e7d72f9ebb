"""The sources `torchvision:NAME`: labelled data sets that torchvision knows where to find.

torchvision downloads, unpacks and checks the files and reads the labels; from there on pictures in
files are those of any other source, so they are kept in memory or streamed.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphspec.data import download, targets
from graphspec.data.decoding import Form
from graphspec.data.pictures import Names, Pictures
from graphspec.data.source import Part, Raw, Source
from graphspec.data.splitting import TEST_SEED, hold_out, strata
from graphspec.data.vision_sets import REFUSED, SETS, Labels, VisionSet
from graphspec.errors import Code, SpecError, fail
from graphspec.language.recipe import Data
from graphspec.language.signature import InputSpec, Signature, TaskSpec
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

    def configured(section: Data, _tasks: Mapping[str, Task]) -> Source:
        form = _form(known, section)
        tasks = _offered(known, form)

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
        signature=Signature(
            {"image": InputSpec(known.shape)}, _offered(known, _form(known, Data(source="")))
        ),
        read=read_plain,
        fingerprint="",
        origin=__name__,
        configure=configured,
        keys=KEYS if known.in_files else frozenset(),
    )
    return plain


def _offered(known: VisionSet, form: Form) -> dict[str, TaskSpec]:
    """Return the tasks for pictures of a size; a mask has the size of its picture."""
    return {
        name: replace(each.task, shape=(form.height, form.width))
        if each.task.type == "segmentation"
        else each.task
        for name, each in known.labels.items()
    }


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
    names: dict[str, tuple[str, ...]] = {}
    splits = {name: _split(known, folder, options, root is None, form, names)
              for name, options in known.splits.items()}  # fmt: skip
    parts = _in_files(splits, folder, form) if known.in_files else _in_memory(known, splits)
    if "test" not in parts:
        whole = parts["train"]
        tasks = {name: each.task for name, each in known.labels.items()}
        held = hold_out(strata(tasks, whole.labels, len(whole)), test, TEST_SEED)
        parts |= {"train": whole[~held], "test": whole[held]}
    return Raw(
        *(parts["train"], parts["test"], folder), validation=parts.get("validation"),
        class_names=names,
    )  # fmt: skip


Found = tuple[Any, dict[str, NDArray[Any]]]
"""The pictures of a split, an array or paths, and its labels."""


def _split(
    known: VisionSet,
    folder: Path,
    options: Mapping[str, Any],
    fetch: bool,
    form: Form,
    names: dict[str, tuple[str, ...]],
) -> Found:
    """Return the pictures and the labels of one split; note the names of classes."""
    images: Any = None
    labels: dict[str, NDArray[Any]] = {}
    for task, where in known.labels.items():
        data = _made(known, folder, {**known.arguments, **options, **where.arguments}, fetch)
        found = _pictures(known, data)
        if images is not None and list(map(str, found)) != list(map(str, images)):
            message = f"the labels of `{task}` in `{folder}` are of other pictures"
            raise fail(Code.DATA_CORRUPT, message, "replace the files by the official ones")
        images = found
        if where.task.type == "segmentation":
            labels[task] = _masks(getattr(data, where.attribute), form)
        else:
            labels[task] = _labels(where, getattr(data, where.attribute))
        if not where.task.names and not names.get(task):
            names[task] = _class_names(data, where.task.classes)
    if known.name == "SUN397":  # torchvision lists its files as the file system does
        order = sorted(range(len(images)), key=lambda row: str(images[row]))
        images = [images[row] for row in order]
        labels = {task: values[order] for task, values in labels.items()}
    return images, labels


def _pictures(known: VisionSet, data: Any) -> Any:
    """Return the pictures of a split: an array, or their paths."""
    found = getattr(data, known.images)
    if known.images.endswith("samples") or known.images == "imgs":
        first = [picture for picture, _ in found]
        return first if known.in_files else np.stack([each.numpy() for each in first])
    base = Path(data.root)
    if known.name == "CelebA":
        return [base / data.base_folder / "img_align_celeba" / name for name in found]
    if known.name == "Caltech101":
        folders = [base / "101_ObjectCategories" / name for name in data.categories]
        pairs = zip(data.y, data.index, strict=True)
        return [folders[y] / f"image_{number:04d}.jpg" for y, number in pairs]
    if known.name == "Caltech256":
        folders = [base / "256_ObjectCategories" / name for name in data.categories]
        pairs = zip(data.y, data.index, strict=True)
        return [folders[y] / f"{y + 1:03d}_{number:04d}.jpg" for y, number in pairs]
    return found


def _class_names(data: Any, classes: int) -> tuple[str, ...]:
    """Return the names that torchvision has for the classes, or nothing."""
    found = getattr(data, "classes", None) or getattr(data, "categories", None) or ()
    names = [each if isinstance(each, str) else ", ".join(map(str, each)) for each in found]
    return tuple(names) if len(set(names)) == classes == len(names) else ()


def _masks(paths: Sequence[str], form: Form) -> NDArray[np.uint8]:
    """Return the class of each position, by the nearest pixel of a mask; shape ``(N, H, W)``."""
    from PIL import Image

    masks = np.zeros((len(paths), form.height, form.width), np.uint8)
    for row, path in enumerate(paths):
        try:
            with Image.open(path) as image:
                resized = image.resize((form.width, form.height), Image.Resampling.NEAREST)
                masks[row] = np.asarray(resized)
        except Exception as error:  # Pillow's plugins raise anything over a broken file
            message = f"`{path}` is no sound mask: {str(error) or type(error).__name__}"
            raise fail(Code.DATA_CORRUPT, message, "replace the file") from error
    return masks


def _made(known: VisionSet, folder: Path, options: Mapping[str, Any], fetch: bool) -> Any:
    """Return torchvision's data set; what can go wrong there becomes a `SpecError`."""
    from torchvision import datasets

    make = getattr(datasets, known.name)
    if fetch:
        download.make_folder(folder)
    tries = (False, True) if fetch and known.can_download else (False,)
    try:
        with warnings.catch_warnings(), download.patience():
            warnings.simplefilter("ignore")
            for attempt in tries:  # some classes unpack again whatever they would download
                more = {"download": attempt} if known.can_download else {}
                try:
                    return make(str(folder), **more, **options)
                except ImportError:
                    raise
                except Exception:
                    if attempt is tries[-1]:
                        raise
    except ImportError as error:
        package = (error.name or str(error)).partition(".")[0]
        message = f"torchvision's {known.name} needs `{package}`, which is not installed"
        raise fail(Code.DATA_NOT_FOUND, message, f"`pip install {package}`") from error
    except Exception as error:  # they raise anything over files that are missing or broken
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


def _labels(where: Labels, found: Any) -> NDArray[Any]:
    if where.attribute.endswith("samples"):
        found = [targets.MISSING if label is None else label for _, label in found]
    values = np.asarray(found)
    if where.column is not None:
        values = values[:, where.column]
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

for _name, _reason in REFUSED.items():
    refuse("data source", PREFIX + _name, _reason)

SOURCES = tuple(source(known) for known in SETS)
"""A source for each of them."""
