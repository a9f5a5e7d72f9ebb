"""(a) The loop as people write it: PIL images, torchvision transforms, a DataLoader, defaults."""

from __future__ import annotations

from typing import Any

import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

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


class Images(Dataset[Any]):
    """The images one at a time, as ``torchvision.datasets.CIFAR100`` gives them."""

    def __init__(self, settings: Settings, transform: Any) -> None:
        arrays = settings.arrays()
        self.data = arrays["image"].transpose(0, 2, 3, 1).copy()
        self.fine, self.coarse = arrays["fine"].tolist(), arrays["coarse"].tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int, int]:
        image = Image.fromarray(self.data[index])
        return self.transform(image), self.fine[index], self.coarse[index]


def loader(settings: Settings, workers: int = 0) -> DataLoader[Any]:
    """Return the training images, shuffled and augmented."""
    transform = transforms.Compose(
        [
            transforms.RandomCrop(SIDE, padding=PAD),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    images = Images(settings, transform)
    return DataLoader(images, batch_size=BATCH, shuffle=True, num_workers=workers)


def run(settings: Settings, turn: Turn, workers: int = 0) -> None:
    """Train, an epoch at each turn."""
    batches = loader(settings, workers)
    model = reference("arch5", settings.width)
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    criterion = nn.CrossEntropyLoss()
    model.train()
    turn.ready(sum(p.numel() for p in model.parameters()))
    while turn.begin():
        total, right, seen = 0.0, 0, 0
        for images, fine, coarse in batches:
            optimizer.zero_grad()
            outputs = model(images)
            loss = FINE_WEIGHT * criterion(outputs["fine"], fine)
            loss = loss + COARSE_WEIGHT * criterion(outputs["coarse"], coarse)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(images)
            right += (outputs["fine"].argmax(1) == fine).sum().item()
            seen += len(images)
        turn.end(total / seen, right / seen, workers=bool(workers))


def run_with_workers(settings: Settings, turn: Turn) -> None:
    """Train with two processes that load and augment, as torchvision's examples do."""
    run(settings, turn, workers=2)
