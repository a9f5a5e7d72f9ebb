"""Schedules: the learning rates of a run, by the formulas; defaults; mistakes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from graphspec.errors import SpecError
from graphspec.language.learning import Schedule
from graphspec.language.recipe import Train
from graphspec.training import schedules
from graphspec.training.check import checked
from graphspec.training.run import train
from graphspec.training.schedules import Pace, Scheduler

pytestmark = pytest.mark.usefixtures("no_pictures")

LR = 0.1


def rates(schedule: dict[str, Any] | str, epochs: int = 4, updates: int = 5) -> list[list[float]]:
    """Return the learning rate of every step, by epoch."""
    recipe = Train(epochs=epochs, lr=LR, schedule=Schedule.model_validate(schedule))
    assert recipe.schedule is not None
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=LR, momentum=0.9)
    scheduler = Scheduler(recipe.schedule, optimizer, recipe, Pace(epochs, updates))
    found: list[list[float]] = []
    for _ in range(epochs):
        found.append([])
        for _ in range(updates):
            found[-1].append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.after_step()
        scheduler.after_epoch(1.0)
    return found


def flat(found: list[list[float]]) -> list[float]:
    return [rate for epoch in found for rate in epoch]


def test_a_warm_up_rises_evenly_and_then_the_rate_stays() -> None:
    expected = [LR * (step + 1) / 11 for step in range(10)] + [LR] * 10
    assert flat(rates({"warmup": 2})) == pytest.approx(expected)
    half = flat(rates({"warmup": 0.5}, updates=4))
    assert half == pytest.approx([LR / 3, 2 * LR / 3] + [LR] * 14)


def test_cosine_reaches_its_end_with_the_run() -> None:
    by_epoch = rates("CosineAnnealingLR")
    for epoch, found in enumerate(by_epoch):
        assert found == pytest.approx([LR * (1 + math.cos(math.pi * epoch / 4)) / 2] * 5)
    by_step = flat(rates({"name": "CosineAnnealingLR", "per": "step"}))
    expected = [LR * (1 + math.cos(math.pi * step / 20)) / 2 for step in range(20)]
    assert by_step == pytest.approx(expected)


def test_a_warm_up_shortens_what_follows() -> None:
    by_epoch = rates({"name": "CosineAnnealingLR", "warmup": 1})
    assert by_epoch[0] == pytest.approx([LR * (step + 1) / 6 for step in range(5)])
    for epoch in range(3):
        assert by_epoch[1 + epoch] == pytest.approx(
            [LR * (1 + math.cos(math.pi * epoch / 3)) / 2] * 5
        )
    by_step = flat(rates({"name": "CosineAnnealingLR", "warmup": 1, "per": "step"}))
    expected = [LR * (1 + math.cos(math.pi * step / 15)) / 2 for step in range(15)]
    assert by_step[5:] == pytest.approx(expected)


def test_one_cycle_goes_up_and_down_within_the_run() -> None:
    found = flat(rates("OneCycleLR"))
    assert found[0] == pytest.approx(LR / 25)
    assert max(found) == pytest.approx(LR)
    assert found.index(max(found)) == 5  # pct_start 0.3 of 20 steps
    assert found[-1] == pytest.approx(LR / 25 / 1e4)
    reference = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=LR, momentum=0.9)
    theirs = torch.optim.lr_scheduler.OneCycleLR(reference, max_lr=LR, total_steps=20)
    for ours in found:
        assert ours == theirs.get_last_lr()[0]
        reference.step()
        theirs.step()


def test_one_cycle_stays_at_its_end_where_a_run_has_more_steps() -> None:
    recipe = Train.model_validate({"lr": 0.1, "schedule": "OneCycleLR"})
    assert recipe.schedule is not None
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = Scheduler(recipe.schedule, optimizer, recipe, Pace(1, 4))
    found = []
    for _ in range(7):
        optimizer.step()
        scheduler.after_step()
        found.append(optimizer.param_groups[0]["lr"])
    assert len(set(found[:4])) == 4
    assert found[4:] == [found[3]] * 3


def test_steps_at_epochs() -> None:
    found = rates({"name": "MultiStepLR", "milestones": [1, 3], "gamma": 0.1})
    assert [epoch[0] for epoch in found] == pytest.approx([LR, LR / 10, LR / 10, LR / 100])


@pytest.mark.parametrize("name", sorted(schedules.table()))
def test_every_scheduler_can_be_used(name: str) -> None:
    needed: dict[str, dict[str, Any]] = {
        "StepLR": {"step_size": 2},
        "MultiStepLR": {"milestones": [2]},
        "ExponentialLR": {"gamma": 0.9},
        "CosineAnnealingWarmRestarts": {"T_0": 2},
        "CyclicLR": {"max_lr": 1.0},
    }
    found = flat(rates({"name": name, **needed.get(name, {})}, epochs=15))
    assert len(found) == 75
    assert len(set(found)) > 1


def test_plateau_watches_the_metric_best_and_knows_its_direction(
    spec: Path, tmp_path: Path
) -> None:
    schedule = {"name": "ReduceLROnPlateau", "patience": 0, "threshold": 10.0, "factor": 0.5}
    overrides = {
        "train.schedule": {**schedule, "threshold_mode": "abs"},
        "train.best": "validation/fine/top1",
    }
    run = train(spec, out=tmp_path / "run", overrides=overrides, epochs=4)
    # an accuracy never rises by 10, so after the first epoch each one halves the rate
    assert [r["lr"] for r in run.metrics if r["split"] == "train"] == [0.01, 0.01, 0.005, 0.0025]


def test_a_run_whose_rates_follow_from_its_epochs_keeps_them(spec: Path, tmp_path: Path) -> None:
    run = train(spec, out=tmp_path / "a", epochs=1, overrides={"train.schedule": "OneCycleLR"})
    with pytest.raises(SpecError, match="`schedule: OneCycleLR` ends with the run's epochs, 1"):
        train(resume=run.folder, epochs=2)
    stated = {"train.schedule": {"name": "StepLR", "step_size": 1}}
    run = train(spec, out=tmp_path / "b", epochs=1, overrides=stated)
    whole = train(spec, out=tmp_path / "c", epochs=2, overrides=stated)
    resumed = train(resume=run.folder, epochs=2)
    assert resumed.metrics[2]["lr"] == whole.metrics[2]["lr"] == 0.001


@pytest.mark.parametrize("epochs", [1, 2])
def test_a_cycle_by_epoch_may_be_short(epochs: int, spec: Path) -> None:
    schedule = {"name": "OneCycleLR", "per": "epoch"}
    checked(spec, {"train.schedule": schedule, "train.epochs": epochs})
    assert len(flat(rates(schedule, epochs=epochs))) == 5 * epochs


def test_a_cycle_shorter_than_the_run_is_refused(spec: Path, tmp_path: Path) -> None:
    overrides = {"train.schedule": {"name": "OneCycleLR", "total_steps": 4}}
    with pytest.raises(SpecError, match="ends after 4 moves, and the run makes 6") as error:
        train(spec, out=tmp_path / "a", overrides=overrides)
    assert error.value.diagnostics[0].code.value == "bad-argument"


@pytest.mark.parametrize(
    ("schedule", "code", "words"),
    [
        ("OneCycle", "bad-value", "did you mean `OneCycleLR`"),
        ("LambdaLR", "bad-value", "it takes a function"),
        ({"name": "StepLR"}, "missing-argument", "step_size"),
        ({"name": "StepLR", "stepsize": 3}, "unknown-argument", "did you mean `step_size`"),
        ({"name": "StepLR", "step_size": 3, "gamma": "x"}, "bad-argument", "`gamma: x`"),
        ({"name": "OneCycleLR", "pct_start": 2.0}, "bad-argument", "`pct_start: 2.0`"),
        ({"name": "OneCycleLR", "epochs": 5}, "bad-argument", "`epochs: 5`"),
        ({"name": "OneCycleLR", "warmup": 1}, "bad-value", "warms up by itself"),
        ({"name": "ReduceLROnPlateau", "per": "step"}, "bad-value", "measured once an epoch"),
        ({"name": "ReduceLROnPlateau", "metric": "loss"}, "bad-value", "is no metric"),
        ({"name": "StepLR", "step_size": 2, "metric": "train/loss"}, "bad-value", "no metric"),
        ({"per": "epoch"}, "bad-value", "`schedule` changes nothing"),
        ({"warmup": 1, "gamma": 0.1}, "bad-value", "`gamma` needs the `name` of a scheduler"),
        ({"warmup": -1}, "bad-value", "at least 0"),
        (
            {"name": "OneCycleLR", "max_lr": [0.1]},
            "bad-argument",
            "`max_lr` of `OneCycleLR` is one",
        ),
        ({"name": "ReduceLROnPlateau", "min_lr": [0.1]}, "bad-argument", "`train.groups`"),
        ({"name": "StepLR", "step_size": 2, "per": "batch"}, "bad-value", "`step`"),
        (3, "wrong-type", "takes"),
    ],
)
def test_mistakes(schedule: Any, code: str, words: str, spec: Path) -> None:
    with pytest.raises(SpecError) as error:
        checked(spec, {"train.schedule": schedule})
    assert [item.code.value for item in error.value.diagnostics] == [code]
    assert words in str(error.value)
