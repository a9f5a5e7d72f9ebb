"""Predictions: the words of each type of task, and samples read as the run read its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from graphspec.cli.main import main
from graphspec.data.sources import SOURCES
from graphspec.errors import SpecError
from graphspec.training.predict import predict
from graphspec.training.predictions import Classes, Labels, Map, Numbers
from graphspec.training.run import train
from graphspec.training.trained import Run
from tests.cli.conftest import Cli, Done

from .conftest import SPEC, Notes, register_tiny

pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("predict")
    (folder / "tiny.yaml").write_text(SPEC)
    register_tiny()
    return train(folder / "tiny.yaml", out=folder / "run", overrides={"data.augment": "none"})


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    def call(*words: str) -> Done:
        code = main(words)
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return call


def images() -> np.ndarray[Any, Any]:
    part = SOURCES.get("tiny").read(None).test
    return part.images


def test_what_is_predicted_is_what_was_measured(run: Run) -> None:
    part = SOURCES.get("tiny").read(None).test
    found = run.predict(part.images)
    assert [each.sample for each in found[:2]] == ["sample 1", "sample 2"]
    right = 0
    for each, label in zip(found, part.labels["fine"], strict=True):
        answer = each["fine"]
        assert isinstance(answer, Classes)
        right += answer.name == "abcdef"[label]
        assert answer.ranking[0].index == "abcdef".index(answer.name)
    assert right / len(found) == run.summary["tasks"]["fine"]["test"]["top1"]


def test_files_arrays_and_tensors_give_the_same(run: Run, tmp_path: Path) -> None:
    pixels = images()[:3]
    for number, image in enumerate(pixels):
        Image.fromarray(image[0]).save(tmp_path / f"{number}.png")
    expected = [each.tasks for each in run.predict(pixels, top=3)]
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    others: list[Any] = [
        tmp_path, paths, torch.from_numpy(pixels), {"image": pixels[:, 0]}, list(pixels),
    ]  # fmt: skip
    for given in others:
        assert [each.tasks for each in run.predict(given, top=3)] == expected
    assert [each.tasks for each in run.predict(pixels, top=3, batch_size=3)] == expected
    np.savez(tmp_path / "three.npz", image=pixels)
    (one, *_) = found = run.predict(tmp_path / "three.npz", top=3)
    assert [each.tasks for each in found] == expected
    assert one.sample == f"{tmp_path / 'three.npz'}:1"
    answer = one["fine"]
    assert isinstance(answer, Classes)
    assert [len(answer.ranking), answer.probability] == [3, answer.ranking[0].probability]
    assert answer.ranking[0].probability >= answer.ranking[1].probability


def test_a_run_that_still_goes_on_may_be_asked(run: Run, tmp_path: Path) -> None:
    copy = shutil.copytree(run.folder, tmp_path / "unfinished")
    (copy / "summary.json").unlink()
    expected = [each.tasks for each in run.predict(images()[:2])]
    assert [each.tasks for each in predict(copy, images()[:2])] == expected


def test_pictures_of_other_sizes_and_colours_become_what_the_run_reads(
    run: Run, tmp_path: Path
) -> None:
    grey = Image.fromarray(images()[0, 0])
    grey.convert("RGB").save(tmp_path / "colour.png")
    grey.resize((16, 16), Image.Resampling.NEAREST).save(tmp_path / "large.png")
    expected, _ = run.predict(images()[[0, 0]])
    colour, large = run.predict([tmp_path / "colour.png", tmp_path / "large.png"])
    assert colour.tasks == expected.tasks
    assert isinstance(large["fine"], Classes)


def test_one_that_cannot_be_read_does_not_keep_the_others(run: Run, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    Image.fromarray(images()[0, 0]).save(tmp_path / "deep" / "good.png")
    (tmp_path / "bad.png").write_text("no image")
    (tmp_path / "notes.txt").write_text("not by its name either")
    notes = Notes()
    bad, good = predict(run.folder, tmp_path, observer=notes)
    assert bad.problem == f"`{tmp_path / 'bad.png'}` is no sound image: it is no image that " \
        "Pillow knows"  # fmt: skip
    assert dict(bad.tasks) == {}
    assert set(good.tasks) == {"fine", "coarse"}
    assert notes.warnings == [
        f"`{tmp_path}` holds 1 file that is no image, such as `notes.txt`: left out"
    ]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("nowhere.png", "data-not-found.*there is no file `nowhere.png`"),
        (".", "data-not-found.*`.` holds no images"),
        (np.zeros((2, 8, 9), np.uint8), r"data-mismatch.*`image` is \[2, 8, 9\] uint8"),
        (np.zeros((2, 8, 8, 1), np.uint8), r"(?s)data-mismatch.*numpy.moveaxis\(image, -1, -3\)"),
        (np.zeros((2, 1, 8, 8), np.int64), "data-mismatch.*holds images of int64"),
        ({"picture": np.zeros((2, 8, 8), np.uint8)}, "data-mismatch.*the samples have no `image`"),
    ],
)
def test_mistakes(
    run: Run, given: Any, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError, match=words):
        run.predict(given)


TABLE = """\
graphspec: 1
name: houses
data: {source: table, path: houses.csv, missing: mean, inputs: {rooms: [rooms, area], town: town}}
tasks: {price: {type: regression}, kind: {}}
train: {epochs: 1, batch_size: 8}
nodes:
  where: {op: Embedding, from: town, num_embeddings: 3, embedding_dim: 4}
  flat: {op: flatten, from: where}
  both: {op: concat, from: [rooms, rooms_missing, flat]}
  price_head: {op: head, from: both, task: price}
  kind_head: {op: head, from: both, task: kind}
