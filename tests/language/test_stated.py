"""The `tasks:` section: what a spec may state of its inputs and tasks, alone or beside its data."""

from __future__ import annotations

import pytest

from graphspec import compiler
from graphspec.errors import Sink, SpecError
from graphspec.language import stated
from graphspec.language.signature import InputSpec, Signature, TaskSpec

SPEC = """\
graphspec: 1
name: t
{data}inputs: {{image: {{shape: [3, 8, 8]}}}}
tasks:
  {task}
nodes:
  flat: {{op: fc, from: image, units: 4}}
  label: {{op: head, from: flat, task: t}}
"""
CIFAR = Signature({"image": InputSpec((3, 8, 8))}, {"t": TaskSpec(5)})


def asked(task: str, offered: Signature | None = None) -> tuple[Signature | None, list[str]]:
    """What is stated, and what is wrong with it, with its place and its hint."""
    data = "data: cifar100\n" if offered else ""
    spec, sink = compiler.load_text(SPEC.format(task=task, data=data), "t.yaml"), Sink()
    found = stated.signature(spec, sink) if offered is None else None
    if offered is not None:
        stated.compare(spec, offered, sink)
    lines = [
        f"{d.code.value}@{d.location.removeprefix('t.yaml:')} {d.message} | {d.hint}"
        for d in sink.diagnostics
    ]
    return found, lines


@pytest.mark.parametrize(
    ("task", "expected", "text"),
    [
        ("t: {classes: 5}", TaskSpec(5), "5 classes"),
        ("t: {classes: 1}", TaskSpec(1), "1 class"),
        ("t: {type: multilabel, classes: 3}", TaskSpec(3, type="multilabel"), "3 labels"),
        ("t: {type: regression}", TaskSpec(type="regression", shape=(1,)), "1 number"),
        ("t: {type: regression, shape: []}", TaskSpec(type="regression", shape=(1,)), "1 number"),
        ("t: {type: regression, shape: [2, 3]}", TaskSpec(type="regression", shape=(2, 3)),
         "2x3 numbers"),
        ("t: {type: segmentation, classes: 2, shape: [4, 4], ignore_index: 255}",
         TaskSpec(2, type="segmentation", shape=(4, 4), ignore_index=255), "2 classes a position"),
        ("t: {type: segmentation, classes: 2}", TaskSpec(2, type="segmentation"),
         "2 classes a position"),
    ],
)  # fmt: skip
def test_a_task_alone(task: str, expected: TaskSpec, text: str) -> None:
    found, lines = asked(task)
    assert found is not None
    assert (found.tasks["t"], lines, expected.text) == (expected, [], text)


def test_keys_of_other_types_and_what_is_missing() -> None:
    _, lines = asked("t: {type: regression, classes: 3, ignore_index: 1}")
    assert lines == [
        "bad-value@5:34 `classes` is not for a regression task such as `t` | "
        "leave it out: its size is `shape`",
        "bad-value@5:51 `ignore_index` is not for a regression task such as `t` | leave it out",
    ]
    found, lines = asked("t: {type: multilabel}")
    assert found is None
    assert lines == [
        "missing-key@5:3 the key `classes` of the task `t` is missing | "
        "without a data set a task states its number of labels: `t: {classes: 10}`"
    ]


@pytest.mark.parametrize(
    ("task", "line"),
    [
        ("t: {classes: 5, weight: 2}", ""),
        ("t: {classes: 6}", "data-mismatch@6:16 the task `t` is stated with 6 classes, but "
         "`cifar100` has 5 | leave `classes` out: it comes from the data set"),
        ("t: {type: multilabel}", "data-mismatch@6:13 the task `t` is stated as multilabel, but "
         "`cifar100` has it as classification | leave `type` out: it comes from the data set"),
        ("t: {shape: [1]}", "bad-value@6:14 `shape` is not for a classification task such as `t` | "
         "leave it out: its target is one class"),
        ("u: {}", "unknown-task@6:3 `cifar100` has no task `u` | tasks of `cifar100`: t\n"
         "to train it on the labels of one of these: `u: {labels: t}`"),
    ],
)  # fmt: skip
def test_a_task_beside_its_data(task: str, line: str) -> None:
    assert asked(task, CIFAR)[1] == ([line] if line else [])


def test_targets_of_another_shape() -> None:
    offered = Signature(CIFAR.inputs, {"t": TaskSpec(type="regression", shape=(2,))})
    assert asked("t: {type: regression, shape: [2]}", offered)[1] == []
    (line,) = asked("t: {shape: [3]}", offered)[1]
    assert "data-mismatch@6:14" in line
    assert "is stated with targets of shape [3], but `cifar100` has [2]" in line


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("t: {type: regresion}", "expected `classification`, `multilabel`, `regression` or"),
        ("t: {classes: 2, class_weights: even}", "expected `balanced` or a list of numbers"),
        ("t: {classes: 2, class_weights: [-1, 1]}", "it must be at least 0"),
        ("t: {classes: 2, label_smoothing: 1}", "it must be less than 1"),
        ("t: {type: regression, shape: [65536, 65536]}", "one target has 4,294,967,296 numbers"),
    ],
)
def test_values_that_cannot_be(task: str, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        compiler.load_text(SPEC.format(task=task, data=""), "t.yaml")
    (found,) = caught.value.diagnostics
    assert found.code.value in ("bad-value", "wrong-type")
    assert words in found.message


def test_parents_that_cannot_be() -> None:
    def lines(*tasks: str) -> list[str]:
        return asked("\n  ".join(tasks))[1]

    found, good = asked("fine: {classes: 4, parent: coarse}\n  coarse: {classes: 2}")
    assert good == []
    assert found is not None
    assert (found.tasks["fine"].parent, found.tasks["fine"].parents) == ("coarse", ())
    assert lines("fine: {classes: 4, parent: corse}", "coarse: {classes: 2}") == [
        "unknown-task@5:30 `parent: corse` names no task | did you mean `coarse`? "
        "classifications here: coarse"
    ]
    circle = lines("a: {classes: 2, parent: b}", "b: {classes: 2, parent: a}")
    assert circle[0] == (
        "bad-value@5:27 the classes of `a` would lie in themselves: a -> b -> a | "
        "the task with fewer classes is the parent of the other"
    )
    assert lines("a: {classes: 2, parent: a}")[0].startswith("bad-value@5:27 the classes of `a`")
    assert lines("a: {classes: 2, parent: b}", "b: {type: regression}") == [
        "bad-value@5:27 `parent: b` is a regression task, in whose classes nothing can lie | "
        "name a classification"
    ]
    assert lines("a: {type: regression, parent: b}", "b: {classes: 2}") == [
        "bad-value@5:33 `parent` is not for a regression task such as `a` | leave it out"
    ]
    lent = lines("a: {classes: 4, parent: c}", "b: {classes: 2}", "c: {labels: b}")
    assert lent == ["bad-value@5:27 `parent: c` has the labels of `b` | write `parent: b`"]


def test_a_parent_beside_the_one_of_the_data() -> None:
    tasks = {"t": TaskSpec(5, parent="u"), "u": TaskSpec(2), "v": TaskSpec(3)}
    offered = Signature(CIFAR.inputs, tasks)
    assert asked("t: {parent: u}", offered)[1] == []
    assert asked("t: {parent: v}", offered)[1] == [
        "data-mismatch@6:15 the classes of `t` lie in those of `u`, not of `v` | "
        "leave `parent` out: it comes from the data set"
    ]
