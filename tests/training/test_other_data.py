"""A run on data that are not its own, which are read as it read its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from graphspec.errors import SpecError
from graphspec.training.evaluate import evaluate
from graphspec.training.run import train
from graphspec.training.trained import Run
from tests.cli.conftest import Cli, Done

from .conftest import Notes

pytestmark = pytest.mark.usefixtures("no_pictures")

SPEC = """\
graphspec: 1
name: colours
data: {source: folder, root: own, levels: [colour], augment: crop-flip}
tasks: {colour: {class_weights: balanced}}
train: {epochs: 3, batch_size: 8, lr: 0.02}
nodes:
  trunk: {op: conv, from: image, channels: [[4]]}
  pooled: {op: global_pool, from: trunk}
  head: {op: head, from: pooled, task: colour}
"""

LEVELS = {"blue": (20, 20, 200), "green": (20, 200, 20), "red": (200, 20, 20)}


def paint(root: Path, colours: Sequence[str], count: int, shift: int = 0, side: int = 8) -> None:
    """Write images of some colours, a little noisy."""
    draws = np.random.default_rng(count)
    for colour in colours:
        (root / colour).mkdir(parents=True)
        for number in range(count):
            noise = draws.integers(0, 20, (side, side, 3)) + shift
            pixels = (np.array(LEVELS[colour]) + noise).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / colour / f"{number}.png")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    paint(Path("own"), tuple(LEVELS), 20)
    Path("colours.yaml").write_text(SPEC)
    return train("colours.yaml", out="run")


def test_classes_go_by_their_names_and_images_by_the_runs_constants(run: Run) -> None:
    paint(Path("new"), ("green", "red"), 6, shift=15, side=12)
    found = run.evaluate(data="folder", data_root="new", split="all")
    assert (found["samples"], found["split"], found["unit"]) == (12, "all", "images")
    expected = run.predict("new")  # what it says of the same pictures
    names = [Path(each.sample).parent.name for each in expected]
    right = [each["colour"].name == name for each, name in zip(expected, names, strict=True)]  # type: ignore[union-attr]
    assert found["colour/top1"] == sum(right) / 12
    confusion = np.array(found["confusion"]["colour"])
    assert confusion.sum(1).tolist() == [0, 6, 6]  # blue, green, red: the run's numbers
    only = evaluate(run.folder, data="folder", data_root="new", split="test")
    assert only["samples"] < 12


def test_the_runs_own_data_asked_for_as_others_give_the_same(run: Run) -> None:
    plain, other = run.evaluate(), run.evaluate(data="folder")
    times = ("seconds", "images_per_s")
    assert {k: v for k, v in plain.items() if k not in times} == {
        k: v for k, v in other.items() if k not in times
    }


def test_what_does_not_fit_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LEVELS, "violet", (200, 20, 200))
    paint(Path("new"), ("red", "violet"), 3)
    with pytest.raises(SpecError, match=r"has the class `violet` of `colour`, which the run did"):
        run.evaluate(data="folder", data_root="new")
    with pytest.raises(SpecError, match="say that others are meant with `--data folder`"):
        run.evaluate(data_root="new")
    with pytest.raises(SpecError, match="the model reads `image`"):
        run.evaluate(data="folder", data_root="own", overrides={"data.size": [4, 4]})
    with pytest.raises(SpecError, match="only its data may be others"):
        run.evaluate(data="folder", overrides={"train.lr": 1})
    with pytest.raises(SpecError, match=r"`fashion-mini` has \[N, 1, 28, 28\]"):
        run.evaluate(data="fashion-mini")


def test_an_array_file_with_the_classes_of_a_folder(run: Run) -> None:
    pixels = np.zeros((4, 3, 8, 8), np.uint8)
    labels = np.array([0, 1, 1, 0])
    for image, name in zip(pixels, ("red", "green", "green", "red"), strict=True):
        image[:] = np.array(LEVELS[name])[:, None, None]
    names = np.array(["red", "green", "blue"])
    np.savez("new.npz", image=pixels, colour=labels, colour_names=names)
    found = run.evaluate(data="arrays", overrides={"data.path": "new.npz"}, split="all")
    assert found["samples"] == 4
    assert np.array(found["confusion"]["colour"]).sum(1).tolist() == [0, 2, 2]


TABLE = """\
graphspec: 1
name: towns
data: {source: table, path: own.csv, missing: mean, inputs: {town: town, size: [rooms, area]}}
tasks: {kind: {}}
train: {epochs: 1, batch_size: 8}
nodes:
  where: {op: Embedding, from: town, num_embeddings: 3, embedding_dim: 4}
  flat: {op: flatten, from: where}
  both: {op: concat, from: [flat, size, size_missing]}
  head: {op: head, from: both, task: kind}
