"""A run that learns nothing or waits for data says so, once, and its folder keeps it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from graphspec.data.batches import Batches
from graphspec.training import symptoms
from graphspec.training.run import train

from .conftest import Notes
from .test_resume_recipes import stopped_at

pytestmark = pytest.mark.usefixtures("no_pictures")

DEAD = """\
graphspec: 1
name: dead
data: tiny
train: {epochs: 2, batch_size: 32, seed: 3}
nodes:
  trunk: {op: fc, from: image, units: 8}
  dead: {op: Linear, from: trunk, out_features: 4, init: {weight: zeros, bias: {constant: -1}}}
  off: {op: relu, from: dead}
  both: {op: concat, from: [trunk, off]}
  fine_label: {op: head, from: both, task: fine}
"""


def test_a_node_that_gets_no_gradient(tmp_path: Path) -> None:
    path = tmp_path / "dead.yaml"
    path.write_text(DEAD)
    notes = Notes()
    run = train(path, out=tmp_path / "run", observer=notes)
    text = "no gradient came to `dead` in the first 4 steps, so nothing is learned there: look for "
    text += "an activation that is always 0, or a weight of 0 on the way to the loss"
    assert notes.warnings == [text]
    assert run.summary["warnings"] == [text]
    assert text in (run.folder / "report.html").read_text().replace("&#39;", "'")
    again = train(resume=run.folder, epochs=3, observer=(later := Notes()))
    assert later.warnings == []
    assert again.summary["warnings"] == [text]


def test_a_run_that_goes_on_knows_which_gradients_it_has_seen(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []

    def only_in_the_first_step(parameters: dict[str, Any]) -> set[str]:
        looks.append(1)
        return {name for name in parameters if len(looks) > 1 or not name.startswith("trunk.")}

    monkeypatch.setattr(symptoms, "_without_gradient", only_in_the_first_step)
    overrides = {"train.batch_size": 16}
    whole = train(spec, out=tmp_path / "whole", overrides=overrides)
    (text,) = whole.summary["warnings"]
    assert "`features`" in text
    assert "`trunk`" not in text
    looks.clear()
    run = stopped_at(3, spec, tmp_path / "run", overrides, monkeypatch)
    assert len(looks) == 2
    assert run.summary["warnings"] == []
    assert train(resume=run.folder).summary["warnings"] == [text]


def test_what_is_frozen_or_of_no_weight_is_not_told(spec: Path, tmp_path: Path) -> None:
    overrides: dict[str, Any] = {"train.epochs": 1, "tasks.coarse.weight": 0}
    overrides["train.groups"] = [{"nodes": "trunk", "freeze": True}]
    run = train(spec, out=tmp_path / "run", overrides=overrides)
    assert run.summary["warnings"] == []


def test_a_loss_that_does_not_move(spec: Path, tmp_path: Path) -> None:
    notes = Notes()
    overrides = {"train.lr": 1e-12, "train.epochs": 6, "data.augment": "none"}
    overrides |= {"nodes.features.dropout": 0}
    run = train(spec, out=tmp_path / "run", overrides=overrides, observer=notes)
    first = run.metrics[0]["fine/loss"]
    told = [text for text in notes.warnings if "has not fallen in 5 epochs" in text]
    assert len(told) == 2
    assert told == run.summary["warnings"]
    assert told[0].startswith(f"the loss of `fine` has not fallen in 5 epochs: {first:.4f} to ")
    assert "(to guess among 6 classes costs 1.7918); try another `train.lr` (now 1e-12)" in told[0]


@pytest.mark.parametrize(
    ("losses", "still"),
    [
        ((2.06, 2.07, 2.10, 2.05, 2.09), True),  # other batches and dropout, but nothing learned
        ((2.0, 2.1, 2.6, 3.4, 5.0), True),
        ((2.0, 1.99, 1.97, 1.95, 1.94), False),
        ((1.2, 0.5, 0.5, 0.5, 0.5), False),
        ((0.0, 0.0, 0.0, 0.0, 0.0), False),
    ],
)
def test_what_counts_as_a_loss_that_does_not_fall(losses: list[float], still: bool) -> None:
    assert symptoms._is_still(losses) is still


def test_steps_that_all_overflow(spec: Path, tmp_path: Path) -> None:
    overrides = {"train.precision": "fp16", "tasks.fine.weight": 1e34, "train.epochs": 1}
    run = train(spec, out=tmp_path / "run", overrides=overrides)
    assert run.metrics[0]["skipped"] == 3
    (text,) = run.summary["warnings"]
    assert text.startswith(
        "no step was made in epoch 1: in fp16 the gradients overflowed each time"
    )


def test_data_that_are_slower_than_the_steps(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Batches.epoch

    def slowly(self: Batches, epoch: int, start: int = 0) -> Iterator[Any]:
        for batch in original(self, epoch, start):
            time.sleep(0.3)
            yield batch

    monkeypatch.setattr(Batches, "epoch", slowly)
    monkeypatch.setattr(symptoms, "STARVED_S", 0.8)
    notes = Notes()
    run = train(spec, out=tmp_path / "run", observer=notes)
    waits = [record["data_wait"] for record in run.metrics if record["split"] == "train"]
    assert all(0.5 < wait <= 1 for wait in waits)
    (text,) = run.summary["warnings"]
    assert notes.warnings == [text]
    assert text.startswith(f"{waits[0]:.0%} of epoch 1 was spent waiting for data: ")
    assert "`augment: crop-flip` costs more than the steps" in text
