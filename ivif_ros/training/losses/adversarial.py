# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Adversarial losses: least squares, hinge, and Wasserstein with gradient penalty.

Scores are what a discriminator returns, any shape whose first axis is the image. `real` are scores
of samples that the fused image shall pass for (visible image, joint gradients, ...), `fake` those
of fused images. For the discriminator's losses fuse without a graph, or detach.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def least_squares_discriminator(real: Tensor, fake: Tensor, b: float | Tensor = 1.0,
                                a: float | Tensor = 0.0) -> Tensor:
    """`mean (D(real) - b)^2 + mean (D(fake) - a)^2` (Mao et al. 2017; FusionGAN).

    Args:
        real: scores of real samples.
        fake: scores of fused images.
        b: label of real ones, a number or a tensor of soft labels; FusionGAN draws 0.7..1.2.
        a: label of fused ones; FusionGAN draws 0..0.3.

    Returns:
        Scalar, 0 where all are told apart.
    """
    return ((real - b) ** 2).mean() + ((fake - a) ** 2).mean()


def least_squares_generator(fake: Tensor, c: float | Tensor = 1.0) -> Tensor:
    """`mean (D(fake) - c)^2`; FusionGAN draws soft labels c of 0.7..1.2."""
    return ((fake - c) ** 2).mean()


def soft_labels(like: Tensor, low: float, high: float) -> Tensor:
    """Labels of the shape of the scores, drawn evenly from `low`..`high` by PyTorch's generator."""
    return torch.empty_like(like).uniform_(low, high)


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """`mean max(0, 1 - D(real)) + mean max(0, 1 + D(fake))` (Lim and Ye 2017)."""
    return torch.relu(1 - real).mean() + torch.relu(1 + fake).mean()


def wasserstein_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """`mean D(fake) - mean D(real)` (WGAN, Arjovsky et al. 2017); needs a Lipschitz bound."""
    return fake.mean() - real.mean()


def wasserstein_generator(fake: Tensor) -> Tensor:
    """`-mean D(fake)`, also of the hinge loss."""
    return -fake.mean()


def gradient_penalty(discriminator: Callable[[Tensor], Tensor], real: Tensor,
                     fake: Tensor) -> Tensor:
    """Penalty of WGAN-GP (Gulrajani et al. 2017), `mean (|grad D(x)|_2 - 1)^2`.

    x lies at a random place between a real and a fused image, drawn by PyTorch's generator. The
    usual weight is 10. The discriminator must not normalise over the batch.

    Args:
        discriminator: images (n, c, h, w) to scores.
        real: (n, c, h, w).
        fake: the same shape.

    Returns:
        Scalar with a graph to the parameters of the discriminator.
    """
    place = torch.rand(len(real), *(1,) * (real.ndim - 1), device=real.device, dtype=real.dtype)
    x = torch.lerp(real.detach(), fake.detach(), place).requires_grad_(True)
    with torch.enable_grad():
        scores = discriminator(x)
        (slope,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
    # A small floor: the root has no derivative where the discriminator is constant.
    norm = torch.sqrt((slope.float() ** 2).flatten(1).sum(1) + 1e-12)
    return ((norm - 1) ** 2).mean()
