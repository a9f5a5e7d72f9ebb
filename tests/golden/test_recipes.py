"""Every wrong recipe under `recipes` against its full message, as `graphspec validate` prints it.

Renew with ``pytest tests/golden --force-regen`` and read the diff as a tired user would.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_regressions.file_regression import FileRegressionFixture

from graphspec.errors import SpecError
from graphspec.training.check import checked

FOLDER = Path(__file__).parent / "recipes"


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.yaml")))
def test_message(
    name: str, file_regression: FileRegressionFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(FOLDER)
    with pytest.raises(SpecError) as error:
        checked(name)
    file_regression.check(
        f"{error.value}\n", fullpath=(FOLDER / name).with_suffix(".txt"), encoding="utf-8"
    )
