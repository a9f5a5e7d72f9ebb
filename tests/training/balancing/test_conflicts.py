"""Comparing the gradients of the tasks: what is measured, told and drawn; runs stay the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import graphspec as gs
from graphspec import compiler
from graphspec.language.recipe import Train
from graphspec.training import folder, report
from graphspec.training.conflict_figure import SHOWN, draw, lines, section
from graphspec.training.conflicts import Watched, watched
from graphspec.training.run import train
from graphspec.training.trained import Run
from tests.training.conftest import tiny
from tests.training.test_resume import assert_same, interrupted_at, timeless, weights

from .places import Place, hard

__all__ = ["tiny"]


def watch(place: Place, every: int | bool = 1, balance: Any = "fixed") -> Watched:
    recipe = Train.model_validate({"balance": balance, "conflicts": every})
    return watched(recipe, place.site)


def test_cosine_and_ratio_are_those_of_the_gradients_at_what_two_tasks_share() -> None:
    place = hard({"a": 2.0, "b": 1.0, "c": 0.5})
    rows = place.rows()
    found = watch(place)
    place.gradients(found)
    records = found.close_epoch(dict.fromkeys("abc", 1.0))
    assert [(r["node"], *r["tasks"]) for r in records] == [
        ("trunk", "a", "b"), ("trunk", "a", "c"), ("trunk", "b", "c"), ("side", "b", "c"),
    ]  # fmt: skip
    for record in records:
        parts = []
        for task in record["tasks"]:
            own = [g.flatten() for n, g in rows[task].items() if n.startswith(record["node"])]
            parts.append(torch.cat(own) * {"a": 2.0, "b": 1.0, "c": 0.5}[task])
        cosine = torch.nn.functional.cosine_similarity(parts[0], parts[1], dim=0)
        assert record["cosine"] == pytest.approx(float(cosine), abs=1e-5)
        assert record["conflict"] == float(cosine < 0)
        assert record["norm_ratio"] == pytest.approx(float(parts[0].norm() / parts[1].norm()))
        assert record["steps"] == 1
    assert found.close_epoch({}) == []  # sums begin anew


def test_opposite_and_equal_tasks() -> None:
    text = """\
graphspec: 1
inputs: {x: {shape: [3]}}
tasks: {a: {type: regression}, b: {type: regression}}
nodes:
  trunk: {op: Linear, from: x, out_features: 1, bias: false}
  a: {op: head, layer: none, from: trunk, task: a}
  b: {op: head, layer: none, from: trunk, task: b}
"""
    place = Place(gs.analyze(compiler.load_text(text)))
    found = watch(place)
    found.backward({"a": place.losses()["a"], "b": -3.0 * place.losses()["a"]})
    found.backward({"a": place.losses()["a"], "b": 3.0 * place.losses()["a"]})
    (record,) = found.close_epoch({})
    assert record["steps"] == 2
    assert record["cosine"] == pytest.approx(0.0, abs=1e-6)
    assert record["conflict"] == 0.5
    assert record["norm_ratio"] == pytest.approx(1 / 3)


def test_what_has_no_gradient_does_not_count() -> None:
    place = hard()
    found = watch(place)
    losses = place.losses()
    found.backward(losses | {"a": losses["a"] * 0})
    losses = place.losses()
    found.backward(losses | {"b": losses["b"] * float("inf")})
    steps = {(r["node"], *r["tasks"]): r["steps"] for r in found.close_epoch({})}
    assert steps == {("trunk", "a", "c"): 1, ("trunk", "b", "c"): 1, ("side", "b", "c"): 1}
    for p in place.model.parameters():
        p.requires_grad_(False)
    place.model.get_parameter("a.weight").requires_grad_(True)
    found.backward(place.losses())
    assert found.close_epoch({}) == []


def test_every_so_many_steps_from_the_first() -> None:
    place = hard()
    found = watch(place, every=3)
    for _ in range(7):
        place.gradients(found)
    assert {record["steps"] for record in found.close_epoch({})} == {3}
    assert watch(place, every=0).close_epoch({}) == []


@pytest.mark.parametrize(
    ("value", "every"), [(7, 7), (False, 0), (True, 100), ({"every": 5}, 5), ({}, 100)]
)
def test_how_the_key_is_written(value: Any, every: int) -> None:
    assert Train.model_validate({"conflicts": value}).conflicts.steps(2) == every


MANY = """\
graphspec: 1
inputs: {x: {shape: [3, 8, 8]}}
tasks: {a: {classes: 2}, b: {classes: 2}, c: {classes: 2}, d: {classes: 2}, e: {classes: 2}}
nodes:
  trunk: {op: conv, from: x, channels: [[8], [8]]}
  pooled: {op: global_pool, from: trunk}
  head: {each: {t: =tasks}, op: head, from: pooled, task: $t}
