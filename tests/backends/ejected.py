"""Ejected files run as a user runs them, beside the compiled module of the same graph."""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from typing import Any

import torch
from torch import Tensor, nn

from graphspec import compiler
from graphspec.backends import source
from graphspec.graph.ir import Graph
from graphspec.ops.types import BATCH, TensorType


def graph_of(text: str, tasks: list[str] | None = None) -> Graph:
    return compiler.analyze(compiler.load_text(text), tasks)


def model_of(text: str) -> nn.Module:
    """Return the model of an ejected file: an instance of its last class."""
    namespace: dict[str, Any] = {"__name__": "model"}
    exec(compile(text, "model.py", "exec"), namespace)
    classes = [each.name for each in ast.parse(text).body if isinstance(each, ast.ClassDef)]
    model = namespace[classes[-1]]()
    assert isinstance(model, nn.Module)
    return model


def modules_imported(text: str) -> set[str]:
    """Return what a file imports beside the standard library."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            found.add(str(node.module).partition(".")[0])
        elif isinstance(node, ast.Import):
            found |= {each.name.partition(".")[0] for each in node.names}
    return found - set(sys.stdlib_module_names)


def sample(kind: TensorType, batch: int) -> Tensor:
    shape = [size // BATCH * batch if size and size % BATCH == 0 else size for size in kind.shape]
    if kind.dtype.startswith("int"):
        return torch.randint(0, 8, shape, dtype=kind.torch_dtype)
    return torch.randn(shape, dtype=kind.torch_dtype)


def inputs_of(graph: Graph, batch: int) -> dict[str, Any]:
    """Return inputs by name, and true labels where the graph takes them."""
    found: dict[str, Any] = {name: sample(kind, batch) for name, kind in graph.inputs.items()}
    if graph.takes_labels:
        found["labels"] = {task: labels_of(graph, task, batch) for task in graph.tasks}
    return found


def labels_of(graph: Graph, task: str, batch: int) -> Tensor:
    """Return random true labels of a task."""
    spec = graph.tasks[task]
    if spec.type == "regression":
        return torch.randn(batch, *spec.shape)
    if spec.type == "multilabel":
        return torch.randint(0, 2, (batch, spec.classes))
    return torch.randint(0, spec.classes, (batch, *spec.shape))


def shared(model: nn.Module) -> list[list[str]]:
    """Return the names of the parameters, those of one parameter together."""
    names: dict[int, list[str]] = defaultdict(list)
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names[id(parameter)].append(name)
    return sorted(sorted(each) for each in names.values())


def run(model: nn.Module, inputs: dict[str, Any]) -> dict[str, Tensor]:
    torch.manual_seed(7)
    outputs: dict[str, Tensor] = model(**inputs)
    return outputs


def assert_equal(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    """Bit for bit, in the same order, where not a number equals itself."""
    assert list(ours) == list(theirs)
    for name in theirs:
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=0, equal_nan=True)


def assert_same(graph: Graph, train: bool = False) -> str:
    """Eject a graph and compare the model with the compiled one; return the text.

    Names and shapes in the ``state_dict``, which parameters are one and which are trained, outputs
    in evaluation; with ``train`` also outputs, gradients and buffers after a step in training mode.
    """
    text = source.write(graph)
    assert modules_imported(text) == {"torch"}
    compiled, model = compiler.compile(graph, seed=1), model_of(text)
    state = compiled.state_dict()
    shapes = {name: value.shape for name, value in model.state_dict().items()}
    assert shapes == {name: value.shape for name, value in state.items()}
    assert shared(model) == shared(compiled)
    assert _trained(model) == _trained(compiled)
    model.load_state_dict(state)
    inputs = inputs_of(graph, 3)
    with torch.no_grad():
        assert_equal(run(model.eval(), inputs), run(compiled.eval(), inputs))
    if train:
        results = [run(each.train(), inputs) for each in (model, compiled)]
        assert_equal(*results)
        for outputs in results:
            torch.stack([output.square().sum() for output in outputs.values()]).sum().backward()
        torch.testing.assert_close(_gradients(model), _gradients(compiled))
        assert_equal(dict(sorted(model.named_buffers())), dict(sorted(compiled.named_buffers())))
    return text


def _trained(model: nn.Module) -> dict[str, bool]:
    return {n: p.requires_grad for n, p in model.named_parameters(remove_duplicate=False)}


def _gradients(model: nn.Module) -> dict[str, Tensor]:
    found = model.named_parameters(remove_duplicate=False)
    return {name: p.grad for name, p in found if p.grad is not None}
