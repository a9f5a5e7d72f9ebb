"""The command line called in this process, and the specs that its tests use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from graphspec.cli.main import main

TINY = """\
graphspec: 1
name: tiny
description: One small trunk.
data: fashion-mini
nodes:
  flat: {op: flatten, from: image}
  trunk: {op: fc, from: flat, units: 8}
  fine: {op: head, from: trunk, task: fine}
  coarse: {op: head, from: trunk, task: coarse}
train: {epochs: 1}
"""


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str


Cli = Callable[..., Done]


@pytest.fixture
def cli(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Cli:
    """Calls ``graphspec`` in an empty folder that holds ``tiny.yaml``."""
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.setenv(name, "")
    (tmp_path / "tiny.yaml").write_text(TINY)

    def call(*words: str) -> Done:
        capsys.readouterr()
        code = main(words)
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return call
