"""The models that torchvision has: its weights give its outputs, bit for bit."""

from __future__ import annotations

import pytest
import torch
import torchvision

from tests.zoo.parity import compare, count, spec_parameters
from tests.zoo.references import TORCHVISION


@pytest.mark.parametrize("name", TORCHVISION)
def test_the_outputs_are_torchvisions(name: str) -> None:
    """In training mode too: dropout, stochastic depth and batch statistics are in their places."""
    found = compare(name, TORCHVISION[name])
    assert found.parameters == found.expected_parameters
    assert found.difference <= found.tolerance
    assert min(found.tasks.values()) > 1e-3


FAMILIES = [
    ("vgg11_bn", "vgg13_bn", {"depths": [2, 2, 2, 2, 2]}),
    ("vgg11_bn", "vgg16_bn", {"depths": [2, 2, 3, 3, 3]}),
    ("vgg11_bn", "vgg19_bn", {"depths": [2, 2, 4, 4, 4]}),
    ("resnet18", "resnet34", {"depths": [3, 4, 6, 3]}),
    ("resnet50", "resnet101", {"depths": [3, 4, 23, 3]}),
    ("resnet50", "resnet152", {"depths": [3, 8, 36, 3]}),
    ("densenet121", "densenet169", {"depths": [6, 12, 32, 32]}),
    ("densenet121", "densenet201", {"depths": [6, 12, 48, 32]}),
    ("shufflenet_v2_x1_0", "shufflenet_v2_x0_5", {"channels": [48, 96, 192, 1024]}),
    ("shufflenet_v2_x1_0", "shufflenet_v2_x1_5", {"channels": [176, 352, 704, 1024]}),
    ("shufflenet_v2_x1_0", "shufflenet_v2_x2_0", {"channels": [244, 488, 976, 2048]}),
    ("convnext_tiny", "convnext_small", {"depths": [3, 3, 27, 3]}),
    (
        "convnext_tiny",
        "convnext_base",
        {"depths": [3, 3, 27, 3], "channels": [128, 256, 512, 1024]},
    ),
    (
        "convnext_tiny",
        "convnext_large",
        {"depths": [3, 3, 27, 3], "channels": [192, 384, 768, 1536]},
    ),
    ("vit_b_16", "vit_b_32", {"patch": 32}),
    ("vit_b_16", "vit_l_16", {"width": 1024, "heads": 16, "depth": 24}),
]
"""What the heads of the files say about relatives: spec, torchvision's name, variables."""

_FAST = {"vgg16_bn", "resnet34", "shufflenet_v2_x0_5", "convnext_base", "vit_b_32"}


@pytest.mark.parametrize(
    ("name", "relative", "variables"),
    [
        pytest.param(*each, id=each[1], marks=[] if each[1] in _FAST else [pytest.mark.slow])
        for each in FAMILIES
    ],
)
def test_variables_make_the_relatives(
    name: str, relative: str, variables: dict[str, object]
) -> None:
    with torch.device("meta"):
        expected = count(getattr(torchvision.models, relative)(weights=None))
    assert spec_parameters(f"zoo/{name}", variables) == expected
