"""Sharing, copies, ties, initial values, frozen nodes and edge policies in the compiled module."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from graphspec import compiler

HEAD = """\
graphspec: 1
inputs: {image: {shape: [3, 8, 8]}, right: {shape: [3, 8, 8]}}
tasks: {fine: {classes: 5}, coarse: {classes: 3}}
"""
IMAGE, RIGHT = torch.randn(4, 3, 8, 8), torch.randn(4, 3, 8, 8)


def compiled(nodes: str) -> nn.Module:
    """Return the module of a spec in evaluation mode."""
    return compiler.compile(compiler.load_text(HEAD + nodes), seed=1).eval()


TWINS = """\
nodes:
  left: {layers: [{Conv2d: {out_channels: 4, kernel_size: 3}}, BatchNorm2d, Flatten], from: image}
  right_: {%s, from: right}
  sum: {op: concat, from: [left, right_]}
  label: {op: head, from: sum, task: fine}
"""


def test_a_shared_module_is_one_with_two_calls() -> None:
    model = compiled(TWINS % "share: left")
    assert not any(name.startswith("right_") for name in model.state_dict())
    both = torch.cat([model.left(IMAGE), model.left(RIGHT)], 1)
    assert torch.equal(model(IMAGE, RIGHT)["fine"], model.label(both))


def test_shared_parameters_have_buffers_of_their_own() -> None:
    model = compiled(TWINS % "share: left, mode: parameters")
    left, right = model.left, model.right_
    assert [a is b for a, b in zip(left.parameters(), right.parameters(), strict=True)] == [
        True
    ] * 4
    assert len(list(model.parameters())) == 6
    model.train()
    model(IMAGE, 3 * RIGHT)
    assert not torch.equal(left[1].running_var, right[1].running_var)
    again = compiled(TWINS % "share: left, mode: parameters")
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.right_[1].running_var, right[1].running_var)


def test_a_copy_begins_alike_and_goes_its_own_way() -> None:
    model = compiled(TWINS % "copy: left")
    assert torch.equal(model.left[0].weight, model.right_[0].weight)
    assert model.left[0].weight is not model.right_[0].weight
    alone = compiled(TWINS % "copy: left" + "  other: {op: head, from: left, task: coarse}\n")
    assert torch.equal(model.left[0].weight, alone.left[0].weight)


def test_equal_definitions_begin_differently() -> None:
    model = compiled("nodes:\n  a: {op: Linear, from: f, out_features: 4, repeat: 2}\n"
                     "  f: {op: flatten, from: image}\n"
                     "  b: {copy: a, from: f}\n"
                     "  label: {op: head, from: [b], task: fine}\n")  # fmt: skip
    first, second = model.get_submodule("b.0"), model.get_submodule("b.1")
    assert first.weight.shape != second.weight.shape


def test_a_shared_layer_of_a_sequence() -> None:
    model = compiled("nodes:\n  a: {layers: [Flatten, {Linear: 6}, ReLU], from: image}\n"
                     "  b: {layers: [Flatten, {share: a.1}, Tanh], from: right}\n"
                     "  both: {op: add, from: [a, b]}\n"
                     "  label: {op: head, from: both, task: fine}\n")  # fmt: skip
    assert set(model.state_dict()) == {"a.1.weight", "a.1.bias", "label.weight", "label.bias"}
    expected = torch.relu(model.a[1](IMAGE.flatten(1))) + torch.tanh(model.a[1](RIGHT.flatten(1)))
    assert torch.equal(model(IMAGE, RIGHT)["fine"], model.label(expected))


AUTOENCODER = """\
nodes:
  flat: {op: flatten, from: image}
  coded: {op: Linear, from: flat, out_features: 6}
  decoded: {op: Linear, from: coded, out_features: 192, tie: {weight: coded.weight}}
  label: {op: head, from: decoded, task: fine}
"""


def test_a_tied_weight_is_one_parameter_transposed_where_shapes_ask_for_it() -> None:
    model = compiled(AUTOENCODER)
    assert model.decoded.weight is model.coded.weight
    decoded = functional.linear(
        model.coded(IMAGE.flatten(1)), model.coded.weight.t(), model.decoded.bias
    )
    assert torch.equal(model(image=IMAGE)["fine"], model.label(decoded))
    model(image=IMAGE)["fine"].sum().backward()
    expected = torch.autograd.grad(model.label(decoded).sum(), model.coded.weight)[0]
    assert torch.equal(model.coded.weight.grad, expected)


@pytest.mark.parametrize("nodes", [TWINS % "share: left, mode: parameters", AUTOENCODER])
def test_tied_models_copy_pickle_and_save(nodes: str) -> None:
    model = compiled(nodes)
    inputs = {"image": IMAGE, "right": RIGHT} if "right" in nodes else {"image": IMAGE}
    expected = model(**inputs)["fine"]
    count = len(list(model.parameters()))
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    loaded = compiler.compile(compiler.load_text(HEAD + nodes), seed=2).eval()
    loaded.load_state_dict(torch.load(io.BytesIO(buffer.getvalue())))
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), loaded):
        assert torch.equal(twin(**inputs)["fine"], expected)
        assert len(list(twin.parameters())) == count


def test_initialisers_and_frozen_nodes() -> None:
    model = compiled("nodes:\n"
                     "  a: {op: fc, from: image, units: [8, 8], trainable: false, "
                     "init: {'0.*': zeros, weight: {constant: 2}, '3.bias': {normal: 0.5}}}\n"
                     "  b: {op: PReLU, from: a, init: 0.5}\n"
                     "  label: {op: head, from: b, task: fine, init: orthogonal}\n")  # fmt: skip
    a = model.a
    assert not any(parameter.requires_grad for parameter in a.parameters())
    assert a.get_submodule("0").weight.unique().tolist() == [2.0]  # the later one wins
    assert a.get_submodule("0").bias.unique().tolist() == [0.0]
    assert a.get_submodule("3").bias.std() > 0.1
    assert model.b.weight.item() == 0.5
    product = model.label.weight @ model.label.weight.t()
    assert torch.allclose(product, torch.eye(5), atol=1e-5)


POLICY = """\
nodes:
  features: {op: flatten, from: image}
  coarse: {op: head, from: features, task: coarse}
  fine: {op: head, from: {node: coarse%s}, task: fine}