"""


def test_a_table_is_read_as_that_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [
        f"{n % 5 + 1},{10 * n if n % 4 else ''},{'xyz'[n % 3]},{n}.5,{'big' if n % 2 else 'small'}"
        for n in range(40)
    ]
    Path("houses.csv").write_text("rooms,area,town,price,kind\n" + "\n".join(rows) + "\n")
    Path("houses.yaml").write_text(TABLE)
    run = train("houses.yaml", out="run")
    Path("houses.csv").unlink()
    means = json.loads(Path("run/environment.json").read_text())["data"]["inputs"]["rooms"]["means"]
    Path("new.csv").write_text(f"town,area,rooms\nz,100,2\nz,,2\nw,100,2\nz,{means[1]!r},2\nz,1,\n")
    first, gap, unknown, filled, other = run.predict("new.csv")
    assert first.sample == "new.csv:1"
    price, kind = first["price"], first["kind"]
    assert isinstance(price, Numbers)
    assert isinstance(kind, Classes)
    assert kind.name in ("big", "small")
    assert unknown.problem == "`town` is `w`, which the run did not know"
    model = run.model()
    expected = model(
        rooms=torch.tensor([[2.0, 100.0], [2.0, means[1]]]),
        rooms_missing=torch.tensor([[0.0, 0.0], [0.0, 1.0]]),
        town=torch.tensor([[2], [2]]),
    )["price"]
    found = torch.tensor([[price.value], [gap["price"].plain()["value"]]])
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert filled["price"] != gap["price"]  # that it was missing is an input, too
    assert not other.problem
    Path("new.csv").write_text("town,area,rooms\nz,100,many\nz,100,2\nz,inf,2\n")
    wrong, right, endless = run.predict("new.csv")
    assert wrong.problem == "`rooms` is `many`, which is no number"
    assert right["price"] == price
    assert endless.problem == "`area` is no finite number"
    Path("new.csv").write_text("town,area\nz,100\n")
    with pytest.raises(SpecError, match=r"`new.csv` has no column `rooms`, which the model reads"):
        run.predict("new.csv")
    Path("new.csv").write_text("town,area,rooms\nz,100,many\n")
    with pytest.raises(
        SpecError, match=r"`rooms` of `new.csv` holds text, and the model reads num"
    ):
        run.predict("new.csv")


OTHERS = """\
graphspec: 1
name: others
data: {source: arrays, path: others.npz}
tasks:
  tags: {type: multilabel}
  place: {type: regression}
  parts: {type: segmentation}
