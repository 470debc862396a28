# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A fixed feature extractor for content, style and contrastive losses.

The papers take a classifier trained on ImageNet (VGG). Nothing is downloaded here: the features are
a wavelet front end (orientations and phases of Gabor filters, as in scattering networks, Bruna and
Mallat 2013) and random convolutions drawn from a fixed seed. Gram matrices of random shallow
networks are known to carry texture well (Ustyuzhaninov et al. 2016); object classes they do not
know. Any module that returns a list of (n, c, h, w) maps can take its place.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from ivif_ros.training.losses.filters import exact, single


class FixedFeatures(nn.Module):
    """Pyramid of fixed features at half, quarter and eighth resolution.

    Level 1 are the answers of Gabor filters (9 taps, wavelength 4 pixels, even and odd phase, the
    positive and the negative part a channel each) at every second pixel. Levels 2 and 3 are random
    orthogonal 3x3 convolutions with ReLU of the level above, averaged to half the size. All are
    linear in contrast and blind to the mean grey level. Pictures in 0..1 have features of about
    0.1; nothing is trained, the derivative with respect to the image is kept.

    Args:
        orientations: of the Gabor filters; level 1 has four channels for each.
        seed: of the random convolutions.
    """

    _gabor: Tensor
    _second: Tensor
    _third: Tensor

    def __init__(self, orientations: int = 4, seed: int = 0) -> None:
        """Draw the filters."""
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.register_buffer('_gabor', _gabor_bank(orientations, 9, 4.0), persistent=False)
        channels = 4 * orientations
        for name, outputs in (('_second', 2 * channels), ('_third', 2 * channels)):
            self.register_buffer(name, _orthogonal(outputs, channels, generator), persistent=False)
            channels = outputs

    def forward(self, image: Tensor) -> list[Tensor]:
        """Features of (n, 1, h, w) in 0..1: maps of 16, 32 and 32 channels (4 orientations).

        Images under 7 pixels a side give fewer levels.
        """
        with exact(image):
            x = single(image)
            answers = F.conv2d(F.pad(x, (4, 4, 4, 4), mode='replicate'), self._gabor.to(x.dtype),
                               stride=2)
            maps = [torch.cat((torch.relu(answers), torch.relu(-answers)), 1)]
            for weights in (self._second, self._third):
                if min(maps[-1].shape[2:]) < 2:
                    break
                below = F.avg_pool2d(maps[-1], 2)
                maps.append(torch.relu(F.conv2d(
                    F.pad(below, (1, 1, 1, 1), mode='replicate'), weights.to(x.dtype))))
            return maps


def _gabor_bank(orientations: int, size: int, wavelength: float) -> Tensor:
    """Even and odd Gabor filters without mean, L1 norm 32, (2 * k, 1, size, size)."""
    r = size // 2
    y, x = torch.meshgrid(torch.arange(-r, r + 1.0), torch.arange(-r, r + 1.0), indexing='ij')
    envelope = torch.exp(-(x * x + y * y) / (2 * (0.4 * wavelength) ** 2))
    bank = []
    for k in range(orientations):
        angle = math.pi * k / orientations
        phase = 2 * math.pi / wavelength * (x * math.cos(angle) + y * math.sin(angle))
        for wave in (torch.cos(phase), torch.sin(phase)):
            kernel = envelope * wave
            kernel = kernel - envelope * kernel.sum() / envelope.sum()
            bank.append(32 * kernel / kernel.abs().sum())
    return torch.stack(bank)[:, None]


def _orthogonal(outputs: int, inputs: int, generator: torch.Generator) -> Tensor:
    """Random 3x3 convolution of orthogonal filters of norm sqrt(2): a ReLU halves the energy."""
    weights = torch.randn(inputs * 9, outputs, generator=generator)
    q: Tensor = torch.linalg.qr(weights)[0]
    return math.sqrt(2) * q.t().reshape(outputs, inputs, 3, 3)
