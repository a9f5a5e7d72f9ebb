"""The six specs equal hand-written modules bit for bit: outputs, gradients, training steps."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import graphspec as gs
from graphspec.graph.analysis import analyse
from tests.parity.reference import ARCHITECTURES, reference

NAMES = sorted(ARCHITECTURES)
FULL_SIZE = {
    "arch1": 18_775_416,
    "arch2": 18_477_944,
    "arch3": 18_780_536,
    "arch4": 18_801_016,
    "arch5": 18_483_064,
    "arch6": 18_503_544,
}


def pair(name: str, width: int = 4) -> tuple[nn.Module, nn.Module]:
    """A compiled and a hand-written module of one architecture with the same weights."""
    compiled = gs.compile(gs.load(name, {"width": width}))
    written = reference(name, width)
    written.load_state_dict(compiled.state_dict(), strict=True)
    return compiled, written


def batch(samples: int = 6) -> tuple[Tensor, dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(3)
    image = torch.randn(samples, 3, 32, 32, generator=generator)
    labels = {
        "fine": torch.randint(100, (samples,), generator=generator),
        "coarse": torch.randint(20, (samples,), generator=generator),
    }
    return image, labels


def loss_of(outputs: dict[str, Tensor], labels: dict[str, Tensor]) -> Tensor:
    fine = functional.cross_entropy(outputs["fine"], labels["fine"])
    return 2 * fine + functional.cross_entropy(outputs["coarse"], labels["coarse"])


@pytest.mark.parametrize("name", NAMES)
def test_full_size_has_the_parameters_of_the_hand_written_model(name: str) -> None:
    with torch.device("meta"):
        written = reference(name, 64)
    count = sum(parameter.numel() for parameter in written.parameters())
    graph = gs.analyze(gs.load(name))
    assert analyse(graph).parameters == count == FULL_SIZE[name]
    shapes = {key: tuple(value.shape) for key, value in written.state_dict().items()}
    ours = {
        f"{owner}.{key}": type_.shape
        for owner, weights in graph.weights.items()
        for key, type_ in {**weights.parameters, **weights.buffers}.items()
    }
    assert ours == shapes


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_bit_identical(name: str) -> None:
    compiled, written = pair(name)
    image, _ = batch()
    compiled.eval()
    written.eval()
    ours, theirs = compiled(image=image), written(image)
    assert ours.keys() == theirs.keys()
    for task in theirs:
        assert torch.equal(ours[task], theirs[task]), task


@pytest.mark.parametrize("name", NAMES)
def test_two_training_steps_are_bit_identical(name: str) -> None:
    """With dropout drawn from the same seed: gradients, Adam's moments, batch-norm statistics."""
    compiled, written = pair(name)
    image, labels = batch()
    for module in (compiled, written):
        torch.manual_seed(11)
        optimizer = torch.optim.Adam(module.parameters(), lr=5e-4)
        for _ in range(2):
            optimizer.zero_grad()
            loss_of(module(image=image), labels).backward()
            optimizer.step()
    theirs = written.state_dict()
    for key, value in compiled.state_dict().items():
        assert torch.equal(value, theirs[key]), key
    gradients = {key: p.grad for key, p in written.named_parameters()}
    for key, parameter in compiled.named_parameters():
        assert parameter.grad is not None
        assert torch.equal(parameter.grad, gradients[key]), key


@pytest.mark.parametrize("name", NAMES)
def test_the_code_is_straight_line_without_an_interpreter(name: str) -> None:
    code = gs.compile(gs.load(name, {"width": 2})).code
    body = [line for line in code.splitlines() if line.startswith("    ")]
    assert not any(word in code for word in ("for ", "if ", "while "))
    assert len([line for line in body if " = " in line]) == len(gs.load(name).nodes)
