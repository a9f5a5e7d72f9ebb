"""Random specs, compiled or ejected, come back from Python: the same graph and the same numbers."""

from __future__ import annotations

import torch
from hypothesis import assume, given, settings
from torch import nn

from graphspec import compiler
from graphspec.importing import import_model
from graphspec.importing.importer import Imported
from graphspec.ops.modules import TransposedLinear
from tests.backends.ejected import model_of
from tests.importing.canonical import canonical
from tests.random_specs import Drawn, drawn_specs
from tests.test_random_specs import assert_equal, called, sample

FEW = settings(max_examples=max(4, settings().max_examples // 4))
"""Tracing takes half a second each."""


def transposed_alone(model: nn.Module) -> bool:
    """Return whether a weight is used transposed by all that use it: there is no word for that.

    It is so where the layer that it was tied to reaches no head.
    """
    others = (m for m in model.modules() if not isinstance(m, TransposedLinear))
    owned = {id(p) for module in others for p in module._parameters.values()}
    transposed = (m for m in model.modules() if isinstance(m, TransposedLinear))
    return any(id(module.weight) not in owned for module in transposed)


@FEW
@given(drawn_specs())
def test_a_compiled_model_comes_back(drawn: Drawn) -> None:
    spec = compiler.load_text(drawn.text)
    model = compiler.compile(spec)
    assume(not transposed_alone(model))
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
    assume(not transposed_alone(compiler.compile(graph)))
    with torch.device("meta"):
        model = model_of(compiler.eject(graph))
    examples = {name: kind.meta() for name, kind in graph.inputs.items()}
    imported: Imported = import_model(model, examples)
    assert canonical(compiler.analyze(imported.spec)) == canonical(graph)