"""


def test_words_and_means_are_the_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [f"{'xyz'[n % 3]},{n},{n if n % 4 else ''},{'ab'[n % 2]}" for n in range(40)]
    Path("own.csv").write_text("town,rooms,area,kind\n" + "\n".join(rows) + "\n")
    Path("towns.yaml").write_text(TABLE)
    run = train("towns.yaml", out="run")
    rows = ["b,z,1,900", "b,y,2,", "a,z,3,700", "b,y,4,600", "b,z,5,500", "b,z,6,400"]
    Path("new.csv").write_text("kind,town,rooms,area\n" + "\n".join(rows) + "\n")
    found = run.evaluate(data="table", overrides={"data.path": "new.csv"}, split="all")
    said = run.predict("new.csv")
    right = [each["kind"].name == row[0] for each, row in zip(said, rows, strict=True)]  # type: ignore[union-attr]
    assert found["kind/top1"] == pytest.approx(sum(right) / 6)
    logs = []
    for each, row in zip(run.predict("new.csv", top=2), rows, strict=True):
        ranking = each["kind"].ranking  # type: ignore[union-attr]
        logs.append(next(-np.log(r.probability) for r in ranking if r.name == row[0]))
    assert found["kind/loss"] == pytest.approx(np.mean(logs), rel=1e-4)


def test_tasks_without_labels_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paint(Path("own"), tuple(LEVELS), 8)
    text = SPEC.replace("root: own, levels: [colour]", "root: deep, levels: [kind, colour]")
    Path("colours.yaml").write_text(text + "  other: {op: head, from: pooled, task: kind}\n")
    for colour, kind in (("blue", "cold"), ("green", "cold"), ("red", "warm")):
        Path("deep", kind).mkdir(parents=True, exist_ok=True)
        (Path("own") / colour).rename(Path("deep", kind, colour))
    run = train("colours.yaml", out="run", epochs=1)
    paint(Path("new"), ("red", "green"), 3)
    notes = Notes()
    own = {"data.levels": ["colour"]}
    found = run.evaluate(data="folder", data_root="new", overrides=own, split="all", observer=notes)
    assert notes.warnings == ["`folder` has no labels of `kind`, which is not measured"]
    assert "colour/top1" in found
    assert not any(key.startswith("kind/") for key in found)


def test_the_command(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    from graphspec.cli.main import main

    paint(Path("new"), ("green", "red"), 3)

    def cli(*words: str) -> Done:
        code = main(words)
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    command: Cli = cli
    done = command(
        "evaluate", "run", "--data", "folder", "--set", "data.root=new", "--split", "all"
    )
    assert (done.code, done.err) == (0, "")
    assert "on the all split: 6 images" not in done.out
    assert "on all splits: 6 images" in done.out
    assert "green" in done.out


def test_random_numbers_stay(run: Run) -> None:
    torch.manual_seed(3)
    before: Any = torch.get_rng_state()
    run.evaluate(data="folder", split="all")
    assert torch.equal(torch.get_rng_state(), before)
