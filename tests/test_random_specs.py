"""Random specs: what graphspec makes of them is what the independent interpreter makes of them.

HYPOTHESIS_PROFILE=fuzz draws many (`make fuzz`).
"""

from __future__ import annotations

from typing import Any

import torch
import yaml
from hypothesis import given
from torch import Tensor, nn

from graphspec import compiler
from tests.interpreter import Interpreter, Result
from tests.random_specs import Drawn, drawn_specs

BATCH = 3


def sample(text: str, dtype: torch.dtype) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return inputs and true labels for a spec as written."""
    spec = yaml.safe_load(text)
    random = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random, dtype=torch.float64).to(dtype)

    def whole(limit: int, *shape: int) -> Tensor:
        return torch.randint(0, limit, shape, generator=random)

    inputs = {
        name: whole(4, BATCH, *item["shape"]) if "dtype" in item else normal(BATCH, *item["shape"])
        for name, item in spec["inputs"].items()
    }
    labels: dict[str, Tensor] = {}
    for name, task in spec["tasks"].items():
        kind = task.get("type", "classification")
        if kind == "regression":
            labels[name] = normal(BATCH, *task.get("shape", [1]))
        elif kind == "multilabel":
            labels[name] = whole(2, BATCH, task["classes"])
        else:
            labels[name] = whole(task["classes"], BATCH, *task.get("shape", []))
            labels[name][0] = -1  # unknown: the prediction stands in
    return inputs, labels


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """Return copies of all tensors of a model, parameters as leaves; what was one stays one."""
    copies: dict[int, Tensor] = {}
    for parameter in model.parameters():
        copies[id(parameter)] = parameter.detach().clone().requires_grad_()
    for buffer in model.buffers():
        copies[id(buffer)] = buffer.clone()
    return {name: copies[id(x)] for name, x in model.state_dict(keep_vars=True).items()}


def called(model: Any, inputs: dict[str, Tensor], labels: dict[str, Tensor]) -> dict[str, Tensor]:
    """Call a model with the inputs that its heads need, and with labels where it takes them."""
    taken = {node.target for node in model.graph.nodes if node.op == "placeholder"}
    given: dict[str, Any] = {n: x for n, x in {**inputs, "labels": labels}.items() if n in taken}
    found: dict[str, Tensor] = model(**given)
    return found


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Bit for bit: the same kernels run on the same numbers in the same order."""
    assert found.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=0, atol=0, equal_nan=True)


def total(outputs: dict[str, Tensor]) -> Tensor:
    """Return one number that depends on every output, each element in its own way."""
    parts = [
        (x * torch.linspace(0.5, 1.5, x.numel(), dtype=x.dtype).reshape(x.shape)).sum()
        for x in outputs.values()
    ]
    return torch.stack(parts).sum()


@given(drawn_specs())
def test_the_module_computes_what_the_interpreter_computes(drawn: Drawn) -> None:
    model = compiler.compile(compiler.load_text(drawn.text), seed=3).eval()
    inputs, labels = sample(drawn.text, torch.float32)
    found = called(model, inputs, labels)
    assert_equal(found, Interpreter(drawn.text).run(tensors_of(model), inputs).outputs)


@given(drawn_specs())
def test_training_does_the_same_to_gradients_and_statistics(drawn: Drawn) -> None:
    model = compiler.compile(compiler.load_text(drawn.text)).double().train()
    inputs, labels = sample(drawn.text, torch.float64)
    ours = tensors_of(model)
    found = called(model, inputs, labels)
    expected = Interpreter(drawn.text).run(ours, inputs, training=True, labels=labels)
    assert_equal(found, expected.outputs)
    buffers = dict(model.named_buffers())
    assert_equal(buffers, {name: expected.store.tensors[name] for name in buffers})
    _assert_same_gradients(model, found, expected)


def _assert_same_gradients(model: nn.Module, found: dict[str, Tensor], expected: Result) -> None:
    """Gradients flow back in another order, so in 64 bits they may differ in the last ones."""
    store = expected.store
    for outputs in (found, expected.outputs):
        loss = total(outputs)
        if loss.requires_grad:
            loss.backward()
    parameters = dict(model.named_parameters(remove_duplicate=False))
    trained = {name for name, p in parameters.items() if p.requires_grad}
    used = {name for name in store.used if store.tensors[name].requires_grad}
    assert used <= parameters.keys(), "a parameter lives where the language says"
    assert used & trained == used - store.frozen
    for name in used - store.frozen:
        ours, theirs = parameters[name].grad, store.tensors[name].grad
        if ours is None or theirs is None:
            assert _is_nothing(ours), name
            assert _is_nothing(theirs), name
        else:
            scale = max(1.0, theirs.abs().max().item())
            torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-10 * scale, msg=name)


def _is_nothing(gradient: Tensor | None) -> bool:
    return gradient is None or not gradient.any()


@given(drawn_specs())
def test_weights_are_owned_shared_copied_and_frozen_as_the_spec_says(drawn: Drawn) -> None:
    model = compiler.compile(compiler.load_text(drawn.text), seed=5)
    state = model.state_dict(keep_vars=True)
    owners = Interpreter(drawn.text).owners()
    for owner in owners:
        names = [n for n in state if n.startswith(f"{owner.name}.")]
        for name in names:
            inside = name[len(owner.name) + 1 :]
            if isinstance(state[name], nn.Parameter):
                # An owner that no head needs leaves its parameters to those that they are also of.
                assert state[name] is state.get(owner.home(inside), state[name]), name
            if owner.copy_of is not None and owner.home(inside) == name:
                original = owner.copy_of
                is_buffer = not isinstance(state[name], nn.Parameter)
                home = original.buffer_home(inside) if is_buffer else original.home(inside)
                if home in state:
                    fits = state[home].shape == state[name].shape
                    assert torch.equal(state[name], state[home] if fits else state[home].t()), name
    roots = {f"{owner.name}." for owner in owners}
    assert all(any(name.startswith(root) for root in roots) for name in state)
