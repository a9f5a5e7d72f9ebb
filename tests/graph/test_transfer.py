"""Which weights fit: what the graph says is what a model and its checkpoint have."""

from __future__ import annotations

from hypothesis import given

from graphspec import compiler
from graphspec.graph import passes
from graphspec.graph.comparison import compare
from graphspec.graph.transfer import own_shapes, saved_shapes, transfer
from tests.random_specs import Drawn, drawn_specs


@given(drawn_specs())
def test_a_graph_knows_the_checkpoint_of_its_model(drawn: Drawn) -> None:
    graph = passes.run(compiler.check(compiler.load_text(drawn.text)).graph)
    model = compiler.compile(graph)
    state = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert saved_shapes(graph) == state
    own = own_shapes(graph)
    parameters = {id(each) for each in model.parameters()}
    assert len({id(model.get_parameter(n)) for n in own if _is_parameter(model, n)}) == len(
        parameters
    )
    assert {**state, **own} == state
    whole = transfer(graph, state)
    assert not whole.left
    assert sum(map(len, whole.taken.values())) == len(own)


def _is_parameter(model: object, name: str) -> bool:
    path, _, last = name.rpartition(".")
    return last in dict(model.get_submodule(path).named_parameters(recurse=False))  # type: ignore[attr-defined]


BASE = """\
graphspec: 1
name: base
inputs: {image: {shape: [8]}}
tasks: {t: {classes: 3}}
nodes:
  features: {layers: [{Linear: 8}, BatchNorm1d, ReLU], from: image}
  second: {op: Linear, from: features, out_features: 4}
  t_label: {op: head, from: second, task: t}
"""


def test_what_does_not_fit_has_its_reason() -> None:
    text = BASE.replace("{Linear: 8}", "{Linear: 9}").replace("second", "other")
    graphs = [compiler.check(compiler.load_text(each)).graph for each in (BASE, text)]
    found = compare(*graphs)
    assert found.transfer.taken == {"t_label": ["weight", "bias"]}
    assert found.transfer.left["features"] == {
        "0.weight": "its shape is [8, 8] there and [9, 8] here",
        "0.bias": "its shape is [8] there and [9] here",
        "1.weight": "its shape is [8] there and [9] here",
        "1.bias": "its shape is [8] there and [9] here",
        "1.running_mean": "its shape is [8] there and [9] here",
        "1.running_var": "its shape is [8] there and [9] here",
        "1.num_batches_tracked": "it counts batches of statistics that were left",
    }
    assert found.transfer.left["other"]["weight"] == "`second` there"
    asked = transfer(graphs[1], saved_shapes(graphs[0]), lambda name: name.startswith("t_label"))
    assert asked.left["other"] == {"weight": "not asked for", "bias": "not asked for"}
    assert asked.lines("took", "left", "see the file")[0] == "took t_label"


def test_sizes_are_told_where_they_differ() -> None:
    graphs = [
        compiler.check(compiler.load_text(each)).graph
        for each in (BASE, BASE.replace("out_features: 4", "out_features: 5"))
    ]
    found = compare(*graphs)
    assert [(name, a and a.parameters, b and b.parameters) for name, a, b in found.sizes()] == [
        ("second", 36, 45),
        ("t_label", 15, 18),
    ]
    assert [c.what for c in found.structure.changed["t_label"]] == ["weight"]
    assert not compare(graphs[0], graphs[0]).structure.changed
    assert compare(graphs[0], graphs[0]).is_empty
