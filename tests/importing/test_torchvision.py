"""torchvision's models: the import has their names, their weights and their numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
import torch
import torchvision
from torch import Tensor, nn

import graphspec as gs
from graphspec.language.format import format_text

MODELS: dict[str, tuple[int, dict[str, Any]]] = {
    "alexnet": (64, {}),
    "vgg11_bn": (32, {}),
    "resnet18": (64, {}),
    "resnet50": (64, {}),
    "squeezenet1_1": (64, {}),
    "densenet121": (64, {}),
    "googlenet": (64, {"init_weights": False}),
    "inception_v3": (299, {"init_weights": False}),
    "mobilenet_v2": (64, {}),
    "mobilenet_v3_small": (64, {}),
    "shufflenet_v2_x1_0": (64, {}),
    "efficientnet_b0": (64, {}),
    "convnext_tiny": (64, {}),
    "vit_b_16": (32, {"image_size": 32}),
    "mnasnet0_5": (64, {}),
    "regnet_y_400mf": (64, {}),
    "efficientnet_v2_s": (64, {}),
}
"""Side of the images, and arguments."""

_FAST = {"resnet18", "squeezenet1_1", "mobilenet_v3_small", "vit_b_16"}

SAME_NAMES = set(MODELS) - {"convnext_tiny", "vit_b_16", "regnet_y_400mf"}
"""Those whose ``state_dict`` loads as it is."""


@contextlib.contextmanager
def _no_initial_weights() -> Iterator[None]:
    """Leave out the random numbers of initial weights: half the time."""

    def as_it_is(tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return tensor

    with (
        mock.patch.object(Tensor, "uniform_", as_it_is),
        mock.patch.object(Tensor, "normal_", as_it_is),
        # it draws again until all numbers are inside its limits
        mock.patch.object(torch.nn.init, "trunc_normal_", as_it_is),
    ):
        yield


def _stir(model: nn.Module) -> None:
    """Give a model weights and statistics that keep its signal."""
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        fan = parameter[0].numel() if parameter.dim() > 1 else 100
        parameter.data = torch.randn(parameter.shape, generator=generator) * (2 / fan) ** 0.5
        if parameter.dim() == 1:
            parameter.data += 0.7
    for name, buffer in model.named_buffers():
        if name.endswith("running_var"):
            buffer += torch.rand(buffer.shape, generator=generator)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in _FAST else pytest.mark.slow) for n in MODELS]
)
def test_the_numbers_are_torchvisions(name: str) -> None:
    size, arguments = MODELS[name]
    with _no_initial_weights():
        model = getattr(torchvision.models, name)(weights=None, **arguments)
        _stir(model)
        imported = gs.import_model(model, {"image": (3, size, size)}, name=name, check=False)
        compiled = gs.compile(imported.spec)
    assert format_text(imported.text) == imported.text
    assert set(imported.names.values()) == set(model.state_dict())
    assert (name in SAME_NAMES) == all(ours == theirs for ours, theirs in imported.names.items())
    compiled.load_state_dict(imported.state_dict(model), assign=True)
    assert _count(compiled) == _count(model)
    image = torch.randn(2, 3, size, size)
    with torch.no_grad():
        # In training mode too: dropout, stochastic depth and auxiliary heads are in their places.
        for training in (True, False):
            torch.manual_seed(2)
            theirs = model.train(training)(image)
            torch.manual_seed(2)
            ours = compiled.train(training)(image)
            given = theirs if isinstance(theirs, tuple) else (theirs,)
            for expected, task in zip(given, imported.spec.tasks, strict=False):
                assert bool(expected.isfinite().all())
                assert float((expected[0] - expected[1]).abs().max()) > 0
                torch.testing.assert_close(ours[task], expected, rtol=1e-6, atol=1e-6)


def _count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_auxiliary_outputs_are_tasks() -> None:
    with torch.device("meta"):
        model = torchvision.models.googlenet(weights=None, init_weights=False)
    imported = gs.import_model(model, {"image": (3, 224, 224)})
    assert list(imported.spec.tasks) == ["logits", "aux_logits2", "aux_logits1"]
    assert list(imported.spec.source.plain()["blocks"]) == ["basic_conv2d"]
    imported = gs.import_model(model.eval(), {"image": (3, 224, 224)})
    assert list(imported.spec.tasks) == ["label"]


def test_repeated_structure_is_folded() -> None:
    """Residual blocks that differ in one value and in a shortcut are one block, in four chains."""
    with torch.device("meta"):
        model = torchvision.models.resnet50(weights=None)
    imported = gs.import_model(model, {"image": (3, 64, 64)})
    written = imported.spec.source.plain()
    assert list(written["blocks"]) == ["bottleneck"]
    stages = {name: node for name, node in written["nodes"].items() if "block" in node}
    assert [node["repeat"] for node in stages.values()] == [3, 4, 6, 3]
    assert stages["layer2"]["stride"] == "=2 if index == 0 else 1"
    assert stages["layer1"]["downsample"] == "=index == 0"
