"""Runs on pictures in files: streamed or in memory, interrupted or not, they are the same run."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from graphspec.errors import Code, SpecError
from graphspec.training.evaluate import evaluate
from graphspec.training.run import train

from .conftest import Notes
from .test_resume import assert_same, interrupted_at, timeless, weights

pytestmark = pytest.mark.usefixtures("no_pictures")

SPEC = """\
graphspec: 1
name: files
data: {source: folder, root: pics, augment: founding, corrupt: skip, workers: 2}
train: {epochs: 2, batch_size: 10, lr: 0.01}
nodes:
  trunk: {op: conv, from: image, channels: [[4]]}
  features: {op: fc, from: trunk, units: [12], dropout: 0.25}
  label: {op: head, from: features, task: label}
"""


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRAPHSPEC_DATA", str(tmp_path / "cache"))
    generator = np.random.default_rng(0)
    for name in "abc":
        (tmp_path / "pics" / name).mkdir(parents=True)
        for number in range(16):
            pixels = generator.integers(0, 256, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(f"pics/{name}/{number}.png")
    Path("pics/a/broken.png").write_text("no picture")
    Path("files.yaml").write_text(SPEC)
    return Path("files.yaml")


def test_streamed_and_interrupted_or_in_memory_and_not(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = Notes()
    kept = train(spec, out="kept", overrides={"data.memory": "ram"}, observer=notes)
    assert ("data", "in memory, 3.0 KiB") in notes.headers[0].facts
    assert any("1 damaged file of 49 left out" in text for text in notes.warnings)
    text = spec.read_text().replace("workers: 2", "workers: 2, memory: stream")
    spec.write_text(text)
    streamed = interrupted_at(5, spec, tmp_path / "streamed", monkeypatch)
    assert streamed.status == "interrupted"
    assert multiprocessing.active_children() == []
    resumed = train(resume=streamed.folder)
    assert multiprocessing.active_children() == []
    assert timeless(resumed) == timeless(kept)
    for name in ("last.pt", "best.pt"):
        one, other = weights(resumed, name), weights(kept, name)
        assert one.pop("spec") != other.pop("spec")  # where the pictures are
        assert_same(one, other)
    described = json.loads((streamed.folder / "environment.json").read_text())
    assert described["choices"]["data"] == "streamed from 48 files by 2 workers"
    assert described["data"]["warnings"] == ["1 damaged file of 49 left out"]
    assert (
        described["data"]["fingerprint"]
        == json.loads((kept.folder / "environment.json").read_text())["data"]["fingerprint"]
    )
    assert evaluate(resumed.folder)["label/top1"] == evaluate(kept.folder)["label/top1"]


def test_a_run_may_go_on_the_other_way(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(spec, out="whole")
    begun = interrupted_at(2, spec, tmp_path / "begun", monkeypatch)
    changes = {"data.memory": "stream", "data.workers": 0}
    resumed = train(resume=begun.folder, overrides=changes)
    one, other = weights(resumed), weights(whole)
    assert one.pop("spec") != other.pop("spec")
    assert_same(one, other)


def test_pictures_that_change_between_sessions_are_noticed(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = interrupted_at(2, spec, tmp_path / "begun", monkeypatch)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save("pics/b/3.png")
    with pytest.raises(SpecError) as caught:
        train(resume=begun.folder)
    assert caught.value.diagnostics[0].code is Code.RUN_MISMATCH


def test_a_picture_that_goes_during_the_run_is_named(spec: Path) -> None:
    class Vandal(Notes):
        def start(self, header: object) -> None:
            for path in Path("pics/b").iterdir():
                path.write_text("gone")

    options = {"data.memory": "stream", "data.workers": 1}
    with pytest.raises(SpecError) as caught:
        train(spec, out="run", overrides=options, observer=Vandal())
    (found,) = caught.value.diagnostics
    assert found.code is Code.DATA_CORRUPT
    assert "has changed during the run: it is no image that Pillow knows" in found.message
    assert multiprocessing.active_children() == []
