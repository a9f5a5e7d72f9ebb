"""A contact sheet: some pictures of the training split, as they are and as they are augmented."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphspec.data import hierarchy
from graphspec.data.augment import AUGMENTATIONS
from graphspec.data.dataset import DataSet, Split
from graphspec.data.decoding import PictureError
from graphspec.data.pictures import Pictures
from graphspec.errors import Code, fail
from graphspec.language.signature import TaskSpec

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

SAMPLES = 16
"""Samples on a sheet, at most."""

VARIANTS = 5
"""Augmented pictures beside each sample."""

_CELL, _GAP, _TEXT = 96, 8, 15
"""Side of a cell, the gap between cells, and the height of a line of text, in pixels."""

_COLUMNS = 2
"""Samples beside each other; twice as many where each is one picture."""

_NARROWEST = 168
"""Least width of a sample, so that its labels can be read."""

_PAPER, _INK, _FAINT = (255, 255, 255), (20, 20, 20), (110, 110, 110)


def write(data: DataSet, augment: str, path: Path, seed: int = 0) -> int:
    """Write a contact sheet as PNG.

    Samples are taken from as many classes of the finest task as there is room for. Each has its
    picture as it is, then a few as the trainer may see them, and its labels in words.

    Args:
        data: The data set.
        augment: A name in `graphspec.data.augment.AUGMENTATIONS`.
        path: The file.
        seed: Seed of the choice and of the augmentation.

    Returns:
        How many samples are on it.

    Raises:
        SpecError: ``data-mismatch`` where no input is pictures; ``data-corrupt`` for a file that
            has changed; ``cannot-write``.
    """
    name = next((n for n in ("image", *data.channels) if n in data.channels), None)
    if name is None:
        message = f"`{data.name}` has no pictures to show"
        raise fail(Code.DATA_MISMATCH, message, "leave `--sheet` out")
    rows = _chosen(data, seed)
    images = _images(data.train, name, rows)
    shown = [images.float()]
    for variant in range(VARIANTS if augment != "none" else 0):
        shown.append(AUGMENTATIONS[augment](images, _generator(seed, variant)).float())
    pixels = torch.stack(shown, 1).round().clamp(0, 255).byte().permute(0, 1, 3, 4, 2).numpy()
    words = [_words(data, row) for row in rows]
    title = f"{data.name}: {len(rows)} of {len(data.train):,} training samples; {name}, "
    title += f"augment: {augment}" + (" (left: as it is)" if augment != "none" else "")
    title += _seen(images.shape[1])
    sheet = _drawn(title, pixels, words)
    try:
        sheet.save(path, "PNG")
    except OSError as error:
        message = f"cannot write the contact sheet `{path}`: {error.strerror or error}"
        raise fail(Code.CANNOT_WRITE, message, "name a file in a folder that exists") from error
    return len(rows)


def _seen(channels: int) -> str:
    """Return which channels are shown, where these are not all."""
    if channels in (1, 3):
        return ""
    return f"; channel 1 of {channels}" if channels < 3 else f"; channels 1 to 3 of {channels}"


def _generator(*key: int) -> torch.Generator:
    digest = hashlib.blake2b(repr(("sheet", *key)).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little"))


def _chosen(data: DataSet, seed: int) -> list[int]:
    """Return rows of the training split: one of each class in turn, in the order of the classes."""
    order = torch.randperm(len(data.train), generator=_generator(seed, -1)).numpy()
    task = hierarchy.finest(data.signature.tasks)
    if task is None:
        return [int(row) for row in order[:SAMPLES]]
    labels = data.train.labels[task].numpy()[order]
    nth = np.zeros(len(labels), np.int64)  # how many of its class came before
    for value in np.unique(labels):
        nth[labels == value] = np.arange((labels == value).sum())
    turns = np.lexsort((np.arange(len(labels)), labels, nth))
    classes = len(np.unique(labels))
    step = max(1, classes // SAMPLES)  # of many classes some, spread over all
    turns = np.concatenate([turns[:classes][::step], turns[classes:]])[:SAMPLES]
    turns = turns[np.argsort(labels[turns], kind="stable")]
    return [int(row) for row in order[turns]]


def _images(split: Split, name: str, rows: list[int]) -> Tensor:
    values = split.inputs[name]
    if isinstance(values, Tensor):
        return values[torch.tensor(rows)]
    assert isinstance(values, Pictures)
    try:
        return torch.from_numpy(np.stack([values.decode(row) for row in rows]))
    except PictureError as error:
        message = f"a picture in `{values.root}` has changed: {error}"
        raise fail(Code.DATA_CORRUPT, message, "put the file back") from error


def _words(data: DataSet, row: int) -> list[str]:
    """Return a line for each task: what the sample's label says."""
    lines = []
    for name, task in data.signature.tasks.items():
        if task.labels is None and task.type != "segmentation":
            lines.append(f"{name}: {_label(task, data.train.labels[name][row])}")
    return lines


