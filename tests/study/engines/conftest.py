"""A job on disk without a study around it, and programs of Slurm that only pretend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from graphspec.study.jobs import Job


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A run that an engine is given; its description is written."""
    files = tmp_path / "jobs"
    files.mkdir()
    run = tmp_path / "runs" / "shared-seed0-abcd"
    made = Job("abcd", "shared", 0, run, files / "abcd.yaml", files, tmp_path)
    made.write()
    return made


Program = Callable[[str, str], Path]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Makes a program of a shell script, found before others; each call is noted in ``calls``."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def make(name: str, script: str) -> Path:
        path = folder / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >> {tmp_path}/calls\n{script}\n')
        path.chmod(0o755)
        return path

    return make
