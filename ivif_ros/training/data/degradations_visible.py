# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What spoils visible images: darkness, glare, over-exposure, haze and smoke, noise, blur, JPEG.

Conventions of the functions: see degradations_shared.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import Tensor

from ivif_ros.training.data.degradations_shared import blur, fractal_field, noise, uniform

_GAMMA = 2.2


def low_light(images: Tensor, strength: float, rng: torch.Generator) -> Tensor:
    """Take away light: 1 to 4 stops, with the noise of few photons and of the read-out.

    Light is the image to the power of 2.2; its noise has the variance `light / photons + read^2`
    (Foi et al., 2008), with 5000 photons at white, 1000 for the strongest.
    """
    light = images.pow(_GAMMA) * 2 ** -(1 + 3 * strength)
    photons = 5000 - 4000 * strength
    deviation = (light / photons + 0.0015 ** 2).sqrt_()
    light += deviation.mul_(torch.randn(images.shape, generator=rng))
    return light.clamp_(0, 1).pow_(1 / _GAMMA)


def glare(images: Tensor, strength: float, rng: torch.Generator) -> Tensor:
    """Let one to three lamps shine into the lens: saturated discs with wide halos.

    The light that a lens scatters falls with about the third power of the distance d from a lamp
    of radius r: `(1 + (d / r)^2)^-1.5` times the peak, which is 1 to 4 times white.
    """
    _, height, width = images.shape
    side = min(height, width)
    y = torch.arange(float(height))[:, None]
    x = torch.arange(float(width))
    light = images.pow(_GAMMA)
    for _ in range(1 + int(uniform(0, 2.999, rng))):
        radius = side * (0.02 + uniform(0.3, 1, rng) * 0.14 * strength)
        peak = 1 + uniform(0.3, 1, rng) * 3 * strength
        top, left = uniform(0, height, rng), uniform(0, width, rng)
        square = ((y - top).square() + (x - left).square()) / radius ** 2
        light += peak * (1 + square).pow_(-1.5)
    return light.clamp_(0, 1).pow_(1 / _GAMMA)


def over_exposure(images: Tensor, strength: float, rng: torch.Generator) -> Tensor:
    """Give 0.6 to 2 stops too much light: what is beyond white is lost."""
    return (images * 2 ** ((0.6 + 1.4 * strength) / _GAMMA)).clamp_(0, 1)


def haze(images: Tensor, strength: float, rng: torch.Generator) -> Tensor:
    """Draw a veil of haze or smoke over the scene.

    After Koschmieder (1924), `image * t + air * (1 - t)`: the transmission t is exp(-density), the
    air is 0.45 to 0.95. The density is even, 0.2 to 1.7 (haze), or in fractal clouds with peaks of
    0.4 to 4 (smoke).
    """
    density = 0.25 + 2.25 * strength
    if uniform(0, 1, rng) < 0.7:
        _, height, width = images.shape
        clouds = fractal_field(height, width, rng)
        depth = density * 1.6 * clouds.pow(uniform(0.6, 1.8, rng))
    else:
        depth = torch.full(images.shape[1:], density * 0.7)
    through = torch.exp(-depth)
    air = uniform(0.45, 0.95, rng)
    return (images * through + air * (1 - through)).clamp_(0, 1)


def compression(images: Tensor, strength: float, rng: torch.Generator) -> Tensor:
    """Write and read a JPEG file of quality 50 to 15."""
    quality = round(50 - 35 * strength)
    planes = (images.numpy() * 255).round().astype(np.uint8)
    decoded = [cv2.imdecode(cv2.imencode('.jpg', plane, [cv2.IMWRITE_JPEG_QUALITY, quality])[1],
                            cv2.IMREAD_GRAYSCALE) for plane in planes]
    return torch.from_numpy(np.stack([np.asarray(plane) for plane in decoded])).float() / 255


VISIBLE: dict[str, Callable[[Tensor, float, torch.Generator], Tensor]] = {
    'haze': haze, 'glare': glare, 'low_light': low_light, 'over_exposure': over_exposure,
    'visible_blur': blur, 'visible_noise': noise, 'compression': compression}
"""Degradations by their names in DataConfig, in the order in which light meets them."""
