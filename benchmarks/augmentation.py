"""Images a second out of a training split, whole batches against one image at a time, in turn.

Both sides shuffle, augment and normalise CIFAR-sized images into batches of float32, with labels.
Ours is `graphspec.data.batches.Batches`; the other is a Dataset with torchvision transforms of PIL
images and a DataLoader in the main process, as people write it. Rounds alternate between the two,
and the ratio of each pair is taken, so that a drift of the machine's speed touches both alike.

    python benchmarks/augmentation.py
    python benchmarks/augmentation.py --rounds 9 --threads 1
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

sys.path.insert(0, str(Path(__file__).parent.parent))

from graphspec.data.batches import Batches
from graphspec.data.dataset import Channels, DataSet, Split
from graphspec.language.signature import InputSpec, Signature, TaskSpec

SIDE = 32
MEAN, STD = (0.507, 0.487, 0.441), (0.267, 0.256, 0.276)


class Images(Dataset[Any]):
    """CIFAR-like images through transforms of one image at a time, as torchvision's CIFAR100."""

    def __init__(self, pixels: torch.Tensor, labels: torch.Tensor, transform: Any) -> None:
        self.pixels = pixels.permute(0, 2, 3, 1).contiguous().numpy()
        self.labels = labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[index])), self.labels[index]


def transforms(name: str) -> Any:
    """Return torchvision's transforms for what one of ours does, the nearest that there is."""
    from torchvision import transforms as tv

    ending = [tv.ToTensor(), tv.Normalize(MEAN, STD)]
    if name == "crop-flip":
        crop = tv.RandomCrop(SIDE, padding=4, padding_mode="reflect")
        return tv.Compose([crop, tv.RandomHorizontalFlip(), *ending])
    if name == "founding":
        affine = tv.RandomAffine(60, (0.3, 0.3), (0.7, 1.3), 0.3, tv.InterpolationMode.BILINEAR)
        return tv.Compose([affine, *ending])
    return tv.Compose(ending)


def data_set(count: int) -> DataSet:
    """Return a data set of random images."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (count, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator)
    split = Split({"image": pixels}, {"fine": torch.arange(count) % 100})
    signature = Signature({"image": InputSpec((3, SIDE, SIDE))}, {"fine": TaskSpec(100)})
    empty = Split({"image": pixels[:0]}, {"fine": split.labels["fine"][:0]})
    return DataSet("random", signature, split, empty, empty, {"image": Channels(MEAN, STD)}, "", "")


def speed(batches: Iterable[Any], count: Callable[[Any], int], most: int) -> float:
    """Return images a second of the first batches."""
    start, seen = time.perf_counter(), 0
    for batch in batches:
        seen += count(batch)
        if seen >= most:
            break
    return seen / (time.perf_counter() - start)


def compare(name: str, data: DataSet, batch: int, rounds: int) -> tuple[float, float, float]:
    """Return images a second of whole batches and of single images, and the median ratio."""
    ours = Batches(
        data.train, data, batch_size=batch, augment=name, shuffle=True, channels_last=True
    )
    images = Images(data.train.images, data.train.labels["fine"], transforms(name))
    theirs = DataLoader(images, batch_size=batch, shuffle=True)
    found: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 1):
        pair = (
            speed(ours.epoch(number), lambda each: len(each.labels["fine"]), len(images)),
            speed(theirs, lambda each: len(each[1]), len(images) // 10),
        )
        if number:  # the first warms up
            found[0].append(pair[0])
            found[1].append(pair[1])
    ratios = [a / b for a, b in zip(*found, strict=True)]
    return statistics.median(found[0]), statistics.median(found[1]), statistics.median(ratios)


def main() -> None:
    """Print a row for each augmentation."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, batch {options.batch}")
    print(f"{'augmentation':<12}  {'whole batches':>15}  {'one at a time':>15}  ratio, median")
    data = data_set(options.images)
    for name in ("none", "crop-flip", "founding"):
        whole, single, ratio = compare(name, data, options.batch, options.rounds)
        print(f"{name:<12}  {whole:>9,.0f} img/s  {single:>9,.0f} img/s  {ratio:>8.1f}")


if __name__ == "__main__":
    main()
