"""The data sets of torchvision that `torchvision:NAME` reads: what each offers and how it is split.

A row says what torchvision does not: the tasks, the size of a picture, and the arguments that give
each split. Nothing here imports torchvision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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
        column: Where the attribute has several numbers a sample, which of them is the label.
        offset: What is taken off every label, where classes do not begin at 0.
    """

    task: TaskSpec
    attribute: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    offset: int = 0
    column: int | None = None


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
        can_download: Whether torchvision's class can fetch the files.
    """

    name: str
    shape: tuple[int, int, int]
    images: str
    labels: Mapping[str, Labels]
    splits: Mapping[str, Mapping[str, Any]]
    in_files: bool = True
    is_fixed: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict)
    can_download: bool = True


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
_VOC = (
    "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse "
    "motorbike person pottedplant sheep sofa train tvmonitor"
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
    levels = (
        ("variant", 100, "family"),
        ("family", 70, "manufacturer"),
        ("manufacturer", 30, None),
    )
    return {
        level: Labels(TaskSpec(count, parent=above), "_labels", {"annotation_level": level})
        for level, count, above in levels
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
        "QMNIST", (1, 28, 28), "data", {"label": Labels(_classes(_DIGITS), "targets", column=0)},
        _TRAIN, in_files=False,
    ),
    VisionSet(
        "FER2013", (1, 48, 48), "_samples",
        _one("angry disgust fear happy sad surprise neutral", "_samples"), _TWO, in_files=False,
        can_download=False,
    ),
    VisionSet("StanfordCars", (3, 96, 96), "_samples", _one(196, "_samples"), _TWO),
    VisionSet("SUN397", (3, 96, 96), "_image_files", _one(397, "_labels"), {"train": {}}),
    VisionSet("Caltech101", (3, 96, 96), "y", _one(101, "y"), {"train": {}}),
    VisionSet("Caltech256", (3, 96, 96), "y", _one(257, "y"), {"train": {}}),
    VisionSet(
        "CLEVRClassification", (3, 96, 96), "_image_files",
        {"objects": Labels(_classes("3 4 5 6 7 8 9 10"), "_labels", offset=3)},
        {"train": {"split": "train"}, "test": {"split": "val"}},
    ),
    VisionSet(
        "Places365", (3, 96, 96), "imgs", _one(365, "targets"),
        {"train": {"split": "train-standard"}, "test": {"split": "val"}}, arguments={"small": True},
    ),
    VisionSet(
        "ImageNet", (3, 224, 224), "samples", _one(1000, "samples"),
        {"train": {"split": "train"}, "test": {"split": "val"}}, can_download=False,
    ),
    VisionSet(
        "VOCSegmentation", (3, 96, 96), "images",
        {"mask": Labels(replace(_classes(_VOC), type="segmentation", ignore_index=255), "targets")},
        {"train": {"image_set": "train"}, "test": {"image_set": "val"}},
    ),
    VisionSet(
        "CelebA", (3, 218, 178), "filename",
        {"attributes": Labels(TaskSpec(40, _FACE_NAMES, type="multilabel"), "attr")},
        {**_TWO, "validation": {"split": "valid"}},
        is_fixed=True,
    ),
)  # fmt: skip
"""All of them; `cifar10`, `cifar100` and `fashion-mnist` are sources of their own."""

REFUSED: Mapping[str, str] = {
    **dict.fromkeys(
        ("VOCDetection", "CocoDetection", "Kitti", "WIDERFace"),
        "its labels are boxes, and there is no such task",
    ),
    **dict.fromkeys(
        ("Kinetics", "HMDB51", "UCF101", "MovingMNIST"), "it holds videos, and an image is read"
    ),
    **dict.fromkeys(("CocoCaptions", "SBU", "Flickr8k", "Flickr30k"), "its labels are sentences"),
    **dict.fromkeys(
        ("LFWPeople", "Omniglot"),
        "its training and test split have different classes, which no head can predict",
    ),
    **dict.fromkeys(("PhotoTour", "LFWPairs"), "its labels are of pairs of images"),
    **dict.fromkeys(
        (
            *("KittiFlow", "Sintel", "FlyingChairs", "FlyingThings3D", "HD1K", "CarlaStereo"),
            *("Kitti2012Stereo", "Kitti2015Stereo", "Middlebury2014Stereo", "CREStereo"),
            *("FallingThingsStereo", "SceneFlowStereo", "SintelStereo", "InStereo2k"),
            "ETH3DStereo",
        ),
        "its labels are optical flow or disparity",
    ),
    **dict.fromkeys(
        ("PCAM", "INaturalist", "Cityscapes", "SBDataset", "LSUN", "FakeData"),
        "convert it and read it with `folder`, `table` or `arrays`",
    ),
    "ImageFolder": "such a folder is a source of its own: `data: {source: folder, root: DIR}`",
    "DatasetFolder": "such a folder is a source of its own: `data: {source: folder, root: DIR}`",
}
"""Why other data sets of torchvision are not read."""
