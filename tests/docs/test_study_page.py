"""The page of the studies says what their tables say."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from graphspec.study import plan

STUDY = Path(__file__).parents[2] / "docs" / "study"
PAGE = (STUDY / "README.md").read_text(encoding="utf-8")
FOLDERS = ["cifar100", "fashion-mnist", "policies"]


def rows(folder: str, name: str) -> list[dict[str, str]]:
    with (STUDY / folder / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_runs_are_those_that_the_study_asks_for(folder: str) -> None:
    study = plan.read(STUDY / folder).study
    found = {(row["variant"], int(row["seed"])) for row in rows(folder, "results.csv")}
    names = [Path(name).stem for name in study.specs]
    assert found == {(name, seed) for name in names for seed in study.all_seeds}
    assert f"| {len(found)} ({len(study.all_seeds)} seeds) |" in PAGE


def test_the_table_of_consistency_is_that_of_the_comparison() -> None:
    told = re.findall(r"^\| (arch\d): .*?\| ([\d.]+) % \| \+([\d.]+) \|", PAGE, re.MULTILINE)
    assert len(told) == 5
    found = {
        row["variant"]: row for row in rows("cifar100", "comparison.csv")
        if row["metric"] == "fine/consistency"
    }  # fmt: skip
    for name, mean, difference in told:
        assert f"{100 * float(found[name]['mean']):.2f}" == mean
        assert f"{100 * float(found[name]['difference']):.2f}" == difference
        assert found[name]["verdict"] == "better"


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_accuracy_is_told_apart_but_that_of_teachers(folder: str) -> None:
    for row in rows(folder, "comparison.csv"):
        if row["metric"] == "fine/top1" and row["verdict"] in ("better", "worse"):
            assert (folder, row["variant"].partition("_")[2]) == ("policies", "teacher")
