# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What spoils thermal images: few pixels, blur, noise, stripes, flat scenes, clipping, bad fit.

Warm stays bright in all of them. Conventions of the functions: see degradations_shared.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ivif_ros.training.data.degradations_shared import blur, noise, smooth_field, uniform


def low_resolution(images: Tensor, strength: float, rng: torch.Generator) -> Tensor:
    """Average boxes of 2 to 6 pixels and enlarge the result again (bicubic)."""
    factor = round(2 + 4 * strength)
    small = [max(1, round(length / factor)) for length in images.shape[1:]]
    few = functional.interpolate(images[:, None], size=small, mode='area')
    large = functional.interpolate(few, size=images.shape[1:], mode='bicubic', align_corners=False)
    return large[:, 0].clamp_(0, 1)


def stripes(images: Tensor, strength: float, rng: torch.Generator) -> Tensor:
    """Add an offset of its own, sigma 0.01 to 0.05, to each column, or to each row.

    Bolometer arrays read out column by column show this between two flat-field corrections; it is
    fixed in the sensor.
    """
    sigma = 0.01 + 0.04 * strength
    _, height, width = images.shape
    columns = uniform(0, 1, rng) < 0.7
    shape = (1, width) if columns else (height, 1)
    return (images + sigma * torch.randn(shape, generator=rng)).clamp_(0, 1)


def contrast_loss(images: Tensor, strength: float, rng: torch.Generator) -> Tensor:
    """Take away 30 to 75 % of the contrast, keep 8-bit steps, and shift the mean a little."""
    contrast = 0.7 - 0.45 * strength
    mean = images.mean()
    flat = mean + uniform(-0.1, 0.15, rng) + (images - mean) * contrast
    return (flat * 255).round_().div_(255).clamp_(0, 1)


def saturation(images: Tensor, strength: float, rng: torch.Generator) -> Tensor:
    """Let the warmest 2 to 30 % of the pixels be clipped at white.

    The gain is at most 2: of a dark image fewer pixels are clipped.
    """
    values = images[0].flatten()[::5]
    rank = math.ceil(len(values) * (1 - (0.02 + 0.28 * strength)))
    level = values.kthvalue(max(rank, 1)).values.clamp_min(0.5)
    return (images / level).clamp_(0, 1)


def misalignment(images: Tensor, strength: float, rng: torch.Generator) -> Tensor:
    """Move the image by what registration may leave over.

    A shift of 0.3 to 2.5 pixels in any direction, a rotation and a scale of up to 0.4 % about the
    centre, and a smooth deformation of up to a pixel. Beyond the edges the image is mirrored.
    """
    _, height, width = images.shape
    angle, length = uniform(0, 2 * math.pi, rng), 0.3 + 2.2 * strength
    turn, scale = (uniform(-0.004, 0.004, rng) * strength for _ in range(2))
    y = torch.arange(float(height))[:, None] - (height - 1) / 2
    x = torch.arange(float(width)) - (width - 1) / 2
    move_x = length * math.cos(angle) + scale * x - turn * y
    move_y = length * math.sin(angle) + turn * x + scale * y
    cell = max(min(height, width) / 2, 24)
    move_x = move_x + 0.7 * strength * smooth_field(height, width, cell, rng)
    move_y = move_y + 0.7 * strength * smooth_field(height, width, cell, rng)
    map_x = (move_x + torch.arange(float(width))).numpy()
    map_y = (move_y + torch.arange(float(height))[:, None]).numpy()
    moved = [np.asarray(cv2.remap(plane, map_x, map_y, cv2.INTER_CUBIC,
                                  borderMode=cv2.BORDER_REFLECT_101)) for plane in images.numpy()]
    return torch.from_numpy(np.stack(moved)).clamp_(0, 1)


THERMAL: dict[str, Callable[[Tensor, float, torch.Generator], Tensor]] = {
    'contrast_loss': contrast_loss, 'saturation': saturation, 'thermal_blur': blur,
    'low_resolution': low_resolution, 'thermal_noise': noise, 'stripes': stripes,
    'misalignment': misalignment}
"""Degradations by their names in DataConfig, in the order in which the signal meets them."""
