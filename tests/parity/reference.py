"""The six architectures as one writes them by hand in PyTorch: what compiled specs must equal.

Attributes bear the names of the specs' nodes, so that a ``state_dict`` loads either way. Calls
stand in the order of the compiled module (the coarse branch first), in which dropout draws masks.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def conv_stack(channels: int, width: int) -> nn.Sequential:
    """Convolutions 64, then a block (64, 64), then a block (128, 128), at ``width=64``."""
    w = width
    return nn.Sequential(
        nn.Conv2d(channels, w, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(w, w, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(w, w, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(w),
        nn.Conv2d(w, 2 * w, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(2 * w, 2 * w, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(2 * w),
    )


def fc_stack(inputs: int, units: list[int]) -> nn.Sequential:
    """Linear, ReLU, Dropout 0.25, BatchNorm for each size."""
    layers: list[nn.Module] = []
    for size in units:
        layers += [nn.Linear(inputs, size), nn.ReLU(), nn.Dropout(0.25), nn.BatchNorm1d(size)]
        inputs = size
    return nn.Sequential(*layers)


class Sizes:
    """Layer sizes that follow from the width and the data."""

    def __init__(self, width: int, channels: int, side: int, fine: int, coarse: int) -> None:
        self.width, self.channels, self.fine, self.coarse = width, channels, fine, coarse
        self.flat = 2 * width * (side // 4) ** 2
        self.all = [16 * width, 8 * width, 4 * width, 2 * width]
        self.first, self.last = self.all[:2], self.all[2:]


class Arch1(nn.Module):
    """Two independent networks."""

    def __init__(self, s: Sizes) -> None:
        super().__init__()
        self.conv_layers_fine = conv_stack(s.channels, s.width)
        self.fc_layers_fine = fc_stack(s.flat, s.all)
        self.fine_label = nn.Linear(s.all[-1], s.fine)
        self.conv_layers_coarse = conv_stack(s.channels, s.width)
        self.fc_layers_coarse = fc_stack(s.flat, s.all)
        self.coarse_label = nn.Linear(s.all[-1], s.coarse)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        coarse = self.fc_layers_coarse(torch.flatten(self.conv_layers_coarse(image), 1))
        fine = self.fc_layers_fine(torch.flatten(self.conv_layers_fine(image), 1))
        return {"fine": self.fine_label(fine), "coarse": self.coarse_label(coarse)}


class Arch2(nn.Module):
    """One conv trunk for both labels."""

    def __init__(self, s: Sizes) -> None:
        super().__init__()
        self.conv_layers = conv_stack(s.channels, s.width)
        self.fc_layers_fine = fc_stack(s.flat, s.all)
        self.fine_label = nn.Linear(s.all[-1], s.fine)
        self.fc_layers_coarse = fc_stack(s.flat, s.all)
        self.coarse_label = nn.Linear(s.all[-1], s.coarse)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        trunk = torch.flatten(self.conv_layers(image), 1)
        coarse = self.coarse_label(self.fc_layers_coarse(trunk))
        return {"fine": self.fine_label(self.fc_layers_fine(trunk)), "coarse": coarse}


class Arch3(nn.Module):
    """Two trunks; the coarse output feeds the fine head."""

    def __init__(self, s: Sizes) -> None:
        super().__init__()
        self.conv_layers_fine = conv_stack(s.channels, s.width)
        self.fc_layers_1 = fc_stack(s.flat, s.first)
        self.conv_layers_coarse = conv_stack(s.channels, s.width)
        self.fc_layers = fc_stack(s.flat, s.all)
        self.coarse_label = nn.Linear(s.all[-1], s.coarse)
        self.fc_layers_2 = fc_stack(s.first[-1] + s.coarse, s.last)
        self.fine_label = nn.Linear(s.last[-1], s.fine)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        coarse_trunk = torch.flatten(self.conv_layers_coarse(image), 1)
        coarse = self.coarse_label(self.fc_layers(coarse_trunk))
        fine_trunk = torch.flatten(self.conv_layers_fine(image), 1)
        both = torch.cat([self.fc_layers_1(fine_trunk), coarse], dim=1)
        return {"coarse": coarse, "fine": self.fine_label(self.fc_layers_2(both))}


class Arch4(nn.Module):
    """Two trunks; the fine output feeds the coarse head."""

    def __init__(self, s: Sizes) -> None:
        super().__init__()
        self.conv_layers_coarse = conv_stack(s.channels, s.width)
        self.fc_layers_1 = fc_stack(s.flat, s.first)
        self.conv_layers_fine = conv_stack(s.channels, s.width)
        self.fc_layers = fc_stack(s.flat, s.all)
        self.fine_label = nn.Linear(s.all[-1], s.fine)
        self.fc_layers_2 = fc_stack(s.first[-1] + s.fine, s.last)
        self.coarse_label = nn.Linear(s.last[-1], s.coarse)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        fine_trunk = torch.flatten(self.conv_layers_fine(image), 1)
        fine = self.fine_label(self.fc_layers(fine_trunk))
        coarse_trunk = torch.flatten(self.conv_layers_coarse(image), 1)
        both = torch.cat([self.fc_layers_1(coarse_trunk), fine], dim=1)
        return {"fine": fine, "coarse": self.coarse_label(self.fc_layers_2(both))}


class Arch5(nn.Module):
    """One conv trunk; the coarse output feeds the fine head."""

    def __init__(self, s: Sizes) -> None:
        super().__init__()
        self.conv_layers = conv_stack(s.channels, s.width)
        self.fc_layers_1 = fc_stack(s.flat, s.first)
        self.fc_layers = fc_stack(s.flat, s.all)
        self.coarse_label = nn.Linear(s.all[-1], s.coarse)
        self.fc_layers_2 = fc_stack(s.first[-1] + s.coarse, s.last)
        self.fine_label = nn.Linear(s.last[-1], s.fine)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        trunk = torch.flatten(self.conv_layers(image), 1)
        coarse = self.coarse_label(self.fc_layers(trunk))
        both = torch.cat([self.fc_layers_1(trunk), coarse], dim=1)
        return {"coarse": coarse, "fine": self.fine_label(self.fc_layers_2(both))}


class Arch6(nn.Module):
    """One conv trunk; the fine output feeds the coarse head."""

    def __init__(self, s: Sizes) -> None:
        super().__init__()
        self.conv_layers = conv_stack(s.channels, s.width)
        self.fc_layers_1 = fc_stack(s.flat, s.first)
        self.fc_layers = fc_stack(s.flat, s.all)
        self.fine_label = nn.Linear(s.all[-1], s.fine)
        self.fc_layers_2 = fc_stack(s.first[-1] + s.fine, s.last)
        self.coarse_label = nn.Linear(s.last[-1], s.coarse)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        trunk = torch.flatten(self.conv_layers(image), 1)
        fine = self.fine_label(self.fc_layers(trunk))
        both = torch.cat([self.fc_layers_1(trunk), fine], dim=1)
        return {"fine": fine, "coarse": self.coarse_label(self.fc_layers_2(both))}


ARCHITECTURES: dict[str, type[nn.Module]] = {
    "arch1": Arch1,
    "arch2": Arch2,
    "arch3": Arch3,
    "arch4": Arch4,
    "arch5": Arch5,
    "arch6": Arch6,
}


def reference(
    name: str, width: int, channels: int = 3, side: int = 32, fine: int = 100, coarse: int = 20
) -> nn.Module:
    """Return the hand-written module of one architecture, by default for CIFAR-100."""
    return ARCHITECTURES[name](Sizes(width, channels, side, fine, coarse))
