# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Focus decision and its losses (MFF-GAN, Zhang et al. 2021): follow whichever source is sharp.

`RB(I) = |I - lowpass(I)|` measures sharpness, `S_1 = 1` where `RB(I_1) > RB(I_2)`, else 0, and
`S_2 = 1 - S_1`. Symmetric in both sources but for ties, which go to the second.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ivif_ros.training.losses.filters import blur, box_mean, gradient_magnitude, single


def sharpness(image: Tensor, sigma: float = 1.0) -> Tensor:
    """`RB(I) = |I - lowpass(I)|` with a Gaussian of `sigma` pixels, (n, 1, h, w)."""
    image = single(image)
    return (image - blur(image, sigma)).abs()


@torch.no_grad()
def focus_decision(first: Tensor, second: Tensor, sigma: float = 1.0, window: int = 1) -> Tensor:
    """Decide per pixel which image is sharper.

    Args:
        first: (n, 1, h, w).
        second: the same shape.
        sigma: of the low pass, in pixels.
        window: odd side of the window over which sharpness is averaged; 1 decides each pixel by
            itself, as published, larger windows are less moved by noise.

    Returns:
        S_1, (n, 1, h, w): 1 where the first is sharper, 0 elsewhere.
    """
    one, two = sharpness(first, sigma), sharpness(second, sigma)
    if window > 1:
        one, two = box_mean(one, window), box_mean(two, window)
    return (one > two).to(one.dtype)


def focus_intensity(fused: Tensor, first: Tensor, second: Tensor, decision: Tensor) -> Tensor:
    """`mean S_1 (f - I_1)^2 + S_2 (f - I_2)^2`, `decision` from `focus_decision`."""
    return (decision * (fused - first) ** 2 + (1 - decision) * (fused - second) ** 2).mean()


def focus_gradient(fused: Tensor, first: Tensor, second: Tensor, decision: Tensor) -> Tensor:
    """`mean S_1 (|nabla f| - |nabla I_1|)^2 + S_2 (|nabla f| - |nabla I_2|)^2`, Sobel over 4."""
    f, one, two = (gradient_magnitude(x) / 4 for x in (fused, first, second))
    return (decision * (f - one) ** 2 + (1 - decision) * (f - two) ** 2).mean()


def joint_gradient(first: Tensor, second: Tensor) -> Tensor:
    """What the discriminator takes for real: `max(|nabla I_1|, |nabla I_2|)`, Sobel over 4."""
    return torch.maximum(gradient_magnitude(first), gradient_magnitude(second)) / 4


def gradient_image(fused: Tensor) -> Tensor:
    """What the discriminator judges: `|nabla f|`, Sobel over 4, with its derivative."""
    return gradient_magnitude(fused) / 4
