# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Generator of FusionGAN (Ma et al., Information Fusion 2019): a plain convolutional network.

The idea of the method lies in its training (`training/recipes/fusiongan.py`): thermal intensity,
RGB gradients, and a discriminator that asks for more RGB detail. The published generator has five
layers of 256 to 1 features with batch normalisation at full resolution, about 0.9 M parameters.
Narrowed here: four layers of 16 features on 2x2 blocks of pixels (space to depth), which see as far
as the published ones at a quarter of the cost; no batch normalisation, so that a picture does not
depend on others; the layers add to the mean of both sources in place of a final tanh.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ivif_ros.fusion.networks.folding import fold_image, unfold_image


class FusionGAN(nn.Module):
    """Five thousand parameters that see 14 pixels."""

    OVERLAP = 8
    MULTIPLE = 2

    def __init__(self, width: int = 16, depth: int = 3) -> None:
        """Make the layers.

        Args:
            width: features of each layer.
            depth: number of 3x3 layers; a 1x1 layer follows.
        """
        super().__init__()
        layers: list[nn.Module] = []
        features = 8
        for _ in range(depth):
            layers += [nn.Conv2d(features, width, 3, padding=1),
                       nn.LeakyReLU(0.2, inplace=True)]
            features = width
        self.layers = nn.Sequential(*layers, nn.Conv2d(features, 4, 1))

    def forward(self, visible: Tensor, thermal: Tensor, weight: Tensor | None = None) -> Tensor:
        """Fuse luma planes (n, 1, H, W) in 0..1.

        `weight` is ignored. The result is cut to 0..1 only in eval mode: beyond the range a cut has
        no gradient.
        """
        folded = fold_image(torch.cat((visible, thermal), 1), 2)
        fused = (visible + thermal) / 2 + unfold_image(self.layers(folded), 2, visible)
        return fused if self.training else fused.clamp(0, 1)
