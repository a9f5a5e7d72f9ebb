"""References of the models that torchvision does not have whole, in a few lines of plain PyTorch.

Submodules have the names of the spec's nodes where that reads well; `Case.names` says the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own habit
import torchvision
from torch import Tensor, nn
from torchvision.models._utils import IntermediateLayerGetter

from tests.zoo.parity import Case


class UNet(nn.Module):
    """Ronneberger et al. 2015, figure 1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        sizes = [width * 2**n for n in range(5)]
        self.down = nn.ModuleList(
            self.twice(before, after) for before, after in pairwise([1, *sizes])
        )
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * n, n, 2, stride=2) for n in sizes[:4])
        self.join = nn.ModuleList(self.twice(2 * n, n) for n in sizes[:4])
        self.mask = nn.Conv2d(width, 2, 1)

    @staticmethod
    def twice(before: int, after: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(before, after, 3), nn.ReLU(), nn.Conv2d(after, after, 3), nn.ReLU()
        )

    def forward(self, x: Tensor) -> Tensor:
        skipped: list[Tensor] = []
        for part in self.down:
            x = part(F.max_pool2d(x, 2) if skipped else x)
            skipped.append(x)
        for level in (3, 2, 1, 0):
            x = self.up[level](x)
            cut = (skipped[level].shape[2] - x.shape[2]) // 2
            middle = skipped[level][:, :, cut : cut + x.shape[2], cut : cut + x.shape[3]]
            x = self.join[level](torch.cat([middle, x], dim=1))
        mask: Tensor = self.mask(x)
        return mask


class FPN(nn.Module):
    """torchvision's ResNet-18 and its feature pyramid; the levels are added up for a mask."""

    def __init__(self) -> None:
        super().__init__()
        layers = {f"layer{n}": f"layer{n}" for n in (1, 2, 3, 4)}
        self.body = IntermediateLayerGetter(torchvision.models.resnet18(weights=None), layers)
        self.fpn = torchvision.ops.FeaturePyramidNetwork([64, 128, 256, 512], 256)
        self.scores = nn.Conv2d(256, 21, 1)

    def forward(self, image: Tensor) -> Tensor:
        levels = list(self.fpn(self.body(image)).values())
        size = levels[0].shape[2:]
        whole = levels[0]
        for level in levels[1:]:
            whole = whole + F.interpolate(level, size=size, mode="bilinear")
        return F.interpolate(self.scores(whole), scale_factor=4.0, mode="bilinear")


