"""What a study's file can say, and what is said of its mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphspec.errors import SpecError
from graphspec.language.studies import Study
from graphspec.study import plan
from graphspec.study.variants import variants


def mistakes(text: str, there: Path) -> list[str]:
    """Return ``code@line:column`` of each mistake in a study."""
    folder = there / "study"
    folder.mkdir()
    (folder / "study.yaml").write_text(text)
    with pytest.raises(SpecError) as error:
        variants(plan.read(folder))
    found = []
    for item in error.value.diagnostics:
        place = ""
        if item.span is not None:
            line, column = item.span.source.position(item.span.start)
            place = f"@{Path(item.span.source.name).name}:{line}:{column}"
        found.append(f"{item.code.value}{place}")
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("study: {specs: ../shared.yaml, seed: 3}", ["unknown-key@study.yaml:1:32"]),
        ("study: {seeds: 3}", ["missing-key@study.yaml:1:8"]),
        ("specs: [a.yaml]", ["missing-key@study.yaml:1:1", "unknown-key@study.yaml:1:1"]),
        ("- a\n- b", ["wrong-type@study.yaml:1:1"]),
        ("study: {specs: []}", ["bad-value@study.yaml:1:16"]),
        ("study: {specs: [gone.yaml]}", ["file-not-found@study.yaml:1:17"]),
        ("study: {specs: ../shared.yaml, seeds: 0}", ["bad-value@study.yaml:1:39"]),
        ("study: {specs: ../shared.yaml, seeds: [1, -1]}", ["bad-value@study.yaml:1:39"]),
        ("study: {specs: ../shared.yaml, seeds: many}", ["wrong-type@study.yaml:1:39"]),
        ("study: {specs: ../shared.yaml, match: size}", ["bad-value@study.yaml:1:39"]),
        ("study: {specs: ../shared.yaml, baseline: sharde}", ["bad-value@study.yaml:1:42"]),
        ("study: {specs: ../shared.yaml, set: {widht: 4}}", ["bad-override@study.yaml:1:38"]),
        ("study: {specs: ../shared.yaml, set: {train.lr: -1}}", ["bad-value@study.yaml:1:48"]),
        ("study: {specs: ../shared.yaml, set: {train.seed: 1}}", ["bad-value@study.yaml:1:50"]),
        ("study: {specs: ../shared.yaml, grid: {width: []}}", ["bad-value@study.yaml:1:46"]),
        (
            "study: {specs: ../shared.yaml, set: {width: 4}, grid: {width: [4, 8]}}",
            ["bad-value@study.yaml:1:63"],
        ),
        (
            "study: {specs: ../shared.yaml, grid: {train.optimizer: [Adam, Adma]}}",
            ["bad-value@study.yaml:1:63"],
        ),
        ("study: {specs: ../shared.yaml, seeds: 20000}", ["too-large@study.yaml:1:8"]),
        ("study: {specs: ../shared.yaml, budget: {epochs: 0}}", ["bad-value@study.yaml:1:49"]),
    ],
)
def test_mistakes_are_located(text: str, expected: list[str], there: Path) -> None:
    assert mistakes(text, there) == expected


def test_a_mistake_in_a_spec_is_told_once_for_all_combinations(there: Path) -> None:
    (there / "wrong.yaml").write_text(
        "graphspec: 1\nextends: base.yaml\nnodes: {a: {op: fc, from: nowhere, units: =width}}\n"
    )
    text = "study: {specs: ../wrong.yaml, grid: {train.lr: [0.1, 0.2, 0.3]}}"
    assert mistakes(text, there).count("unknown-node@wrong.yaml:3:27") == 1


def test_the_mistakes_of_all_specs_come_together(there: Path) -> None:
    for name in ("one", "two"):
        text = "graphspec: 1\nextends: base.yaml\nnodes: {a: {op: nothing, from: x}}\n"
        (there / f"{name}.yaml").write_text(text)
    found = mistakes("study: {specs: [../one.yaml, ../two.yaml]}", there)
    assert {"unknown-op@one.yaml:3:17", "unknown-op@two.yaml:3:17"} <= set(found)


def test_other_tasks_cannot_be_compared(there: Path) -> None:
    (there / "half.yaml").write_text(
        "graphspec: 1\nextends: base.yaml\n"
        "nodes: {fine_label: {op: head, from: x, task: fine}}\ntasks: {coarse: {weight: 1}}\n"
    )
    assert "data-mismatch" in mistakes("study: {specs: [../shared.yaml, ../half.yaml]}", there)


def test_other_data_cannot_be_compared(there: Path) -> None:
    (there / "less.yaml").write_text(
        "graphspec: 1\nextends: shared.yaml\nname: less\ndata: {validation: 0.5}\n"
    )
    assert mistakes("study: {specs: [../shared.yaml, ../less.yaml]}", there) == ["data-mismatch"]


def test_what_is_written_reads_back(there: Path) -> None:
    section = {
        "name": "A study: of two",
        "description": "What helps?",
        "specs": ["shared.yaml", "apart.yaml", "arch1"],
        "seeds": [3, 5],
        "set": {"width": 4, "train.lr": 1e-3, "data.root": None},
        "grid": {"train.optimizer": ["Adam", {"name": "SGD", "momentum": 0.9}]},
        "baseline": "apart",
        "match": {"by": "params", "tolerance": 0.1},
        "budget": {"epochs": 3, "hours": 1.5},
    }
    asked = plan.asked(Study.model_validate(section))
    folder = there / "studies" / "two"
    assert plan.write(asked, folder)
    assert not plan.write(asked, folder)
    found = plan.read(folder)
    names = ["../../shared.yaml", "../../apart.yaml", "arch1"]
    assert found.study == asked.study.model_copy(update={"specs": names})
    assert found.spec(names[0]) == Path("shared.yaml")
    values = [(each.path, each.value) for each in found.common]
    assert values == [("width", "4"), ("train.lr", "0.001"), ("data.root", "null")]


def test_a_file_that_a_person_wrote_is_not_replaced(there: Path) -> None:
    (there / "study.yaml").write_text("study: {specs: shared.yaml}\n")
    asked = plan.asked(Study.model_validate({"specs": ["apart.yaml"]}))
    with pytest.raises(SpecError, match="was not written by `graphspec study`"):
        plan.write(asked, there)
    assert (there / "study.yaml").read_text() == "study: {specs: shared.yaml}\n"


def test_what_a_study_is(there: Path) -> None:
    (there / "mine.yaml").write_text("graphspec: 1\nstudy:\n  specs: shared.yaml\n")
    assert plan.is_study(there / "mine.yaml")
    assert not plan.is_study(there / "shared.yaml")
    assert not plan.is_study(there)
    assert not plan.is_study(there / "gone.yaml")


def test_specs_of_one_name_are_told_apart_by_their_files(there: Path) -> None:
    (there / "b").mkdir()
    text = (there / "shared.yaml").read_text().replace("base.yaml", "../base.yaml")
    (there / "b" / "shared.yaml").write_text(text.replace("[=width, =width]", "[=width]"))
    asked = plan.asked(Study.model_validate({"specs": ["shared.yaml", "b/shared.yaml"]}))
    labels = [each.label for each in variants(asked)]
    assert labels == ["shared (shared.yaml)", "shared (b/shared.yaml)"]
