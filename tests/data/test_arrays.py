"""The source `arrays`: what a file offers, how it is split and served, how it can be wrong."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from graphspec import compiler
from graphspec.data.batches import Batches
from graphspec.data.sources import describe, load
from graphspec.errors import Code, SpecError
from graphspec.language.recipe import Data
from graphspec.language.signature import InputSpec, TaskSpec
from graphspec.language.tasks import Task

G = np.random.default_rng(0)
N = 40
X = G.standard_normal((N, 3))
Y = np.arange(N) % 4
IMAGE = G.integers(0, 256, (N, 2, 4, 4), dtype=np.uint8)
TASKS = {
    "y": Task(),
    "tags": Task(type="multilabel"),
    "size": Task(type="regression", shape=[]),
    "depth": Task(type="regression", shape=[1, 4, 4]),
    "mask": Task(type="segmentation", ignore_index=255),
}
ARRAYS = {
    "image": IMAGE,
    "grey": IMAGE[:, 0],
    "word": Y.astype(np.int16),
    "token": np.stack([Y, Y], 1).astype(np.uint8),
    "x": X,
    "on": X > 0,
    "y": Y.astype(np.int32),
    "y_names": np.array(["a", "b", "c", "d"]),
    "tags": X > 0,
    "size": X[:, 0],
    "depth": IMAGE[:, 0] / 7,
    "mask": np.where(IMAGE[:, 1] < 9, 255, IMAGE[:, 0] % 3).astype(np.uint8),
    "version": np.array(3),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    np.savez_compressed(tmp_path / "all.npz", **ARRAYS)
    return tmp_path


def section(**more: Any) -> Data:
    return Data(source="arrays", path="all.npz", **more)


def test_a_file_describes_itself(folder: Path) -> None:
    found = describe(section(), TASKS)
    assert found.inputs == {
        "image": InputSpec((2, 4, 4)),
        "grey": InputSpec((1, 4, 4)),
        "word": InputSpec((1,), "int64"),
        "token": InputSpec((2,), "int64"),
        "x": InputSpec((3,)),
        "on": InputSpec((3,)),
    }
    assert found.tasks == {
        "y": TaskSpec(4, ("a", "b", "c", "d")),
        "tags": TaskSpec(3, type="multilabel"),
        "size": TaskSpec(type="regression", shape=(1,)),
        "depth": TaskSpec(type="regression", shape=(1, 4, 4)),
        "mask": TaskSpec(3, type="segmentation", shape=(4, 4), ignore_index=255),
    }


def test_what_is_served_is_what_the_file_holds(folder: Path) -> None:
    data = load(section(test=0.25), 0, TASKS)
    assert [len(s) for s in (data.train, data.validation, data.test)] == [24, 6, 10]
    assert list(data.channels) == ["image", "grey"]
    kinds = {name: labels.dtype for name, labels in data.train.labels.items()}
    assert kinds == {
        "y": torch.int64, "tags": torch.float32, "size": torch.float32, "depth": torch.float32,
        "mask": torch.uint8,
    }  # fmt: skip
    rows = {tuple(row): number for number, row in enumerate(X.astype(np.float32).tolist())}
    for split, shuffle in ((data.train, True), (data.test, False)):
        batches = Batches(split, data, batch_size=7, shuffle=shuffle, inputs=["x", "word", "grey"])
        for batch in batches.epoch(0):
            assert list(batch.inputs) == ["grey", "word", "x"]
            own = [rows[tuple(row)] for row in batch.inputs["x"].tolist()]
            assert batch.inputs["word"][:, 0].tolist() == Y[own].tolist()
            assert batch.labels["y"].tolist() == Y[own].tolist()
            assert batch.labels["tags"].tolist() == (X[own] > 0).tolist()
            assert batch.labels["size"].tolist() == X[own, :1].astype(np.float32).tolist()
            assert batch.labels["mask"].dtype == torch.int64
            assert batch.labels["mask"].tolist() == ARRAYS["mask"][own].tolist()
            mean, std = (np.array(each) for each in data.channels["grey"])
            grey = (IMAGE[own, :1] / 255 - mean) / std
            np.testing.assert_allclose(batch.inputs["grey"].numpy(), grey, atol=1e-5)
            batch.inputs["x"].zero_()  # a model may work in place
    assert data.test.inputs["x"].abs().sum() > 0


def test_the_test_split_is_stratified_and_the_same_for_every_seed(folder: Path) -> None:
    first, second = (load(section(test=0.5), seed, TASKS) for seed in (0, 1))
    assert torch.equal(first.test.inputs["x"], second.test.inputs["x"])
    assert not torch.equal(first.validation.inputs["x"], second.validation.inputs["x"])
    assert first.test.labels["y"].bincount().tolist() == [5, 5, 5, 5]
    assert first.fingerprint == second.fingerprint
    assert len(load(section(test=0.0), 0, TASKS).test) == 0


def test_a_file_with_splits_keeps_them_and_no_class_is_no_obstacle(folder: Path) -> None:
    pairs = {
        f"{split}_{name}": ARRAYS[name][part]
        for name in ("x", "size")
        for split, part in (("train", slice(30)), ("test", slice(30, None)))
    }
    np.savez(folder / "all.npz", **pairs)
    data = load(section(), 0, {"size": TASKS["size"]})
    assert [len(s) for s in (data.train, data.validation, data.test)] == [24, 6, 10]
    np.testing.assert_array_equal(data.test.inputs["x"].numpy(), X[30:].astype(np.float32))
    assert data.unit == "samples"


def test_a_validation_split_of_its_own(folder: Path) -> None:
    arrays = {
        f"{split}_{name}": values[:n]
        for split, n in (("train", 20), ("val", 8), ("test", 12))
        for name, values in (("x", X), ("y", Y))
    }
    np.savez("own.npz", **arrays)
    data = load(Data(source="arrays", path="own.npz"), 3, {"y": Task()})
    assert [len(part) for part in (data.train, data.validation, data.test)] == [20, 8, 12]
    assert data.validation.labels["y"].tolist() == Y[:8].tolist()
    np.savez("other.npz", **{k.replace("val_", "validation_"): v for k, v in arrays.items()})
    other = load(Data(source="arrays", path="other.npz"), 0, {"y": Task()})
    assert other.fingerprint == data.fingerprint
    del arrays["val_y"]
    found, text = attempt(spec_of(), **arrays)
    assert found == ["data-corrupt" + FILE]
    assert "the splits `train_...`, `test_...` and `val_...`, but lacks `val_y`" in text


def test_every_bit_is_in_the_fingerprint(folder: Path) -> None:
    digests = {load(section(), 0, TASKS).fingerprint}
    for name in ("image", "x", "y", "tags", "size", "mask"):
        changed = {key: values.copy() for key, values in ARRAYS.items()}
        changed[name].flat[0] = 1 if changed[name].flat[0] == 0 else 0
        np.savez(folder / "all.npz", **changed)
        digests.add(load(section(), 0, TASKS).fingerprint)
    assert len(digests) == 7


def test_images_are_augmented_apart(folder: Path) -> None:
    np.savez(folder / "all.npz", image=IMAGE, left=IMAGE, y=Y)
    data = load(section(), 0, {"y": Task()})
    (batch,) = Batches(data.train, data, batch_size=99, augment="crop-flip").epoch(0)
    assert not torch.equal(batch.inputs["image"], batch.inputs["left"])


def spec_of(tasks: str = "{y: {}}", data: str = "{source: arrays, path: all.npz}") -> str:
    nodes = "nodes:\n  h: {op: head, from: x, task: y}\n"
    return f"graphspec: 1\nname: t\ndata: {data}\ntasks: {tasks}\n{nodes}"


def attempt(text: str, **arrays: Any) -> tuple[list[str], str]:
    """Write a file, check a spec and load its data; give codes with places, and the text."""
    if arrays:
        np.savez("all.npz", **arrays)
    with pytest.raises(SpecError) as caught:
        _use(text)
    found = caught.value.diagnostics
    return [f"{d.code.value}@{d.location.removeprefix('t.yaml:')}" for d in found], str(
        caught.value
    )


def _use(text: str) -> None:
    spec = compiler.load_text(text, "t.yaml")
    compiler.check(spec)
    assert spec.data is not None
    load(spec.data, 0, spec.tasks)


FILE = "@3:30"
"""Where the specs of these tests name the file."""


@pytest.mark.parametrize(
    ("arrays", "codes", "words"),
    [
        ({"y": Y[:-1]}, "data-corrupt" + FILE, "differ in their number of samples: `x` 40, `y` 39"),
        ({"y": Y + 0.5}, "data-mismatch" + FILE, "state what it is: `y: {type: regression}`"),
        ({"y": X > 0}, "data-mismatch" + FILE, "`y: {type: multilabel}`"),
        ({"y": IMAGE[:, 0]}, "data-mismatch" + FILE, "`y: {type: segmentation}`"),
        ({"x": np.array([1, "a"] * 20, dtype=object)}, "data-corrupt" + FILE, "Python objects"),
        ({"z": np.array(["a"] * N)}, "data-mismatch" + FILE, "which is no input"),
        ({"z": X + 1j}, "data-mismatch" + FILE, "holds complex128"),
        ({"a b": Y}, "data-corrupt" + FILE, "`a b` in `all.npz` cannot be called so"),
        ({"z": np.zeros((N, 9, 9, 3), np.uint8)}, "data-mismatch" + FILE, "channels last"),
        ({"z": np.zeros((N, 0))}, "data-corrupt" + FILE, "a sample of it is empty"),
        ({"x": X[:0], "y": Y[:0]}, "data-corrupt" + FILE, "has no samples"),
        ({"y_names": np.array(["a", "b"])}, "data-corrupt@", "from 0 to 3; expected 0 to 1"),
        ({"y": Y - 2}, "data-corrupt@", "number the classes from 0"),
        ({"x": np.where(X > 2, np.nan, X)}, "data-corrupt@", "are not finite (NaN or infinity)"),
    ],
)
def test_a_wrong_file(folder: Path, arrays: dict[str, Any], codes: str, words: str) -> None:
    found, text = attempt(spec_of(), **{"x": X, "y": Y, **arrays})
    assert found == [codes]
    assert words in text


def test_wrong_splits(folder: Path) -> None:
    pair = {"train_x": X, "train_y": Y, "test_x": X}
    assert "but lacks `test_y`" in attempt(spec_of(), **pair)[1]
    found, text = attempt(spec_of(), **pair, test_y=Y, z=Y)
    assert found == ["data-corrupt" + FILE]
    assert "but has `z` without a split" in text
    _, text = attempt(spec_of(), **{**pair, "test_x": X[:, :2]}, test_y=Y)
    assert "`x` in `all.npz` is [N, 3] float64 in `train_x`, but [N, 2] float64" in text


@pytest.mark.parametrize(
    ("tasks", "codes", "words"),
    [
        ("{y: {classes: 3}}", "data-corrupt@", "or state `classes: 4`"),
        ("{yy: {}, y: {}}", "unknown-task@4:9", "did you mean `y`? arrays of `all.npz`: y, x"),
        ("{}", "missing-key" + FILE, "the spec says which arrays are targets"),
        ("{y: {classes: 2}}\ninputs: {x: {shape: [4]}}", "data-mismatch@5:13", "offers [3]"),
        ("{y: {classes: 4, shape: [3]}}", "bad-value@4:32", "`shape` is not for a classification"),
        ("{y: {type: regression, shape: [2]}}", "data-mismatch@4:38", "but `arrays` has [1]"),
        ("{y: {type: segmentation, classes: 4}}", "data-mismatch" + FILE, "one class a position"),
        ("{y: {type: multilabel}}", "data-mismatch" + FILE, "one row of labels a sample"),
    ],
)
def test_tasks_that_the_file_does_not_suit(
    folder: Path, tasks: str, codes: str, words: str
) -> None:
    found, text = attempt(spec_of(tasks), x=X, y=Y)
    assert found == [codes]
    assert words in text


def test_labels_of_other_types(folder: Path, codes_of: Callable) -> None:
    tasks = {"y": Task(type="multilabel")}
    np.savez("all.npz", x=X, y=np.stack([Y, Y], 1))
    assert "other than 0 and 1, such as 2" in codes_of(lambda: load(section(), 0, tasks))[1]
    tasks = {"y": Task(type="regression")}
    np.savez("all.npz", x=X, y=X[:, 0] * 1e300)
    assert (
        "the targets of `y` in `all.npz` are not" in codes_of(lambda: load(section(), 0, tasks))[1]
    )
    tasks = {"y": Task(type="segmentation", classes=2)}
    np.savez("all.npz", x=X, y=np.full((N, 2), 255, np.uint8))
    assert "state `ignore_index: 255`" in codes_of(lambda: load(section(), 0, tasks))[1]
    codes, text = codes_of(lambda: load(section(), 0, {"z": Task()}))
    assert (codes, "no array for the task `z`" in text) == ([Code.DATA_MISMATCH], True)


def test_files_that_are_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = (folder / "all.npz").read_bytes()
    (folder / "all.npz").write_bytes(whole[: len(whole) // 2])
    assert attempt(spec_of())[0] == ["data-corrupt" + FILE]
    (folder / "all.npz").write_text("hello")
    assert "is damaged or no `.npz` file" in attempt(spec_of())[1]
    lying = io.BytesIO()
    np.save(lying, X)
    with zipfile.ZipFile(folder / "all.npz", "w") as archive:
        archive.writestr("x.npy", lying.getvalue().replace(b"(40, 3)", b"(9**9,)"))
    assert attempt(spec_of())[0] == ["data-corrupt" + FILE]
    assert attempt(spec_of(data="{source: arrays, path: .}"))[0] == ["file-unreadable" + FILE]
    assert attempt(spec_of(data="arrays"))[0] == ["missing-key@3:7"]
    np.savez("all.npz", x=X, y=Y)
    memory = psutil.virtual_memory()._replace(available=100)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    assert attempt(spec_of("{y: {classes: 4}}"))[0] == ["out-of-memory@"]


def test_without_its_file_a_spec_is_checked_by_what_it_states(tmp_path: Path) -> None:
    where = f"{{source: arrays, root: {tmp_path}, path: none.npz}}"
    codes, text = attempt(spec_of(data=where))
    assert [code.partition("@")[0] for code in codes] == ["data-not-found"]
    assert "without the data, state `inputs:` and what the tasks predict" in text
    stated = spec_of("{y: {type: regression, shape: [2]}}\ninputs: {x: {shape: [3]}}", where)
    graph = compiler.analyze(compiler.load_text(stated))
    assert graph.nodes["h"].outputs[0].shape[1:] == (2,)
    codes, _ = attempt(spec_of("{y: {}}\ninputs: {x: {shape: [3]}}", where))
    assert codes == ["missing-key@4:9"]
