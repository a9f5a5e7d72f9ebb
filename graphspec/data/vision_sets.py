"""The data sets of torchvision that `torchvision:NAME` reads: what each offers and how it is split.

A row says what torchvision does not: the tasks, the size of a picture, and the arguments that give
each split. Nothing here imports torchvision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphspec.language.signature import TaskSpec


@dataclass(frozen=True)
class Labels:
    """Where the labels of a task are.

    Attributes:
        task: What is predicted.
        attribute: The attribute of the data set that holds them; ``samples`` means the second of
            each pair in it.
        arguments: Further arguments of the data set that has them.
        offset: What is taken off every label, where classes do not begin at 0.
    """

    task: TaskSpec
    attribute: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    offset: int = 0


@dataclass(frozen=True)
class VisionSet:
    """One data set of torchvision.

    Attributes:
        name: Name of its class there.
        shape: Shape of a picture. Where they are in files: what they are resized to by default,
            unless `is_fixed`.
        images: The attribute that holds the pictures: an array, or a list of files.
        labels: The labels of each task.
        splits: Arguments that give ``train``, ``test`` and, where there is one, ``validation``.
            Without ``test`` the test split is drawn, as for a folder.
        in_files: Whether there is a file for each picture.
        is_fixed: Whether all pictures have the size of `shape`.
        arguments: Arguments of every split.
    """

    name: str
    shape: tuple[int, int, int]
    images: str
    labels: Mapping[str, Labels]
    splits: Mapping[str, Mapping[str, Any]]
    in_files: bool = True
    is_fixed: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict)


_TRAIN = {"train": {"train": True}, "test": {"train": False}}
_TWO = {"train": {"split": "train"}, "test": {"split": "test"}}
_THREE = {**_TWO, "validation": {"split": "val"}}
_DIGITS = tuple("0123456789")
_KANA = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
_STL10 = "airplane bird car cat deer dog horse monkey ship truck"
_EUROSAT = (
    "AnnualCrop Forest HerbaceousVegetation Highway Industrial Pasture PermanentCrop "
    "Residential River SeaLake"
)
_IMAGENETTE = (
    *("tench", "English springer", "cassette player", "chain saw", "church"),
    *("French horn", "garbage truck", "gas pump", "golf ball", "parachute"),
)
_EMNIST = (*_DIGITS, *"ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt")
_CATS = (
    "Abyssinian Bengal Birman Bombay British_Shorthair Egyptian_Mau Maine_Coon Persian Ragdoll "
    "Russian_Blue Siamese Sphynx"
)
_PETS = (
    "Abyssinian american_bulldog american_pit_bull_terrier basset_hound beagle Bengal Birman "
    "Bombay boxer British_Shorthair chihuahua Egyptian_Mau english_cocker_spaniel english_setter "
    "german_shorthaired great_pyrenees havanese japanese_chin keeshond leonberger Maine_Coon "
    "miniature_pinscher newfoundland Persian pomeranian pug Ragdoll Russian_Blue saint_bernard "
    "samoyed scottish_terrier shiba_inu Siamese Sphynx staffordshire_bull_terrier wheaten_terrier "
    "yorkshire_terrier"
)
_FACES = (
    "5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose "
    "Black_Hair Blond_Hair Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee "
    "Gray_Hair Heavy_Makeup High_Cheekbones Male Mouth_Slightly_Open Mustache Narrow_Eyes "
    "No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks Sideburns Smiling "
    "Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace "
    "Wearing_Necktie Young"
)


def _classes(names: str | Sequence[str] | int) -> TaskSpec:
    if isinstance(names, int):
        return TaskSpec(names)
    listed = tuple(names.split()) if isinstance(names, str) else tuple(names)
    return TaskSpec(len(listed), listed)


def _one(names: str | Sequence[str] | int, attribute: str, offset: int = 0) -> dict[str, Labels]:
    """Return the one task of a data set, called `label`."""
    return {"label": Labels(_classes(names), attribute, offset=offset)}


def _pets() -> dict[str, Labels]:
    cats = set(_CATS.split())
    names = tuple(_PETS.split())
    breed = TaskSpec(37, names, "species", tuple(0 if name in cats else 1 for name in names))
    species = TaskSpec(2, ("cat", "dog"))
    return {"breed": Labels(breed, "_labels"), "species": Labels(species, "_bin_labels")}


def _aircraft() -> dict[str, Labels]:
    counts = {"variant": 100, "family": 70, "manufacturer": 30}
    return {
        level: Labels(TaskSpec(count), "_labels", {"annotation_level": level})
        for level, count in counts.items()
    }


_FACE_NAMES = tuple(_FACES.split())

SETS = (
    VisionSet("MNIST", (1, 28, 28), "data", _one(_DIGITS, "targets"), _TRAIN, in_files=False),
    VisionSet("KMNIST", (1, 28, 28), "data", _one(_KANA, "targets"), _TRAIN, in_files=False),
    VisionSet(
        "EMNIST", (1, 28, 28), "data", _one(_EMNIST, "targets"), _TRAIN, in_files=False,
        arguments={"split": "balanced"},
    ),
    VisionSet("USPS", (1, 16, 16), "data", _one(_DIGITS, "targets"), _TRAIN, in_files=False),
    VisionSet("SEMEION", (1, 16, 16), "data", _one(_DIGITS, "labels"), {"train": {}}, False),
    VisionSet("SVHN", (3, 32, 32), "data", _one(_DIGITS, "labels"), _TWO, in_files=False),
    VisionSet("STL10", (3, 96, 96), "data", _one(_STL10, "labels"), _TWO, in_files=False),
    VisionSet(
        "EuroSAT", (3, 64, 64), "samples", _one(_EUROSAT, "samples"), {"train": {}}, is_fixed=True
    ),
    VisionSet("GTSRB", (3, 32, 32), "_samples", _one(43, "_samples"), _TWO),
    VisionSet("Flowers102", (3, 96, 96), "_image_files", _one(102, "_labels"), _THREE),
    VisionSet("DTD", (3, 96, 96), "_image_files", _one(47, "_labels"), _THREE),
    VisionSet("Food101", (3, 96, 96), "_image_files", _one(101, "_labels"), _TWO),
    VisionSet(
        "OxfordIIITPet", (3, 96, 96), "_images", _pets(),
        {"train": {"split": "trainval"}, "test": {"split": "test"}},
    ),
    VisionSet("FGVCAircraft", (3, 96, 96), "_image_files", _aircraft(), _THREE),
    VisionSet(
        "Imagenette", (3, 96, 96), "_samples", _one(_IMAGENETTE, "_samples"),
        {"train": {"split": "train"}, "test": {"split": "val"}},
        arguments={"size": "160px"},
    ),
    VisionSet(
        "RenderedSST2", (3, 96, 96), "_samples", _one("negative positive", "_samples"), _THREE
    ),
    VisionSet(
        "Country211", (3, 96, 96), "samples", _one(211, "samples"),
        {**_TWO, "validation": {"split": "valid"}},
    ),
    VisionSet(
        "CelebA", (3, 218, 178), "filename",
        {"attributes": Labels(TaskSpec(40, _FACE_NAMES, type="multilabel"), "attr")},
        {**_TWO, "validation": {"split": "valid"}},
        is_fixed=True,
    ),
)  # fmt: skip
"""All of them; `cifar10`, `cifar100` and `fashion-mnist` are sources of their own."""
