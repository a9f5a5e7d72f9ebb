"""CIFAR-10 and the sources `torchvision:NAME`, on small files laid out as the official ones."""

from __future__ import annotations

import bz2
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data_fakes import idx_bytes
from PIL import Image

from graphspec.data import cifar10
from graphspec.data.batches import Batches
from graphspec.data.sources import SOURCES, describe, load
from graphspec.data.vision_sets import SETS
from graphspec.errors import Code
from graphspec.language.recipe import Data

G = np.random.default_rng(0)


def picture(path: Path, height: int = 7, width: int = 9) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = G.integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, quality=95)
    return pixels


def write_cifar10(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list(cifar10.NAMES)}, 2))
    for seed, name in enumerate(name for name in cifar10.MD5 if name != "batches.meta"):
        images = np.random.default_rng(seed).integers(0, 256, (20, 3072), np.uint8)
        content = {"data": images, "labels": [(seed + i) % 10 for i in range(20)]}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    return folder


def test_cifar10(tmp_path: Path, codes_of: Callable) -> None:
    folder = write_cifar10(tmp_path / cifar10.FOLDER)
    data = load(Data(source="cifar10", root=str(tmp_path), validation=0.0), 0)
    assert (len(data.train), len(data.test)) == (100, 20)
    first = pickle.loads((folder / "data_batch_2").read_bytes())
    np.testing.assert_array_equal(data.train.images[20], first["data"][0].reshape(3, 32, 32))
    assert data.train.labels["fine"][20:30].tolist() == [*range(1, 10), 0]
    assert data.train.labels["coarse"][20:24].tolist() == [1, 0, 0, 0]
    assert data.signature.tasks["fine"].parents == (1, 1, 0, 0, 0, 0, 0, 0, 1, 1)
    assert data.warnings[0].code is Code.DATA_CHECKSUM
    (folder / "test_batch").write_bytes(pickle.dumps({**first, "labels": [10] * 20}, protocol=2))
    codes, text = codes_of(lambda: load(Data(source="cifar10", root=str(folder)), 0))
    assert (codes, "labels from 10 to 10" in text) == ([Code.DATA_CORRUPT], True)
    (folder / "data_batch_4").unlink()
    codes, text = codes_of(lambda: load(Data(source="cifar10", root=str(tmp_path)), 0))
    assert (codes, "does not hold CIFAR-10" in text) == ([Code.DATA_NOT_FOUND], True)


def test_each_of_the_table_is_in_torchvision_and_describes_itself() -> None:
    from torchvision import datasets

    for known in SETS:
        assert hasattr(datasets, known.name)
        signature = describe(f"torchvision:{known.name}")
        assert signature.inputs["image"].shape == known.shape
        for name, task in signature.tasks.items():
            assert not task.names or len(task.names) == task.classes
            assert len(set(task.names)) == len(task.names)
            if task.parent is not None:
                parents = set(range(signature.tasks[task.parent].classes))
                assert set(task.parents) in (set(), parents), name


def test_mnist(tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    images = G.integers(0, 256, (20, 28, 28), dtype=np.uint8)
    for prefix, count in (("train", 20), ("t10k", 10)):
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(idx_bytes(images[:count]))
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(idx_bytes(np.arange(count) % 10))
    data = load(Data(source="torchvision:MNIST", root=str(tmp_path), validation=0.0), 0)
    np.testing.assert_array_equal(data.train.images[:, 0], images)
    assert data.test.labels["label"].tolist() == list(range(10))
    assert data.signature.tasks["label"].names[3] == "3"


def test_usps(tmp_path: Path) -> None:
    rows = "".join(f"{i % 10 + 1} " + " ".join(f"{j}:-1.0" for j in range(1, 257)) + "\n"
                   for i in range(20))  # fmt: skip
    for name in ("usps.bz2", "usps.t.bz2"):
        (tmp_path / name).write_bytes(bz2.compress(rows.encode()))
    data = load(Data(source="torchvision:USPS", root=str(tmp_path), validation=0.0), 0)
    assert data.train.images.shape == (20, 1, 16, 16)
    assert data.train.labels["label"].tolist() == [i % 10 for i in range(20)]


def pets(root: Path) -> None:
    base = root / "oxford-iiit-pet"
    lines = []
    for breed, species in ((1, 1), (2, 2), (6, 1), (37, 2)):
        for number in range(3):
            picture(base / "images" / f"b{breed}_{number}.jpg", 30 + number, 50)
            lines.append(f"b{breed}_{number} {breed} {species} 1\n")
    (base / "annotations").mkdir()
    (base / "annotations" / "trainval.txt").write_text("".join(lines[:9]))
    (base / "annotations" / "test.txt").write_text("".join(lines[9:]))


def test_two_tasks_of_one_set_and_streaming(tmp_path: Path, codes_of: Callable) -> None:
    pets(tmp_path)
    options: dict[str, Any] = {
        "source": "torchvision:OxfordIIITPet", "root": str(tmp_path), "validation": 0.0, "size": 8,
    }  # fmt: skip
    kept = load(Data(**options, memory="ram"), 0)
    streamed = load(Data(**options, memory="stream", workers=0), 0)
    assert kept.train.images.shape == (9, 3, 8, 8)
    assert kept.train.labels["breed"].tolist() == [0, 0, 0, 1, 1, 1, 5, 5, 5]
    assert kept.train.labels["species"].tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0]
    assert kept.test.labels["breed"].tolist() == [36, 36, 36]
    for a, b in zip(
        Batches(kept.test, kept, batch_size=2).epoch(0),
        Batches(streamed.test, streamed, batch_size=2).epoch(0),
        strict=True,
    ):
        assert torch.equal(a.inputs["image"], b.inputs["image"])
    annotations = tmp_path / "oxford-iiit-pet" / "annotations" / "test.txt"
    annotations.write_text(annotations.read_text().replace("37 2", "37 1"))
    assert "wrong class of `species`" in codes_of(lambda: load(Data(**options), 0))[1]


