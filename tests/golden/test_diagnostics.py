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
from graphspec.errors import Code, Sink, SpecError, render_text
from graphspec.language.compose import Override

FOLDER = Path(__file__).parent / "diagnostics"
SPECS = sorted(path.name for path in FOLDER.glob("*.yaml"))
CODES = {code.value for code in Code}


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
    stem = name.removesuffix(".yaml")
    codes = [code for code in CODES if stem == code or stem.startswith(f"{code}-")]
    assert any(f"[{code}]" in text for code in codes) or stem == "several"
    file_regression.check(
        text + "\n", fullpath=(FOLDER / name).with_suffix(".txt"), encoding="utf-8"
    )


def test_every_code_of_a_spec_has_a_golden_file() -> None:
    seen = {code for code in CODES for name in SPECS if name.startswith(code)}
    missing = CODES - seen
    assert missing == {
        *("cross-task-gradient", "data-not-found", "data-corrupt", "data-checksum"),
        *("data-skipped", "data-doubtful", "workers-failed", "process-lost"),
        *("plugin-not-found", "plugin-failed", "plugin-clash"),
        *("bad-option", "bad-device", "missing-package", "not-a-run", "run-exists", "run-mismatch"),
        *(
            "run-busy",
            "bad-checkpoint",
            "cannot-write",
            "disk-full",
            "loss-not-finite",
            "render-failed",
        ),
        *("export-failed", "cannot-eject"),
        *("import-not-found", "import-failed", "cannot-trace", "cannot-import"),
    }
