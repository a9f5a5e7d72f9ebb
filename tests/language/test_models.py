"""Validation: one mistake, one message, at its place; and what a valid spec becomes."""

from __future__ import annotations

import pytest

from graphspec import compiler
from graphspec.errors import SpecError
from graphspec.language.forms import LayersNode, OpNode, ShareNode
from graphspec.language.learning import Checkpoints, EarlyStopping
from graphspec.language.recipe import Train
from graphspec.language.tasks import Task
from tests.strategies import HEAD, errors_of

NODES = """\
nodes:
  trunk: {op: fc, from: image, units: 8}
  label: {op: head, from: trunk, task: fine}
"""


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("train: {epochs: many}", "wrong-type@4:17"),
        ("train: {epochs: 1.5}", "wrong-type@4:17"),
        ("train: {epochs: true}", "wrong-type@4:17"),
        ("train: {epochs: 0}", "bad-value@4:17"),
        ("train: {lr: [1]}", "wrong-type@4:13"),
        ("train: {lr: .inf}", "bad-value@4:13"),
        ("train: {epoch: 1}", "unknown-key@4:9"),
        ("train: {early_stopping: {patience: x}}", "wrong-type@4:36"),
        ("train: {early_stopping: {p: 1}}", "unknown-key@4:26"),
        ("train: 3", "wrong-type@4:8"),
        ("train: []", "wrong-type@4:8"),
        ("data: {augment: none}", "missing-key@4:7"),
        ("data: [a]", "wrong-type@4:7"),
        ("data: {source: cifar100, augment: mix}", "bad-value@4:35"),
        ("vars: [a]", "wrong-type@4:7"),
        ("vars: {1a: 2}", "bad-name@4:8"),
        ("name: [a]", "wrong-type@4:7"),
        ("description: 3", "wrong-type@4:14"),
        ("lr: 3", "unknown-key@4:1"),
        ("node: {}", "unknown-key@4:1"),
        ("? ''\n: 1", "unknown-key@4:3"),
    ],
)
def test_one_mistake_in_a_section_is_one_message(line: str, found: str) -> None:
    assert errors_of(f"{HEAD}{line}\n{NODES}") == [found]


@pytest.mark.parametrize(
    ("node", "found"),
    [
        ("3", "wrong-type@6:6"),
        ("null", "wrong-type@6:3"),
        ("[op]", "wrong-type@6:6"),
        ("{}", "missing-key@6:3"),
        ("{op: fc, units: 3}", "missing-key@6:3"),
        ("{from: trunk}", "missing-key@6:3"),
        ("{op: fc, share: trunk, from: trunk}", "ambiguous-node@6:15"),
        ("{op: [fc], from: trunk}", "wrong-type@6:11"),
        ("{op: fc, from: 3, units: 3}", "wrong-type@6:21"),
        ("{op: fc, from: [3], units: 3}", "wrong-type@6:22"),
        ("{op: fc, from: [[trunk]], units: 3}", "wrong-type@6:22"),
        ("{op: fc, from: {a: [b]}, units: 3}", "wrong-type@6:25"),
        ("{op: fc, from: {node: trunk, az: softmax}, units: 3}", "unknown-key@6:35"),
        ("{layers: [], from: trunk}", "bad-value@6:15"),
        ("{layers: Flatten, from: trunk}", "wrong-type@6:15"),
        ("{layers: [3], from: trunk}", "bad-value@6:16"),
        ("{layers: [{Linear: 3, ReLU: {}}], from: trunk}", "bad-value@6:16"),
        ("{layers: [ReLU], from: trunk, units: 3}", "unknown-key@6:36"),
        ("{share: trunk, from: image, units: 3}", "unknown-key@6:34"),
        ("{op: fc, from: trunk, unit: 3}", "unknown-argument@6:28"),
        ("{op: fc, from: trunk, units: =x}", "unknown-variable@6:36"),
        ("{op: fc, from: trunk, units: =[1, x, y]}", "yaml-syntax"),
        ("=1/0", "bad-expression@6:6"),
    ],
)
def test_one_mistake_in_a_node_is_one_message(node: str, found: str) -> None:
    text = f"{HEAD}{NODES}  a: {node}\n"
    lines = text.split("\n")
    lines.insert(5, lines.pop(-2))  # before the head, after the trunk
    errors = errors_of("\n".join(lines))
    assert len(errors) == 1
    assert errors[0].startswith(found)


