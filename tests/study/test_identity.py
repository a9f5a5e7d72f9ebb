"""What makes two runs the same run."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphspec import compiler
from graphspec.study.identity import identity, of_run
from graphspec.training.folder import ENVIRONMENT, read_json
from graphspec.training.run import train


@pytest.mark.parametrize(
    ("overrides", "same"),
    [
        ({"width": 9}, False),
        ({"train.seed": 1}, False),
        ({"train.lr": 0.02}, False),
        ({"train.lr": 0.01}, True),
        ({"train.epochs": 3}, False),
        ({"train.early_stopping": 3}, False),
        ({"train.balance": "random"}, False),
        ({"train.device": "cpu"}, True),
        ({"train.checkpoint": 5}, True),
        ({"train.conflicts": False}, True),
        ({"tasks.fine.weight": 3}, False),
        ({"data.validation": 0.5}, False),
        ({"data.root": "."}, True),
        ({"name": "other", "description": "Another name."}, True),
        ({"nodes.trunk.dropout": 0.5}, False),
    ],
)
def test_what_counts(there: Path, overrides: dict[str, object], same: bool) -> None:
    before = identity(compiler.load("shared.yaml"), "data")
    after = identity(compiler.load("shared.yaml", overrides), "data")
    assert (before == after) is same


def test_other_samples_make_another_run(there: Path) -> None:
    spec = compiler.load("shared.yaml")
    assert identity(spec, "data") != identity(spec, "other data")


def test_a_run_says_what_it_is(there: Path) -> None:
    run = train("shared.yaml", epochs=1, seed=3, out="run")
    fingerprint = read_json(run.folder / ENVIRONMENT)["data"]["fingerprint"]
    spec = compiler.load("shared.yaml", {"train.epochs": 1, "train.seed": 3})
    assert of_run(run.folder) == identity(spec, fingerprint)
    other = train("apart.yaml", epochs=1, init_from=run.folder, out="other")
    assert of_run(other.folder) == ""
