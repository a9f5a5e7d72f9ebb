"""What a variant costs, from its run folder alone: the data are elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

from graphspec.study import costs
from graphspec.study.costs import Cost
from graphspec.study.result import Entry, read
from tests.study.run_folders import make


def _cost(folder: Path) -> Cost | None:
    return costs.of(read(Entry("x", 0, folder)))


def test_flops_and_shared_parameters_by_hand(tmp_path: Path) -> None:
    """784 -> 8 -> 10 and 6: a multiply-add is two; the trunk has weight, bias and batch-norm."""
    found = _cost(make(tmp_path / "run"))
    assert found == Cost(2 * (784 * 8 + 8 * 10 + 8 * 6), 784 * 8 + 8 + 2 * 8)


def test_heads_on_the_labels_of_another_task(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    text = (run / "spec.yaml").read_text()
    text = text.replace("coarse: {weight: 1}}", "coarse: {weight: 1}, aux: {labels: fine}}")
    (run / "spec.yaml").write_text(text + "  aux: {op: head, from: trunk, task: aux}\n")
    environment = json.loads((run / "environment.json").read_text())
    tasks = environment["data"]["signature"]["tasks"]
    tasks["aux"] = tasks["fine"]
    (run / "environment.json").write_text(json.dumps(environment))
    found = _cost(run)
    assert found is not None
    assert found.flops == 2 * (784 * 8 + 8 * 10 + 8 * 10 + 8 * 6)


def test_what_cannot_be_built_here_has_no_cost(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    text = (run / "spec.yaml").read_text()
    (run / "spec.yaml").write_text(text.replace("op: fc", "op: of_a_plugin"))
    assert _cost(run) is None
