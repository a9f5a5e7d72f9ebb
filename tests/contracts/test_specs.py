"""Every shipped spec: valid without a warning, compiled, drawn, and one training step made."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional

import graphspec as gs
from graphspec import compiler
from graphspec.language import shipped

SPECS = shipped.names()


def test_the_six_are_shipped() -> None:
    assert {f"arch{number}" for number in range(1, 7)} <= set(SPECS)


@pytest.mark.parametrize("name", SPECS)
def test_valid_without_a_warning(name: str) -> None:
    assert compiler.check(name).warnings == ()


@pytest.mark.parametrize("data", ["cifar100", "fashion-mini", "fashion-mnist"])
@pytest.mark.parametrize("name", SPECS)
def test_one_step_on_each_data_set(name: str, data: str) -> None:
    """The same spec fits another data set: shapes and classes come from it."""
    spec = gs.load(name, {"width": 2, "data.source": data})
    graph = gs.analyze(spec)
    model = gs.compile(graph)
    shape = graph.inputs["image"].shape[1:]
    outputs = model(image=torch.randn(4, *shape))
    assert {task: tuple(out.shape) for task, out in outputs.items()} == {
        task: (4, graph.tasks[task].classes) for task in ("fine", "coarse")
    }
    target = torch.zeros(4, dtype=torch.int64)
    losses = [functional.cross_entropy(output, target) for output in outputs.values()]
    torch.stack(losses).sum().backward()
    without = [name for name, p in model.named_parameters() if p.grad is None]
    assert without == []


@pytest.mark.parametrize("name", SPECS)
def test_the_resolved_spec_is_the_same_spec(name: str, tmp_path: Path) -> None:
    spec = gs.load(name, {"width": 8})
    file = tmp_path / "spec.yaml"
    file.write_text(spec.resolved_yaml(), encoding="utf-8")
    again = gs.load(file)
    assert again.hash() == spec.hash()
    assert (again.train, again.data, again.tasks) == (spec.train, spec.data, spec.tasks)
    assert gs.compile(again).code == gs.compile(spec).code


@pytest.mark.parametrize("name", SPECS)
def test_a_spec_is_short(name: str) -> None:
    found = shipped.find(name)
    assert found is not None
    assert len(found.read_text(encoding="utf-8").splitlines()) <= 20