"""


def _gradient(model: nn.Module, value: Tensor) -> Tensor | None:
    return torch.autograd.grad(value.sum(), model.coarse.weight, allow_unused=True)[0]


@pytest.mark.parametrize(
    ("policy", "function", "flows"),
    [
        ("", lambda x: x, True),
        (", as: softmax", lambda x: torch.softmax(x, 1), True),
        (", as: sigmoid", torch.sigmoid, True),
        (", as: onehot", lambda x: functional.one_hot(x.argmax(1), 3).float(), False),
        (", detach: true", lambda x: x.detach(), False),
        (", as: softmax, detach: true", lambda x: torch.softmax(x, 1).detach(), False),
        (", gradient_scale: 0", lambda x: x.detach(), False),
    ],
)
def test_policies(policy: str, function: object, flows: bool) -> None:
    model = compiled(POLICY % policy)
    features = IMAGE.flatten(1)
    expected = model.fine(function(model.coarse(features)))  # type: ignore[operator]
    found = model(image=IMAGE)["fine"]
    assert torch.equal(found, expected)
    gradient = _gradient(model, found)
    assert (gradient is not None) == flows
    if gradient is not None:
        assert torch.equal(gradient, _gradient(model, expected))


def test_a_scaled_gradient_keeps_the_value() -> None:
    plain, scaled = compiled(POLICY % ""), compiled(POLICY % ", gradient_scale: 0.25")
    found, expected = scaled(image=IMAGE)["fine"], plain(image=IMAGE)["fine"]
    assert torch.equal(found, expected)
    assert torch.allclose(_gradient(scaled, found), 0.25 * _gradient(plain, expected))


def test_the_teacher_gives_labels_while_training_and_predictions_otherwise() -> None:
    model = compiled(POLICY % ", as: teacher")
    assert model.takes_labels
    assert not compiled(POLICY % "").takes_labels
    predicted = functional.one_hot(model.coarse(IMAGE.flatten(1)).argmax(1), 3).float()
    assert torch.equal(model(image=IMAGE)["fine"], model.fine(predicted))
    model.train()
    labels = {"coarse": torch.tensor([0, 2, -1, 1]), "fine": torch.zeros(4, dtype=torch.int64)}
    true = functional.one_hot(labels["coarse"].clamp_min(0), 3).float()
    true[2] = predicted[2]  # an unknown label
    found = model(image=IMAGE, labels=labels)["fine"]
    assert torch.equal(found, model.fine(true))
    assert _gradient(model, found) is None
    with pytest.raises(ValueError, match="needs the true labels of `coarse`"):
        model(image=IMAGE)


def test_pruning_keeps_what_other_weights_need() -> None:
    spec = compiler.load_text(HEAD + "nodes:\n"
        "  flat: {op: flatten, from: image}\n"
        "  coded: {op: Linear, from: flat, out_features: 6}\n"
        "  coarse: {op: head, from: coded, task: coarse}\n"
        "  twin: {share: coded, mode: parameters, from: flat}\n"
        "  fine: {op: head, from: {node: coarse_2, as: softmax}, task: fine}\n"
        "  coarse_2: {share: coarse, from: twin}\n")  # fmt: skip
    model = compiler.compile(spec, tasks=["fine"])
    assert set(model(image=IMAGE)) == {"fine"}
    whole = compiler.compile(spec)
    model.load_state_dict(whole.state_dict(), strict=False)
    assert set(model.state_dict()) < set(whole.state_dict())
    assert torch.equal(model(image=IMAGE)["fine"], whole(image=IMAGE)["fine"])


def test_a_copy_may_be_tied_to_a_third() -> None:
    """The tied parameter stays that of its owner; only the others are copied."""
    model = compiled("""\
nodes:
  flat: {op: flatten, from: image}
  first: {op: Linear, from: flat, out_features: 4}
  third: {op: Linear, from: flat, out_features: 4}
  second: {copy: first, from: flat, tie: {weight: third.weight}}
  sum: {op: add, from: [first, second, third]}
  label: {op: head, from: sum, task: fine}
""")
    assert model.second.weight is model.third.weight
    assert not torch.equal(model.second.weight, model.first.weight)
    assert torch.equal(model.second.bias, model.first.bias)


@pytest.mark.parametrize("relation", ["copy: seq.0", "share: seq.0, mode: parameters"])
def test_a_single_layer_may_be_copied_or_lend_its_parameters(relation: str) -> None:
    model = compiled(f"""\
nodes:
  flat: {{op: flatten, from: image}}
  seq: {{layers: [{{Linear: 6}}, ReLU], from: flat}}
  again: {{{relation}, from: flat}}
  sum: {{op: add, from: [seq, again]}}
  label: {{op: head, from: sum, task: fine}}
""")
    assert torch.equal(model.again.weight, model.seq[0].weight)
    assert (model.again.weight is model.seq[0].weight) == ("share" in relation)
