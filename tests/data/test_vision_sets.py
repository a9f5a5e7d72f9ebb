"""Each set of `torchvision:NAME`, on a few samples in the layout of the official files."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data_fakes import idx_bytes
from PIL import Image
from torchvision import datasets

from graphspec.data.sources import SOURCES, load
from graphspec.data.vision_sets import SETS
from graphspec.errors import Code
from graphspec.language.recipe import Data

G = np.random.default_rng(0)


def bytes_of(*shape: int) -> np.ndarray:
    return G.integers(0, 256, shape, dtype=np.uint8)


def picture(path: Path, height: int = 7, width: int = 9) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(bytes_of(height, width, 3)).save(path)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def mnist_like(name: str, prefixes: tuple[str, str]) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        raw = root / name / "raw"
        raw.mkdir(parents=True)
        for prefix, count in zip(prefixes, (4, 2), strict=True):
            (raw / f"{prefix}-images-idx3-ubyte").write_bytes(idx_bytes(bytes_of(count, 28, 28)))
            labels = np.arange(count, dtype=np.uint8)
            (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))

    return make


def qmnist(root: Path) -> None:
    raw = root / "QMNIST" / "raw"
    raw.mkdir(parents=True)
    for split, count in (("train", 4), ("test", 2)):
        images = idx_bytes(bytes_of(count, 28, 28))
        (raw / f"qmnist-{split}-images-idx3-ubyte").write_bytes(images)
        labels = np.zeros((count, 8), ">i4")
        labels[:, 0], labels[:, 1:] = np.arange(count), 77
        head = bytes([0, 0, 12, 2]) + np.array(labels.shape, ">i4").tobytes()
        (raw / f"qmnist-{split}-labels-idx2-int").write_bytes(head + labels.tobytes())


def fer(root: Path) -> None:
    write(
        root / "fer2013" / "train.csv",
        "emotion,pixels\n"
        + "".join(f'{label},"{" ".join(map(str, bytes_of(48 * 48)))}"\n' for label in range(4)),
    )
    write(root / "fer2013" / "test.csv", "pixels\n" + f'"{" ".join(["7"] * 48 * 48)}"\n' * 2)


def semeion(root: Path) -> None:
    rows = np.concatenate([G.integers(0, 2, (10, 256)), np.eye(10)], 1)
    np.savetxt(root / "semeion.data", rows)


def svhn(root: Path) -> None:
    from scipy.io import savemat

    for split, labels in (("train", [10, 1, 2, 3]), ("test", [10, 1])):
        x = bytes_of(32, 32, 3, len(labels))
        savemat(root / f"{split}_32x32.mat", {"X": x, "y": np.array(labels)[:, None]})


def stl(root: Path) -> None:
    base = root / "stl10_binary"
    base.mkdir()
    (base / "unlabeled_X.bin").write_bytes(b"")
    for split, count in (("train", 4), ("test", 2)):
        bytes_of(count, 3, 96, 96).tofile(base / f"{split}_X.bin")
        np.arange(1, count + 1, dtype=np.uint8).tofile(base / f"{split}_y.bin")


def gtsrb(root: Path) -> None:
    for label in range(4):
        picture(root / "gtsrb/GTSRB/Training" / f"{label:05}" / "00000_00000.ppm")
    for label in range(2):
        picture(root / "gtsrb/GTSRB/Final_Test/Images" / f"0000{label}.ppm")
    write(root / "gtsrb/GT-final_test.csv", "Filename;ClassId\n00000.ppm;0\n00001.ppm;1\n")


def flowers(root: Path) -> None:
    from scipy.io import savemat

    base = root / "flowers-102"
    for number in range(1, 9):
        picture(base / "jpg" / f"image_{number:05}.jpg")
    savemat(base / "imagelabels.mat", {"labels": np.array([1, 2, 3, 4, 1, 2, 102, 1])})
    savemat(base / "setid.mat", {"trnid": [1, 2, 3, 4], "tstid": [5, 6], "valid": [7, 8]})


def dtd(root: Path) -> None:
    for label in range(47):
        picture(root / "dtd/dtd/images" / f"c{label:02}" / "a.jpg", 2, 2)
    for split, count in (("train", 47), ("val", 47), ("test", 47)):
        text = "".join(f"c{label:02}/a.jpg\n" for label in range(count))
        write(root / "dtd/dtd/labels" / f"{split}1.txt", text)


def food(root: Path) -> None:
    names = [f"dish_{label:03}" for label in range(101)]
    for name in names:
        picture(root / "food-101/images" / name / "1.jpg", 2, 2)
    for split, count in (("train", 101), ("test", 2)):
        listed = {name: [f"{name}/1"] if i < count else [] for i, name in enumerate(names)}
        write(root / "food-101/meta" / f"{split}.json", json.dumps(listed))


def imagenette(root: Path) -> None:
    from torchvision.datasets import Imagenette

    for wnid in Imagenette._WNID_TO_CLASS:
        for split in ("train", "val"):
            picture(root / "imagenette2-160" / split / wnid / f"{wnid}.JPEG")


def sentences(root: Path) -> None:
    for split in ("train", "valid", "test"):
        for name in ("negative", "positive"):
            picture(root / "rendered-sst2" / split / name / "1.png")


def countries(root: Path) -> None:
    for split in ("train", "valid", "test"):
        for label in range(211 if split == "train" else 2):
            picture(root / "country211" / split / f"c{label:03}" / "1.jpg", 2, 2)


def cars(root: Path) -> None:
    from scipy.io import savemat

    base = root / "stanford_cars"
    (base / "devkit").mkdir(parents=True)
    kind = [("fname", "O"), ("class", "i4")]
    for split, name, count in (("train", "devkit/cars_train_annos", 4),
                               ("test", "cars_test_annos_withlabels", 2)):  # fmt: skip
        rows = np.array([(f"{i}.jpg", i + 1) for i in range(count)], kind)
        savemat(base / f"{name}.mat", {"annotations": rows})
        for number in range(count):
            picture(base / f"cars_{split}" / f"{number}.jpg")
    names = np.array([f"car {label}" for label in range(196)], object)
    savemat(base / "devkit" / "cars_meta.mat", {"class_names": names})


def scenes(root: Path) -> None:
    names = ["/a/abbey", "/b/bar/indoor", "/b/bar/outdoor"]
    write(root / "SUN397" / "ClassName.txt", "".join(f"{name}\n" for name in names))
    for name in names:
        for number in range(2):
            picture(root / "SUN397" / name[1:] / f"sun_{number}.jpg")


def caltech101(root: Path) -> None:
    base = root / "caltech101" / "101_ObjectCategories"
    for name in ("ant", "bass", "BACKGROUND_Google"):
        for number in (1, 2):
            picture(base / name / f"image_{number:04}.jpg")


def caltech256(root: Path) -> None:
    for label, name in enumerate(("001.ak47", "002.american-flag"), 1):
        for number in (1, 2):
            picture(root / "caltech256/256_ObjectCategories" / name / f"{label:03}_{number:04}.jpg")


def clevr(root: Path) -> None:
    base = root / "clevr" / "CLEVR_v1.0"
    for split, count in (("train", 4), ("val", 2)):
        made = []
        for number in range(count):
            picture(base / "images" / split / f"{number}.png")
            made.append({"image_filename": f"{number}.png", "objects": [0] * (3 + number)})
        write(base / "scenes" / f"CLEVR_{split}_scenes.json", json.dumps({"scenes": made}))


def places(root: Path) -> None:
    names = "".join(f"/a/place{label:03} {label}\n" for label in range(365))
    write(root / "categories_places365.txt", names)
    for split, folder, count in (("train_standard", "data_256_standard", 4),
                                 ("val", "val_256", 2)):  # fmt: skip
        lines = [f"/x/{number}.jpg {number}\n" for number in range(count)]
        write(root / f"places365_{split}.txt", "".join(lines))
        for number in range(count):
            picture(root / folder / "x" / f"{number}.jpg")


def imagenet(root: Path) -> None:
    names = {f"n{label:08}": ("crane",) if label < 2 else (f"thing {label}", "other")
             for label in range(1000)}  # fmt: skip
    torch.save((names, list(names)), root / "meta.bin")
    for split, count in (("train", 4), ("val", 2)):
        for label in range(count):
            picture(root / split / f"n{label:08}" / "1.JPEG")


def voc(root: Path) -> None:
    base = root / "VOCdevkit" / "VOC2012"
    for split, count in (("train", 4), ("val", 2)):
        names = [f"{split}_{number}" for number in range(count)]
        write(base / "ImageSets/Segmentation" / f"{split}.txt", "\n".join(names) + "\n")
        for number, name in enumerate(names):
            picture(base / "JPEGImages" / f"{name}.jpg", 6, 8)
            mask = Image.fromarray(np.full((6, 8), number, np.uint8), "P")
            mask.putpalette([7, 7, 7] * 256)
            mask.putpixel((0, 0), 255)
            (base / "SegmentationClass").mkdir(exist_ok=True)
            mask.save(base / "SegmentationClass" / f"{name}.png")


FOUR, TWO = [0, 1, 2, 3], [0, 1]
LAYOUTS: dict[str, tuple[Callable[[Path], None], list[int], list[int]]] = {
    "KMNIST": (mnist_like("KMNIST", ("train", "t10k")), FOUR, TWO),
    "EMNIST": (mnist_like("EMNIST", ("emnist-balanced-train", "emnist-balanced-test")), FOUR, TWO),
    "QMNIST": (qmnist, FOUR, TWO),
    "FER2013": (fer, FOUR, [-1, -1]),
    "SEMEION": (semeion, list(range(10)), []),
    "SVHN": (svhn, FOUR, TWO),
    "STL10": (stl, FOUR, TWO),
    "GTSRB": (gtsrb, FOUR, TWO),
    "Flowers102": (flowers, FOUR, TWO),
    "DTD": (dtd, list(range(47)), list(range(47))),
    "Food101": (food, list(range(101)), TWO),
    "Imagenette": (imagenette, list(range(10)), list(range(10))),
    "RenderedSST2": (sentences, TWO, TWO),
    "Country211": (countries, list(range(211)), TWO),
    "StanfordCars": (cars, FOUR, TWO),
    "SUN397": (scenes, [0, 1, 2], [0, 1, 2]),
    "Caltech101": (caltech101, TWO, TWO),
    "Caltech256": (caltech256, TWO, TWO),
    "CLEVRClassification": (clevr, FOUR, TWO),
    "Places365": (places, FOUR, TWO),
    "ImageNet": (imagenet, FOUR, TWO),
}
"""For each set how its files are made, and the labels of its training and test split."""

NAMED = {"Flowers102": "pink primrose", "DTD": "c00", "Food101": "dish_000", "Country211": "c000",
         "StanfordCars": "car 0", "Places365": "/a/place000"}  # fmt: skip


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torchvision take files whose checksums are not the official ones."""
    for name in ("utils", "svhn", "stl10", "flowers102", "places365", "imagenet", "semeion",
                 "fer2013"):  # fmt: skip
        module = importlib.import_module(f"torchvision.datasets.{name}")
        monkeypatch.setattr(module, "check_integrity", lambda path, md5=None: Path(path).is_file())


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout(name: str, tmp_path: Path) -> None:
    if name in ("SVHN", "Flowers102", "StanfordCars"):
        pytest.importorskip("scipy")
    make, train, test = LAYOUTS[name]
    make(tmp_path)
    known = next(each for each in SETS if each.name == name)
    has_test = "test" in known.splits
    more: dict[str, Any] = {"size": 4} if known.in_files and not known.is_fixed else {}
    if not has_test:
        more["test"] = 0.5
    section = Data(source=f"torchvision:{name}", root=str(tmp_path), validation=0.0, **more)
    data = load(section, 0)
    task = next(iter(known.labels))
    assert sorted(data.train.labels[task].tolist()) == (train if has_test else sorted(set(train)))
    assert data.test.labels[task].tolist() == test
    shape = (3, 4, 4) if more.get("size") else known.shape
    assert data.train.images.shape == (len(train), *shape)
    assert data.train.images.float().std() > 0
    # torchvision of before names no flowers
    if name in NAMED and (name != "Flowers102" or hasattr(datasets.Flowers102, "classes")):
        assert data.signature.tasks[task].names[0] == NAMED[name]
    assert len(data.validation) == (len(train) if name in ("DTD",) else len(data.validation))


