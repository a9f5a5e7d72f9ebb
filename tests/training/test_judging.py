"""What a run is judged by: metrics, expressions over them, lists."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from graphspec import compiler
from graphspec.errors import SpecError
from graphspec.language.learning import EarlyStopping
from graphspec.training import judging
from graphspec.training.check import checked
from graphspec.training.run import train

from .conftest import Notes

pytestmark = pytest.mark.usefixtures("no_pictures")

RECORDS = [
    {"split": "train", "loss": 1.5, "fine/loss": 0.5, "fine/top1": 0.25, "coarse/top1": 0.5},
    {"split": "validation", "loss": 2.0, "fine/loss": 0.8, "fine/top1": 0.2, "coarse/top1": 0.4},
]


@pytest.mark.parametrize(
    ("text", "value", "minimised"),
    [
        ("train/loss", 1.5, True),
        ("validation/fine/top1", 0.2, False),
        ("=fine.top1 + 0.5*coarse.top1", 0.4, False),
        ("=train.fine.top1 - validation.fine.loss", -0.55, False),
        ("=fine.loss + 2*loss", 4.8, True),
        ("=max(fine.top1, coarse.top1)", 0.4, False),
        ("=max(fine.top1, 0.9)", 0.9, False),
        ("=-fine.loss", -0.8, False),
        ("=1 - fine.top1", 0.8, True),
    ],
)
def test_values_and_directions(text: str, value: float, minimised: bool) -> None:
    rule = judging.criterion(text)
    assert rule.value(RECORDS) == pytest.approx(value)
    assert rule.minimised is minimised


def test_what_has_no_value_is_never_better() -> None:
    rule = judging.criterion("=1 / (0.4 - coarse.top1)")
    assert math.isnan(rule.value(RECORDS))
    assert not rule.better(math.nan, 0.5)
    assert rule.better(0.5, math.nan)


def test_of_several_criteria_none_may_get_worse() -> None:
    rules = judging.criteria(["validation/fine/top1", "validation/loss"])
    assert judging.is_better(rules, [0.1, 3.0], [])
    assert judging.is_better(rules, [0.2, 3.0], [0.1, 3.0])
    assert judging.is_better(rules, [0.2, 2.0], [0.1, 3.0])
    assert not judging.is_better(rules, [0.2, 3.1], [0.1, 3.0])
    assert not judging.is_better(rules, [0.1, 3.0], [0.1, 3.0])


@pytest.mark.parametrize(("mode", "epochs"), [("any", 3), ("all", 4)])
def test_patience_of_any_or_all(mode: Any, epochs: int) -> None:
    """The first metric improves once more than the second."""
    rule = EarlyStopping(metric=["train/loss", "=fine.top1"], patience=2, min_delta=0.0, mode=mode)
    state: Any = SimpleNamespace(watched=[], waited=[])
    stopped = []
    for loss, top1 in ((3.0, 0.1), (2.0, 0.1), (2.0, 0.1), (2.0, 0.1), (2.0, 0.1)):
        records = [
            {"split": "train", "loss": loss},
            {"split": "validation", "fine/top1": top1},
        ]
        stopped.append(judging.gives_up(rule, state, records))
    assert stopped.index(True) + 1 == epochs


def test_variables_are_put_in_when_a_spec_is_loaded(spec: Path) -> None:
    text = spec.read_text().replace("name: tiny\n", "name: tiny\nvars: {w: 0.5, m: train/loss}\n")
    text = text.replace("lr: 0.01", "lr: 0.01, best: =fine.top1 + w*coarse.top1")
    spec.write_text(text.replace("lr: 0.01", "lr: 0.01, early_stopping: {metric: [=m, =-loss]}"))
    loaded = compiler.load(spec)
    assert loaded.train.best == "=fine.top1 + 0.5 * coarse.top1"
    assert loaded.train.early_stopping is not None
    assert loaded.train.early_stopping.metric == ["train/loss", "=-loss"]
    again = compiler.load_text(loaded.resolved_yaml())
    assert again.train == loaded.train
    assert [warning.code.value for warning in loaded.warnings] == []


@pytest.mark.parametrize(
    ("best", "code", "words"),
    [
        ("=fine.top1 + fine.loss", "bad-expression", "so it is not clear which way"),
        ("=fine.top + 1", "bad-expression", "did you mean `fine.top"),
        ("=nothing", "bad-expression", "`nothing` in `=nothing` is neither a variable nor"),
        ("=test.fine.top1", "bad-expression", "the test split is kept for the end"),
        ("=fine.top1 +", "bad-expression", "it is not an expression"),
        ("=fine.top1 > 0.5", "bad-expression", "it gives no number but"),
        (
            "=(fine.loss - 0.5)**2",
            "bad-expression",
            "a better `fine.loss` makes it larger here and",
        ),
        ("=0*fine.top1", "bad-expression", "does not depend on any metric"),
        ("=train.fine.consistency", "bad-expression", "neither a variable nor a metric"),
        ("=open(fine.top1)", "bad-expression", "there is no function `open`"),
        ("=fine.top1.real.imag()", "bad-expression", "there is no function"),
        ("fine.top1", "bad-value", "did you mean `validation/fine/top1`"),
        (["validation/loss", "validation/los"], "bad-value", "did you mean `validation/loss`"),
        ([], "bad-value", "at least 1 item"),
        (3, "wrong-type", "`train.best` takes a text or a list of texts"),
    ],
)
def test_mistakes(best: Any, code: str, words: str, spec: Path) -> None:
    with pytest.raises(SpecError) as error:
        checked(spec, {"train.best": best})
    assert [item.code.value for item in error.value.diagnostics] == [code]
    assert words in str(error.value)


def test_the_name_in_an_expression_is_pointed_at(spec: Path) -> None:
    spec.write_text(spec.read_text().replace("lr: 0.01", "best: =fine.top1 + coarse.tp1"))
    with pytest.raises(SpecError) as error:
        checked(spec)
    (found,) = error.value.diagnostics
    assert found.span is not None
    assert found.span.source.text[found.span.start : found.span.end] == "coarse.tp1"


def test_without_a_validation_split_expressions_read_the_train_split(
    spec: Path, tmp_path: Path
) -> None:
    notes = Notes()
    overrides = {"data.validation": 0.0, "train.best": "=fine.top1 + 0.5*validation.coarse.top1"}
    run = train(spec, out=tmp_path / "run", overrides=overrides, observer=notes, epochs=1)
    text = "=train.fine.top1 + 0.5 * train.coarse.top1"
    assert notes.warnings == [
        f"the validation split is empty: the run is judged by `{text}` instead"
    ]
    first = run.metrics[0]
    assert run.summary["best"]["metrics"] == {text: first["fine/top1"] + 0.5 * first["coarse/top1"]}


def test_best_by_a_list_is_told(spec: Path, tmp_path: Path) -> None:
    from graphspec.training.summary import lines

    overrides = {"train.best": ["validation/fine/top1", "=-loss"]}
    run = train(spec, out=tmp_path / "run", overrides=overrides)
    best = run.summary["best"]
    record = next(
        r for r in run.metrics if r["split"] == "validation" and r["epoch"] == best["epoch"]
    )
    assert best["metrics"] == {
        "validation/fine/top1": record["fine/top1"], "=-loss": -record["loss"],
    }  # fmt: skip
    assert (
        f"best epoch {best['epoch']} (validation/fine/top1 {record['fine/top1']:.4f}, "
        f"=-loss {-record['loss']:.4f})"
    ) in lines(run)
    assert "=-loss -" in (run.folder / "report.html").read_text()
