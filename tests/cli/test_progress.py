"""What is said while pictures are read for long."""

from __future__ import annotations

import pytest

from graphspec.cli import progress
from graphspec.cli.progress import Lines


def test_reading_is_told_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter((100.0, 104.9, 105.1, 107.0, 111.0))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    lines = Lines()
    for done in (1000, 2000, 3000, 4000):
        lines.reading(done, 12_000)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == [
        "reading pictures: 2,000 of 12,000",
        "reading pictures: 4,000 of 12,000",
    ]