def test_two_unknown_names_in_one_expression_are_two_messages() -> None:
    nodes = NODES.replace("units: 8", 'units: "=[p, 8, q]"')
    assert errors_of(HEAD + nodes) == ["unknown-variable@5:42", "unknown-variable@5:48"]


def test_mistakes_of_all_stages_come_in_one_run() -> None:
    text = HEAD + (
        "vars: {a: =1/0}\n"
        "train: {epochs: 0, x: 1}\n"
        "nodes:\n"
        "  trunk: {op: fc, from: image, units: =a}\n"
        "  b: {op: fcc, from: image}\n"
        "  c: {op: fc, from: imag, units: 3}\n"
        "  d: {op: Linear, from: image, out_features: 3}\n"
        "  e: {op: concat, from: [d, d2]}\n"
        "  d2: {op: fc, from: image, units: 3}\n"
        "  label: {op: head, from: trunk, task: fin}\n"
    )
    assert errors_of(text) == [
        "bad-expression@4:11",
        "bad-value@5:17",
        "unknown-key@5:20",
        "unknown-op@8:11",
        "unknown-node@9:21",
        "shape-mismatch@11:26",
        "unknown-task@13:40",
    ]


def test_the_forms_of_a_node() -> None:
    spec = compiler.load_text(
        HEAD + NODES + "  a: {layers: [Flatten, {Linear: 3}], from: image}\n"
        "  b: {share: a, from: {node: image}}\n"
    )
    trunk, layers, share = (spec.nodes[name] for name in ("trunk", "a", "b"))
    assert isinstance(trunk, OpNode)
    assert isinstance(layers, LayersNode)
    assert isinstance(share, ShareNode)
    assert trunk.arguments == {"units": 8}
    assert [(layer.op, layer.arguments) for layer in layers.layers] == [
        ("Flatten", {}),
        ("Linear", 3),
    ]
    assert share.share == "a"


def test_the_default_name_is_the_file_s() -> None:
    assert compiler.load_text(HEAD + NODES, "deep/arch7.yaml").name == "arch7"
    assert compiler.load("arch5").name == "arch5"


def test_the_hash_is_about_the_topology_alone() -> None:
    base = compiler.load("arch5", {"width": 8})
    assert (
        compiler.load("arch5", {"width": 8, "train.epochs": 3, "name": "x"}).hash() == base.hash()
    )
    assert compiler.load("arch5", {"width": 4}).hash() != base.hash()


def test_a_spec_is_frozen() -> None:
    spec = compiler.load("arch5")
    with pytest.raises(ValueError, match="frozen"):
        spec.name = "other"  # type: ignore[misc]


def test_load_reports_only_what_it_can_know() -> None:
    with pytest.raises(SpecError) as caught:
        compiler.load_text("graphspec: 1\nnodes: {a: {op: nonsense, from: nothing}, b: 3}\n")
    assert [d.code.value for d in caught.value.diagnostics] == ["wrong-type"]


def test_a_recipe_takes_short_forms_of_early_stopping_and_checkpoints() -> None:
    assert Train.model_validate({"early_stopping": 5}).early_stopping == EarlyStopping(patience=5)
    assert Train.model_validate({"early_stopping": True}).early_stopping == EarlyStopping()
    for key in ("early_stopping", "ema", "clip", "schedule"):
        assert getattr(Train.model_validate({key: False}), key) is None
    by_name = Train.model_validate({"early_stopping": "validation/fine/top1"}).early_stopping
    assert by_name == EarlyStopping(metric="validation/fine/top1")
    assert Train.model_validate({"checkpoint": 500}).checkpoint == Checkpoints(every=500)
    assert Train.model_validate({"checkpoint": "epoch"}).checkpoint == Checkpoints()


def test_one_metric_of_a_task_is_a_list_of_it() -> None:
    assert Task.model_validate({"metrics": "top1"}).metrics == ["top1"]
