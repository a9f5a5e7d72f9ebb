"""``graphspec train`` and ``evaluate`` in this process; interruptions are in tests/e2e."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from graphspec.cli import options, progress
from graphspec.cli.main import main
from graphspec.training.observer import Header, Progress
from tests.cli.conftest import TINY, Cli


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A finished run of one epoch, and what its training printed."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "tiny.yaml").write_text(TINY)
    run = folder / "runs" / "first"
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert main(["train", str(folder / "tiny.yaml"), "--out", str(run), "--seed", "3"]) == 0
    return run, printed.getvalue()


def test_what_a_pipe_gets(trained: tuple[Path, str]) -> None:
    run, printed = trained
    lines = printed.splitlines()
    assert lines[0] == "tiny on fashion-mini: 4,800 train, 1,200 validation, 2,000 test images"
    assert lines[1] == "tasks: fine (10 classes, weight 1), coarse (6 classes, weight 1)"
    assert lines[2].startswith("6.44 k parameters on cpu (")
    assert lines[3] == f"1 epoch of 48 steps of 100 images; seed 3; run folder: {run}"
    row = r"epoch 1/1  {:<10}  loss \d\.\d{{4}}  fine [\d.]+ % \(top-5 .*  [\d,]+ images/s  .* s"
    for line, split in zip(lines[4:7], ("train", "validation", "test"), strict=True):
        assert re.fullmatch(row.format(split), line), line
    assert lines[7] == ""
    assert str(run) in printed.partition("\n\n")[2]
    assert "\x1b" not in printed
    assert (run / "report.html").is_file()


def test_evaluate(trained: tuple[Path, str], cli: Cli) -> None:
    run, _ = trained
    done = cli("evaluate", str(run), "--split", "validation", "--checkpoint", "last")
    assert (done.code, done.err) == (0, "")
    first = "tiny, last weights (epoch 1), on the validation split: 1,200 images, "
    assert done.out.startswith(first)
    assert "\ntask      loss   top-1   top-5\nfine    " in done.out
    assert "fine in coarse  validation" in done.out
    assert "\nShoes        5 " in done.out
    found = json.loads(cli("evaluate", str(run), "--format", "json").out)
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert found["split"] == "test"
    assert found["fine/top1"] == metrics[-1]["fine/top1"]


@pytest.mark.parametrize(
    ("path", "message", "hint"),
    [
        ("{run}/best.pt", "is a file of a run, not its folder", "name the folder: `{run}`"),
        ("{run}/..", "is not a run folder", "it holds runs, e.g. "),
        ("nosuch", "`nosuch` does not exist", "name the folder that `graphspec train` printed"),
    ],
)
def test_evaluate_something_else(
    trained: tuple[Path, str], cli: Cli, path: str, message: str, hint: str
) -> None:
    done = cli("evaluate", path.format(run=trained[0]))
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error[not-a-run]: ")
    assert message in done.err
    assert hint.format(run=trained[0]) in done.err


def test_weights_of_another_run(trained: tuple[Path, str], cli: Cli) -> None:
    run, _ = trained
    changed = ["--set", "nodes.coarse.from=flat", "--epochs", "1", "--out", "another"]
    done = cli("train", "tiny.yaml", *changed, "--init-from", str(run))
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[4:7] == [
        f"initial weights of {run} (best, epoch 1)",
        "  took trunk, fine",
        "  took 1 of 2 of coarse; weight: its shape is [6, 8] there and [6, 784] here",
    ]
    for words, expected in (
        (["--nodes", "trunk"], "name a run with `--init-from RUN`"),
        (["--init-from", str(run), "--nodes", "trnk"], "did you mean `trunk`"),
        (["--init-from", str(run), "--resume"], "a run that goes on has its weights already"),
    ):
        failed = cli("train", "tiny.yaml", "--out", "no", *words)
        assert failed.code == 2
        assert expected in failed.err


def test_a_finished_run_stays_and_can_be_taken_further(
    trained: tuple[Path, str], cli: Cli, tmp_path: Path
) -> None:
    shutil.copytree(trained[0], tmp_path / "runs" / "first")
    again = cli("train", "runs/first", "--resume")
    assert again.code == 0
    assert again.err.startswith("warning: `runs/first` is finished after 1 epoch")
    newest = cli("train", "tiny.yaml", "--resume")
    assert newest.code == 2
    assert newest.err == (
        "error[not-a-run]: `runs` has no unfinished run of `tiny`\n"
        "   take a finished one further: `graphspec train runs/first --resume --epochs N`\n"
    )
    further = cli("train", "--resume", "--out", "runs/first", "--epochs", "2")
    assert further.code == 0
    assert "\n2 epochs of 48 steps of 100 images, 1 done; " in further.out
    assert "epoch 2/2  train " in further.out
    assert "epoch 1/2  train " not in further.out


def test_an_unfinished_run_is_found_by_its_spec(
    trained: tuple[Path, str], cli: Cli, tmp_path: Path
) -> None:
    for number, name in enumerate(("old", "new")):
        copy = shutil.copytree(trained[0], tmp_path / "runs" / name)
        (copy / "summary.json").unlink()
        for file in copy.iterdir():
            os.utime(file, (1e9 + number, 1e9 + number))
    other = cli("train", "tiny.yaml", "--set", "nodes.trunk.units=9", "--resume")
    assert other.code == 2
    assert other.err == (
        "error[not-a-run]: `runs` has no unfinished run of `tiny` with this topology and data\n"
        "   an unfinished run of other values: `graphspec train runs/new --resume`\n"
    )
    done = cli("train", "tiny.yaml", "--resume")
    assert done.code == 0
    assert done.err.startswith("going on with runs/new\n")
    assert (tmp_path / "runs/new/summary.json").exists()
    assert not (tmp_path / "runs/old/summary.json").exists()


def test_a_run_is_not_a_spec_and_not_overwritten(trained: tuple[Path, str], cli: Cli) -> None:
    run = trained[0]
    done = cli("train", str(run))
    assert done.code == 2
    assert done.err == (
        f"error[bad-option]: `{run}` is the folder of a run, not a spec\n"
        f"   go on with it: `graphspec train {run} --resume`\n"
        f"   or train its spec anew: `graphspec train {run / 'spec.yaml'}`\n"
    )
    done = cli("train", "tiny.yaml", "--out", str(run))
    assert done.code == 2
    assert f"go on with `--resume --out {run}`" in done.err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["train"], "error[bad-option]: `graphspec train` needs a spec\n"),
        (
            ["train", "arch1", "arch2"],
            "error[bad-option]: `graphspec train` takes one spec, got 2: `arch1 arch2`\n"
            "   one by one: `graphspec train arch1`\n",
        ),
        (
            ["train", "arch1", "width=4"],
            "error[bad-option]: `graphspec train` takes one spec, got 2: `arch1 width=4`\n"
            "   a value is set by `--set width=4`\n",
        ),
        (["train", "--resume"], "error[bad-option]: `--resume` needs a run folder or a spec\n"),
        (["train", "runs/nosuch", "--resume"], "error[not-a-run]: `runs/nosuch` does not exist\n"),
        (["train", "tiny.yaml", "--resume"], "error[not-a-run]: `runs` has no unfinished run of"),
        (["train", "tinny.yaml"], "error[file-not-found]: there is no file `tinny.yaml`\n"),
        (
            ["train", "tiny.yaml", "--epochs", "abc"],
            "--epochs abc:1:1: error[wrong-type]: `train.epochs` takes a whole number, got",
        ),
        (["train", "tiny.yaml", "--seed", "-1"], "--seed -1:1:1: error[bad-value]: `train.seed`"),
        (["train", "tiny.yaml", "--device", "gpu"], "--device gpu:1:1: error[bad-device]: "),
        (["train", "tiny.yaml", "--out", "tiny.yaml"], "error[cannot-write]: `tiny.yaml` cannot"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes(cli: Cli, words: list[str], expected: str) -> None:
    done = cli(*words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(expected)


def test_options_as_arguments_of_the_python_api() -> None:
    asked = options.overrides(["width=8", "train.lr=1e-3", "note="], data="x: y", seed="2")
    assert options.plain(asked) == {
        "width": 8,
        "train.lr": 0.001,
        "note": None,
        "data.source": "x: y",
        "data.root": None,
        "train.seed": 2,
    }
    assert options.split(["fine, coarse", "x"]) == ["fine", "coarse", "x"]
    assert options.split([","]) is None


def test_the_words_of_the_bar() -> None:
    scores = {"loss": 3.2116, "fine/loss": 2.0, "fine/top1": 0.1234, "fine/top5": 0.4}
    assert progress.scores_text(scores) == "loss 3.2116  fine 12.3 % (top-5 40.0 %)"
    assert progress.scores_text(scores, short=True) == "loss 3.2116  fine 12.3 %"
    assert progress.scores_text({}) == ""
    assert [progress.clock(s) for s in (0.2, 65, 7380)] == ["0:00", "1:05", "2:03:00"]


def test_printing_never_stops_a_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def gone(*_: object, **__: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("builtins.print", gone)
    lines = progress.Lines()
    header = Header(
        "n", tmp_path, "d", {"train": 1}, {"t": "2 classes"}, {"t": 1.0}, 3, "cpu", 1, 1, 1, 0, 0
    )
    lines.start(header)
    lines.step(Progress("train", 1, 1, 1, 1, {}, 1.0))
    lines.epoch(
        [
            {
                "epoch": 1,
                "step": 1,
                "split": "train",
                "seconds": 1.0,
                "images_per_s": 1.0,
                "loss": 1.0,
            }
        ]
    )
    lines.warning("w")
    lines.end({})


def test_runs_are_listed(trained: tuple[Path, str], cli: Cli) -> None:
    run, _ = trained
    done = cli("runs", str(run.parent))
    assert (done.code, done.err) == (0, "")
    title, _, row = done.out.splitlines()
    assert title.split()[:5] == ["run", "spec", "data", "state", "epochs"]
    assert row.split()[:8] == [
        str(run),
        "tiny",
        "fashion-mini",
        "finished",
        "1/1",
        "3",
        "6.44",
        "k",
    ]
    assert re.search(r"test: fine top-1 [\d.]+ %, coarse top-1 [\d.]+ %$", row)
    (found,) = json.loads(cli("runs", str(run.parent), "--format", "json").out)
    assert (found["folder"], found["state"], found["split"]) == (str(run), "finished", "test")


def test_no_runs(cli: Cli, tmp_path: Path) -> None:
    done = cli("runs")
    assert done.code == 2
    assert "error[not-a-run]: there is no folder `runs`" in done.err
    (tmp_path / "runs").mkdir()
    done = cli("runs")
    assert (done.code, done.out) == (0, "")
    assert done.err == "`runs` holds no runs; `graphspec train` makes some\n"


def test_check(cli: Cli) -> None:
    done = cli("check", "tiny.yaml", "--seconds", "0")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].split() == [
        "node", "gives", "forward", "backward", "kept", "gradient", "of", "weights",
    ]  # fmt: skip
    assert [line.split()[:2] for line in lines[2:6]] == [
        ["flat", "784"], ["trunk", "8"], ["coarse", "6"], ["fine", "10"],
    ]  # fmt: skip
    assert lines[7].startswith("one step of 100 samples of fashion-mini: ")
    assert lines[8] == "every parameter gets a gradient"
    assert lines[9] == "32 samples to learn by heart, 0 steps:"
    assert lines[10].startswith("  fine    not learned in this time (loss ")
    found = json.loads(cli("check", "tiny.yaml", "--seconds", "0", "--format", "json").out)
    assert (found["healthy"], found["unused"], found["nodes"][0]["node"]) == (False, [], "flat")
