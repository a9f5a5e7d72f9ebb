"""Tasks on the labels of another: what they are, and what cannot be."""

from __future__ import annotations

import pytest

from graphspec import compiler
from graphspec.errors import Severity, SpecError
from graphspec.language import labels
from graphspec.language.signature import TaskSpec
from graphspec.language.tasks import Task

SPEC = """\
graphspec: 1
name: t
{about}
nodes:
  flat: {{op: fc, from: image, units: 4}}
  first: {{op: head, from: flat, task: aux}}
  label: {{op: head, from: flat, task: fine}}
"""
STATED = "inputs: {image: {shape: [1, 8, 8]}}\ntasks: {fine: {classes: 10}, %s}"
MINI = "data: fashion-mini\ntasks: {%s}"


def told(about: str) -> list[str]:
    """Return the mistakes and warnings of a spec, each with its place and its hint."""
    text = SPEC.format(about=about)
    try:
        found = list(compiler.check(compiler.load_text(text, "t.yaml")).warnings)
    except SpecError as error:
        found = list(error.diagnostics)
    kinds = {Severity.ERROR: "", Severity.WARNING: "warning "}
    return [
        f"{kinds[d.severity]}{d.code.value}@{d.location.removeprefix('t.yaml:')} {d.message} | "
        f"{d.hint}"
        for d in found
    ]


def test_the_task_is_what_the_other_is() -> None:
    offered = {"fine": TaskSpec(4, ("a", "b", "c", "d"), "coarse", (0, 0, 1, 1))}
    tasks = {"fine": Task(), "aux": Task(labels="fine"), "early": Task(labels="aux")}
    expected = TaskSpec(4, ("a", "b", "c", "d"), "coarse", (0, 0, 1, 1), labels="fine")
    assert labels.borrowed(tasks, offered) == {"aux": expected, "early": expected}
    assert labels.path("early", tasks) == ["early", "aux", "fine"]


@pytest.mark.parametrize("about", [STATED % "aux: {labels: fine}", MINI % "aux: {labels: fine}"])
def test_heads_have_its_classes(about: str) -> None:
    spec = compiler.load_text(SPEC.format(about=about))
    graph = compiler.check(spec).graph
    assert {name: task.text for name, task in graph.tasks.items()} == dict.fromkeys(
        ("aux", "fine"), "10 classes"
    )
    assert spec.hash() != compiler.load(spec, {"tasks.aux.labels": "other"}).hash()


@pytest.mark.parametrize(
    ("about", "expected"),
    [
        (STATED % "aux: {labels: fine, classes: 10, weight: 0.3}", []),
        (STATED % "aux: {labels: fine}, spare: {labels: aux}",
         ["warning untrained-task@4:51 the task `spare` has no head, so it is not trained | add a "
          "node `{op: head, from: ..., task: spare}`, or remove the task"]),
        (STATED % "aux: {labels: fien}",
         ["unknown-task@4:44 `labels: fien` names no task | did you mean `fine`? tasks with "
          "labels: fine"]),
        (STATED % "aux: {labels: aux}",
         ["bad-value@4:44 the labels of `aux` come from no task: aux -> aux | name a task that "
          "has labels of its own"]),
        (STATED % "aux: {labels: fine, classes: 5}",
         ["data-mismatch@4:59 the task `aux` is stated with 5 classes, but `fine`, whose labels "
          "it has, has 10 | leave `classes` out: it comes from `fine`"]),
        (STATED % "aux: {labels: fine, ignore_index: 0}",
         ["bad-value@4:64 `ignore_index` is not for a classification task such as `aux` | leave "
          "it out"]),
        (MINI % "aux: {labels: fine}, fine: {labels: coarse}",
         ["data-mismatch@4:45 `fine` has labels of its own, so it cannot have those of `coarse` | "
          "give this task another name, such as `fine_2`"]),
        (MINI % "aux: {labels: other}, other: {}",
         ["unknown-task@4:31 `fashion-mini` has no task `other` | tasks of `fashion-mini`: fine, "
          "coarse\nto train it on the labels of one of these: `other: {labels: fine}`"]),
    ],
)  # fmt: skip
def test_each_mistake_is_told_once(about: str, expected: list[str]) -> None:
    assert told(about) == expected
