"""``graphspec eject``: where the file goes, and what stops it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Cli


def test_a_file_that_is_not_overwritten_unasked(cli: Cli, tmp_path: Path) -> None:
    done = cli("eject", "tiny.yaml")
    assert (done.code, done.out, done.err) == (0, "model.py\n", "")
    text = (tmp_path / "model.py").read_text()
    assert "class Tiny(nn.Module):" in text
    again = cli("eject", "tiny.yaml")
    assert (again.code, again.out) == (2, "")
    assert again.err == (
        "error[cannot-write]: `model.py` is there already\n"
        "   `--force` overwrites it, `-o FILE` writes elsewhere\n"
    )
    forced = cli("eject", "tiny.yaml", "--force", "--tasks", "fine", "--set", "nodes.trunk.units=4")
    assert forced.code == 0
    text = (tmp_path / "model.py").read_text()
    assert "nn.Linear(4, 10)" in text
    assert "coarse" not in text
    assert "strict=False)  # tasks were left out" in text


def test_stdout_carries_the_text_only(cli: Cli) -> None:
    done = cli("eject", "tiny.yaml", "-o", "-")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith('"""tiny: One small trunk.\n')
    compile(done.out, "model.py", "exec")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-o", "x"], "error[bad-option]: `-o x` does not end in `.py`\n   for example `-o x.py`"),
        (["-o", "."], "error[bad-option]: `-o .` does not end in `.py`\n   for example `-o model."),
        (["-o", "no/x.py"], "error[cannot-write]: cannot write the model `no/x.py`: "),
        (["--tasks", "fin"], "error[unknown-task]: no head predicts the task `fin`"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_written(cli: Cli, words: list[str], message: str) -> None:
    done = cli("eject", "tiny.yaml", *words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(message)
