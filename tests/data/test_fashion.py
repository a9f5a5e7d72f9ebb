"""Fashion-MNIST from a folder, and its bundled part."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from data_fakes import idx_bytes, write_fashion

from graphspec.data import fashion_mini, fashion_mnist, idx
from graphspec.data.sources import load
from graphspec.errors import Code
from graphspec.language.recipe import Data

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "make_fashion_mini.py"


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("below", [".", "FashionMNIST/raw", "raw"])
def test_folders(tmp_path: Path, packed: bool, below: str) -> None:
    folder = write_fashion(tmp_path / "root" / below, packed)
    dataset = load(Data(source="fashion-mnist", root=str(tmp_path / "root")), 0)
    assert Path(dataset.origin) == folder
    assert [len(s) for s in (dataset.train, dataset.validation, dataset.test)] == [32, 8, 20]
    assert dataset.test.images.shape == (20, 1, 28, 28)
    assert dataset.test.labels["fine"].tolist() == [*range(10), *range(10)]
    assert dataset.test.labels["coarse"].tolist()[:10] == [0, 1, 0, 2, 3, 5, 0, 5, 4, 5]
    (warning,) = dataset.warnings
    assert warning.code is Code.DATA_CHECKSUM
    assert "of Fashion-MNIST" in warning.message


def test_the_groups() -> None:
    tasks = fashion_mnist.SIGNATURE.tasks
    grouped = {
        name: tasks["coarse"].names[group]
        for name, group in zip(tasks["fine"].names, tasks["fine"].parents, strict=True)
    }
    assert grouped["Coat"] == "Outers"
    assert [name for name, group in grouped.items() if group == "Shoes"] == [
        "Sandal",
        "Sneaker",
        "Ankle boot",
    ]


def test_missing_files(tmp_path: Path, codes_of: Callable) -> None:
    def action(root: Path) -> tuple[list[Code], str]:
        return codes_of(lambda: load(Data(source="fashion-mnist", root=str(root)), 0))

    codes, text = action(tmp_path / "nowhere")
    assert codes == [Code.DATA_NOT_FOUND]
    assert f"there is no folder `{tmp_path / 'nowhere'}`" in text
    folder = write_fashion(tmp_path / "some")
    (folder / f"{LABELS}.gz").unlink()
    codes, text = action(folder)
    assert codes == [Code.DATA_NOT_FOUND]
    assert f"it lacks `{LABELS}` (with `.gz` or without)" in text
    assert "`--data fashion-mini`" in text


BROKEN = {
    "cut gzip": (IMAGES, lambda whole: gzip.compress(whole)[:-20], "is cut off or damaged"),
    "bad gzip": (IMAGES, lambda whole: b"\x1f\x8b" + whole, "is cut off or damaged"),
    "cut content": (IMAGES, lambda whole: whole[:-1], "its header says"),
    "empty": (LABELS, lambda whole: b"", "is no IDX file of bytes with 1 dimensions"),
    "other kind": (LABELS, lambda whole: b"\0\0\x0d\x01" + whole[4:], "is no IDX file"),
    "short header": (IMAGES, lambda whole: whole[:9], "is no IDX file of bytes with 3"),
    "huge header": (LABELS, lambda whole: whole[:4] + b"\xff" * 4, "its header says 4294967303"),
    "other size": (IMAGES, lambda whole: idx_bytes(np.zeros((40, 27, 28))), "28x28 pixels"),
    "other count": (LABELS, lambda whole: idx_bytes(np.zeros(39)), "39 labels"),
    "no class": (LABELS, lambda whole: idx_bytes(np.full(40, 10)), "holds the label 10"),
}


@pytest.mark.parametrize("case", list(BROKEN))
def test_broken_files(case: str, tmp_path: Path, codes_of: Callable) -> None:
    name, damage, message = BROKEN[case]
    path = write_fashion(tmp_path / "root", packed=False) / name
    path.write_bytes(damage(path.read_bytes()))
    codes, text = codes_of(lambda: load(Data(source="fashion-mnist", root=str(path.parent)), 0))
    assert codes == [Code.DATA_CORRUPT]
    assert message in text
    assert name.split("-")[0] in text


def test_a_gzip_bomb(codes_of: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idx, "MAX_BYTES", 1 << 20)
    bomb = gzip.compress(bytes(3 << 20))
    codes, text = codes_of(lambda: idx.unpack(bomb, "bomb.gz"))
    assert codes == [Code.DATA_CORRUPT]
    assert "`bomb.gz` unpacks to more than 1 MiB" in text


def test_no_network(codes_of: Callable) -> None:
    codes, text = codes_of(lambda: load(Data(source="fashion-mnist"), 0))
    assert codes == [Code.DATA_NOT_FOUND]
    assert "`fashion-mnist` is not here and cannot be downloaded" in text
    assert "`--data-root DIR`" in text
    assert list(Path(os.environ["GRAPHSPEC_DATA"]).iterdir()) == []


def test_the_bundled_images() -> None:
    dataset = load(Data(source="fashion-mini"), 0)
    assert [len(s) for s in (dataset.train, dataset.validation, dataset.test)] == [4800, 1200, 2000]
    assert dataset.train.labels["fine"].bincount().tolist() == [480] * 10
    assert dataset.validation.labels["fine"].bincount().tolist() == [120] * 10
    assert dataset.test.labels["coarse"].bincount().tolist() == [600, 200, 200, 200, 200, 600]
    assert dataset.fingerprint == fashion_mini.FINGERPRINT
    assert dataset.warnings == ()
    assert dataset.channels["image"].mean == pytest.approx((0.2869149,), abs=1e-7)
    assert dataset.channels["image"].std == pytest.approx((0.3537793,), abs=1e-7)


def test_the_bundle_is_small_and_licensed() -> None:
    folder = Path(fashion_mini.__file__).parent / "mini"
    assert sum(path.stat().st_size for path in folder.iterdir()) < 4_000_000
    assert "Zalando SE" in (folder / "LICENSE-fashion-mnist").read_text(encoding="utf-8")


def test_a_changed_bundle_is_refused(codes_of: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fashion_mini.SHA256, LABELS, "0" * 64)
    codes, text = codes_of(lambda: load(Data(source="fashion-mini"), 0))
    assert codes == [Code.DATA_CORRUPT]
    assert f"were changed: `{LABELS}.gz`" in text
    assert "install graphspec again" in text


def test_the_script_refuses_other_files(tmp_path: Path) -> None:
    folder = write_fashion(tmp_path / "root")
    command = [sys.executable, str(SCRIPT), str(folder), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "not the official files: train-images-idx3-ubyte" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif("GRAPHSPEC_FASHION" not in os.environ, reason="GRAPHSPEC_FASHION is not set")
def test_the_script_makes_the_bundle_again(tmp_path: Path) -> None:
    root = os.environ["GRAPHSPEC_FASHION"]
    dataset = load(Data(source="fashion-mnist", root=root), 0)
    assert (dataset.fingerprint, dataset.warnings) == (fashion_mnist.FINGERPRINT, ())
    command = [sys.executable, str(SCRIPT), root, "--out", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    bundle = Path(fashion_mini.__file__).parent / "mini"
    for name in fashion_mnist.SHA256:
        made, bundled = (folder / f"{name}.gz" for folder in (tmp_path, bundle))
        assert gzip.decompress(made.read_bytes()) == gzip.decompress(bundled.read_bytes())