"""


@pytest.mark.parametrize("name", ["arch2", "arch5", "many"])
def test_by_default_it_costs_less_than_two_percent_in_operations(name: str) -> None:
    image = {"width": 4, "data": None, "inputs": {"image": {"shape": [3, 16, 16]}},
             "tasks": {"fine": {"classes": 10}, "coarse": {"classes": 5}}}  # fmt: skip
    spec = compiler.load_text(MANY) if name == "many" else gs.load(name, image)
    place = Place(gs.analyze(spec), size=4)

    def operations(every: int) -> int:
        with FlopCounterMode(display=False) as counted:
            watch(place, every).backward(place.losses())
        return int(counted.get_total_flops())

    step, compared = operations(0), operations(1)
    assert compared > step
    tasks = len(place.site.learned)
    assert (compared - step) / step / Train().conflicts.steps(tasks) < 0.015
    found = watch(place, True)
    for _ in range({2: 101, 5: 251}[tasks]):
        found.backward(place.losses())
    assert {record["steps"] for record in found.close_epoch({})} == {2}


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("method", ["fixed", "graddrop", "gradnorm"])
def test_a_run_is_the_same_bit_for_bit_watched_or_not(
    method: str, spec: Path, tmp_path: Path
) -> None:
    runs: list[Run] = []
    for every in (0, 1):
        overrides = {"train.conflicts": every, "train.balance": method}
        runs.append(train(spec, out=tmp_path / str(every), overrides=overrides))
    assert timeless(runs[0]) == timeless(runs[1])
    states = [weights(run) for run in runs]
    for key in ("model", "optimizer", "random"):
        assert_same(states[0][key], states[1][key])
    assert_same(states[0]["balancer"]["balancer"], states[1]["balancer"]["balancer"])
    assert not (runs[0].folder / "conflicts.jsonl").exists()
    assert runs[0].conflicts == []
    found = runs[1].conflicts
    assert [(r["epoch"], r["node"], r["steps"]) for r in found] == [
        (1, "trunk", 3), (1, "features", 3), (2, "trunk", 3), (2, "features", 3),
    ]  # fmt: skip
    assert "conflicts.jsonl" in runs[1].summary["files"]


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("step", [1, 5])
def test_resumed_it_tells_the_same(
    step: int, spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = spec.read_text().replace("train: {", "train: {conflicts: 2, ")
    spec.write_text(text)
    whole = train(spec, out=tmp_path / "whole", overrides={"data.augment": "founding"})
    run = interrupted_at(step, spec, tmp_path / "run", monkeypatch)
    with (run.folder / "conflicts.jsonl").open("a") as file:
        # the lines of an epoch whose checkpoint was not written before the machine died
        file.write(json.dumps({"epoch": 2, "node": "trunk", "tasks": ["fine", "coarse"]}) + "\n{")
    resumed = train(resume=run.folder)
    name = "conflicts.jsonl"
    assert (resumed.folder / name).read_text() == (whole.folder / name).read_text()
    assert_same(weights(resumed), weights(whole))


@pytest.mark.usefixtures("no_pictures")
def test_it_may_change_when_a_run_goes_on(spec: Path, tmp_path: Path) -> None:
    run = train(spec, out=tmp_path / "run", overrides={"train.conflicts": False})
    more = train(resume=run.folder, overrides={"train.conflicts": {"every": 2}}, epochs=3)
    assert {record["epoch"] for record in folder.read_conflicts(more.folder)} == {3}
    assert more.status == "finished"


def record(node: str, epoch: int, cosine: float, conflict: float, **more: Any) -> dict[str, Any]:
    return {
        "epoch": epoch, "node": node, "tasks": ["fine", "coarse"], "steps": 4, "cosine": cosine,
        "conflict": conflict, "norm_ratio": 0.5, **more,
    }  # fmt: skip


def test_what_the_report_says() -> None:
    found = lines([record("trunk", 1, 0.5, 0.0), record("trunk", 2, -0.1, 0.75, steps=8)])
    assert [str(line) for line in found] == [
        "trunk: fine and coarse conflict in 50.0 % of 12 sampled steps (mean cosine 0.10; the "
        "gradient of coarse is 2.00 times as large as that of fine)"
    ]
    (one,) = lines([record("trunk", 1, 0.5, 0.0, steps=1, norm_ratio=3.0)])
    assert "of 1 sampled step (" in str(one)
    assert "the gradient of fine is 3.00 times as large as that of coarse" in str(one)
    assert section([]) is None


def test_only_those_that_conflict_most_are_shown() -> None:
    records = [record(f"n{i}", 1, 0.1, i / 10) for i in range(SHOWN + 3)]
    found = section(records)
    assert found is not None
    assert [text.split(":")[0] for text in found.lines] == [f"n{i}" for i in range(3, SHOWN + 3)]
    assert found.more == 3
    assert found.light != found.dark
    assert draw(lines(records[:1])).startswith(b"\x89PNG")


def test_the_report_of_a_run_has_it(spec: Path, tmp_path: Path) -> None:
    run = train(spec, out=tmp_path / "run", overrides={"train.epochs": 1})
    page = (run.folder / "report.html").read_text()
    assert "Conflicts between tasks" in page
    assert "trunk: fine and coarse conflict in" in page
    (run.folder / "conflicts.jsonl").unlink()
    bare = report.render(run.folder, run.summary, run.metrics)
    assert "Conflicts between tasks" not in bare
    assert "Learning curves" in bare
