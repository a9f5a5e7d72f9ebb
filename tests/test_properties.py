"""What holds for every spec, drawn by hypothesis; HYPOTHESIS_PROFILE=ci draws many."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphspec import compiler
from graphspec.errors import Diagnostic, render_github, render_json, render_text
from graphspec.ops.types import BATCH, TensorType
from tests.strategies import Dag, broken_texts, dags, found_in


def _of(types: TensorType, batch: int) -> tuple[int, ...]:
    return tuple(s // BATCH * batch if s and s % BATCH == 0 else s for s in types.shape)


@given(dags(), st.integers(0, 9))
def test_a_valid_spec_compiles_and_gives_the_inferred_shapes(dag: Dag, seed: int) -> None:
    spec = compiler.load_text(dag.text, "spec.yaml")
    graph = compiler.analyze(spec)
    model = compiler.compile(spec, seed=seed)
    seen: dict[str, tuple[int, ...]] = {}

    class Watch(torch.fx.Interpreter):
        def run_node(self, n: torch.fx.Node) -> object:
            value = super().run_node(n)
            if isinstance(value, torch.Tensor):
                seen[n.name] = tuple(value.shape)
            return value

    logits = Watch(model).run(torch.randn(2, 3, 8, 8))
    expected = {name: _of(node.outputs[0], 2) for name, node in graph.nodes.items()}
    assert {name: shape for name, shape in seen.items() if name in expected} == expected
    assert {task: tuple(x.shape) for task, x in logits.items()} == {
        "fine": (2, 5),
        "coarse": (2, 3),
    }
    owners = {name for name, weights in graph.weights.items() if weights.parameters}
    assert {name.partition(".")[0] for name, _ in model.named_parameters()} == owners
    for name, parameter in model.named_parameters():
        owner, _, rest = name.partition(".")
        assert tuple(parameter.shape) == graph.weights[owner].parameters[rest].shape


@given(dags(), st.integers())
def test_the_order_in_the_file_changes_nothing(dag: Dag, seed: int) -> None:
    one = compiler.load_text(dag.text, "spec.yaml")
    two = compiler.load_text(dag.shuffled(seed), "spec.yaml")
    assert one.hash() == two.hash()
    first, second = compiler.compile(one), compiler.compile(two)
    assert _computation(first.code) == _computation(second.code)
    weights, others = first.state_dict(), second.state_dict()
    assert weights.keys() == others.keys()
    assert all(torch.equal(weights[name], others[name]) for name in weights)


def _computation(code: str) -> list[str]:
    """The lines of a forward pass without its result, whose order is that of the file."""
    return [line for line in code.split("\n") if "return" not in line]


@given(dags())
def test_what_is_printed_reads_back(dag: Dag) -> None:
    spec = compiler.load_text(dag.text, "spec.yaml")
    again = compiler.load_text(spec.resolved_yaml(), "spec.yaml")
    assert again.hash() == spec.hash()
    assert again.resolved() == spec.resolved()


def _sound(text: str, found: list[Diagnostic]) -> None:
    for item in found:
        if item.span is not None:
            assert item.span.source.text == text.removeprefix("\ufeff")
            assert 0 <= item.span.start <= item.span.end <= len(text)
    assert render_text(found, colour=True) is not None
    render_text(found).encode()
    render_json(found)
    render_github(found)


@settings(max_examples=settings().max_examples * 6)
@given(broken_texts())
def test_a_broken_spec_is_good_or_has_diagnostics_inside_it(text: str) -> None:
    _sound(text, found_in(text))


@settings(max_examples=settings().max_examples * 6)
@given(st.text(alphabet=st.characters(), max_size=60))
def test_any_text_at_all(text: str) -> None:
    _sound(text, found_in(text))


_SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8),
    st.sampled_from(("=1/0", "=x", "image", "fc", "conv", "n0", "=[1]*9")),
)  # fmt: skip
_KEYS = st.sampled_from(
    ("graphspec", "nodes", "inputs", "tasks", "train", "data", "vars", "op", "from", "layers",
     "share", "units", "task", "image", "fine", "shape", "classes", "node", "a", "b")
)  # fmt: skip
_SECTIONS = ("inputs", "tasks", "train", "vars", "name", "extends", "data")
_DATA = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=settings().max_examples * 6)
@given(
    st.fixed_dictionaries(
        {"nodes": st.dictionaries(_KEYS, _DATA, max_size=3)},
        optional=dict.fromkeys(_SECTIONS, _DATA),
    )
)
def test_any_data_in_the_sections(data: dict[str, object]) -> None:
    from graphspec.language.reader import dump

    text = dump({"graphspec": 1, "inputs": {"image": {"shape": [3]}}, **data})
    _sound(text, found_in(text))
