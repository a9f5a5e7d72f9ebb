"""The list of runs, from folders as the trainer leaves them and as accidents do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from graphspec.errors import SpecError
from graphspec.training import listing
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
