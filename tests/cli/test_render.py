"""``graphspec render``: where diagrams go, and what cannot be drawn."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import TINY, Cli


def test_a_file_of_the_specs_name_by_default(cli: Cli, tmp_path: Path) -> None:
    done = cli("render", "tiny.yaml")
    assert (done.code, done.out, done.err) == (0, "tiny.svg\n", "")
    assert "<svg" in (tmp_path / "tiny.svg").read_text()
    assert cli("render", "tiny.yaml").code == 0  # its own output is replaced


def test_several_into_a_folder(cli: Cli, tmp_path: Path) -> None:
    done = cli("render", "arch1", "tiny.yaml", "-o", "out/", "--format", "dot")
    assert done.out == "out/arch1.dot\nout/tiny.dot\n"
    assert (tmp_path / "out/tiny.dot").read_text().startswith("digraph")


def test_stdout_carries_the_diagram_only(cli: Cli) -> None:
    done = cli("render", "tiny.yaml", "-o", "-", "--format", "mmd")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("flowchart")
    assert "coarse" in done.out
    only = cli("render", "tiny.yaml", "-o", "-", "--format", "mmd", "--tasks", "fine")
    assert "head coarse" not in only.out


def test_blocks_are_closed_below_a_depth(cli: Cli) -> None:
    def boxes(*words: str) -> int:
        done = cli("render", "resnet18", "-o", "-", "--format", "mmd", *words)
        assert (done.code, done.err) == (0, "")
        return sum(":::" in line for line in done.out.splitlines()) - 1  # one is the legend's

    assert (boxes(), boxes("--depth", "0"), boxes("--depth", "9")) == (66, 11, 66)
    assert cli("render", "resnet18", "--depth", "-1").code == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-o", "x.pdf"], "error[bad-option]: `-o x.pdf` ends in `.pdf`, which is no format"),
        (["-o", "x"], "error[bad-option]: `-o x` does not end in a format"),
        (
            ["-o", "x.png", "--format", "svg"],
            "error[bad-option]: `-o x.png` and `--format svg` ask for different formats",
        ),
        (["arch5", "-o", "x.svg"], "error[bad-option]: `-o x.svg` is one file, but there are 2"),
        (["arch5", "-o", "-"], "error[bad-option]: 2 diagrams cannot be written to `-o -`"),
        (["-o", "no/x.dot"], "error[cannot-write]: cannot write the diagram `no/x.dot`: "),
        (["-o", "tiny.yaml/"], "error[cannot-write]: the folder `tiny.yaml/` cannot be made: "),
        (["--tasks", "fin"], "error[unknown-task]: no head predicts the task `fin`"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_written(cli: Cli, words: list[str], message: str) -> None:
    done = cli("render", "tiny.yaml", *words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(message)


def test_two_specs_of_one_name_are_not_drawn_over_each_other(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "again.yaml").write_text(TINY)
    done = cli("render", "tiny.yaml", "again.yaml", "--format", "dot")
    assert done.code == 2
    assert "`tiny.yaml` and `again.yaml` would both be drawn into `tiny.dot`" in done.err


def test_a_name_that_is_no_file_name(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "odd.yaml").write_text(TINY.replace("name: tiny", "name: ../my net / v2"))
    assert cli("render", "odd.yaml", "--format", "dot").out == "my-net-v2.dot\n"
