"""``graphspec fmt``: files, folders, stdin; what it says and what it leaves alone."""

from __future__ import annotations

import io
import os
import stat
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import TINY, Cli

UGLY = "nodes: {a: {from: x, op: fc}}  # all\n"
NEAT = "nodes:  # all\n  a: {op: fc, from: x}\n"


def test_files_are_rewritten_and_named(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "specs" / "deep"
    folder.mkdir(parents=True)
    (folder / "ugly.yml").write_text(UGLY)
    (folder / "neat.yaml").write_text(NEAT)
    (folder / "compose.yaml").write_text("services:   {x: 1}\n")
    (tmp_path / "specs" / ".hidden.yaml").write_text(UGLY)
    done = cli("fmt", "specs")
    assert (done.code, done.out, done.err) == (
        0,
        "specs/deep/ugly.yml\n",
        "1 formatted, 1 unchanged\n",
    )
    assert (folder / "ugly.yml").read_text() == NEAT
    assert (folder / "compose.yaml").read_text() == "services:   {x: 1}\n"
    assert (tmp_path / "specs" / ".hidden.yaml").read_text() == UGLY
    again = cli("fmt", "specs", "specs/deep/ugly.yml")
    assert (again.code, again.out, again.err) == (0, "", "2 unchanged\n")


def test_check_and_diff_write_nothing(cli: Cli, tmp_path: Path) -> None:
    ugly = tmp_path / "ugly.yaml"
    ugly.write_text(UGLY)
    done = cli("fmt", "--check", "ugly.yaml")
    assert (done.code, done.out, done.err) == (1, "ugly.yaml\n", "1 would change\n")
    done = cli("fmt", "--diff", "ugly.yaml")
    assert done.code == 0
    assert done.out == (
        "--- ugly.yaml\n+++ ugly.yaml\n@@ -1 +1,2 @@\n"
        "-nodes: {a: {from: x, op: fc}}  # all\n+nodes:  # all\n+  a: {op: fc, from: x}\n"
    )
    assert cli("fmt", "--diff", "--check", "ugly.yaml").code == 1
    assert ugly.read_text() == UGLY
    ugly.write_text(NEAT)
    assert cli("fmt", "--check", "ugly.yaml").code == 0


def test_a_file_with_a_mistake_is_left_alone_and_the_others_are_done(
    cli: Cli, tmp_path: Path
) -> None:
    (tmp_path / "bad.yaml").write_text("nodes: [\n")
    (tmp_path / "ugly.yaml").write_text(UGLY)
    (tmp_path / "empty").mkdir()
    done = cli("fmt", "bad.yaml", "ugly.yaml", "nosuch.yaml", "empty")
    assert (done.code, done.out) == (2, "ugly.yaml\n")
    assert "bad.yaml:1:1: error[yaml-syntax]: not valid YAML" in done.err
    assert "error[file-not-found]: there is no file `nosuch.yaml`" in done.err
    assert "error[file-not-found]: there is no spec in the folder `empty`" in done.err
    assert done.err.endswith("1 formatted, 2 with mistakes\n")
    assert (tmp_path / "bad.yaml").read_text() == "nodes: [\n"


def test_a_link_stays_a_link_and_permissions_stay(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "real.yaml").write_text(UGLY)
    (tmp_path / "real.yaml").chmod(0o640)
    (tmp_path / "link.yaml").symlink_to("real.yaml")
    assert cli("fmt", "link.yaml").code == 0
    assert (tmp_path / "link.yaml").is_symlink()
    assert (tmp_path / "real.yaml").read_text() == NEAT
    assert stat.S_IMODE((tmp_path / "real.yaml").stat().st_mode) == 0o640


def test_a_refused_write_leaves_the_file(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ugly.yaml").write_text(UGLY)

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    done = cli("fmt", "ugly.yaml")
    assert done.code == 2
    assert "error[disk-full]: cannot write the spec `ugly.yaml`: No space left" in done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny.yaml", "ugly.yaml"]
    assert (tmp_path / "ugly.yaml").read_text() == UGLY


@pytest.mark.parametrize(
    ("options", "code", "out"),
    [([], 0, NEAT), (["--check"], 1, ""), (["--diff"], 0, "+  a: {op: fc, from: x}\n")],
)
def test_stdin(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, options: list[str], code: int, out: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(UGLY.encode())))
    done = cli("fmt", "-", *options)
    assert (done.code, done.err) == (code, "")
    assert done.out.endswith(out)


def test_stdin_that_is_no_spec(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a: 1\na: 2\n")))
    done = cli("fmt", "-")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("<stdin>:2:1: error[duplicate-key]")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff")))
    assert "error[file-unreadable]: stdin is not UTF-8" in cli("fmt", "-").err
    assert "error[bad-option]: `-` is stdin and stands alone" in cli("fmt", "-", "x.yaml").err


def test_nothing_to_format(cli: Cli) -> None:
    done = cli("fmt")
    assert done.code == 2
    assert done.err == (
        "error[bad-option]: `graphspec fmt` needs a file or folder\n"
        "   for example `graphspec fmt specs/`, or `graphspec fmt -` for stdin\n"
    )


def test_what_the_other_tests_use_is_formatted_as_expected(cli: Cli) -> None:
    assert cli("fmt", "tiny.yaml").code == 0
    assert "\nnodes:\n  flat:   {op: flatten, from: image}\n" in Path("tiny.yaml").read_text()
    assert Path("tiny.yaml").read_text() != TINY
