"""The list of runs, from folders as the trainer leaves them and as accidents do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from graphspec.errors import SpecError
from graphspec.training import listing
from graphspec.training.occupied import occupied
from graphspec.training.run import train
from tests.cli.conftest import TINY


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run, one that died in its first epoch, and a damaged one."""
    root = tmp_path_factory.mktemp("listed")
    (root / "tiny.yaml").write_text(TINY)
    train(root / "tiny.yaml", out=root / "runs/done", seed=3)
    for name in ("died", "study/broken"):
        shutil.copytree(root / "runs/done", root / "runs" / name)
    died = root / "runs/died"
    (died / "summary.json").unlink()
    (died / "metrics.jsonl").write_text("")
    (root / "runs/study/broken/environment.json").write_text("{")
    return root / "runs"


def _lines(folder: Path) -> list[str]:
    return (folder / "done/metrics.jsonl").read_text().splitlines()


def test_runs_and_what_became_of_them(folder: Path) -> None:
    found = {run.folder.name: run for run in listing.runs(folder)}
    done = found["done"]
    records = [json.loads(line) for line in _lines(folder)]
    assert (done.spec, done.data, done.state) == ("tiny", "fashion-mini", "finished")
    assert (done.epochs, done.epochs_asked, done.seed, done.split) == (1, 1, 3, "test")
    assert done.metrics == {
        "fine/top1": records[-1]["fine/top1"],
        "coarse/top1": records[-1]["coarse/top1"],
    }
    assert done.best == ("validation/loss", records[1]["loss"])
    died = found["died"]
    assert (died.state, died.epochs, died.metrics, died.best) == ("unfinished", 0, {}, None)
    broken = found["broken"]
    assert (broken.state, broken.spec) == ("damaged", "broken")
    assert broken.why == f"`{folder / 'study/broken/environment.json'}` is missing or damaged"


def test_validation_counts_until_the_test_is_made(folder: Path) -> None:
    shutil.copytree(folder / "done", folder / "halfway")
    lines = (folder / "halfway/metrics.jsonl").read_text().splitlines(keepends=True)
    (folder / "halfway/metrics.jsonl").write_text("".join(lines[:-1]))
    (folder / "halfway/summary.json").unlink()
    (run,) = listing.runs(folder / "halfway")
    assert (run.split, run.epochs) == ("validation", 1)
    assert run.metrics == {k: json.loads(lines[1])[k] for k in ("fine/top1", "coarse/top1")}


def test_a_folder_that_is_not_there() -> None:
    with pytest.raises(SpecError) as caught:
        listing.runs("no-such-folder")
    assert caught.value.diagnostics[0].message == "there is no folder `no-such-folder`"


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (59, "59 s"), (90, "2 min"), (7200, "2 h"), (200_000, "2 d")]
)
def test_how_long_ago(seconds: float, words: str) -> None:
    assert listing.ago(1000.0, 1000.0 + seconds) == words


def test_a_run_that_is_being_trained_is_running(folder: Path) -> None:
    shutil.copytree(folder / "done", folder / "again")
    script = (
        "import sys; from graphspec.training.occupied import occupied\n"
        "with occupied(__import__('pathlib').Path(sys.argv[1])): print('in', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, folder / "again"], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True,
    ) as trainer:  # fmt: skip
        assert trainer.stdout is not None
        assert trainer.stdout.readline() == "in\n"
        (run,) = listing.runs(folder / "again")
        assert run.state == "running"
        trainer.communicate("\n")
    assert listing.runs(folder / "again")[0].state == "finished"
    with occupied(folder / "again"):
        assert listing.runs(folder / "again")[0].state == "running"
        with pytest.raises(SpecError, match="is being trained by this process"):
            occupied(folder / "again").__enter__()


def test_a_file_that_goes_while_it_is_looked_at(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trainer writes into a file beside, which then takes the place of the old one."""
    shutil.copytree(folder / "done", folder / "busy")
    (folder / "busy/.last.pt.part").write_text("")
    stat = Path.stat

    def vanishing(path: Path, **options: Any) -> os.stat_result:
        found = stat(path, **options)
        if path.suffix == ".part":
            path.unlink()
        return found

    monkeypatch.setattr(Path, "stat", vanishing)
    (run,) = listing.runs(folder / "busy")
    assert run.written > 0


def test_a_damaged_spec_is_named(folder: Path) -> None:
    shutil.copytree(folder / "done", folder / "spoilt")
    (folder / "spoilt/spec.yaml").write_text("x: [")
    (run,) = listing.runs(folder / "spoilt")
    assert run.state == "damaged"
    assert run.why.startswith(f"`{folder / 'spoilt/spec.yaml'}` is damaged: not valid YAML")
