# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The default method: a Laplacian pyramid whose choices are made by a small network.

A network that works on full images is bound by memory: each feature plane costs as much as the
image. Here the images are taken apart into Laplacian pyramids (Burt and Adelson 1983), and a
network sees, cell by cell, only what a choice needs: how strong the details of both images are
around (log energy, on this level and on all finer ones), whether they are the same details
(correlation), and how bright both images are. From the coarsest grid, which overlooks the whole
scene, to the finest, which has cells of two pixels, it says how much of each detail to keep. Full-
size planes meet nothing but the filters of the pyramid and one multiplication and addition.

The result is `base + sum over levels of gain_v detail_v + gain_t detail_t`, with gains in
0..MAX_GAIN: the network can weaken, choose, add or sharpen details, but it cannot invent any.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from ivif_ros.fusion.networks.binomial import double, halve, smooth

LEVELS = 5
"""The coarsest grid has cells of 32 pixels."""

MAX_GAIN = 2.0
"""Most that a detail is amplified."""

ENERGY_FLOOR = 1e-6
"""Energy (of a detail of a quarter of a grey level) that counts as none, in luma 0..1 squared."""

BASE_SHIFT = 0.5
"""Most that the base is brightened or darkened, in luma 0..1."""

SOFTNESS = 20.0
"""Steepness of the soft minimum and maximum of the thermal base; plain ones would jump in time."""

SLOPE = 0.1
"""Of the activation (leaky ReLU) for negative values."""


def log_energy(energy: Tensor) -> Tensor:
    """Bring energies (luma 0..1 squared) to about -1.6 (none) .. 3 (strongest); in place."""
    return energy.add_(ENERGY_FLOOR).log_().add_(9).mul_(1 / 3)


