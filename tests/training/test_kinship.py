"""Metrics of fine and coarse predictions together, against their definitions on small cases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch.nn import functional

from graphspec.language.signature import TaskSpec
from graphspec.training import measures
from graphspec.training.evaluation import evaluate
from graphspec.training.kinship import Kinship, described, kinships
from graphspec.training.losses import Losses

from .test_objectives import Echo

CPU = torch.device("cpu")
PARENTS, GRANDPARENTS = (0, 0, 1, 1, 2, 2), (0, 0, 1)
LINEAGE = (PARENTS, (0, 0, 0, 0, 1, 1))
TASKS = {
    "fine": TaskSpec(6, tuple("abcdef"), "coarse", PARENTS, lineage=LINEAGE),
    "coarse": TaskSpec(3, ("ab", "cd", "ef"), "super", GRANDPARENTS, lineage=(GRANDPARENTS,)),
    "super": TaskSpec(2, ("abcd", "ef")),
}


def hot(classes: list[int], number: int) -> torch.Tensor:
    return functional.one_hot(torch.tensor(classes), number).float() * 9


def measured(
    tasks: Mapping[str, TaskSpec], fine: torch.Tensor, true: list[int], coarse: list[int]
) -> Kinship:
    kinship = Kinship("fine", tasks, CPU)
    outputs = {"fine": fine, "coarse": hot(coarse, 3)}
    for chosen in (slice(0, 2), slice(2, None)):  # in two batches
        labels = {"fine": torch.tensor(true)[chosen]}
        kinship.add({name: each[chosen] for name, each in outputs.items()}, labels)
    return kinship


def test_by_hand() -> None:
    #       right  sibling  cousin  stranger  right
    true = [0, 0, 1, 2, 4]
    given = [0, 1, 2, 5, 4]
    coarse = [0, 1, 1, 2, 0]
    found = measured(TASKS, hot(given, 6), true, coarse)
    assert found.scores() == {
        "consistency": 3 / 5,  # c, d and e: parents of the predictions are 0, 0, 1, 2, 2
        "implied_top1": 3 / 5,
        "marginal_top1": 3 / 5,
        "errors_within": 1 / 3,
        "mistake_severity": (1 + 2 + 3) / 3,
        "hierarchical_distance": (1 + 2 + 3) / 5,
    }  # fmt: skip
    confusion = found.confusion()
    assert confusion.counts == [[2, 1, 0], [0, 0, 1], [0, 0, 1]]
    assert confusion.pairs == [(0, 1, 1, 2, True), (1, 2, 1, 1, False), (2, 5, 1, 1, False)]
    assert described("fine", confusion, TASKS)["pairs"][0] == {
        "true": "a", "predicted": "b", "count": 1, "of": 2, "same_parent": True,
    }  # fmt: skip


def test_the_parent_of_most_probability_is_not_always_that_of_the_likeliest_class() -> None:
    shares = torch.tensor([[0.4, 0.0, 0.3, 0.3, 0.0, 0.0]])
    kinship = Kinship("fine", TASKS, CPU)
    outputs = {"fine": (shares + 1e-9).log(), "coarse": hot([1], 3)}
    kinship.add(outputs, {"fine": torch.tensor([3])})
    found = kinship.scores()
    assert (found["implied_top1"], found["marginal_top1"], found["consistency"]) == (0, 1, 0)


def test_where_labels_are_missing_the_parent_still_counts() -> None:
    kinship = Kinship("fine", TASKS, CPU)
    outputs = {"fine": hot([0, 2, 4, 5], 6), "coarse": hot([0, 1, 2, 0], 3)}
    labels = {"fine": torch.tensor([-1, -1, 5, -1]), "coarse": torch.tensor([0, 0, -1, -1])}
    kinship.add(outputs, labels)
    assert kinship.scores() == {
        "consistency": 3 / 4, "implied_top1": 2 / 3, "marginal_top1": 2 / 3, "errors_within": 1.0,
        "mistake_severity": 1.0, "hierarchical_distance": 1.0,
    }  # fmt: skip
    empty = Kinship("fine", TASKS, CPU)
    empty.add(outputs, {name: torch.full((4,), -1) for name in labels})
    assert empty.scores() == {"consistency": 3 / 4}


def test_a_class_without_a_known_parent_is_of_none() -> None:
    parents = (0, 0, 1, 1, -1, -1)
    tasks = {"fine": TaskSpec(6, (), "coarse", parents, lineage=(parents,)), "coarse": TaskSpec(3)}
    found = measured(tasks, hot([4, 4, 5, 0], 6), [4, 5, 0, 4], [2, 2, 0, 0])
    assert found.scores() == {
        # the marginal looks for the likeliest of the known parents
        "consistency": 1 / 4, "implied_top1": 0.0, "marginal_top1": 1.0, "errors_within": 0.0,
        "mistake_severity": 2.0, "hierarchical_distance": 6 / 4,
    }  # fmt: skip
    assert found.confusion().counts == [[0, 0, 0], [0, 0, 0], [0, 0, 0]]


def test_without_a_head_for_the_parent_only_consistency_is_missing() -> None:
    alone = {"fine": TASKS["fine"]}
    found = measured(alone, hot([0, 1], 6), [0, 0], [0, 0])
    assert found.scores() == {
        "implied_top1": 1.0, "marginal_top1": 1.0, "errors_within": 1.0, "mistake_severity": 1.0,
        "hierarchical_distance": 0.5,
    }  # fmt: skip
    names = measures.of_tasks(alone)
    assert "fine/implied_top1" in names
    assert "fine/consistency" not in names
    assert [name for name in measures.of_tasks(alone, "train") if "top" not in name] == [
        "loss", "fine/loss",
    ]  # fmt: skip


def test_an_evaluation_has_them_for_every_level() -> None:
    class Batch:
        def __init__(self, size: int, seed: int) -> None:
            g = torch.Generator().manual_seed(seed)
            self.inputs = {n: torch.randn(size, t.classes, generator=g) for n, t in TASKS.items()}
            fine = torch.randint(6, (size,), generator=g)
            maps = [torch.tensor(each) for each in LINEAGE]
            self.labels = {"fine": fine, "coarse": maps[0][fine], "super": maps[1][fine]}

    batches = [Batch(30, 1), Batch(11, 2)]
    found = evaluate(Echo(), batches, Losses(dict.fromkeys(TASKS, 1.0)), TASKS, CPU)
    assert found is not None
    assert list(found.scores) == measures.of_tasks(TASKS)
    assert set(found.kin) == {"fine", "coarse"}
    logits = torch.cat([batch.inputs["fine"] for batch in batches])
    true = torch.cat([batch.labels["fine"] for batch in batches])
    wanted = slowly(logits, true, torch.cat([batch.inputs["coarse"] for batch in batches]))
    assert {key: found.scores[f"fine/{key}"] for key in wanted} == pytest.approx(wanted)
    counts: Any = found.kin["fine"].counts
    assert sum(map(sum, counts)) == len(true)
    assert sum(counts[i][i] for i in range(3)) / len(true) == found.scores["fine/implied_top1"]


def slowly(logits: torch.Tensor, true: torch.Tensor, coarse: torch.Tensor) -> dict[str, float]:
    """Compute the metrics of `fine` sample by sample, with the tree as sets of leaves."""
    nodes = [set(range(6)), {0, 1, 2, 3}, {4, 5}, {0, 1}, {2, 3}, {4, 5}, *({n} for n in range(6))]
    heights = [3, 2, 2, 1, 1, 1, *[0] * 6]
    distances, hits = [], {"consistency": 0, "implied_top1": 0, "marginal_top1": 0}
    for row, label, above in zip(logits.double(), true.tolist(), coarse, strict=True):
        given = int(row.argmax())
        distances.append(min(h for h, n in zip(heights, nodes, strict=True) if {given, label} <= n))
        shares = row.softmax(0)
        summed = [float(shares[torch.tensor(PARENTS) == each].sum()) for each in range(3)]
        hits["consistency"] += PARENTS[given] == int(above.argmax())
        hits["implied_top1"] += PARENTS[given] == PARENTS[label]
        hits["marginal_top1"] += summed.index(max(summed)) == PARENTS[label]
    mistakes = [distance for distance in distances if distance]
    return {
        **{name: number / len(true) for name, number in hits.items()},
        "errors_within": mistakes.count(1) / len(mistakes),
        "mistake_severity": sum(mistakes) / len(mistakes),
        "hierarchical_distance": sum(distances) / len(true),
    }


def test_tasks_without_a_map_have_none() -> None:
    assert kinships({"a": TaskSpec(3, parent="b"), "b": TaskSpec(2)}, CPU) == {}
