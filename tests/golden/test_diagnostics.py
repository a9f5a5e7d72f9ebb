"""Every wrong spec under `diagnostics` against its full message, as `graphspec validate` prints it.

A first line `# options: --set a=b` in a spec stands for the options of the command line. Renew with
``pytest tests/golden --force-regen`` and read the diff as a tired user would.
"""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from pytest_regressions.file_regression import FileRegressionFixture

from graphspec import compiler
from graphspec.errors import Sink, SpecError, render_text
from graphspec.language.compose import Override

FOLDER = Path(__file__).parent / "diagnostics"
SPECS = sorted(path.name for path in FOLDER.glob("*.yaml"))


def report(name: str) -> str:
    """Return what a spec's check prints, options of its first line included."""
    sink = Sink()
    overrides: list[Override] = []
    limit: str | None = "64GiB"
    first = Path(name).read_text("utf-8", "replace").split("\n")[0]
    words = shlex.split(first.removeprefix("# options:")) if first.startswith("# options:") else []
    for option, value in zip(words[::2], words[1::2], strict=True):
        if option == "--memory-limit":
            limit = value
        else:
            item = Override.assignment(value, sink)
            overrides += [item] if item else []
    found = list(sink.diagnostics)
    try:
        found += compiler.check(name, overrides, limit).warnings
    except SpecError as error:
        found += error.diagnostics
    return render_text(found)


@pytest.mark.parametrize("name", SPECS)
def test_message(
    name: str, file_regression: FileRegressionFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(FOLDER)
    text = report(name)
    code = next((c for c in CODES if name.removesuffix(".yaml").startswith(c)), None)
    assert code is None or f"[{code}]" in text
    file_regression.check(
        text + "\n", fullpath=(FOLDER / name).with_suffix(".txt"), encoding="utf-8"
    )
