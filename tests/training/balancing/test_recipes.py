"""Balancing together with what else a recipe may ask of a step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from graphspec.training.run import train
from tests.training.conftest import SPEC, Notes, tiny
from tests.training.test_resume import assert_same, interrupted_at, timeless, weights

from .test_resume import spec_of

__all__ = ["tiny"]

pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.mark.parametrize(
    ("method", "recipe"),
    [
        ("upgrad", "precision: fp16, accumulate: 2"),
        ("gradnorm", "precision: bf16, groups: [{nodes: features, unfreeze_at: 2}]"),
        ("uncertainty", "accumulate: 2, clip: 1.0, ema: 0.9, conflicts: 2"),
    ],
)
def test_resumed_with_a_fuller_recipe(
    method: str, recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(method, tmp_path)
    spec.write_text(spec.read_text().replace("epochs: 3,", f"epochs: 3, {recipe},"))
    whole = train(spec, out=tmp_path / "whole", overrides={"data.augment": "founding"})
    run = interrupted_at(5, spec, tmp_path / "run", monkeypatch)
    resumed = train(resume=run.folder)
    assert_same(weights(resumed), weights(whole))
    assert timeless(resumed) == timeless(whole)


def test_weight_decay_leaves_log_variances_alone(tmp_path: Path) -> None:
    spec = spec_of("uncertainty", tmp_path)
    overrides: dict[str, Any] = {"train.optimizer": "SGD", "train.lr": 1e-3}
    plain = train(spec, out=tmp_path / "plain", overrides=overrides)
    overrides["train.optimizer"] = {"name": "SGD", "weight_decay": 0.5}
    decayed = train(spec, out=tmp_path / "decayed", overrides=overrides)
    groups = weights(decayed)["optimizer"]["param_groups"]
    assert [group["weight_decay"] for group in groups] == [0.5, 0.0]
    assert not torch.equal(
        weights(plain)["model"]["features.0.weight"], weights(decayed)["model"]["features.0.weight"]
    )


def test_records_have_the_mean_weight_of_each_task(tmp_path: Path) -> None:
    run = train(spec_of("random", tmp_path), out=tmp_path / "run")
    trained = [record for record in run.metrics if record["split"] == "train"]
    for record in trained:
        # stated weights of 2 and 1 times weights that sum to 1
        total = record["fine/weight"] / 2 + record["coarse/weight"]
        assert total == pytest.approx(1.0)
        weighted = record["fine/weight"] * record["fine/loss"]
        assert record["fine/weighted"] == pytest.approx(weighted)
    assert len({record["fine/weight"] for record in trained}) == 3


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fixed", "gradnorm", "upgrad"])
def test_compiled_steps_go_back_once_for_each_task(method: str, tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(SPEC.replace("epochs: 2,", f"epochs: 1, compile: true, balance: {method},"))
    notes = Notes()
    run = train(path, out=tmp_path / "run", observer=notes)
    assert run.status == "finished"
    assert notes.warnings == []
