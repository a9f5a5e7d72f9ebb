"""What holds for every text and for every order of nodes, drawn by hypothesis.

`test_random_specs`, `test_random_targets` and `test_mutations` have the rest.
"""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphspec import compiler
from graphspec.errors import Diagnostic, render_github, render_json, render_text
from graphspec.ops.types import BATCH, TensorType
from tests.random_specs import Drawn, drawn_specs
from tests.strategies import found_in
from tests.test_random_specs import sample

N = 3


def _of(types: TensorType) -> tuple[int, ...]:
    return tuple(s // BATCH * N if s and s % BATCH == 0 else s for s in types.shape)


@given(drawn_specs())
def test_every_value_has_the_inferred_type(drawn: Drawn) -> None:
    graph = compiler.analyze(compiler.load_text(drawn.text, "spec.yaml"))
    model = compiler.compile(graph).eval()
    seen: dict[str, list[tuple[tuple[int, ...], torch.dtype]]] = {}

    class Watch(torch.fx.Interpreter):
        def run_node(self, n: torch.fx.Node) -> object:
            value = super().run_node(n)
            several = value if isinstance(value, (tuple, list)) else [value]
            seen[n.name] = [(tuple(v.shape), v.dtype) for v in several if torch.is_tensor(v)]
            return value

    inputs, _ = sample(drawn.text, torch.float32)
    Watch(model).run(*(inputs[name] for name in graph.inputs))
    for name, node in graph.nodes.items():
        found = seen.get(name.replace(".", "_"))
        # Names that Python or fx has another use for get a number, and are not looked at.
        if found is not None and "_" not in name:
            assert found == [(_of(kind), kind.torch_dtype) for kind in node.outputs], name
    for name, weights in graph.weights.items():
        for inside, kind in weights.parameters.items() if graph.calls[name] else ():
            assert tuple(model.get_parameter(f"{name}.{inside}").shape) in (
                kind.shape,
                kind.shape[::-1],  # tied to the weight of a layer in the other direction
            )


@given(drawn_specs(), st.integers())
def test_the_order_in_the_file_changes_nothing(drawn: Drawn, seed: int) -> None:
    one = compiler.load_text(drawn.text, "spec.yaml")
    two = compiler.load_text(drawn.shuffled(seed), "spec.yaml")
    assert one.hash() == two.hash()
    first, second = compiler.compile(one), compiler.compile(two)
    assert _computation(first.code) == _computation(second.code)
    weights, others = first.state_dict(), second.state_dict()
    assert weights.keys() == others.keys()
    assert all(torch.equal(weights[name], others[name]) for name in weights)


def _computation(code: str) -> list[str]:
    """The lines of a forward pass without its result, whose order is that of the file."""
    return [line for line in code.split("\n") if "return" not in line]


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
    from graphspec.language.writer import dump

    text = dump({"graphspec": 1, "inputs": {"image": {"shape": [3]}}, **data})
    _sound(text, found_in(text))
