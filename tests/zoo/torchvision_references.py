"""References of the models that torchvision has: torchvision's own, with random weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import torch
import torchvision
from torch import Tensor, nn

from tests.zoo.parity import Case, Replacement

Names: TypeAlias = Mapping[str, Replacement]


def _case(
    function: str, size: int, names: Names | None, tolerance: float = 0.0, **arguments: Any
) -> Case:
    """Return the case of a torchvision model, with two images of one side length."""
    module = getattr(torchvision.models, function)(weights=None, **arguments)
    return Case(
        module=module,
        inputs={"image": torch.randn(2, 3, size, size)},
        names=names,
        overrides={"inputs.image.shape": [3, size, size]},
        tolerance=tolerance,
        calibrated=True,
        training=True,
    )


class _WithAuxiliaryHeads(nn.Module):
    """GoogLeNet with the outputs that torchvision gives in training mode only."""

    def __init__(self) -> None:
        super().__init__()
        self.whole = torchvision.models.googlenet(weights=None, init_weights=False)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        self.whole.training = True  # this module alone: its layers stay in evaluation mode
        label, aux2, aux1 = self.whole(image)
        return {"label": label, "aux1": aux1, "aux2": aux2}


def _googlenet() -> Case:
    return Case(
        module=_WithAuxiliaryHeads(),
        inputs={"image": torch.randn(2, 3, 64, 64)},
        names=_GOOGLENET,
        overrides={"inputs.image.shape": [3, 64, 64]},
        calibrated=True,
        training=True,
    )


def _vit() -> Case:
    """The positions are learned, so a smaller image has fewer parameters."""
    make = partial(torchvision.models.vit_b_16, weights=None)
    return Case(
        module=make(image_size=32),
        inputs={"image": torch.randn(2, 3, 32, 32)},
        names=_VIT,
        overrides={"size": 32},
        full=make,
        training=True,
    )


_GOOGLENET: Names = {
    r"^aux(\d)_fc2\.": r"aux\1.fc2.",
    r"\.branch([23])\.": r".branch\1.1.",
    r"\.reduce([23])\.": r".branch\1.0.",
    r"\.branch4\.": ".branch4.1.",
    r"^": "whole.",
}

_CONVNEXT: Names = {
    r"^stem\.": "features.0.0.",
    r"^stem_norm\.1\.": "features.0.1.",
    r"^stages\.(\d)\.norm\.1\.": lambda m: f"features.{2 * int(m[1])}.0.",
    r"^stages\.(\d)\.down\.": lambda m: f"features.{2 * int(m[1])}.1.",
    r"^stages\.(\d)\.blocks\.": lambda m: f"features.{2 * int(m[1]) + 1}.",
    r"layer_scale\.weight$": "layer_scale",
    r"^classifier\.": "classifier.0.",
    r"^label\.": "classifier.2.",
}

_VIT: Names = {
    r"^class_token\.weight": "class_token",
    r"^pos_embedding\.weight": "encoder.pos_embedding",
    r"^encoder\.(\d+)": r"encoder.layers.encoder_layer_\1",
    r"^ln\.": "encoder.ln.",
    r"^head\.": "heads.head.",
}

REFERENCES: dict[str, Callable[[], Case]] = {
    "zoo/alexnet": lambda: _case("alexnet", 64, {r"^label\.": "classifier.6."}),
    "zoo/vgg11_bn": lambda: _case("vgg11_bn", 32, None, init_weights=False),
    "zoo/resnet18": lambda: _case("resnet18", 64, {}),
    "zoo/resnet50": lambda: _case("resnet50", 64, {}),
    "zoo/squeezenet1_1": lambda: _case("squeezenet1_1", 64, None),
    "zoo/densenet121": lambda: _case("densenet121", 64, None),
    "zoo/googlenet": _googlenet,
    "zoo/mobilenet_v2": lambda: _case("mobilenet_v2", 64, None),
    "zoo/mobilenet_v3_small": lambda: _case("mobilenet_v3_small", 64, None),
    "zoo/shufflenet_v2_x1_0": lambda: _case("shufflenet_v2_x1_0", 64, None),
    "zoo/efficientnet_b0": lambda: _case("efficientnet_b0", 64, None),
    "zoo/convnext_tiny": lambda: _case("convnext_tiny", 64, _CONVNEXT, 1e-6),
    "zoo/vit_b_16": _vit,
}
"""By name of the spec."""