def _label(task: TaskSpec, label: Tensor) -> str:
    if task.type == "classification":
        number = int(label)
        if number < 0:
            return "missing"
        return task.names[number] if task.names else str(number)
    if task.type == "multilabel":
        held = [i for i, value in enumerate(label.tolist()) if value > 0.5]
        return ", ".join(task.names[i] if task.names else str(i) for i in held) or "none"
    numbers = label.flatten().tolist()
    return ", ".join(f"{value:.4g}" for value in numbers[:4]) + (", ..." if numbers[4:] else "")


def _drawn(title: str, pixels: NDArray[np.uint8], words: list[list[str]]) -> Image:
    """Return the sheet; the pixels are of shape ``(samples, pictures, H, W, C)``."""
    from PIL import Image, ImageDraw

    samples, pictures = pixels.shape[:2]
    lines = max(map(len, words), default=0)
    columns = min(_COLUMNS if pictures > 1 else 2 * _COLUMNS, samples)
    wide = max(pictures * (_CELL + _GAP) + _GAP, _NARROWEST)
    tall = _CELL + lines * _TEXT + 2 * _GAP
    rows = -(-samples // columns)
    top = _TEXT + 2 * _GAP
    width = max(columns * wide + _GAP, 480)
    sheet = Image.new("RGB", (width, top + rows * tall), _PAPER)
    draw = ImageDraw.Draw(sheet)
    _write(draw, (_GAP, _GAP), title, _font(bold=True), width - 2 * _GAP, _INK)
    for number in range(samples):
        left = _GAP + (number % columns) * wide
        y = top + (number // columns) * tall
        for place in range(pictures):
            cell = _cell(pixels[number, place])
            x = left + place * (_CELL + _GAP)
            sheet.paste(cell, (x + (_CELL - cell.width) // 2, y + (_CELL - cell.height) // 2))
        room = wide - 2 * _GAP
        for line, text in enumerate(words[number]):
            place_of = (left, y + _CELL + 2 + line * _TEXT)
            _write(draw, place_of, text, _font(), room, _INK if not line else _FAINT)
    return sheet


def _cell(pixels: NDArray[np.uint8]) -> Image:
    """Return one picture as large as its cell, small ones by whole pixels."""
    from PIL import Image

    shown = pixels[:, :, :3] if pixels.shape[2] >= 3 else pixels[:, :, 0]
    image = Image.fromarray(np.ascontiguousarray(shown)).convert("RGB")
    factor = _CELL / max(image.size)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    how = Image.Resampling.NEAREST if factor > 1 else Image.Resampling.BILINEAR
    return image.resize(size, how)


def _font(bold: bool = False) -> FreeTypeFont:
    """Return matplotlib's own font, which has far more letters than Pillow's."""
    import matplotlib as mpl
    from PIL import ImageFont

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / name), 11)


def _write(
    draw: ImageDraw,
    place: tuple[int, int],
    text: str,
    font: FreeTypeFont,
    room: int,
    colour: tuple[int, int, int],
) -> None:
    """Write a line, shortened to the room that there is."""
    if draw.textlength(text, font) > room:
        while text and draw.textlength(f"{text}...", font) > room:
            text = text[:-1]
        text = f"{text}..."
    draw.text(place, text, colour, font)
