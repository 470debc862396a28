# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Discriminators of the adversarial methods; needed for training only."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class Discriminator(nn.Module):
    """Judge images of any size: strided 3x3 layers, mean over the image, one linear layer.

    FusionGAN and MFF-GAN flatten the last features of crops of one size (four strided layers, 32 to
    256 features). The mean over the image in their place is UFGAN's; it takes any size and keeps
    the linear layer small. No batch normalisation: batches of real and of fused images have
    different statistics, which alone would tell them apart.
    """

    def __init__(self, inputs: int = 1, widths: Sequence[int] = (16, 32, 64)) -> None:
        """Make the layers.

        Args:
            inputs: channels of the images.
            widths: features of each strided layer.
        """
        super().__init__()
        layers: list[nn.Module] = []
        for width in widths:
            layers += [nn.Conv2d(inputs, width, 3, stride=2, padding=1),
                       nn.LeakyReLU(0.2, inplace=True)]
            inputs = width
        self.layers = nn.Sequential(
            *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 1))

    def forward(self, image: Tensor) -> Tensor:
        """Judge images (n, inputs, H, W), H and W from 1: (n, 1), high for real ones."""
        judgement: Tensor = self.layers(image)
        return judgement
