"""The example on each op's page is a whole spec: it compiles without a warning, and runs."""

from __future__ import annotations

import pytest
import torch

import graphspec as gs
from graphspec import compiler
from graphspec.ops import load_ops


@pytest.mark.parametrize("name", sorted(load_ops()))
def test_example_compiles_and_runs(name: str) -> None:
    example = load_ops().get(name).example
    assert f"{name}" in example
    checked = compiler.check(compiler.load_text(example, f"{name}.yaml"))
    assert checked.warnings == ()
    model = gs.compile(checked.graph).train()
    inputs = {
        key: torch.ones((4, *type_.shape[1:]), dtype=type_.torch_dtype)
        for key, type_ in checked.graph.inputs.items()
    }
    for task, output in model(**inputs).items():
        assert tuple(output.shape) == (4, checked.graph.tasks[task].classes)
