"""(b) The best loop we can write by hand for this model and this data on a CPU.

All that is known to help: the images in memory as bytes, augmented and normalised a whole batch at a
time into channels-last, convolution weights in that order too, the fused optimizer, an allocator that
keeps its blocks, no number fetched before the end of the epoch.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor, nn
from torch.nn import functional

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
    """The images in memory, padded by zeros once, so that a crop is a window."""

    def __init__(self, settings: Settings) -> None:
        arrays = settings.arrays()
        pixels = torch.from_numpy(arrays["image"])
        padded = functional.pad(pixels, (PAD, PAD, PAD, PAD))
        # pixels of three channels side by side, as channels-last wants them
        self.rows = padded.permute(0, 2, 3, 1).contiguous().view(-1, 3)
        self.fine, self.coarse = (torch.from_numpy(arrays[name]) for name in ("fine", "coarse"))
        self.scale = 1 / (255 * torch.tensor(STD))
        self.shift = -torch.tensor(MEAN) / torch.tensor(STD)
        self.place = torch.arange(SIDE)

    def batch(self, chosen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return images ``(N, 3, 32, 32)``, cropped and flipped at random, and both labels."""
        count, padded = len(chosen), SIDE + 2 * PAD
        top, left = torch.randint(2 * PAD + 1, (2, count))
        flipped = torch.rand(count) < 0.5
        columns = torch.where(flipped[:, None], self.place.flip(0), self.place) + left[:, None]
        rows = (chosen * padded + top)[:, None] + self.place
        index = rows[:, :, None] * padded + columns[:, None, :]
        pixels = self.rows.index_select(0, index.view(-1)).float()
        pixels = torch.addcmul(self.shift, pixels, self.scale)
        images = pixels.view(count, SIDE, SIDE, 3).permute(0, 3, 1, 2)
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
