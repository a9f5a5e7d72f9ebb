"""A compiled or ejected model that is imported is the same graph again."""

from __future__ import annotations

import pytest
import torch

import graphspec as gs
from graphspec.importing.folding import facts
from graphspec.language import shipped
from tests.backends.ejected import inputs_of, model_of
from tests.importing.canonical import canonical

_SLOW = {
    *("zoo/densenet121", "zoo/googlenet", "zoo/efficientnet_b0", "zoo/mobilenet_v2", "zoo/ple"),
    *("zoo/mobilenet_v3_small", "zoo/resnet50", "zoo/fpn", "zoo/mtan", "zoo/convnext_tiny"),
    *("zoo/policies/arch3", "zoo/policies/arch4", "zoo/policies/arch6", "zoo/cgc", "zoo/vit_b_16"),
    *("arch1", "arch2", "arch4", "arch6"),
}
SPECS = [
    pytest.param(name, marks=pytest.mark.slow if name in _SLOW else ()) for name in shipped.names()
]


@pytest.mark.parametrize("name", SPECS)
def test_the_graph_comes_back(name: str) -> None:
    """Of a compiled model with the names of its weights, too."""
    graph = gs.analyze(name)
    form = canonical(graph)
    with torch.device("meta"):
        compiled = gs.compile(graph)
        ejected = model_of(gs.eject(graph))
    imported = gs.import_model(compiled)
    assert canonical(gs.analyze(imported.spec)) == form
    assert all(ours == theirs for ours, theirs in imported.names.items())
    examples = {name: kind.meta() for name, kind in graph.inputs.items()}
    assert canonical(gs.analyze(gs.import_model(ejected, examples).spec)) == form


@pytest.mark.parametrize("name", ["zoo/mmoe", "zoo/gpt", "zoo/recurrent_refinement", "arch5"])
def test_the_numbers_come_back(name: str) -> None:
    small = {"width": 4} if name in ("zoo/mmoe", "arch5") else None
    spec = gs.load(name, small)
    compiled = gs.compile(spec)
    imported = gs.import_model(compiled)
    again = gs.compile(imported.spec)
    again.load_state_dict(imported.state_dict(compiled))
    inputs = inputs_of(gs.analyze(spec), 3)
    for training in (False, True):
        torch.manual_seed(0)
        expected = compiled.train(training)(**inputs)
        torch.manual_seed(0)
        found = again.train(training)(**inputs)
        assert list(found) == list(expected)
        for task in expected:
            assert torch.equal(found[task], expected[task])


@pytest.mark.parametrize("name", ["zoo/resnet18", "zoo/unet", "zoo/film", "zoo/gpt"])
def test_blocks_change_nothing(name: str) -> None:
    """The folded spec has the graph of the nodes one by one, names included."""
    graph = gs.analyze(name)
    with torch.device("meta"):
        model = model_of(gs.eject(graph))
    examples = {name: kind.meta() for name, kind in graph.inputs.items()}
    folded = gs.import_model(model, examples)
    flat = gs.import_model(model, examples, fold=False)
    assert "blocks:" in folded.text
    assert "blocks:" not in flat.text
    assert facts(gs.analyze(folded.spec)) == facts(gs.analyze(flat.spec))


def test_a_compiled_model_has_its_blocks_again() -> None:
    """Its functions have no module around them, but the names that they had in the spec."""
    with torch.device("meta"):
        model = gs.compile("zoo/resnet18")
    written = gs.import_model(model).spec.source.plain()
    (block,) = written["blocks"].values()
    assert list(block["nodes"]) == [
        *("conv1", "bn1", "downsample", "relu1", "conv2", "bn2", "sum", "relu2"),
    ]
    assert [written["nodes"][f"layer{n}"]["repeat"] for n in range(1, 5)] == [2, 2, 2, 2]
