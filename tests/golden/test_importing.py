"""What `graphspec import` says of models that cannot be imported, with the lines of their code."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_regressions.file_regression import FileRegressionFixture

import graphspec as gs
from graphspec.errors import SpecError
from graphspec.importing import targets

FOLDER = Path(__file__).parent / "importing"

CASES = {
    "cannot-import": "models.py:Net",
    "cannot-trace-branch": "models.py:Branch",
    "cannot-trace-loop": "models.py:Loop",
    "cannot-trace-hidden": "models.py:Hidden",
    "cannot-trace-mask": "models.py:Mask",
    "import-failed": "models.py:Broken",
    "import-failed-number": "models.py:make",
    "import-not-found": "models.py:Nett",
    "import-not-found-module": "no_such_package.models:Net",
    "bad-option-form": "models.py",
    "bad-option-argument": "models.py:NeedsArgument",
}


@pytest.mark.parametrize("name", CASES)
def test_message(
    name: str, file_regression: FileRegressionFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(FOLDER)
    with pytest.raises(SpecError) as caught:
        gs.import_model(targets.load(CASES[name]).model, {"x": (4,)})
    text = str(caught.value)
    assert f"[{'-'.join(name.split('-')[:2])}" in text
    file_regression.check(text + "\n", fullpath=FOLDER / f"{name}.txt", encoding="utf-8")