def test_every_set_has_a_layout() -> None:
    elsewhere = {"MNIST", "USPS", "EuroSAT", "OxfordIIITPet", "FGVCAircraft", "CelebA"}
    assert {known.name for known in SETS} == set(LAYOUTS) | elsewhere | {"VOCSegmentation"}


def test_masks(tmp_path: Path, codes_of: Callable) -> None:
    voc(tmp_path)
    section = Data(source="torchvision:VOCSegmentation", root=str(tmp_path), validation=0.0,
                   size=[3, 4])  # fmt: skip
    data = load(section, 0)
    task = data.signature.tasks["mask"]
    assert (task.classes, task.shape, task.ignore_index) == (21, (3, 4), 255)
    assert task.names[15] == "person"
    masks = data.train.labels["mask"]
    assert masks.shape == (4, 3, 4)
    assert masks[:, 2, 3].tolist() == [0, 1, 2, 3]
    full = load(section.model_copy(update={"size": [6, 8]}), 0)
    assert full.train.labels["mask"][:, 0, 0].tolist() == [255] * 4
    assert full.train.labels["mask"][:, 0, 1].tolist() == [0, 1, 2, 3]
    broken = tmp_path / "VOCdevkit/VOC2012/SegmentationClass/train_2.png"
    broken.write_bytes(broken.read_bytes()[:40])
    codes, text = codes_of(lambda: load(section, 0))
    assert codes == [Code.DATA_CORRUPT]
    assert "train_2.png` is no sound mask" in text


@pytest.mark.parametrize(
    ("name", "why"),
    [("VOCDetection", "boxes"), ("PCAM", "convert it"), ("ImageFolder", "source: folder")],
)
def test_others_say_why_not(name: str, why: str) -> None:
    assert why in SOURCES.hint(f"torchvision:{name}")


def test_every_labelled_set_of_torchvision_is_read_or_refused() -> None:
    from torchvision import datasets

    tools = {"VisionDataset", "wrap_dataset_for_transforms_v2", "LSUNClass"}
    for name in set(datasets.__all__) - tools:
        source = f"torchvision:{name}"
        assert source in SOURCES or "did you mean" not in SOURCES.hint(source), name


def test_broken_files_are_told(tmp_path: Path, codes_of: Callable) -> None:
    mnist_like("MNIST", ("train", "t10k"))(tmp_path)
    broken = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    broken.write_bytes(broken.read_bytes()[:900])
    codes, text = codes_of(lambda: load(Data(source="torchvision:MNIST", root=str(tmp_path)), 0))
    assert codes == [Code.DATA_NOT_FOUND]
    assert "does not hold torchvision's MNIST" in text