def test_labels_that_torchvision_reads_level_by_level(tmp_path: Path) -> None:
    base = tmp_path / "fgvc-aircraft-2013b" / "data"
    for number in range(4):
        picture(base / "images" / f"{number}.jpg")
    for level, plural in (("variant", "variants"), ("family", "families"),
                          ("manufacturer", "manufacturers")):  # fmt: skip
        (base / f"{plural}.txt").write_text(f"{level} a\n{level} b\n")
        for split, number in (("train", 0), ("val", 1), ("test", 2)):
            text = f"{number} {level} b\n"
            (base / f"images_{level}_{split}.txt").write_text(text)
    data = load(Data(source="torchvision:FGVCAircraft", root=str(tmp_path), size=[4, 6]), 0)
    assert [len(s) for s in (data.train, data.validation, data.test)] == [1, 1, 1]
    assert list(data.train.labels) == ["variant", "family", "manufacturer"]
    assert data.train.images.shape == (1, 3, 4, 6)


def test_a_set_without_splits(tmp_path: Path) -> None:
    for name in ("AnnualCrop", "Forest", "River"):
        for number in range(5):
            picture(tmp_path / "eurosat" / "2750" / name / f"{name}_{number}.jpg", 64, 64)
    data = load(Data(source="torchvision:EuroSAT", root=str(tmp_path), test=0.4), 0)
    assert [len(s) for s in (data.train, data.validation, data.test)] == [7, 2, 6]
    assert data.test.labels["label"].bincount().tolist() == [2, 2, 2]


def test_attributes_of_faces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import CelebA

    monkeypatch.setattr(CelebA, "_check_integrity", lambda self: True)
    base = tmp_path / "celeba"
    names = [f"{number:06}.jpg" for number in range(6)]
    for name in names:
        picture(base / "img_align_celeba" / name, 218, 178)
    numbers = "\n".join(f"{name} {n // 2}" for n, name in enumerate(names))
    (base / "list_eval_partition.txt").write_text(numbers + "\n")
    attributes = [[1 if (i + n) % 3 else -1 for i in range(40)] for n in range(6)]
    rows = "\n".join(f"{name} " + " ".join(map(str, row))
                     for name, row in zip(names, attributes, strict=True))  # fmt: skip
    (base / "list_attr_celeba.txt").write_text("6\n" + " ".join("abc") + "\n" + rows + "\n")
    for other, width in (("identity_CelebA", 1), ("list_bbox_celeba", 4),
                         ("list_landmarks_align_celeba", 10)):  # fmt: skip
        lines = "\n".join(f"{name} " + " ".join(["1"] * width) for name in names)
        head = "" if other.startswith("identity") else "6\nx y\n"
        (base / f"{other}.txt").write_text(head + lines + "\n")
    data = load(Data(source="torchvision:CelebA", root=str(tmp_path), validation=0.0), 0)
    assert data.train.images.shape == (2, 3, 218, 178)
    expected = [[float(v > 0) for v in row] for row in attributes]
    assert data.test.labels["attributes"].tolist() == expected[4:]


def test_what_can_be_missing(tmp_path: Path, codes_of: Callable, monkeypatch: Any) -> None:
    codes, text = codes_of(lambda: load(Data(source="torchvision:MNIST"), 0))
    assert codes == [Code.DATA_NOT_FOUND]
    assert "torchvision's MNIST is not here and cannot be downloaded" in text
    where = Data(source="torchvision:OxfordIIITPet", root=str(tmp_path / "no"))
    codes, text = codes_of(lambda: load(where, 0))
    assert codes == [Code.DATA_NOT_FOUND]
    assert "does not hold torchvision's OxfordIIITPet: there is no such folder" in text
    where = Data(source="torchvision:OxfordIIITPet", root=str(tmp_path))
    assert "OxfordIIITPet: Dataset not found.\n" in codes_of(lambda: load(where, 0))[1]
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    from torchvision.datasets import Flowers102

    monkeypatch.setattr(Flowers102, "_check_integrity", lambda self: True)
    where = Data(source="torchvision:Flowers102", root=str(tmp_path))
    assert "needs `scipy`, which is not installed" in codes_of(lambda: load(where, 0))[1]
    codes, text = codes_of(lambda: describe("torchvision:mnist"))
    assert (codes, "did you mean `torchvision:MNIST`?" in text) == ([Code.UNKNOWN_DATA], True)
    assert "`cifar100` is a source of its own" in SOURCES.hint("torchvision:CIFAR100")
    assert len(SOURCES) == 7 + len(SETS)
