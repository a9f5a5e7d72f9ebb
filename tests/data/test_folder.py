"""The source `folder`: what a tree says, what becomes of its pictures, how it can be wrong."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from graphspec import compiler
from graphspec.data import memory, survey
from graphspec.data.batches import Batches
from graphspec.data.dataset import DataSet
from graphspec.data.sources import describe, load
from graphspec.errors import Code, SpecError
from graphspec.language.recipe import Data
from graphspec.language.signature import InputSpec, TaskSpec

G = np.random.default_rng(0)
TREE = {"animal": ("cat", "dog", "newt"), "vehicle": ("bus", "car")}


def picture(path: Path, shape: tuple[int, ...] = (6, 5, 3)) -> np.ndarray:
    """Write a random picture; return its pixels, channels first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = G.integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels.transpose(2, 0, 1) if pixels.ndim == 3 else pixels[None]


def grow(root: Path, each: int = 5, shape: tuple[int, ...] = (6, 5, 3)) -> dict[str, np.ndarray]:
    """Write a tree of two levels; return pixels by name."""
    return {
        f"{coarse}/{fine}/{number}.png": picture(root / coarse / fine / f"{number}.png", shape)
        for coarse, fines in TREE.items()
        for fine in fines
        for number in range(each)
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder for a tree; the cache is beside it."""
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def section(root: Path, **more: Any) -> Data:
    return Data(source="folder", root=str(root), **more)


def names(data: DataSet, split: str) -> list[str]:
    pictures = getattr(data, split).files["image"].pictures
    return [pictures.name(row) for row in range(len(pictures))]


def test_a_tree_describes_itself(root: Path) -> None:
    grow(root)
    found = describe(section(root))
    assert found.inputs == {"image": InputSpec((3, 6, 5))}
    assert found.tasks == {
        "coarse": TaskSpec(2, ("animal", "vehicle")),
        "fine": TaskSpec(5, ("bus", "car", "cat", "dog", "newt"), "coarse", (1, 1, 0, 0, 0)),
    }
    found = describe(section(root, levels=["kind", "what"], size=[8, 9], channels=1))
    assert list(found.tasks) == ["kind", "what"]
    assert found.inputs["image"].shape == (1, 8, 9)
    assert describe(section(root / "animal")).tasks == {
        "label": TaskSpec(3, ("cat", "dog", "newt"))
    }


def test_names_below_several_folders_are_no_hierarchy(root: Path) -> None:
    for colour in ("blue", "red"):
        for shape in ("circle", "square"):
            picture(root / colour / shape / "a.png")
    found = describe(section(root, levels=["colour", "shape"]))
    assert found.tasks["shape"] == TaskSpec(2, ("circle", "square"))
    assert load(section(root, levels=["colour", "shape"]), 0).warnings == ()
    for extra in ("hexagon", "star", "oval"):
        picture(root / "red" / extra / "a.png")
    (warning,) = load(section(root), 0).warnings
    assert warning.message == (
        "`fine` is not taken to refine the level above: `circle` lies in `blue` and `red`"
    )


def test_every_picture_keeps_its_labels_in_memory_and_streamed(root: Path) -> None:
    pixels = grow(root)
    for mode in ("ram", "stream"):
        data = load(section(root, memory=mode), 3)
        assert [len(s) for s in (data.train, data.validation, data.test)] == [16, 4, 5]
        for split in ("train", "validation", "test"):
            part = getattr(data, split)
            batches = Batches(part, data, batch_size=3, normalize="unit")
            rows = [row for batch in batches.epoch(0) for row in batch.inputs["image"]]
            for name, row, fine in zip(
                names(data, split), rows, part.labels["fine"].tolist(), strict=True
            ):
                assert name.split("/")[1] == data.signature.tasks["fine"].names[fine]
                np.testing.assert_allclose(row.numpy() * 255, pixels[name], atol=1e-3)
    assert (root / "animal").is_dir()


@pytest.mark.parametrize("workers", [0, 2])
def test_the_same_batches_from_memory_and_from_files(
    root: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    grow(root)
    kept = load(section(root, memory="ram"), 7)
    streamed = load(section(root, memory="stream", workers=workers), 7)
    assert isinstance(kept.train.inputs["image"], torch.Tensor)
    assert not isinstance(streamed.train.inputs["image"], torch.Tensor)
    assert kept.fingerprint == streamed.fingerprint
    assert kept.channels == streamed.channels
    options: dict[str, Any] = {
        "batch_size": 3, "augment": "founding", "shuffle": True, "seed": 5, "channels_last": True,
    }  # fmt: skip
    torch.manual_seed(1)
    before = torch.get_rng_state()
    for epoch, start in ((0, 0), (1, 0), (1, 2), (2, 5)):
        first = list(Batches(kept.train, kept, **options).epoch(epoch, start))
        second = list(Batches(streamed.train, streamed, **options).epoch(epoch, start))
        assert len(first) == len(second) == 5 - start
        for a, b in zip(first, second, strict=True):
            assert torch.equal(a.inputs["image"], b.inputs["image"])
            assert a.inputs["image"].stride() == b.inputs["image"].stride()
            assert torch.equal(a.labels["fine"], b.labels["fine"])
    assert torch.equal(torch.get_rng_state(), before)


def test_splits_of_its_own(root: Path) -> None:
    for split in ("Train", "val", "test"):
        picture(root / split / "a" / "1.png")
        picture(root / split / "b" / "1.png")
    picture(root / "Train" / "c" / "1.png")
    data = load(section(root), 0)
    assert names(data, "train") == ["Train/a/1.png", "Train/b/1.png", "Train/c/1.png"]
    assert names(data, "validation") == ["val/a/1.png", "val/b/1.png"]
    assert names(data, "test") == ["test/a/1.png", "test/b/1.png"]
    assert data.signature.tasks == {"label": TaskSpec(3, ("a", "b", "c"))}
    picture(root / "loose.png")  # it has no class, and does not make the splits classes
    data = load(section(root), 0)
    assert names(data, "train") == ["Train/a/1.png", "Train/b/1.png", "Train/c/1.png"]
    assert "1 image directly in" in data.warnings[0].message
    (root / "loose.png").unlink()
    picture(root / "car" / "1.png")  # now `train` is a class like any other, but a doubtful one
    assert describe(section(root)).tasks["coarse"].names == ("Train", "car", "test", "val")
    doubt = load(section(root), 0).warnings[-1]
    assert doubt.code is Code.DATA_DOUBTFUL
    assert "are taken as classes, not as splits, since `car` is no split" in doubt.message
    (root / "car" / "1.png").unlink()
    (root / "car").rmdir()
    picture(root / "valid" / "a" / "1.png")
    with pytest.raises(SpecError, match=r"`val` and `valid` .* are both the validation split"):
        describe(section(root))


def test_splits_without_one_to_train_on_are_doubtful(root: Path) -> None:
    picture(root / "test" / "a" / "1.png")
    (root / "train" / "a").mkdir(parents=True)
    doubts = [w.message for w in load(section(root), 0).warnings if w.code is Code.DATA_DOUBTFUL]
    assert "since there is no image in a folder `train`" in doubts[0]
    picture(root / "train" / "1.png")
    picture(root / "plane" / "1.png")
    shutil.rmtree(root / "test")
    assert not [w for w in load(section(root), 0).warnings if w.code is Code.DATA_DOUBTFUL]


def test_what_is_no_picture_is_left_out(root: Path, codes_of: Callable) -> None:
    grow(root, 2)
    picture(root / "animal" / "cat" / "UPPER.PNG")
    picture(root / "animal" / "cat" / ".hidden.png")
    picture(root / ".git" / "cat" / "1.png")
    picture(root / "__MACOSX" / "cat" / "1.png")
    picture(root / "loose.png")
    (root / "animal" / "cat" / "notes.txt").write_text("hello")
    (root / "animal" / "cat" / "phone.HEIC").write_text("hello")
    (root / "animal" / "unicorn").mkdir()
    (root / "animal" / "dog" / "gone").symlink_to(root / "nowhere")
    (root / "animal" / "dog" / "itself").symlink_to("itself")
    (root / "animal" / "dog" / "again").symlink_to(root / "animal")
    os.mkfifo(root / "animal" / "dog" / "pipe.png")
    data = load(section(root), 0)
    assert len(data.train) + len(data.validation) + len(data.test) == 11
    assert data.signature.tasks["fine"].classes == 5
    assert [(w.code, w.message) for w in data.warnings] == [
        (
            Code.DATA_SKIPPED,
            f"1 image directly in `{root}`, of no class left out: `loose.png`",
        ),
        (
            Code.DATA_SKIPPED,
            f"1 folder of `{root}` without an image left out: `animal/unicorn`",
        ),
        (
            Code.DATA_SKIPPED,
            f"1 image of `{root}` in a format that is not read left out: `animal/cat/phone.HEIC`",
        ),
    ]


def damaged(path: Path, whole: bytes) -> None:
    path.write_bytes(whole[: len(whole) // 2])


def test_a_damaged_file_is_named_and_fatal_or_skipped(root: Path, codes_of: Callable) -> None:
    grow(root, shape=(40, 40, 3))
    for name in ("animal/cat/0.png", "vehicle/car/3.png"):
        damaged(root / name, (root / name).read_bytes())
    (root / "animal/dog/text.jpg").write_text("hello")
    (root / "animal/dog/gone.png").symlink_to(root / "nowhere.png")
    (root / "animal/dog/itself.png").symlink_to("itself.png")
    for mode in ("ram", "stream"):
        codes, text = codes_of(lambda mode=mode: load(section(root, memory=mode), 0))
        assert codes == [Code.DATA_CORRUPT]
        assert f"`{root}/animal/cat/0.png` is no sound image: " in text
        assert "so are 4 others" in text
        assert "dog/gone.png`: it cannot be read: No such file or directory" in text
        assert "dog/itself.png`: it cannot be read: Too many levels of symbolic links" in text
        assert "dog/text.jpg`: it is no image that Pillow knows" in text
        data = load(section(root, memory=mode, corrupt="skip"), 0)
        assert len(data.train) + len(data.validation) + len(data.test) == 23
        (warning,) = data.warnings
        assert warning.message == "5 damaged files of 28 left out"
        assert "vehicle/car/3.png" in (warning.hint or "")
        left = [name for split in ("train", "validation", "test") for name in names(data, split)]
        assert "animal/cat/0.png" not in left


def test_pictures_unlike_the_others(root: Path, codes_of: Callable) -> None:
    grow(root, shape=(6, 5))
    picture(root / "vehicle/car/wide.png", (6, 7))
    codes, text = codes_of(lambda: load(section(root), 0))
    assert codes == [Code.DATA_MISMATCH]
    assert "car/wide.png` is unlike the others: it has 6x7 pixels (height x width)" in text
    assert "`size: [6, 5]`" in text
    assert load(section(root, size=[4, 4]), 0).train.images.shape[1:] == (1, 4, 4)
    (root / "vehicle/car/wide.png").unlink()
    form = describe(section(root)).inputs["image"]
    assert form.shape == (1, 6, 5)


def test_the_survey_is_remembered_until_a_file_changes(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grow(root)
    seen: list[str] = []
    decode = survey.decode

    def spy(data: bytes, form: Any) -> Any:
        seen.append("")
        return decode(data, form)

    monkeypatch.setattr(survey, "decode", spy)
    where = section(root, memory="stream")
    first = load(where, 0)
    assert len(seen) == 25
    again = load(where, 0)
    assert len(seen) == 25
    assert (first.fingerprint, first.channels) == (again.fingerprint, again.channels)
    picture(root / "animal/cat/0.png")
    changed = load(where, 0)
    assert len(seen) == 26
    assert changed.fingerprint != first.fingerprint
    assert changed.channels != first.channels
    for file in (root.parent / "cache" / "surveys").iterdir():
        file.write_text("broken")
    assert load(where, 0).fingerprint == changed.fingerprint


def test_many_files_are_read_by_workers(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grow(root)
    alone = load(section(root, memory="ram"), 0)
    monkeypatch.setattr(survey, "INLINE", 4)
    monkeypatch.setenv("GRAPHSPEC_DATA", str(root.parent / "other"))
    helped = load(section(root, memory="ram", workers=2), 0)
    assert torch.equal(alone.train.images, helped.train.images)
    assert alone.fingerprint == helped.fingerprint


def test_memory_is_used_when_it_suffices(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grow(root)
    size = 25 * 6 * 5 * 3
    monkeypatch.setattr(memory, "available", lambda: int(2.6 * size))
    assert load(section(root), 0).storage.text.startswith("in memory, ")
    monkeypatch.setattr(memory, "available", lambda: 2 * size)
    assert load(section(root, workers=1), 0).storage.text == "streamed from 25 files by 1 worker"
    monkeypatch.setattr(memory, "available", lambda: size - 1)
    with pytest.raises(SpecError, match=r"the pictures take 0.0 GiB in memory"):
        load(section(root, memory="ram"), 0)


def test_labels_that_are_missing(root: Path) -> None:
    grow(root)
    picture(root / "vehicle" / "some.png")
    data = load(section(root, test=0.0, validation=0.0), 0)
    row = names(data, "train").index("vehicle/some.png")
    assert data.train.labels["fine"][row] == -1
    assert data.train.labels["coarse"][row] == 1
    (warning,) = data.warnings
    assert warning.message == "1 of 26 images lie above the level `fine`"


SPEC = "graphspec: 1\nname: t\ndata: {source: folder, %s}\nnodes:\n" + (
    "  trunk: {op: fc, from: image, units: 4}\n  out: {op: head, from: trunk, task: label}\n"
)


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        ("root: nowhere", "data-not-found@t.yaml:3:30", "there is no folder `nowhere`"),
        ("root: file", "data-not-found@t.yaml:3:30", "`file` is a file"),
        ("root: empty", "data-not-found@t.yaml:3:30", "`empty` holds no images; `x.txt` is none"),
        ("root: flat", "data-mismatch@t.yaml:3:30", "the images lie directly in `flat`"),
        ("root: good, levels: [a, b]", "data-mismatch@t.yaml:3:44", "`levels` names 2, but"),
        ("root: bad", "data-corrupt@t.yaml:3:30", "`bad/a/1.png` and others looked at are no"),
        ("augment: none", "missing-key@t.yaml:3:16", "the key `root` of `data` is missing"),
        ("root: good, levels: [a, a]", "bad-value@t.yaml:3:44", "two levels have one name"),
        ("root: good, size: [0, 4]", "bad-value@t.yaml:3:43", "at least 1"),
    ],
)
def test_a_wrong_folder(
    data: str, code: str, words: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    Path("file").write_text("")
    Path("empty").mkdir()
    Path("empty/x.txt").write_text("")
    picture(Path("flat/a.png"))
    picture(Path("good/a/1.png"))
    Path("bad/a").mkdir(parents=True)
    Path("bad/a/1.png").write_text("")
    with pytest.raises(SpecError) as caught:
        compiler.check(compiler.load_text(SPEC % data, "t.yaml"))
    (found,) = caught.value.diagnostics
    assert words in found.message + (found.hint or "")
    assert f"{found.code.value}@{found.location}" == code


def test_keys_of_other_sources(root: Path) -> None:
    text = SPEC.replace("folder, %s", "fashion-mini, levels: [a], memory: auto").replace(
        "label}", "fine}"
    )
    with pytest.raises(SpecError) as caught:
        compiler.check(compiler.load_text(text, "t.yaml"))
    (found,) = caught.value.diagnostics
    assert (found.code, found.location) == (Code.BAD_VALUE, "t.yaml:3:38")
    assert found.message == "`data.levels` is not for the source `fashion-mini`"


def test_the_tasks_of_a_tree_are_those_of_expressions(root: Path) -> None:
    grow(root)
    text = f"graphspec: 1\nname: t\ndata: {{source: folder, root: '{root}'}}\nnodes:\n"
    text += "  trunk: {op: fc, from: image, units: 4}\n"
    text += "  label: {each: {t: =tasks}, op: head, from: trunk, task: $t}\n"
    graph = compiler.check(compiler.load_text(text, "t.yaml")).graph
    assert graph.heads == {"coarse": "label.coarse", "fine": "label.fine"}