def _conv(inputs: int, outputs: int, side: int = 3) -> nn.Conv2d:
    """Convolution that continues images at their border: zeros there would show as a frame."""
    return nn.Conv2d(inputs, outputs, side, padding=side // 2, padding_mode='replicate')


class LearnedPyramid(nn.Module):
    """Decisions of a small network on the grids of a Laplacian pyramid; see the module."""

    OVERLAP = 160
    """Context of a tile in pixels. The network can look 288 pixels far, but what it makes of what
    is farther than this is less than half a grey level; the scene of a tile is that tile."""
    MULTIPLE = 2 ** LEVELS

    def __init__(self, width_1: int = 8, width_2: int = 12, width_3: int = 16, width_4: int = 24,
                 width_5: int = 24) -> None:
        """Make fresh weights, with which the result is the mean base with all details of both.

        Args:
            width_1: feature planes on the finest grid of decisions, half the size of the image.
            width_2: on a quarter of the size.
            width_3: on an eighth of the size.
            width_4: on a sixteenth of the size.
            width_5: on the coarsest grid.
        """
        super().__init__()
        widths = (width_1, width_2, width_3, width_4, width_5)
        features = [5 + 2 * level for level in range(LEVELS)]
        self.stem = _conv(2 * features[-1] + 4, width_5)
        self.context = _conv(width_5, width_5)
        self.base = nn.Conv2d(width_5, 2, 1)
        # Each level hears what the coarser one found, in as many planes as it has itself; they are
        # made before doubling, where they cost a quarter.
        self.hear = nn.ModuleList()
        self.look = nn.ModuleList()
        self.gain = nn.ModuleList()
        for level, width in enumerate(widths):
            coarser = widths[min(level + 1, LEVELS - 1)]
            heard = max(width // 2, 6)
            self.hear.append(nn.Conv2d(coarser, heard, 1))
            self.look.append(_conv(heard + features[level], width, 1 if level == 0 else 3))
            self.gain.append(nn.Conv2d(width, 2, 1))
        for head in (self.base, *self.gain):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)

    def forward(self, visible: Tensor, thermal: Tensor, weight: Tensor | None = None) -> Tensor:
        """Fuse luma planes.

        Args:
            visible: (n, 1, H, W) in 0..1.
            thermal: (n, 1, H, W) in 0..1, warm is bright, without holes.
            weight: ignored: where no thermal image was seen, it has no details to choose.

        Returns:
            (n, 1, H, W); may leave 0..1 a little where details overshoot.
        """
        height, width = visible.shape[-2:]
        planes = torch.cat((visible, thermal), 1)
        planes = functional.pad(planes, (0, -width % self.MULTIPLE, 0, -height % self.MULTIPLE),
                                mode='replicate')
        details, features, logs = [], [], None
        for _ in range(LEVELS):
            halved = halve(planes)
            detail = planes - double(halved)
            details.append(detail)
            products = torch.cat((detail * detail, detail[:, :1] * detail[:, 1:]), 1)
            energy = smooth(functional.avg_pool2d(products, 2))
            scale = (energy[:, :1] * energy[:, 1:2] + ENERGY_FLOOR ** 2).rsqrt()
            own = log_energy(energy[:, :2].clone())
            logs = own if logs is None else torch.cat((functional.avg_pool2d(logs, 2), own), 1)
            features.append(torch.cat((energy[:, 2:] * scale, halved, logs), 1))
            planes = halved

        hidden, fused = self.oversee(features[-1], planes)
        for level in reversed(range(LEVELS)):
            heard = self.hear[level](hidden)
            if level < LEVELS - 1:
                heard = double(heard)
            hidden, gains = self.decide(level, torch.cat((heard, features[level]), 1))
            chosen = (double(gains) * details[level]).sum(1, keepdim=True)
            fused = double(fused) + chosen
        return fused[..., :height, :width]

    def oversee(self, features: Tensor, base: Tensor) -> tuple[Tensor, Tensor]:
        """Look at the whole scene on the coarsest grid.

        Args:
            features: (n, 13, h, w) of the coarsest level.
            base: (n, 2, h, w) luma and thermal.

        Returns:
            Hidden planes (n, width_5, h, w) and the fused base (n, 1, h, w).
        """
        thermal = base[:, 1:].flatten(2)
        # Brightness is at most 1, so the exponentials are far from the largest float.
        high = torch.exp(SOFTNESS * thermal).mean(2).log() / SOFTNESS
        low = torch.exp(-SOFTNESS * thermal).mean(2).log() / -SOFTNESS
        spread = base.flatten(2).std(2, correction=0) * 4
        scene = torch.cat((features.mean((2, 3)), spread, low, high), 1)[..., None, None]
        hidden = torch.cat((features, scene.expand(-1, -1, *base.shape[-2:])), 1)
        hidden = functional.leaky_relu(self.stem(hidden), SLOPE)
        hidden = functional.leaky_relu(self.context(hidden), SLOPE)
        choice = self.base(hidden)
        share = torch.sigmoid(choice[:, :1])
        fused = torch.lerp(base[:, :1], base[:, 1:], share)
        return hidden, fused + BASE_SHIFT * torch.tanh(choice[:, 1:])

    def decide(self, level: int, features: Tensor) -> tuple[Tensor, Tensor]:
        """Choose on the grid of one level.

        Args:
            level: 0 is the finest.
            features: (n, c, h, w), what the coarser level found and the features of this one.

        Returns:
            Hidden planes for the next level, and the gains (n, 2, h, w) of visible and thermal
            details.
        """
        hidden = functional.leaky_relu(self.look[level](features), SLOPE, inplace=True)
        return hidden, torch.sigmoid(self.gain[level](hidden)).mul(MAX_GAIN)

    def deploy(self) -> Callable[[Tensor, Tensor, Tensor | None], Tensor]:
        """Return the same function in the form that is fastest on a CPU."""
        from ivif_ros.fusion.networks.learned_pyramid_cpu import DeployedPyramid
        return DeployedPyramid(self)
