"""How a model of the zoo is compared with its reference: the same weights, the same numbers.

The reference is an ``nn.Module`` that others wrote, or a few lines of plain PyTorch. Its weights go
into the compiled spec, both see the same inputs, and their outputs are subtracted.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from unittest import mock

import torch
from torch import Tensor, nn

import graphspec as gs
from graphspec.graph import reachability

Replacement: TypeAlias = "str | Callable[[re.Match[str]], str]"
"""What takes the place of a regular expression: text, or a function of what was found."""


@dataclass(frozen=True)
class Case:
    """One comparison.

    Attributes:
        module: The reference. It is called with the inputs by position and gives a dict by task, or
            the tensor of the only one.
        inputs: The inputs by their names in the spec. Two samples or more.
        names: Regular expressions and what takes their place: they turn the names of the model's
            parameters and buffers into the reference's, one after the other. None where only the
            order of parameters and buffers is the same.
        overrides: What makes the spec small enough to run in a test.
        full: The reference at the spec's own size where the overrides change its parameters; it is
            made on the meta device, to count them.
        tolerance: Largest difference, relative to the largest output above 1; 0 is bit for bit.
        training: Whether both are compared in training mode too, with the same random numbers.
        calibrated: Whether batch normalisations first learn the statistics of the inputs; without,
            the signal of a deep network is lost on the way.
    """

    module: nn.Module
    inputs: Mapping[str, Tensor]
    names: Mapping[str, Replacement] | None = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    full: Callable[[], nn.Module] | None = None
    tolerance: float = 0.0
    training: bool = False
    calibrated: bool = False


@dataclass(frozen=True)
class Comparison:
    """What a comparison gives.

    Attributes:
        difference: Largest difference of an output, relative to the largest output above 1.
        parameters: Parameters of the spec at its own size.
        expected_parameters: Those of the reference.
        tolerance: The largest difference that is allowed.
        tasks: For each task how much the outputs of two samples differ, relative to the largest: a
            model that answers without looking at its input would agree with anything.
    """

    difference: float
    parameters: int
    expected_parameters: int
    tolerance: float
    tasks: Mapping[str, float]


def compare(name: str, make: Callable[[], Case]) -> Comparison:
    """Compare a shipped spec with its reference.

    Args:
        name: Name of the spec, such as ``zoo/resnet18``.
        make: Gives the case; the random numbers that it draws are the same in every run.
    """
    torch.manual_seed(0)
    case = make()
    with _no_initial_weights():
        model = gs.compile(gs.load(name, dict(case.overrides) or None))
    stir(case.module)
    if case.calibrated:
        calibrate(case.module, list(case.inputs.values()))
    transfer(case.module, model, case.names)
    assert _norms(model) == _norms(case.module)
    differences, spread = [], {}
    for training in (True, False) if case.training else (False,):
        given = outputs(case.module.train(training), list(case.inputs.values()))
        ours = outputs(model.train(training), case.inputs)
        given = given if isinstance(given, Mapping) else dict.fromkeys(ours, given)
        assert given.keys() == ours.keys()
        for task, expected in given.items():
            size = _largest(expected)
            differences.append(_largest(ours[task] - expected) / max(1.0, size))
            spread[task] = _largest(expected[0] - expected[1]) / size
    return Comparison(max(differences), *parameters(name, case, model), case.tolerance, spread)


def outputs(module: nn.Module, inputs: Mapping[str, Tensor] | Sequence[Tensor]) -> Any:
    """Return what a module gives, with the same random numbers every time."""
    torch.manual_seed(1)
    with torch.no_grad():
        return module(**inputs) if isinstance(inputs, Mapping) else module(*inputs)


def parameters(name: str, case: Case, model: nn.Module) -> tuple[int, int]:
    """Return the parameters of a spec and of its reference, both at the spec's own size."""
    if case.full is None:
        return count(model), count(case.module)
    with torch.device("meta"):
        return spec_parameters(name), count(case.full())


def spec_parameters(name: str, overrides: Mapping[str, Any] | None = None) -> int:
    """Return the parameters of a spec, shared ones counted once; nothing is allocated."""
    graph = gs.analyze(gs.load(name, dict(overrides or {}) or None))
    return reachability.total(reachability.parameters(graph).values())


def count(module: nn.Module) -> int:
    """Return the parameters of a module, shared ones counted once."""
    return sum(parameter.numel() for parameter in module.parameters())


def transfer(source: nn.Module, target: nn.Module, names: Mapping[str, Replacement] | None) -> None:
    """Make every parameter and buffer of ``target`` that of ``source``; none may be left over.

    Their memory becomes one, since some models are large.
    """
    for given, wanted in (
        (dict(source.named_parameters()), dict(target.named_parameters())),
        (dict(source.named_buffers()), dict(target.named_buffers())),
    ):
        if names is None:
            pairs = dict(zip(wanted, given, strict=True))
        else:
            pairs = {name: _renamed(name, names) for name in wanted}
            assert sorted(pairs.values()) == sorted(given)
        for own, theirs in pairs.items():
            value = given[theirs].detach()
            # A class token of shape (1, 1, D) is one of shape (1, D) here.
            shapes = [tuple(s for s in t.shape if s != 1) for t in (wanted[own], value)]
            assert shapes[0] == shapes[1], (own, theirs)
            wanted[own].data = value.reshape(wanted[own].shape)


def stir(module: nn.Module) -> None:
    """Give parameters and statistics that start as constants random values of their own.

    A batch normalisation as it starts does next to nothing, a head of zeros hides everything.
    """
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.numel() > 1 and bool((parameter == parameter.flatten()[0]).all()):
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        for name, buffer in module.named_buffers():
            if name.endswith("running_mean"):
                buffer.copy_(0.1 * torch.randn(buffer.shape, generator=generator))
            elif name.endswith("running_var"):
                buffer.copy_(0.5 + torch.rand(buffer.shape, generator=generator))


def calibrate(module: nn.Module, inputs: Sequence[Tensor]) -> None:
    """Let batch normalisations know the statistics of the inputs, so that they keep the signal."""
    norms = [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = None  # the mean of all batches, of which there is one
        norm.reset_running_stats()
    with torch.no_grad():
        module.train()(*inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


@contextlib.contextmanager
def _no_initial_weights() -> Iterator[None]:
    """Leave out the random numbers of initial weights, which are replaced anyway: half the time."""
    with (
        mock.patch.object(Tensor, "uniform_", _as_it_is),
        mock.patch.object(Tensor, "normal_", _as_it_is),
    ):
        yield


def _as_it_is(tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    return tensor


def _renamed(name: str, names: Mapping[str, Replacement]) -> str:
    for pattern, replacement in names.items():
        name = re.sub(pattern, replacement, name)
    return name


def _norms(module: nn.Module) -> Counter[tuple[float, float | None]]:
    """Return the settings of batch normalisations that one forward pass does not show."""
    kind = nn.modules.batchnorm._BatchNorm
    return Counter((part.eps, part.momentum) for part in module.modules() if isinstance(part, kind))


def _largest(values: Tensor) -> float:
    assert bool(values.isfinite().all())
    return float(values.abs().max())
