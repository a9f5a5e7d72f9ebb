"""Augmentations against slow references of one image at a time, and by their promises."""

from __future__ import annotations

from math import cos, floor, radians, sin

import numpy as np
import pytest
import torch
from torch import Tensor

from graphspec.data import augment
from graphspec.data.augment import AUGMENTATIONS, crop_flip, founding, transform


def images(count: int, channels: int = 3, height: int = 12, width: int = 12) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    shape = (count, channels, height, width)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def keras(image: np.ndarray, p: dict[str, float]) -> np.ndarray:
    """Transform one image as Keras' ``apply_affine_transform`` with bilinear ``reflect`` does."""
    _, height, width = image.shape
    rotation = np.array(
        [[cos(p["angle"]), -sin(p["angle"]), 0], [sin(p["angle"]), cos(p["angle"]), 0], [0, 0, 1]]
    )
    shift = np.array([[1, 0, p["down"] * height], [0, 1, p["right"] * width], [0, 0, 1]])
    shear = np.array([[1, -sin(p["shear"]), 0], [0, cos(p["shear"]), 0], [0, 0, 1]])
    zoom = np.diag([p["zoom_rows"], p["zoom_columns"], 1])
    row, column = height / 2 - 0.5, width / 2 - 0.5
    to_centre = np.array([[1, 0, row], [0, 1, column], [0, 0, 1]])
    matrix = to_centre @ rotation @ shift @ shear @ zoom @ np.linalg.inv(to_centre)
    result = np.zeros(image.shape)
    for i in range(height):
        for j in range(width):
            y, x, _ = matrix @ [i, j, 1]
            for r, wr in ((floor(y), 1 - (y - floor(y))), (floor(y) + 1, y - floor(y))):
                for c, wc in ((floor(x), 1 - (x - floor(x))), (floor(x) + 1, x - floor(x))):
                    result[:, i, j] += wr * wc * image[:, mirror(r, height), mirror(c, width)]
    return result


def mirror(place: int, side: int) -> int:
    """``d c b a | a b c d | d c b a``."""
    place %= 2 * side
    return place if place < side else 2 * side - 1 - place


NEUTRAL = {
    "angle": 0.0,
    "down": 0.0,
    "right": 0.0,
    "shear": 0.0,
    "zoom_rows": 1.0,
    "zoom_columns": 1.0,
}
CASES = {
    "rotation": {"angle": radians(50)},
    "shift": {"down": 0.3, "right": -0.21},
    "zoom": {"zoom_rows": 0.7, "zoom_columns": 1.3},
    "shear": {"shear": radians(20)},
    "all": {
        "angle": radians(-37),
        "down": -0.27,
        "right": 0.14,
        "shear": radians(11),
        "zoom_rows": 1.25,
        "zoom_columns": 0.8,
    },
}


@pytest.mark.parametrize("size", [(12, 12), (9, 14), (15, 8)])
@pytest.mark.parametrize("case", list(CASES))
def test_transform_is_that_of_keras(case: str, size: tuple[int, int]) -> None:
    parameters = {**NEUTRAL, **CASES[case]}
    batch = images(2, 2, *size)
    other = dict(NEUTRAL)  # the second image stays as it is: each has parameters of its own
    both = {key: torch.tensor([parameters[key], other[key]]) for key in NEUTRAL}
    result = transform(batch, **both)
    expected = keras(batch[0].numpy().astype(np.float64), parameters)
    np.testing.assert_allclose(result[0].numpy(), expected, atol=2e-2)
    torch.testing.assert_close(result[1], batch[1].float(), atol=1e-3, rtol=0)


def test_a_shift_of_whole_pixels_is_exact() -> None:
    batch = images(1, 1, 10, 10)
    p = {key: torch.tensor([value]) for key, value in {**NEUTRAL, "down": 0.3}.items()}
    expected = torch.cat([batch[:, :, 3:], batch[:, :, 7:].flip(2)], dim=2).float()
    torch.testing.assert_close(transform(batch, **p), expected, atol=1e-3, rtol=0)


