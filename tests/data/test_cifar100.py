"""CIFAR-100 from a folder: both label sets, the checks, the warning about checksums."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graphspec.data import cifar100
from graphspec.data.sources import load
from graphspec.errors import Code, Severity
from graphspec.language.recipe import Data


def change(path: Path, **changes: Any) -> None:
    """Replace entries of a pickled dict; None deletes."""
    content = {**pickle.loads(path.read_bytes()), **changes}
    kept = {key: value for key, value in content.items() if value is not None}
    path.write_bytes(pickle.dumps(kept, protocol=2))


@pytest.mark.parametrize("inner", [False, True])
def test_the_folder_or_the_one_above(cifar: Path, inner: bool) -> None:
    dataset = load(Data(source="cifar100", root=str(cifar if inner else cifar.parent)), 0)
    assert dataset.origin == str(cifar)
    assert dataset.test.images.shape == (100, 3, 32, 32)
    assert dataset.test.images.dtype == torch.uint8
    stored = pickle.loads((cifar / "test").read_bytes())
    pixels = stored["data"].reshape(-1, 3, 32, 32)
    np.testing.assert_array_equal(dataset.test.images.numpy(), pixels)
    assert dataset.test.labels["fine"].tolist() == stored["fine_labels"]
    assert dataset.test.labels["coarse"].tolist() == stored["coarse_labels"]
    assert {labels.dtype for labels in dataset.test.labels.values()} == {torch.int64}


def test_the_home_folder_is_understood(cifar: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(cifar.parent.parent))
    assert load(Data(source="cifar100", root="~/root"), 0).origin == str(cifar)


def test_the_cache_is_used(cifar: Path) -> None:
    cache = Path(os.environ["GRAPHSPEC_DATA"])
    cache.mkdir()
    cifar.rename(cache / "cifar-100-python")
    assert load(Data(source="cifar100"), 0).origin == str(cache / "cifar-100-python")


def test_other_checksums_are_a_warning(cifar: Path) -> None:
    (warning,) = load(Data(source="cifar100", root=str(cifar)), 0).warnings
    assert (warning.code, warning.severity) == (Code.DATA_CHECKSUM, Severity.WARNING)
    assert warning.message == (
        f"`train`, `test`, `meta` in `{cifar}` differ from the official files of CIFAR-100"
    )
    assert warning.hint is not None
    assert warning.hint.startswith("results may not compare")


def test_official_checksums_are_silent(cifar: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    md5 = {name: hashlib.md5((cifar / name).read_bytes()).hexdigest() for name in cifar100.MD5}
    monkeypatch.setattr(cifar100, "MD5", md5)
    assert load(Data(source="cifar100", root=str(cifar)), 0).warnings == ()


def test_no_data_and_no_network_names_both_remedies(codes_of: Callable) -> None:
    codes, text = codes_of(lambda: load(Data(source="cifar100"), 0))
    assert codes == [Code.DATA_NOT_FOUND]
    assert "`cifar100` is not here and cannot be downloaded from https://www.cs.toronto.edu" in text
    assert "Name or service not known" in text
    assert "`--data-root DIR`" in text
    assert "`--data fashion-mini`" in text
    assert list(Path(os.environ["GRAPHSPEC_DATA"]).iterdir()) == []


def test_a_folder_without_it(tmp_path: Path, cifar: Path, codes_of: Callable) -> None:
    codes, text = codes_of(lambda: load(Data(source="cifar100", root=str(tmp_path / "no")), 0))
    assert codes == [Code.DATA_NOT_FOUND]
    assert f"there is no folder `{tmp_path / 'no'}`" in text
    (cifar / "meta").unlink()
    codes, text = codes_of(lambda: load(Data(source="cifar100", root=str(cifar.parent)), 0))
    assert codes == [Code.DATA_NOT_FOUND]
    assert f"`{cifar.parent}` does not hold CIFAR-100: `{cifar}` lacks `meta`" in text


BROKEN: dict[str, tuple[str, dict[str, Any], str]] = {
    "no pixels": ("train", {"data": None}, "`data` is not an array of images of 3072 bytes"),
    "pixels of a list": ("train", {"data": [1]}, "`data` is not an array"),
    "small images": ("test", {"data": np.zeros((100, 100), "u1")}, "`data` is not an array"),
    "float pixels": ("test", {"data": np.zeros((100, 3072), "f4")}, "`data` is not an array"),
    "no coarse labels": ("train", {"coarse_labels": None}, "`coarse_labels` is not a list of 200"),
    "too few labels": ("test", {"fine_labels": [1]}, "`fine_labels` is not a list of 100 numbers"),
    "labels of text": ("test", {"fine_labels": ["1"] * 100}, "`fine_labels` is not a list"),
    "a huge label": ("test", {"fine_labels": [2**70] * 100}, "holds a number that is no class"),
    "a wrong label": ("test", {"fine_labels": [100] * 100}, "labels of `fine` from 100 to 100"),
    "a negative label": ("test", {"coarse_labels": [-1] * 100}, "`coarse` from -1 to -1"),
    "another hierarchy": (
        "test",
        {"coarse_labels": [0] * 100},
        "sample 0 is `apple`, expected in `fruit_and_vegetables`, found in `aquatic_mammals`",
    ),
    "other names": ("meta", {"fine_label_names": ["a"] * 100}, "does not list the 100 fine"),
    "too few names": ("meta", {"coarse_label_names": ["a"]}, "does not list the 20 coarse"),
}


@pytest.mark.parametrize("case", list(BROKEN))
def test_broken_files(case: str, cifar: Path, codes_of: Callable) -> None:
    name, changes, message = BROKEN[case]
    change(cifar / name, **changes)
    codes, text = codes_of(lambda: load(Data(source="cifar100", root=str(cifar)), 0))
    assert codes == [Code.DATA_CORRUPT]
    assert message in text
    assert f"{name}`" in text


def test_a_truncated_file_is_named(cifar: Path, codes_of: Callable) -> None:
    path = cifar / "train"
    path.write_bytes(path.read_bytes()[:-1000])
    codes, text = codes_of(lambda: load(Data(source="cifar100", root=str(cifar)), 0))
    assert codes == [Code.DATA_CORRUPT]
    assert f"`{path}` is damaged" in text


@pytest.mark.cifar100
@pytest.mark.skipif("GRAPHSPEC_CIFAR100" not in os.environ, reason="GRAPHSPEC_CIFAR100 is not set")
def test_the_real_one() -> None:
    dataset = load(Data(source="cifar100", root=os.environ["GRAPHSPEC_CIFAR100"]), 0)
    assert dataset.fingerprint == cifar100.FINGERPRINT
    assert [len(s) for s in (dataset.train, dataset.validation, dataset.test)] == [
        40_000,
        10_000,
        10_000,
    ]
    assert dataset.channels["image"].mean == pytest.approx((0.50707, 0.48655, 0.44092), abs=1e-5)
    assert dataset.channels["image"].std == pytest.approx((0.26733, 0.25644, 0.27615), abs=1e-5)
    assert dataset.validation.labels["fine"].bincount().tolist() == [100] * 100
    assert dataset.train.labels["coarse"].bincount().tolist() == [2000] * 20
    for warning in dataset.warnings:
        assert warning.hint is not None
        assert warning.hint.startswith("all pixels and labels are the official ones")
