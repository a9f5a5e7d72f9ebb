"""Random specs, compiled or ejected, come back from Python: the same graph and the same numbers."""

from __future__ import annotations

import torch
from hypothesis import given, settings

from graphspec import compiler
from graphspec.importing import import_model
from graphspec.importing.importer import Imported
from tests.backends.ejected import model_of
from tests.importing.canonical import canonical
from tests.random_specs import Drawn, drawn_specs
from tests.test_random_specs import assert_equal, called, sample

FEW = settings(max_examples=max(4, settings().max_examples // 4))
"""Tracing takes half a second each."""


@FEW
@given(drawn_specs())
def test_a_compiled_model_comes_back(drawn: Drawn) -> None:
    spec = compiler.load_text(drawn.text)
    model = compiler.compile(spec)
    imported = import_model(model)
    assert canonical(compiler.analyze(imported.spec)) == canonical(compiler.analyze(spec))
    again = compiler.compile(imported.spec)
    again.load_state_dict(imported.state_dict(model))
    inputs, labels = sample(drawn.text, torch.float32)
    for training in (False, True):
        expected = called(model.train(training), inputs, labels)
        assert_equal(called(again.train(training), inputs, labels), expected)


@FEW
@given(drawn_specs())
def test_an_ejected_model_comes_back(drawn: Drawn) -> None:
    graph = compiler.analyze(compiler.load_text(drawn.text))
    with torch.device("meta"):
        model = model_of(compiler.eject(graph))
    examples = {name: kind.meta() for name, kind in graph.inputs.items()}
    imported: Imported = import_model(model, examples)
    assert canonical(compiler.analyze(imported.spec)) == canonical(graph)
