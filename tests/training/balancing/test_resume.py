"""Runs with every method: interrupted and resumed they end as if they had not been."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphspec.training.balancing.methods import METHODS
from graphspec.training.run import train
from tests.training.conftest import SPEC, tiny
from tests.training.test_resume import assert_same, interrupted_at, timeless, weights

__all__ = ["tiny"]

pytestmark = pytest.mark.usefixtures("no_pictures")

ARGUMENTS = {"gradnorm": {"lr": 0.3}, "nash_mtl": {"optim_niter": 3}}


def spec_of(method: str, folder: Path) -> Path:
    path = folder / "tiny.yaml"
    arguments = "".join(f", {key}: {v}" for key, v in ARGUMENTS.get(method, {}).items())
    balance = f"balance: {{method: {method}{arguments}}}"
    # three epochs, so that those that look back two epochs do
    recipe = f"train: {{epochs: 3, {balance},"
    path.write_text(SPEC.replace("train: {epochs: 2,", recipe))
    return path


ALIKE = ("dualproj", "mgda", "cagrad", "imtl_g", "aligned_mtl", "config", "graddrop", "fairgrad",
         "mean", "sum")  # fmt: skip
"""Methods that remember no more than `upgrad` or `pcgrad` do, by the same lines of code."""


@pytest.mark.parametrize(
    "method", [pytest.param(m, marks=pytest.mark.slow if m in ALIKE else ()) for m in METHODS]
)
def test_resumed_in_the_third_epoch(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(method, tmp_path)
    whole = train(spec, out=tmp_path / "whole", overrides={"data.augment": "founding"})
    run = interrupted_at(7, spec, tmp_path / "run", monkeypatch)
    assert run.status == "interrupted"
    resumed = train(resume=run.folder)
    assert_same(weights(resumed), weights(whole))
    assert timeless(resumed) == timeless(whole)
    assert weights(resumed)["progress"]["finished"] == "epochs"


def test_methods_lead_to_different_weights(tmp_path: Path) -> None:
    found = {}
    for method in ("fixed", "random", "upgrad"):
        folder = tmp_path / method
        folder.mkdir()
        run = train(spec_of(method, folder), out=folder / "run", epochs=1)
        found[method] = float(run.summary["tasks"]["fine"]["test"]["loss"])
    assert len(set(found.values())) == len(found)


def test_another_method_is_another_run(tmp_path: Path) -> None:
    from graphspec.errors import SpecError

    run = train(spec_of("random", tmp_path), out=tmp_path / "run")
    with pytest.raises(SpecError, match=r"has `train.balance: .*random.*`, not"):
        train(resume=run.folder, overrides={"train.balance": "fixed", "train.epochs": 4})
