"""What `graphspec data` says of a data set: counts, balance, hierarchy, gaps, leaks, the sheet."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import graphspec as gs
from graphspec.cli.main import main
from graphspec.data import sheet
from graphspec.errors import Code, SpecError

G = np.random.default_rng(0)
SPEC = """\
graphspec: 1
name: t
data: {source: %s, augment: %s, validation: 0}
tasks: {%s}
nodes:
  trunk: {op: fc, from: image, units: 4}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two levels with splits; two pictures of the test split are in the training split too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRAPHSPEC_DATA", str(tmp_path / "cache"))
    counts = {"cat": ("animal", 6, 2), "dog": ("animal", 3, 2), "bus": ("vehicle", 2, 1)}
    for fine, (coarse, *numbers) in counts.items():
        for split, count in zip(("train", "test"), numbers, strict=True):
            place = Path("pics", split, coarse, fine)
            place.mkdir(parents=True)
            for number in range(count):
                pixels = G.integers(0, 256, (9, 7), dtype=np.uint8)
                Image.fromarray(pixels).save(place / f"{number}.png")
    shutil.copy("pics/train/animal/cat/1.png", "pics/test/animal/cat/copy.png")
    Image.open("pics/train/animal/cat/2.png").save("pics/test/animal/dog/other.bmp")
    shutil.copy("pics/train/vehicle/bus/0.png", "pics/train/vehicle/bus/again.png")
    shutil.copy("pics/train/vehicle/bus/1.png", "pics/train/vehicle/loose.png")
    Path("t.yaml").write_text(SPEC % ("folder, root: pics", "crop-flip", "fine: {}"))
    return tmp_path


def test_counts_balance_hierarchy_and_gaps(folder: Path) -> None:
    found = gs.describe_data("t.yaml")
    assert found.samples == {"train": 13, "validation": 0, "test": 7}
    assert found.unit == "images"
    coarse, fine = found.tasks
    assert (coarse.task, fine.task) == ("coarse", "fine")
    assert coarse.counts == {"train": [9, 4], "validation": [0, 0], "test": [6, 1]}
    assert coarse.weights == [13 / 18, 13 / 8]
    assert coarse.imbalance == 9 / 4
    assert fine.spec.names == ("bus", "cat", "dog")
    assert fine.parent_names == ("vehicle", "animal", "animal")
    assert fine.counts["train"] == [3, 6, 3]
    assert fine.missing == {"train": 1, "validation": 0, "test": 0}


def test_leaks_are_found_whatever_the_file(folder: Path) -> None:
    found = gs.describe_data("t.yaml")
    (leak,) = found.leaks
    assert (leak.first, leak.second, leak.samples, leak.differing) == ("train", "test", 2, 1)
    assert leak.examples == (
        ("train/animal/cat/1.png", "test/animal/cat/copy.png"),
        ("train/animal/cat/2.png", "test/animal/dog/other.bmp"),
    )
    (again,) = [each for each in found.repeats if each.first == each.second]
    assert (again.first, again.samples, again.differing) == ("train", 2, 1)
    streamed = gs.describe_data("t.yaml", overrides={"data.memory": "stream", "data.workers": 0})
    assert streamed.repeats == found.repeats
    assert streamed.storage == "streamed from 20 files by the main process"