train: {epochs: 1, batch_size: 8}
nodes:
  maps: {op: conv, from: image, channels: [4]}
  flat: {op: global_pool, from: maps}
  tags_head: {op: head, from: flat, task: tags}
  place_head: {op: head, from: flat, task: place}
  parts_head: {op: head, from: maps, task: parts}
"""


def test_other_types_of_tasks_and_maps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli
) -> None:
    monkeypatch.chdir(tmp_path)
    draws = np.random.default_rng(0)
    pixels = draws.integers(0, 256, (20, 3, 6, 5), dtype=np.uint8)
    np.savez(
        "others.npz",
        image=pixels,
        tags=draws.integers(0, 2, (20, 3)),
        tags_names=np.array(["red", "round", "new"]),
        place=draws.normal(size=(20, 2)),
        parts=draws.integers(0, 4, (20, 6, 5)),
    )
    Path("others.yaml").write_text(OTHERS)
    run = train("others.yaml", out="run")
    (found,) = run.predict(pixels[0])
    logits = run.model()(image=_normalised(run, pixels[:1]))
    tags, place, parts = (found[name] for name in ("tags", "place", "parts"))
    assert isinstance(tags, Labels)
    assert [each.name for each in tags.labels] == ["red", "round", "new"]
    assert set(tags.names) == {
        n for n, v in zip(("red", "round", "new"), logits["tags"][0], strict=True) if v > 0
    }
    assert isinstance(place, Numbers)
    assert place.values == pytest.approx(logits["place"][0].tolist(), rel=1e-5)
    assert isinstance(parts, Map)
    assert (parts.classes == logits["parts"][0].argmax(0).numpy()).all()
    assert sum(parts.shares.values()) == pytest.approx(1)
    Image.fromarray(pixels[0].transpose(1, 2, 0)).save("one.png")
    done = cli("predict", "run", "one.png", "--maps", "maps", "--format", "csv")
    assert done.code == 0
    header, row = done.out.splitlines()
    assert header == (
        "sample,tags,tags.red,tags.round,tags.new,place.0,place.1,parts.0,parts.1,parts.2,parts.3"
    )
    assert row.startswith("one.png," + "|".join(tags.names) + ",")
    assert (np.asarray(Image.open("maps/one-parts.png")) == parts.classes).all()


def _normalised(run: Run, pixels: np.ndarray[Any, Any]) -> torch.Tensor:
    told = json.loads((run.folder / "environment.json").read_text())["data"]["inputs"]["image"]
    mean, std = (torch.tensor(told[key]).view(1, -1, 1, 1) for key in ("mean", "std"))
    return ((torch.from_numpy(pixels).double() / 255 - mean) / std).float()


def test_the_command(run: Run, tmp_path: Path, cli: Cli) -> None:
    for number, image in enumerate(images()[:2]):
        Image.fromarray(image[0]).save(tmp_path / f"{number}.png")
    done = cli("predict", str(run.folder), str(tmp_path), "--top", "2", "--format", "json")
    assert done.code == 0
    first, second = json.loads(done.out)
    assert first["sample"] == str(tmp_path / "0.png")
    assert [*first["tasks"]["fine"]] == ["name", "index", "probability", "top"]
    assert len(second["tasks"]["fine"]["top"]) == 2
    done = cli("predict", str(run.folder), str(tmp_path / "0.png"))
    assert (done.code, done.err) == (0, "")
    answer = run.predict(tmp_path / "0.png")[0]["fine"]
    assert isinstance(answer, Classes)
    assert f"{answer.name} {100 * answer.probability:.1f} %" in done.out
    (tmp_path / "bad.jpg").write_text("x")
    done = cli("predict", str(run.folder), str(tmp_path), "--format", "csv")
    assert done.code == 2
    lines = done.out.splitlines()
    assert lines[0] == "sample,fine,fine_probability,coarse,coarse_probability,problem"
    assert len(lines) == 4
    assert f"error[data-corrupt]: `{tmp_path / 'bad.jpg'}` is no sound image" in done.err
