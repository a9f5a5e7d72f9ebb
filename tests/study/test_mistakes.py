"""What the command line says of a study that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphspec.cli.main import main


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("shared.yaml --seeds three", "`--seeds three` is neither a number of seeds nor a list"),
        ("shared.yaml --seeds 0", "`--seeds 0`: a study has one seed or more"),
        ("shared.yaml --seeds 1,-2", "`--seeds 1,-2`: a study has one seed or more"),
        ("shared.yaml --match width", "`--match width` is not known"),
        ("shared.yaml --hours 0", "`--hours 0` is no time"),
        ("shared.yaml --grid width", "`width` is not an assignment"),
        ("shared.yaml --grid width=4,,8", "`width=4,,8` lists a value that is empty"),
        ("shared.yaml --grid widht=4,8", "--grid widht=4,8:1:1: error[bad-override]"),
        ("shared.yaml --grid width=4,many", "--grid width=4,many:1:9: error"),
        ("shared.yaml --baseline appart", "the baseline `appart` is none of the variants"),
        ("shared.yaml --engine slrm", "there is no engine `slrm`"),
        ("shared.yaml --engine-option gpus", "`--engine-option gpus` is not an assignment"),
        ("shared.yaml sharde.yaml", "there is no file `sharde.yaml`"),
        ("shared.yaml --epochs 0", "`--epochs`"),
        ("done --seeds 3", "`done` says what the study consists of, so --seeds is not for it"),
        ("done shared.yaml", "`done` is a study, which has specs of its own"),
        ("empty", "`empty` is a folder"),
    ],
)
def test_a_mistake_is_told_and_nothing_is_written(
    words: str, message: str, there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (there / "empty").mkdir()
    (there / "done").mkdir()
    (there / "done" / "study.yaml").write_text("study: {specs: ../shared.yaml}\n")
    before = sorted(there.rglob("*"))
    assert main(["study", *words.split()]) == 2
    assert message in capsys.readouterr().err
    assert sorted(there.rglob("*")) == before


def test_a_dry_run_shows_what_would_be_trained(
    there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "study shared.yaml --grid train.lr=1e-2,0.1 --grid train.betas=[0.9,0.99] --dry-run"
    words = words.replace("train.betas=[0.9,0.99]", "nodes.trunk.units=[4,4],[8]")
    assert main([*words.split(), "--seeds", "5,7"]) == 0
    lines = [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()]
    assert [line for line in lines if line.startswith("shared")][::2] == [
        "shared, train.lr=1e-2, nodes.trunk.units=[4,4]",
        "shared, train.lr=0.1, nodes.trunk.units=[4,4]",
        "shared, train.lr=1e-2, nodes.trunk.units=[4,4]",
        "shared, train.lr=0.1, nodes.trunk.units=[4,4]",
    ]
    assert not (there / "studies").exists()


def test_where_the_data_lie_may_be_said_of_a_study_that_is_there(
    there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (there / "elsewhere").mkdir()
    (there / "data.npz").rename(there / "elsewhere" / "data.npz")
    (there / "mine.yaml").write_text("study: {specs: shared.yaml, seeds: 1}\n")
    assert main(["study", "mine.yaml", "--dry-run"]) == 2
    assert "data.npz" in capsys.readouterr().err
    assert main(["study", "mine.yaml", "--dry-run", "--data-root", "elsewhere"]) == 0
