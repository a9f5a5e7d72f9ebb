"""What a recipe says of balancing: mistakes with their places, missing packages, remarks."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphspec.errors import SpecError, render_text
from graphspec.training import check
from graphspec.training.balancing import choice
from graphspec.training.run import train
from tests.training.conftest import SPEC, Notes, tiny

__all__ = ["tiny"]


def messages(balance: str, folder: Path) -> str:
    path = folder / "spec.yaml"
    path.write_text(SPEC.replace("train: {", f"train: {{balance: {balance}, "))
    with pytest.raises(SpecError) as raised:
        check.checked(path)
    return render_text(raised.value.diagnostics).replace(f"{path}:", "")


@pytest.mark.parametrize(
    ("balance", "text"),
    [
        ("upgard", "6:18: error[bad-value]: there is no balancing method `upgard`"),
        ("upgard", "did you mean `upgrad`? methods: fixed, uncertainty, dwa,"),
        ("{method: 3}", "6:27: error[wrong-type]"),
        (
            "{method: dwa, temprature: 2}",
            "6:32: error[unknown-argument]: `temprature` is no argument of `dwa`",
        ),
        ("{method: dwa, temprature: 2}", "did you mean `temperature`? arguments of dwa:"),
        (
            "{method: random, alpha: 1}",
            "6:35: error[unknown-argument]: `alpha` is no argument of `random`",
        ),
        (
            "{method: gradnorm, alpha: -1}",
            "6:44: error[bad-argument]: `alpha` of `gradnorm`: expected a number of at least 0, "
            "got `-1`",
        ),
        ("{method: dwa, temperature: hot}", "expected a number above 0, got `hot`"),
        ("{method: mgda, max_iters: 0}", "expected an integer from 1 to 1024, got `0`"),
        ("{method: aligned_mtl, scale_mode: max}", "`max` is none of `min`, `median` or `rmse`"),
        (
            "{method: gradnorm, at: trnk}",
            "6:41: error[unknown-node]: `at: trnk` names no node",
        ),
        ("{method: gradnorm, at: trnk}", "nodes with such parameters: trunk, features"),
        (
            "{method: gradnorm, at: fine_label}",
            "error[bad-argument]: `fine_label` has no parameters that several losses reach",
        ),
        ("[upgrad]", "error[wrong-type]"),
        ("{gradnorm: {alpha: 1}}", "write the method as `method: gradnorm`"),
        ("{name: gradnorm}", "write the method as `method: gradnorm`"),
        ("{alpha: 1}", "state the method that has it: `method: gradnorm` or `method: fairgrad`"),
    ],
)
def test_mistakes(balance: str, text: str, tmp_path: Path) -> None:
    assert text in messages(balance, tmp_path)


def test_missing_packages(tmp_path: Path, spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "find_spec", lambda name: None if name == "torchjd" else object())
    with pytest.raises(SpecError) as raised:
        train(spec, overrides={"train.balance": "upgrad"}, out=tmp_path / "run")
    assert render_text(raised.value.diagnostics) == (
        "error[missing-package]: `balance: upgrad` needs `torchjd`, not installed here\n"
        "   install what gradient aggregation needs: `pip install 'graphspec[balancing]'`"
    )
    assert not (tmp_path / "run").exists()
    check.checked(spec, {"train.balance": "upgrad"})  # a spec is valid on any machine


@pytest.mark.usefixtures("no_pictures")
def test_what_the_user_is_told(tmp_path: Path, spec: Path) -> None:
    notes = Notes()
    overrides = {"train.balance": "gradnorm", "train.epochs": 1}
    train(spec, overrides=overrides, out=tmp_path / "run", observer=notes)
    assert ("balancing", "gradnorm") in notes.headers[0].facts
    assert notes.warnings == []
    apart = tmp_path / "apart.yaml"
    apart.write_text(
        SPEC.replace("from: features, task: coarse", "from: image, task: coarse")
        .replace("train: {", "train: {balance: mean, ")
        .replace("epochs: 2", "epochs: 1")
        .replace("op: head, from: image", "op: head, from: flat")
        + "  flat: {op: Flatten, from: image}\n"
    )
    train(apart, out=tmp_path / "other", observer=notes)
    assert notes.warnings == [
        "no parameter is reached by two losses, so `balance: mean` changes nothing: each task "
        "trains its own parameters by its weighted loss"
    ]