class Siamese(nn.Module):
    """Koch et al. 2015, section 3.1."""

    def __init__(self, features: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after, size in ((1, 64, 10), (64, 128, 7), (128, 128, 4)):
            layers += [nn.Conv2d(before, after, size), nn.ReLU(), nn.MaxPool2d(2)]
        layers += [nn.Conv2d(128, 256, 4), nn.ReLU(), nn.Flatten()]
        self.tower = nn.Sequential(*layers, nn.Linear(256 * 6 * 6, features), nn.Sigmoid())
        self.same = nn.Linear(features, 1)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        same: Tensor = self.same((self.tower(left) - self.tower(right)).abs())
        return same


class RecurrentLayer(nn.Module):
    """Liang and Hu 2015, equations 1 to 3: ``x(t) = LRN(ReLU(w_f * u + w_r * x(t-1) + b))``."""

    def __init__(self, channels: int, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.feed = nn.Conv2d(channels, channels, 3, padding=1)
        self.recurrent = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, u: Tensor) -> Tensor:
        feed: Tensor = self.feed(u)
        x = F.local_response_norm(feed.relu(), 13, 0.001, 0.75)
        for _ in range(self.steps):
            x = F.local_response_norm((feed + self.recurrent(x)).relu(), 13, 0.001, 0.75)
        return x


class Recurrent(nn.Module):
    """RCNN-96 of the same paper, section 4.1, without the dropout that evaluation has not."""

    def __init__(self, channels: int, steps: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, channels, 5, padding=2)
        self.stage1 = nn.Sequential(*(RecurrentLayer(channels, steps) for _ in range(2)))
        self.stage2 = nn.Sequential(*(RecurrentLayer(channels, steps) for _ in range(2)))
        self.label = nn.Linear(channels, 10)

    def forward(self, image: Tensor) -> Tensor:
        x = F.local_response_norm(self.conv1(image).relu(), 13, 0.001, 0.75)
        x = self.stage1(F.max_pool2d(x, 3, stride=2, padding=1))
        x = self.stage2(F.max_pool2d(x, 3, stride=2, padding=1))
        label: Tensor = self.label(x.amax(dim=(2, 3)))
        return label


class Transformer(nn.Module):
    """A block of GPT-2: normalisation before attention, and before the perceptron."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU("tanh"), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        n, length, width = x.shape
        parts = self.qkv(self.ln_1(x)).reshape(n, length, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(2, 3) / (width // self.heads) ** 0.5
        later = torch.ones(length, length, dtype=torch.bool).triu(1)
        seen = scores.masked_fill(later, -torch.inf).softmax(dim=3) @ v
        x = x + self.out(seen.transpose(1, 2).reshape(n, length, width))
        out: Tensor = x + self.mlp(self.ln_2(x))
        return out


class GPT(nn.Module):
    """GPT-2 at the size of the spec; one matrix embeds tokens and scores them."""

    def __init__(self, vocabulary: int, length: int, width: int, heads: int, depth: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.position = nn.Parameter(0.02 * torch.randn(length, width))
        self.blocks = nn.Sequential(*(Transformer(width, heads) for _ in range(depth)))
        self.ln_f = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.ln_f(self.blocks(self.embed(tokens) + self.position))
        scores: Tensor = x @ self.embed.weight.T
        return scores.transpose(1, 2)


class Autoencoder(nn.Module):
    """Hinton and Salakhutdinov 2006: the way back has the weights of the way there."""

    SIZES = (784, 1000, 500, 250, 30)

    def __init__(self) -> None:
        super().__init__()
        pairs = list(pairwise(self.SIZES))
        self.encoder = nn.ModuleList(nn.Linear(before, after) for before, after in pairs)
        self.biases = nn.ParameterList(torch.randn(before) for before, _ in reversed(pairs))

    def forward(self, image: Tensor) -> Tensor:
        x = image.flatten(1)
        for layer in self.encoder[:-1]:
            x = layer(x).sigmoid()
        x = self.encoder[-1](x)
        weights = [layer.get_parameter("weight") for layer in self.encoder]
        for weight, bias in zip(reversed(weights), self.biases, strict=True):
            x = F.linear(x, weight.T, bias).sigmoid()
        return x.reshape(image.shape)


class FilmBlock(nn.Module):
    """Perez et al. 2018, figure 3, right."""

    def __init__(self, channels: int, question: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 1)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.film = nn.Linear(question, 2 * channels)

    def forward(self, maps: Tensor, question: Tensor) -> Tensor:
        first = self.first(maps).relu()
        gamma, beta = self.film(question)[:, :, None, None].chunk(2, dim=1)
        out: Tensor = first + (gamma * self.norm(self.conv(first)) + beta).relu()
        return out


class Film(nn.Module):
    """The whole of figure 3."""

    def __init__(self, channels: int, memory: int) -> None:
        super().__init__()
        sizes = [3, *[channels] * 4]
        self.stem = nn.ModuleList(
            nn.Conv2d(before, after, 4, stride=2, padding=1) for before, after in pairwise(sizes)
        )
        self.embed = nn.Embedding(90, 200)
        self.gru = nn.GRU(200, memory, batch_first=True)
        self.blocks = nn.ModuleList(FilmBlock(channels, memory) for _ in range(4))
        self.pooled = nn.Conv2d(channels, 512, 1)
        self.reason = nn.Linear(512, 1024)
        self.answer = nn.Linear(1024, 28)

    def forward(self, image: Tensor, question: Tensor) -> Tensor:
        for layer in self.stem:
            image = layer(image).relu()
        asked = self.gru(self.embed(question))[0][:, -1]
        for block in self.blocks:
            image = block(image, asked)
        x = self.pooled(image).relu().amax(dim=(2, 3))
        answer: Tensor = self.answer(self.reason(x).relu())
        return answer


def _unet() -> Case:
    return Case(
        module=UNet(8),
        inputs={"image": torch.randn(2, 1, 188, 188)},
        names={
            r"^down1\.": "down1.conv.",
            r"^down(\d)\.conv\.": lambda m: f"down.{int(m[1]) - 1}.",
            r"^up(\d)\.up\.": lambda m: f"up.{int(m[1]) - 1}.",
            r"^up(\d)\.conv\.": lambda m: f"join.{int(m[1]) - 1}.",
        },
        overrides={"width": 8, "inputs.image.shape": [1, 188, 188]},
        full=lambda: UNet(64),
    )


def _fpn() -> Case:
    return Case(
        module=FPN(),
        inputs={"image": torch.randn(2, 3, 64, 64)},
        names={
            r"^(layer|conv1|bn1)": r"body.\1",
            r"^inner\.(\d)\.": lambda m: f"fpn.inner_blocks.{int(m[1]) - 1}.0.",
            r"^level(\d)\.": lambda m: f"fpn.layer_blocks.{int(m[1]) - 1}.0.",
        },
        overrides={"inputs.image.shape": [3, 64, 64]},
        calibrated=True,
    )


def _siamese() -> Case:
    return Case(
        module=Siamese(64),
        inputs={side: torch.randn(2, 1, 105, 105) for side in ("left", "right")},
        overrides={"features": 64},
        full=lambda: Siamese(4096),
    )


def _recurrent() -> Case:
    return Case(
        module=Recurrent(16),
        inputs={"image": torch.randn(2, 3, 32, 32)},
        names={r"^conv1\.0\.": "conv1.", r"\.first\.recurrent\.": ".recurrent."},
        overrides={"channels": 16},
        full=lambda: Recurrent(96),
    )


def _gpt() -> Case:
    return Case(
        module=GPT(256, 64, 64, 4, 4),
        inputs={"tokens": torch.randint(256, (2, 64))},
        names={
            r"^position\.weight$": "position",
            r"\.attn\.in_proj_": ".qkv.",
            r"\.attn\.out_proj\.": ".out.",
        },
        tolerance=1e-6,
    )


def _autoencoder() -> Case:
    module = Autoencoder()
    for layer in module.encoder:
        layer.get_parameter("weight").data *= 8  # sigmoids one after the other let little through
    return Case(
        module=module,
        inputs={"image": torch.rand(2, 1, 28, 28)},
        names={
            r"^encoder\.(\d)\.": lambda m: f"encoder.{int(m[1]) // 2}.",
            r"^decoder\.(\d)\.bias": lambda m: f"biases.{int(m[1]) // 2}",
        },
    )


def _film() -> Case:
    return Case(
        module=Film(16, 32),
        inputs={"image": torch.randn(2, 3, 64, 64), "question": torch.randint(90, (2, 45))},
        names={
            r"^stem\.(\d)\.0\.": r"stem.\1.",
            r"\.conv\.1\.": ".norm.",
            r"\.(first|conv|film)\.0\.": r".\1.",
            r"^(pooled|reason)\.0\.": r"\1.",
        },
        overrides={"channels": 16, "memory": 32, "inputs.image.shape": [3, 64, 64]},
        full=lambda: Film(128, 4096),
    )


REFERENCES: dict[str, Callable[[], Case]] = {
    "zoo/unet": _unet,
    "zoo/fpn": _fpn,
    "zoo/siamese": _siamese,
    "zoo/recurrent_refinement": _recurrent,
    "zoo/gpt": _gpt,
    "zoo/autoencoder": _autoencoder,
    "zoo/film": _film,
}
"""By name of the spec."""
