"""``graphspec compare`` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Cli
from tests.study.run_folders import make, study
from tests.study.test_comparison import CLEAR


def test_the_answer_the_table_and_the_report(cli: Cli, tmp_path: Path) -> None:
    study(tmp_path / "runs", CLEAR)
    done = cli("compare", "runs", "--out", "here")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == (
        "Compared with arch1: arch2 is better on fine; arch3 is worse on fine; on coarse nothing "
        "can be told"
    )
    assert (
        "  arch2 is better: +10.00 points, to 61.50 % (interval +9.80 to +10.20, p < 0.001)."
        in done.out
    )
    (row,) = [line for line in lines if line.startswith("arch3 ")]
    assert row.split()[:3] == ["arch3", "4", "6.50"]
    assert "−10.00 (−10.2" in row
    assert lines[-1] == "report: here/report.html"
    assert {path.name for path in (tmp_path / "here").iterdir()} == {
        "report.html", "report.md", "results.csv", "comparison.csv", "figures",
    }  # fmt: skip


def test_json_has_sentences_and_numbers_and_writes_nothing(cli: Cli, tmp_path: Path) -> None:
    study(tmp_path / "runs", CLEAR)
    make(tmp_path / "runs/stopped", "arch4", status="interrupted")
    done = cli("compare", "runs", "--baseline", "arch2", "--format", "json")
    found = json.loads(done.out)
    assert found["headline"].startswith("Compared with arch2: arch1 is worse on fine; ")
    assert found["remarks"] == ["`runs/stopped` is not finished and was left out"]
    (cell,) = [c for c in found["cells"] if (c["variant"], c["metric"]) == ("arch1", "fine/top1")]
    assert (cell["verdict"], cell["pairs"]) == ("worse", 4)
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "tiny.yaml"}


def test_mistakes(cli: Cli, tmp_path: Path) -> None:
    study(tmp_path / "runs", {"arch1": CLEAR["arch1"]})
    make(tmp_path / "other", "arch2", data=("cifar100", "beef"))
    make(tmp_path / "open/run", status="interrupted")
    done = cli("compare", "runs", "--baseline", "arch")
    assert done.code == 2
    assert done.err == (
        "error[bad-option]: no variant is called `arch`\n   did you mean `arch1`? variants: arch1\n"
    )
    assert cli("compare", "runs", "other").err == (
        "error[run-mismatch]: `runs/arch1-0` is of fashion-mini and `other` is of cifar100\n"
        "   compare runs of the same data\n"
    )
    assert cli("compare", "runs", "--out", "other").err == (
        "error[run-exists]: `other` is the folder of a run, whose report would be lost\n"
        "   choose another folder with `--out`\n"
    )
    assert cli("compare", "open").err == (
        "error[not-a-run]: there are no finished runs to compare\n"
        "   `graphspec runs` lists runs and their state\n"
    )
    assert cli("compare").err == (
        "error[bad-option]: `graphspec compare` needs a run folder\n"
        "   for example `graphspec compare runs/`, or name the folders of some runs\n"
    )
    assert not (tmp_path / "comparisons").exists()


def test_a_report_that_cannot_be_written(cli: Cli, tmp_path: Path) -> None:
    study(tmp_path / "runs", {"arch1": CLEAR["arch1"]})
    (tmp_path / "file").write_text("")
    done = cli("compare", "runs", "--out", "file/report")
    assert done.code == 2
    assert done.err.startswith("error[cannot-write]: `file/report` cannot be written: ")


def test_without_out_the_report_has_the_time_for_a_name(cli: Cli, tmp_path: Path) -> None:
    study(tmp_path / "runs", {"arch1": [(0.5, 0.5)]})
    done = cli("compare", "runs")
    assert done.code == 0
    (folder,) = (tmp_path / "comparisons").iterdir()
    assert done.out.endswith(f"report: comparisons/{folder.name}/report.html\n")
    assert (folder / "report.html").is_file()