def test_a_quarter_turn() -> None:
    batch = images(1)
    p = {key: torch.tensor([value]) for key, value in {**NEUTRAL, "angle": radians(90)}.items()}
    expected = torch.rot90(batch, -1, (2, 3)).float()
    torch.testing.assert_close(transform(batch, **p), expected, atol=1e-2, rtol=0)


def test_founding_draws_within_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[str, Tensor] = {}

    def record(batch: Tensor, **parameters: Tensor) -> Tensor:
        drawn.update(parameters)
        return batch.float()

    monkeypatch.setattr(augment, "transform", record)
    founding(images(20_000, 1, 1, 1), rng())
    bounds = {
        "angle": (-radians(60), radians(60)),
        "down": (-0.3, 0.3),
        "right": (-0.3, 0.3),
        "shear": (-radians(0.3), radians(0.3)),
        "zoom_rows": (0.7, 1.3),
        "zoom_columns": (0.7, 1.3),
    }
    assert drawn.keys() == bounds.keys()
    for name, (low, high) in bounds.items():
        values = (drawn[name] - low) / (high - low)
        assert 0 <= values.min() < 0.001, name
        assert 0.999 < values.max() <= 1.00001, name
        assert abs(values.mean() - 0.5) < 0.01, name
        assert abs(values.std() - 12**-0.5) < 0.01, name
    table = torch.corrcoef(torch.stack(list(drawn.values()))) - torch.eye(6)
    assert table.abs().max() < 0.03  # drawn independently


def reference_crop_flip(image: Tensor, generator_numbers: Tensor) -> Tensor:
    side = image.shape[1:]
    padded = np.pad(image.numpy(), ((0, 0), (4, 4), (4, 4)), mode="reflect")
    top, left = (int(number * 9) for number in generator_numbers[:2])
    crop = padded[:, top : top + side[0], left : left + side[1]]
    return torch.from_numpy((crop[:, :, ::-1] if generator_numbers[2] < 0.5 else crop).copy())


@pytest.mark.parametrize("size", [(32, 32), (5, 9)])
def test_crop_flip_is_pad_crop_flip(size: tuple[int, int]) -> None:
    batch = images(64, 3, *size)
    numbers = torch.rand(3, 64, generator=rng(3))
    expected = [reference_crop_flip(batch[i], numbers[:, i]) for i in range(64)]
    result = crop_flip(batch, rng(3))
    assert result.dtype == torch.uint8
    assert torch.equal(result, torch.stack(expected))


def test_crop_flip_uses_every_shift_and_both_sides() -> None:
    ramp = torch.arange(81, dtype=torch.uint8).view(1, 1, 9, 9).expand(5000, 1, 9, 9)
    result = crop_flip(ramp, rng())
    centres, counts = result[:, 0, 4, 4].unique(return_counts=True)
    assert len(centres) == 81  # 9 shifts of the rows and 9 of the columns
    assert counts.min() > 30
    mirrored = (result[:, 0, 4, 4] != ramp[:, 0, 4, 4]).float().mean()
    assert mirrored > 0.9
    tiny = images(3, 1, 1, 2)
    assert crop_flip(tiny, rng()).shape == tiny.shape


@pytest.mark.parametrize("name", list(AUGMENTATIONS))
def test_every_augmentation(name: str) -> None:
    function = AUGMENTATIONS[name]
    batch = images(7, 3, 12, 10)
    before = batch.clone()
    first = function(batch, rng(5))
    assert torch.equal(batch, before)  # the split itself is never changed
    assert first.shape == batch.shape
    assert first.float().min() >= 0
    assert first.float().max() <= 255.001
    assert torch.equal(first, function(batch, rng(5)))
    assert torch.equal(first, batch) == (name == "none")
    assert torch.equal(first, function(batch, rng(6))) == (name == "none")
    flat = torch.full((4, 1, 8, 8), 9, dtype=torch.uint8)  # borders bring in nothing new
    torch.testing.assert_close(function(flat, rng()).float(), flat.float(), atol=1e-4, rtol=0)


def test_the_names_are_those_of_the_language() -> None:
    from typing import get_args

    from graphspec.language.recipe import Data

    assert set(get_args(Data.model_fields["augment"].annotation)) == set(AUGMENTATIONS)
