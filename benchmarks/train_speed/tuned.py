"""(b) The best loop we can write by hand for this model and this data on a CPU.

All that is known to help: the images in memory as bytes, augmented and normalised a whole batch at
a time into channels-last, convolution weights in that order too, ReLUs in place, the fused
optimizer, an allocator that keeps its blocks, no number fetched before the end of the epoch.
"""

from __future__ import annotations

import ctypes

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.train_speed.contest import (
    BATCH,
    COARSE_WEIGHT,
    FINE_WEIGHT,
    LR,
    MEAN,
    PAD,
    SIDE,
    STD,
    Settings,
    Turn,
)
from tests.parity.reference import reference

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


class Images:
    """The images in memory, padded by zeros once, so that a crop is a window that numpy copies."""

    def __init__(self, settings: Settings) -> None:
        arrays = settings.arrays()
        around = ((0, 0), (0, 0), (PAD, PAD), (PAD, PAD))
        self.padded = np.pad(arrays["image"], around)
        self.fine, self.coarse = (torch.from_numpy(arrays[name]) for name in ("fine", "coarse"))
        size, order = (1, 3, SIDE, SIDE), torch.channels_last
        std, mean = (torch.tensor(each).view(1, 3, 1, 1) for each in (STD, MEAN))
        self.scale = (1 / (255 * std)).expand(size).contiguous(memory_format=order)
        self.shift = (-mean / std).expand(size).contiguous(memory_format=order)
        self.random = np.random.default_rng(0)

    def batch(self, chosen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return images ``(N, 3, 32, 32)``, cropped and flipped at random, and both labels."""
        count = len(chosen)
        pixels = np.empty((count, 3, SIDE, SIDE), np.uint8)
        places = self.random.integers(2 * PAD + 1, size=(2, count)).tolist()
        flips = (self.random.random(count) < 0.5).tolist()
        for i, (row, top, left, flip) in enumerate(
            zip(chosen.tolist(), *places, flips, strict=True)
        ):
            window = self.padded[row, :, top : top + SIDE, left : left + SIDE]
            pixels[i] = window[:, :, ::-1] if flip else window
        images = torch.from_numpy(pixels).float().contiguous(memory_format=torch.channels_last)
        torch.addcmul(self.shift, images, self.scale, out=images)
        return images, self.fine[chosen], self.coarse[chosen]


def keep_blocks() -> None:
    """Let glibc keep freed blocks up to 1 GiB, where the C library is glibc."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    for what in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD):
        mallopt(what, 1 << 30)


def run(settings: Settings, turn: Turn) -> None:
    """Train, an epoch at each turn."""
    keep_blocks()
    data = Images(settings)
    model = reference("arch5", settings.width).to(memory_format=torch.channels_last)
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = True
    optimizer = torch.optim.Adam(model.parameters(), lr=LR, fused=True)
    criterion = nn.CrossEntropyLoss()
    model.train()
    turn.ready(sum(p.numel() for p in model.parameters()))
    while turn.begin():
        losses: list[Tensor] = []
        right = torch.zeros((), dtype=torch.int64)
        for chosen in torch.randperm(len(data.fine)).split(BATCH):
            images, fine, coarse = data.batch(chosen)
            optimizer.zero_grad()
            outputs = model(images)
            loss = FINE_WEIGHT * criterion(outputs["fine"], fine)
            loss = loss + COARSE_WEIGHT * criterion(outputs["coarse"], coarse)
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
            right += (outputs["fine"].detach().argmax(1) == fine).sum()
        turn.end(float(torch.stack(losses).mean()), float(right) / len(data.fine))
