"""Random specs survive what graphspec makes of them: a text, plain PyTorch, a program, ONNX."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings

from graphspec import compiler
from graphspec.backends import onnx, program
from graphspec.graph.ir import Graph
from graphspec.language.format import format_text
from tests.backends.ejected import assert_same
from tests.graph.test_reachability import agrees_with_autograd
from tests.interpreter import Interpreter
from tests.random_specs import Drawn, drawn_specs
from tests.test_random_specs import assert_equal, called, sample, tensors_of

FEW = settings(max_examples=max(3, settings().max_examples // 5))
"""For what takes a second each."""


def graph_of(drawn: Drawn) -> Graph:
    return compiler.analyze(compiler.load_text(drawn.text))


@given(drawn_specs())
def test_the_resolved_spec_is_the_same_spec(drawn: Drawn) -> None:
    spec = compiler.load_text(drawn.text)
    text = spec.resolved_yaml()
    again = compiler.load_text(text)
    assert again.hash() == spec.hash()
    assert again.resolved() == spec.resolved()
    model, other = compiler.compile(spec).eval(), compiler.compile(again).eval()
    assert model.code == other.code
    assert_equal(dict(other.state_dict()), dict(model.state_dict()))
    inputs, labels = sample(drawn.text, torch.float32)
    assert_equal(
        Interpreter(text).run(tensors_of(model), inputs).outputs, called(model, inputs, labels)
    )


@given(drawn_specs())
def test_formatting_changes_no_meaning(drawn: Drawn) -> None:
    once = format_text(drawn.text)
    assert compiler.load_text(once).hash() == compiler.load_text(drawn.text).hash()
    assert format_text(once) == once


@given(drawn_specs())
def test_the_ejected_file_computes_and_learns_the_same(drawn: Drawn) -> None:
    assert_same(graph_of(drawn), train=True)


@given(drawn_specs())
def test_reachability_agrees_with_autograd(drawn: Drawn) -> None:
    agrees_with_autograd(graph_of(drawn))


@FEW
@given(drawn_specs())
def test_the_exported_program_computes_the_same(drawn: Drawn) -> None:
    graph = graph_of(drawn)
    model = compiler.compile(graph).eval()
    with tempfile.TemporaryDirectory() as folder:
        assert program.write(model, graph, Path(folder) / "model.pt2", {}) == 0.0


@pytest.mark.slow
@FEW
@given(drawn_specs())
def test_onnxruntime_computes_the_same(drawn: Drawn) -> None:
    graph = graph_of(drawn)
    model = compiler.compile(graph).eval()
    with tempfile.TemporaryDirectory() as folder:
        difference = onnx.write(model, graph, Path(folder) / "model.onnx", {"version": "0"})
    assert difference is not None
    assert difference < 1e-4
