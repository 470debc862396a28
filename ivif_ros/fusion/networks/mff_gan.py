# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Generator of MFF-GAN (Zhang et al., Information Fusion 2021): two paths that exchange.

Each source has a path of densely connected layers; half way, each path takes in a 1x1 mixture of
both; a last 1x1 layer reads all features of both paths. What makes the method is its training
(`training/recipes/mff_gan.py`): at each pixel the sharper source is the one to keep, and a
discriminator compares joint gradients. Published for multi-focus pairs, used here for RGB and
thermal images in the same way.

Narrowed: 8 in place of 16 features a path, three layers and one exchange in place of four and two,
on 2x2 blocks of pixels (space to depth); the layers add to the mean of both sources in place of a
final tanh.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ivif_ros.fusion.networks.folding import fold_image, unfold_image


class MFFGAN(nn.Module):
    """Six thousand parameters that see 14 pixels."""

    OVERLAP = 8
    MULTIPLE = 2

    def __init__(self, width: int = 8) -> None:
        """Make both paths.

        Args:
            width: features of each layer of a path.
        """
        super().__init__()

        def pair(inputs: int, kernel: int) -> nn.ModuleList:
            return nn.ModuleList(
                nn.Conv2d(inputs, width, kernel, padding=kernel // 2) for _ in range(2))

        self.first = pair(4, 3)
        self.second = pair(width, 3)
        self.exchange = pair(2 * width, 1)
        self.third = pair(3 * width, 3)
        self.last = nn.Conv2d(6 * width, 4, 1)

    def forward(self, visible: Tensor, thermal: Tensor, weight: Tensor | None = None) -> Tensor:
        """Fuse luma planes (n, 1, H, W) in 0..1.

        `weight` is ignored. The result is cut to 0..1 only in eval mode: beyond the range a cut has
        no gradient.
        """
        first = [_layer(self.first[path], fold_image(plane, 2))
                 for path, plane in enumerate((visible, thermal))]
        second = [_layer(self.second[path], first[path]) for path in range(2)]
        both = torch.cat(second, 1)
        third = [_layer(self.third[path], torch.cat(
            (first[path], second[path], _layer(self.exchange[path], both)), 1))
            for path in range(2)]
        change = unfold_image(self.last(torch.cat((*first, *second, *third), 1)), 2, visible)
        fused = (visible + thermal) / 2 + change
        return fused if self.training else fused.clamp(0, 1)


def _layer(convolution: nn.Module, x: Tensor) -> Tensor:
    return functional.leaky_relu(convolution(x), 0.2)
