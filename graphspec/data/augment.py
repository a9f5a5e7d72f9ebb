"""Augmentation of whole batches in torch, on the device of the batch.

An augmentation takes images as uint8 of shape ``(N, C, H, W)`` and gives images of the same shape
in the same units (0 to 255), as uint8 or as float32 where values lie between pixels. All random
numbers of a batch come from one generator in one draw; with a generator on the CPU they are the
same for every device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from math import radians

import torch
from torch import Tensor
from torch.nn import functional

ROTATION_DEGREES = 60.0
SHIFT = 0.3
"""Largest shift, as a part of the side."""
ZOOM = (0.7, 1.3)
SHEAR_DEGREES = 0.3
PAD = 4
"""Largest shift of `crop_flip`, in pixels."""

Augmentation = Callable[[Tensor, torch.Generator], Tensor]


def none(images: Tensor, _generator: torch.Generator) -> Tensor:
    """Return the images as they are."""
    return images


def crop_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Shift by up to four pixels either way, borders reflected, and mirror every second image.

    It is the usual "pad by 4, crop at random, flip" without the padded copy: each output pixel is
    fetched from where the reflection would have put it. Images smaller than 5 pixels are shifted
    by less than their side.

    Args:
        images: Pixels, shape ``(N, C, H, W)``, any type.
        generator: Source of the random numbers.

    Returns:
        Pixels of the same shape and type; no value is new.

    Source:
        K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2 (there
        with zeros at the borders). https://arxiv.org/abs/1512.03385
    """
    count, channels, height, width = images.shape
    numbers = torch.rand(3, count, generator=generator, device=generator.device)
    numbers = numbers.to(images.device, non_blocking=True)
    down, right = (
        (each * _shifts(side)).long() for each, side in zip(numbers, (height, width), strict=False)
    )
    right += (numbers[2] < 0.5) * _shifts(width)
    rows = _sources(height, width, images.device)[0].index_select(0, down)  # (N, H)
    columns = _sources(width, 1, images.device)[1].index_select(0, right)  # (N, W)
    index = (rows[:, :, None] + columns[:, None, :]).view(count, 1, height * width)
    pixels = images.reshape(count, channels, height * width)
    return pixels.gather(2, index.expand(-1, channels, -1)).view(count, channels, height, width)


def _shifts(side: int) -> int:
    """Return by how many different distances a side can be shifted."""
    return 2 * min(PAD, side - 1) + 1


@lru_cache(maxsize=16)
def _sources(side: int, stride: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return where each position along a side comes from, times ``stride``.

    Returns:
        For each shift a row of shape ``(side,)``; and the same with the mirrored ones behind them.
    """
    shifts = _shifts(side)
    place = (torch.arange(side) + torch.arange(shifts)[:, None] - shifts // 2).abs()
    place = ((side - 1) - ((side - 1) - place).abs()) * stride
    return place.to(device), torch.cat([place, place.flip(1)]).to(device)


def founding(images: Tensor, generator: torch.Generator) -> Tensor:
    """Rotate, shift, shear and zoom, all at random and in one resampling; borders reflected.

    As Keras' ``ImageDataGenerator(rotation_range=60, height_shift_range=0.3,
    width_shift_range=0.3, shear_range=0.3, zoom_range=(0.7, 1.3), fill_mode="reflect")``: every
    parameter is uniform in its range, the zoom of each axis is drawn apart, and `transform` says
    how they are composed.

    Args:
        images: Pixels, uint8, shape ``(N, C, H, W)``.
        generator: Source of the random numbers.

    Returns:
        Pixels, float32, shape ``(N, C, H, W)``, in the range of the input.
    """
    numbers = torch.rand(6, len(images), generator=generator, device=generator.device)
    numbers = numbers.to(images.device, non_blocking=True)
    angle, down, right, shear = (2 * numbers[:4] - 1).unbind()
    zoom = ZOOM[0] + (ZOOM[1] - ZOOM[0]) * numbers[4:]
    return transform(
        images,
        angle=radians(ROTATION_DEGREES) * angle,
        down=SHIFT * down,
        right=SHIFT * right,
        shear=radians(SHEAR_DEGREES) * shear,
        zoom_rows=zoom[0],
        zoom_columns=zoom[1],
    )


def transform(
    images: Tensor,
    *,
    angle: Tensor,
    down: Tensor,
    right: Tensor,
    shear: Tensor,
    zoom_rows: Tensor,
    zoom_columns: Tensor,
) -> Tensor:
    """Apply an affine map to each image, each with parameters of its own, shape ``(N,)``.

    An output pixel at ``o`` (row, column, from the centre of the image) shows the input at
    ``M o``, where, as in Keras, ``M = R(angle) T(down, right) S(shear) Z(zoom)``::

        R = cos -sin 0     T = 1 0 down*H      S = 1 -sin(shear) 0     Z = zoom_rows 0            0
            sin  cos 0         0 1 right*W         0  cos(shear) 0         0         zoom_columns 0
            0    0   1         0 0 1               0  0          1         0         0            1

    So a zoom above 1 shows more of the input. Values between pixels are bilinear; outside, the
    image goes on as its mirror image, the border pixel twice (``d c b a | a b c d | d c b a``),
    which is scipy's and Keras' ``reflect``.

    Args:
        images: Pixels of any type, shape ``(N, C, H, W)``.
        angle: Rotation, in radians.
        down: Shift along the rows, as a part of the height.
        right: Shift along the columns, as a part of the width.
        shear: Shear, in radians.
        zoom_rows: Zoom along the rows.
        zoom_columns: Zoom along the columns.

    Returns:
        Pixels, float32, shape ``(N, C, H, W)``.

    Source:
        F. Chollet et al., Keras 2, ``keras_preprocessing/image/affine_transformations.py``,
        ``apply_affine_transform``.
    """
    height, width = images.shape[-2:]
    cos, sin = torch.cos(angle), torch.sin(angle)
    cos_shear, sin_shear = torch.cos(shear), torch.sin(shear)
    tall, wide = height / width, width / height
    # M in torch's coordinates: (x, y), so columns first, and each side is scaled to [-1, 1]
    of_x = torch.stack(
        (
            (cos * cos_shear - sin * sin_shear) * zoom_columns,
            -(sin * cos_shear + cos * sin_shear) * zoom_columns * wide,
        ),
        dim=1,
    )
    of_y = torch.stack((sin * zoom_rows * tall, cos * zoom_rows), dim=1)
    offset = 2 * torch.stack(
        (sin * down * tall + cos * right, cos * down - sin * right * wide), dim=1
    )
    # what affine_grid computes, without its product of matrices, which takes as long as sampling
    along_columns = of_x[..., None] * _centres(width, images.device)  # (N, 2, W)
    along_rows = of_y[..., None] * _centres(height, images.device) + offset[..., None]  # (N, 2, H)
    grid = along_columns[:, :, None, :] + along_rows[:, :, :, None]  # (N, 2, H, W)
    return functional.grid_sample(
        images.float(),
        grid.permute(0, 2, 3, 1),
        mode="bilinear",
        padding_mode="reflection",
        align_corners=False,
    )


def _centres(side: int, device: torch.device) -> Tensor:
    """Return where the centres of a side's pixels lie, if the side reaches from -1 to 1."""
    return (2 * torch.arange(side, device=device) + 1) / side - 1


AUGMENTATIONS: Mapping[str, Augmentation] = {
    "none": none,
    "crop-flip": crop_flip,
    "founding": founding,
}
"""Augmentations by the name that ``data.augment`` uses."""
