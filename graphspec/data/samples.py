"""Samples from outside, for a model that is trained: pictures, tables, arrays, as a run reads them.

`gather` looks at what it is given and says what the samples are called; `Samples.batch` reads some
of them. A sample that cannot be read does not keep the others from being read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphspec.data import columns, npz, tree
from graphspec.data.column import Column
from graphspec.data.decoding import Form, PictureError, decode
from graphspec.data.pictures import content
from graphspec.data.readings import Reading
from graphspec.data.table_layout import holds_pictures
from graphspec.errors import Code, SpecError, did_you_mean, fail

TABLES = (".csv", ".tsv", *columns.PARQUET)
"""Ends of the names of tables."""

Remark = Callable[[str], None]


@dataclass(eq=False)
class Samples:
    """Some samples.

    Attributes:
        names: What each is called: a file, or a row of one.
        arrays: Inputs that are in memory, each of shape ``(N, ...)``: bytes for images.
        pictures: Inputs that are pictures: for each sample its file, or what is in it.
        forms: What these become.
        problems: Why a sample cannot be read, by its number, as far as that is known.
    """

    names: list[str]
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    pictures: dict[str, Sequence[Path | bytes]] = field(default_factory=dict)
    forms: dict[str, Form] = field(default_factory=dict)
    problems: dict[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    def batch(self, first: int, last: int) -> dict[str, NDArray[Any]]:
        """Read some samples; one that cannot be read is put down in `problems`, and is zeros.

        Args:
            first: Number of the first.
            last: One more than the number of the last.
        """
        found = {name: values[first:last] for name, values in self.arrays.items()}
        for name, files in self.pictures.items():
            pixels = np.zeros((last - first, *self.forms[name].shape), np.uint8)
            for row in range(first, last):
                if row in self.problems:
                    continue
                file = files[row]
                try:
                    data = file if isinstance(file, bytes) else content(file)
                    pixels[row - first] = decode(data, self.forms[name])
                except PictureError as error:
                    called = self.names[row] if isinstance(file, bytes) else file
                    self.problems[row] = f"`{called}` is no sound image: {error}"
            found[name] = pixels
        return found


def gather(
    given: Sequence[str | Path], inputs: Mapping[str, Reading], remark: Remark
) -> list[Samples]:
    """Look at files and folders.

    Args:
        given: Pictures, folders of pictures at any depth, tables (CSV, Parquet) and ``.npz`` files.
        inputs: The inputs that the model reads.
        remark: Told what is left out.

    Raises:
        SpecError: ``data-not-found`` for a path that does not exist or a folder without pictures;
            ``data-mismatch`` where the model does not read such samples, ``data-corrupt`` or
            ``file-unreadable`` for a table or an ``.npz`` file.
    """
    pictures: list[Path] = []
    found: list[Samples] = []

    def flush() -> None:
        if pictures:
            found.append(_of_pictures(list(pictures), inputs))
            pictures.clear()

    for each in given:
        path = Path(each)
        suffix = path.suffix.lower()
        if path.is_dir():
            pictures += _of_folder(path, remark)
        elif not path.exists():
            hint = "name an image, a folder of images, a CSV or Parquet table, or an `.npz` file"
            raise fail(Code.DATA_NOT_FOUND, f"there is no file `{path}`", hint)
        elif suffix == ".npz" or suffix in TABLES:
            flush()
            found.append(
                _of_npz(path, inputs) if suffix == ".npz" else _of_table(path, inputs, remark)
            )
        else:
            pictures.append(path)
    flush()
    return found


def of_arrays(given: Mapping[str, NDArray[Any]], inputs: Mapping[str, Reading]) -> Samples:
    """Return samples that are in memory.

    Args:
        given: An array for each input, of shape ``(N, ...)`` or of one sample. Images as bytes are
            pixels from 0 to 255, numbers are taken as what the model reads.
        inputs: The inputs that the model reads.

    Raises:
        SpecError: ``data-mismatch``.
    """
    _check_complete(list(given), inputs, "the samples have")
    arrays = {name: _fitting(name, given[name], reading) for name, reading in inputs.items()}
    lengths = {name: len(values) for name, values in arrays.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"`{name}` {length:,}" for name, length in lengths.items())
        message = f"the inputs differ in their number of samples: {listed}"
        raise fail(Code.DATA_MISMATCH, message, "give every input as many")
    count = next(iter(lengths.values()), 0)
    return Samples([f"sample {number}" for number in range(1, count + 1)], arrays)


def _of_folder(path: Path, remark: Remark) -> list[Path]:
    found = tree.walk(path)
    if not found.names:
        message = f"`{path}` holds no images"
        raise fail(Code.DATA_NOT_FOUND, message, "name a folder with images, at any depth")
    if found.foreign:
        count = len(found.foreign)
        files = "file that is no image" if count == 1 else "files that are no images"
        remark(f"`{path}` holds {count:,} {files}, such as `{found.foreign[0]}`: left out")
    return [path / name for name in found.names]


def _of_pictures(paths: list[Path], inputs: Mapping[str, Reading]) -> Samples:
    """Return pictures as samples of the one input, which is an image."""
    if len(inputs) > 1:
        listed = ", ".join(f"`{name}` {each.text}" for name, each in inputs.items())
        message = f"the model reads {len(inputs)} inputs, and `{paths[0]}` is one: {listed}"
        hint = "give a table with a column for each, or an `.npz` file with an array for each"
        raise fail(Code.DATA_MISMATCH, message, hint)
    name, reading = next(iter(inputs.items()))
    return Samples(
        [str(path) for path in paths], pictures={name: paths}, forms={name: _form(name, reading)}
    )


def _form(name: str, reading: Reading) -> Form:
    """Return what a picture in a file becomes for an input."""
    if not reading.is_image or reading.shape[0] not in (1, 3):
        what = f"has {reading.shape[0]} channels" if reading.is_image else "is no image"
        message = f"the input `{name}` {reading.text} {what}, so no image file can be it"
        raise fail(Code.DATA_MISMATCH, message, "give an `.npz` file with an array of that name")
    return reading.form


def _of_npz(path: Path, inputs: Mapping[str, Reading]) -> Samples:
    headers = npz.headers(path)
    _check_complete(list(headers), inputs, f"`{path}` has", "arrays")
    found = of_arrays(npz.arrays(path, headers, list(inputs)), inputs)
    found.names = [f"{path}:{number}" for number in range(1, len(found) + 1)]
    return found


def _check_complete(
    given: Sequence[str], inputs: Mapping[str, Reading], who: str, what: str = "inputs"
) -> None:
    missing = next((name for name in inputs if name not in given), None)
    if missing is not None:
        message = f"{who} no `{missing}`, which the model reads ({inputs[missing].text})"
        raise fail(Code.DATA_MISMATCH, message, did_you_mean(missing, given, what))


def _fitting(name: str, given: NDArray[Any], reading: Reading) -> NDArray[Any]:
    """Return an array as the values of an input: of one sample or of many, of its type."""
    shape, values = reading.shape, given
    if reading.is_image and shape[0] == 1 and values.shape[-2:] == shape[1:] and values.ndim < 4:
        values = values.reshape(-1, *shape)
    elif values.shape == shape:
        values = values[None]
    elif shape == (1,) and values.ndim <= 1:
        values = values.reshape(-1, 1)
    if values.shape[1:] != shape or values.dtype.kind not in "biuf":
        message = f"`{name}` is {list(given.shape)} {given.dtype.name}, and the model reads "
        hint = "one sample or many, the first dimension; only image files are resized"
        if reading.is_image and values.shape[-3:] == (*shape[1:], shape[0]):
            hint = f"channels come first: `numpy.moveaxis({name}, -1, -3)`"
        raise fail(Code.DATA_MISMATCH, f"{message}{reading.text}", hint)
    if reading.is_image and values.dtype == np.uint8:
        return values
    if reading.is_image and values.dtype.kind in "iub":
        message = f"`{name}` holds images of {values.dtype.name}"
        hint = "give pixels from 0 to 255 as uint8, or numbers as the model reads them as float32"
        raise fail(Code.DATA_MISMATCH, message, hint)
    return values.astype(reading.dtype, copy=False)


def _of_table(path: Path, inputs: Mapping[str, Reading], remark: Remark) -> Samples:
    """Return the rows of a table as samples: columns by the names that those of the run had."""
    table = columns.read(path)
    count = len(next(iter(table.values())))
    made = Samples([f"{path}:{number}" for number in range(1, count + 1)])
    for name, reading in inputs.items():
        owner = name.removesuffix("_missing")
        if not reading.columns and owner != name and owner in inputs:
            continue  # that of the numbers says where some are missing
        own = reading.columns or _guessed(path, table, name, reading)
        found = [_column(path, table, column) for column in own]
        if reading.is_image:
            _take_pictures(made, name, _form(name, reading), found[0], path)
        elif reading.words:
            codes = [
                _codes(made, path, c, words) for c, words in zip(found, reading.words, strict=True)
            ]
            made.arrays[name] = np.stack(codes, 1)
        else:
            _take_numbers(made, name, reading, found, path)
    return made


def _guessed(
    path: Path, table: Mapping[str, Column], name: str, reading: Reading
) -> tuple[str, ...]:
    """Return the column of an input for a run that was not trained on a table."""
    if name in table and (reading.is_image or reading.shape == (1,)):
        return (name,)
    pictures = [each.name for each in table.values() if holds_pictures(each)]
    if reading.is_image and len(pictures) == 1:
        return (pictures[0],)
    what = "image files" if reading.is_image else "its numbers"
    message = f"`{path}` has no column `{name}` of {what}, which the model reads"
    raise fail(Code.DATA_MISMATCH, message, did_you_mean(name, table, "columns"))


def _column(path: Path, table: Mapping[str, Column], name: str) -> Column:
    if name not in table:
        message = f"`{path}` has no column `{name}`, which the model reads"
        raise fail(Code.DATA_MISMATCH, message, did_you_mean(name, table, "columns"))
    return table[name]


def _take_pictures(made: Samples, name: str, form: Form, column: Column, path: Path) -> None:
    if column.kind not in ("text", "bytes"):
        raise _unfit(path, column, "names of image files")
    missing = [row for row, value in enumerate(column.values) if value is None]
    made.problems.update(dict.fromkeys(missing, f"`{column.name}` names no image"))
    made.pictures[name] = [
        value if isinstance(value, bytes) else path.parent / (value or "")
        for value in column.values
    ]
    made.forms[name] = form


def _codes(made: Samples, path: Path, column: Column, words: Sequence[str]) -> NDArray[np.int64]:
    """Return texts by the numbers that they had in the run."""
    if column.kind in ("bytes", "other"):
        raise _unfit(path, column, "text")
    number = {word: code for code, word in enumerate(words)}
    codes = np.zeros(len(column), np.int64)
    for row, value in enumerate(column.values):
        text = value if column.kind == "text" else None if np.isnan(value) else f"{value:.15g}"
        if text in number:
            codes[row] = number[text]
        elif text is None:
            made.problems[row] = f"`{column.name}` is empty"
        else:
            made.problems[row] = f"`{column.name}` is `{text}`, which the run did not know"
    return codes


def _take_numbers(
    made: Samples, name: str, reading: Reading, found: Sequence[Column], path: Path
) -> None:
    """Put numbers in, and what stands for a missing one where the run had that."""
    if len(found) != reading.shape[0]:
        message = f"`{name}` of `{path}` has {len(found)} numbers, and the model reads "
        raise fail(Code.DATA_MISMATCH, message + reading.text, "name all of its columns")
    numbers = np.stack([_numbers(made, path, column) for column in found], 1)
    gaps = np.isnan(numbers)
    if reading.means:
        numbers = np.where(gaps, reading.means, numbers)
        made.arrays[f"{name}_missing"] = gaps.astype(np.float32)
    with np.errstate(over="ignore"):  # what float32 cannot hold is told as not finite
        made.arrays[name] = numbers.astype(np.float32)
    for row, place in zip(*np.nonzero(~np.isfinite(made.arrays[name])), strict=True):
        what = "is empty" if gaps[row, place] else "is no finite number"
        made.problems.setdefault(int(row), f"`{found[place].name}` {what}")


def _numbers(made: Samples, path: Path, column: Column) -> NDArray[np.float64]:
    """Return the numbers of a column; a cell that holds none does not spoil the others."""
    if column.kind in ("bytes", "other"):
        raise _unfit(path, column, "numbers")
    if column.kind != "text":
        return np.asarray(column.values, np.float64)
    numbers = np.full(len(column), np.nan)
    wrong = {}
    for row, text in enumerate(column.values):
        try:
            numbers[row] = np.nan if text is None else float(text)
        except ValueError:
            wrong[row] = f"`{column.name}` is `{text}`, which is no number"
    if wrong and len(wrong) == len(column) - column.missing.sum():
        raise _unfit(path, column, "numbers")
    made.problems.update(wrong)
    return numbers


def _unfit(path: Path, column: Column, wanted: str) -> SpecError:
    message = f"`{column.name}` of `{path}` holds {column.text}, and the model reads {wanted}"
    return fail(Code.DATA_MISMATCH, message, "correct its cells")