def test_the_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "t.yaml", "--sheet", "sheet.png"]) == 0
    shown = capsys.readouterr()
    assert shown.out.endswith("contact sheet: sheet.png\n")
    assert "warning[data-skipped]: 1 of 20 images lie above the level `fine`" in shown.err
    lines = [" ".join(line.split()) for line in shown.out.splitlines()]
    for line in (
        "folder from pics",
        "13 train, 0 validation, 7 test images; in memory, 1.2 KiB",
        "coarse: 2 classes",
        "most frequent to rarest class: 2.25 to 1",
        "animal 9 0 6 0.722",
        "fine: 3 classes, each in one class of coarse",
        "without a label: 1 of train",
        "cat 6 0 3 0.667 animal",
        "leak: 2 images of test are in train too, 1 with other labels",
        "train/animal/cat/1.png = test/animal/cat/copy.png",
        "2 images of train equal an earlier one of it, 1 with other labels",
    ):
        assert line in lines, line
    assert main(["data", "t.yaml", "--format", "json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["tasks"][1]["counts"]["train"] == [3, 6, 3]
    assert record["repeats"][0]["samples"] == 2
    assert record["warnings"][0]["code"] == "data-skipped"


def test_the_sheet_shows_samples_and_what_augmentation_does(folder: Path) -> None:
    gs.describe_data("t.yaml", sheet_path="sheet.png")
    image = np.asarray(Image.open("sheet.png").convert("RGB"))
    cell = sheet._CELL
    first = image[15 + 16 :, 8:][:cell, :cell]
    inked = (first != 255).any(2)
    assert inked.mean() > 0.7  # a picture of 9x7 fills its cell in height
    assert inked[:, cell // 2].all()
    labels = image[15 + 16 + cell + 2 :, 8 : 8 + cell][:15]
    assert (labels < 100).any()  # the label below it
    assert (image[-3:] == 255).all()  # nothing is cut off at the lower edge
    assert (image[:, -3:] == 255).all()


def test_without_augmentation_the_labels_have_room(folder: Path) -> None:
    gs.describe_data("t.yaml", overrides={"data.augment": "none"}, sheet_path="sheet.png")
    image = np.asarray(Image.open("sheet.png").convert("L"))
    top, wide = 15 + 16, sheet._NARROWEST
    for column in range(1, 4):  # nothing is written between one sample and the next
        gap = image[top:, 8 + column * wide - sheet._GAP :][:, : sheet._GAP]
        assert (gap == 255).all()
        assert (image[top:, 8 + column * wide :][:, :20] < 100).any()


@pytest.mark.parametrize("channels", [2, 4, 5])
def test_images_of_any_number_of_channels_are_shown(
    channels: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    image = G.integers(0, 256, (9, channels, 8, 8), dtype=np.uint8)
    np.savez("a.npz", image=image, y=np.arange(9) % 2)
    Path("t.yaml").write_text(SPEC % ("arrays, path: a.npz, test: 0", "none", "y: {}"))
    gs.describe_data("t.yaml", sheet_path="sheet.png")
    shown = np.asarray(Image.open("sheet.png").convert("RGB"))[31:][: sheet._CELL, 8:]
    pixels = np.sort(shown[:: sheet._CELL // 8, : sheet._CELL : sheet._CELL // 8][:8].ravel())
    kinds = [np.sort((each[:3] if channels > 2 else each[[0] * 3]).ravel()) for each in image]
    assert any(np.array_equal(pixels, each) for each in kinds)


def test_a_class_that_no_training_sample_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("a.npz", train_x=G.random((4, 2)), train_y=np.array([0, 1, 0, 1]),
             train_z=np.array([0, 1, 0, 1]), test_x=G.random((1, 2)), test_y=np.array([2]),
             test_z=np.array([0]), z_names=np.array(["a", "b"]))  # fmt: skip
    tasks = "y: {classes: 3, parent: z}, z: {}"
    Path("t.yaml").write_text(SPEC % ("arrays, path: a.npz", "none", tasks))
    assert gs.describe_data("t.yaml").tasks[0].parent_names == ("a", "b", "")


def test_other_types_of_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    size = np.array([1.0, 2.0, 3.0, np.nan, 10.0, 4.0])
    tags = np.array([[1, 0], [1, 1], [1, 0], [0, 0], [np.nan, 0], [1, 0]])
    np.savez("a.npz", train_x=G.random((6, 2)), train_size=size, train_tags=tags,
             train_y=np.array([0, 0, 0, 2, -1, 0]), test_x=G.random((1, 2)), test_size=size[:1],
             test_tags=tags[:1], test_y=np.array([1]))  # fmt: skip
    tasks = "size: {type: regression}, tags: {type: multilabel}, y: {}"
    Path("t.yaml").write_text(SPEC % ("arrays, path: a.npz", "none", tasks))
    numbers, labels, classes = gs.describe_data("t.yaml").tasks
    assert numbers.numbers["train"] == {
        "least": 1.0, "mean": 4.0, "deviation": pytest.approx(10**0.5), "greatest": 10.0,
    }  # fmt: skip
    assert numbers.missing == {"train": 1, "validation": 0, "test": 0}
    assert labels.counts["train"] == [4, 1]
    assert labels.missing["train"] == 1
    assert (classes.counts["train"], classes.absent) == ([4, 0, 1], [1])
    assert classes.missing["train"] == 1
    with pytest.raises(SpecError) as caught:
        gs.describe_data("t.yaml", sheet_path="s.png")
    assert caught.value.diagnostics[0].code is Code.DATA_MISMATCH
    assert main(["data", "t.yaml"]) == 0


def test_mistakes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "t.yaml", "--data-root", "nowhere"]) == 2
    text = capsys.readouterr().err
    assert "--data-root nowhere:1:1: error[data-not-found]: there is no folder `nowhere`" in text
    assert main(["data", "t.yaml", "--set", "data.split=x"]) == 2
    assert (
        "error[bad-value]: `data.split` is not for the source `folder`" in capsys.readouterr().err
    )
    assert main(["data", "t.yaml", "--sheet", "no/such/sheet.png"]) == 2
    assert "error[cannot-write]" in capsys.readouterr().err
    Path("bare.yaml").write_text("graphspec: 1\ninputs: {x: {shape: [2]}}\nnodes: {}\n")
    assert main(["data", "bare.yaml"]) == 2
    assert "names no data set" in capsys.readouterr().err
