# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""PIAFusion (Tang et al. 2022): progressive fusion, trained with awareness of the illumination.

The network exchanges what one modality has and the other lacks after each stage. That the visible
image counts by day and the thermal image by night enters through the loss alone
(`ivif_ros.training.objectives.illumination`); no classifier runs here.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from ivif_ros.fusion.networks.folding import fold_image, unfold_image


def exchange_differences(visible: Tensor, thermal: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-modality differential aware fusion (CMDAF); has no parameters.

    Each modality gets the difference to the other one, channel by channel as strong as its global
    average says: F_a + sigmoid(mean(F_b - F_a)) (F_b - F_a). As in a differential amplifier, the
    common part stays and the difference is amplified.

    Args:
        visible: features (n, c, h, w).
        thermal: features, same shape.

    Returns:
        Both features with the complement added.
    """
    difference = thermal - visible
    mean = difference.mean((2, 3), keepdim=True)
    return (torch.addcmul(visible, torch.sigmoid(mean), difference),
            torch.addcmul(thermal, torch.sigmoid(-mean), difference, value=-1))


class PIAFusion(nn.Module):
    """Two encoders of five layers with three exchanges, halfway concatenation, decoder of five.

    Against the paper (1.2 million parameters): images are folded 2 x 2, encoders have 16 channels
    throughout (the paper's grow to 128), the decoder 32, 32, 32, 16 (the paper's 256 to 32), and
    the output is linear and clipped in place of tanh.

    Args:
        width: channels of the encoders.
        fold: side of the blocks that become channels.
    """

    OVERLAP = 24
    MULTIPLE = 2

    def __init__(self, width: int = 16, fold: int = 2) -> None:
        """Make the layers."""
        super().__init__()
        self.fold = fold

        def encoder() -> nn.ModuleList:
            return nn.ModuleList([
                nn.Conv2d(fold * fold, width, 1),
                *(nn.Conv2d(width, width, 3, padding=1) for _ in range(4))])

        self.visible, self.thermal = encoder(), encoder()
        widths = [2 * width, 2 * width, 2 * width, 2 * width, width]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.LeakyReLU(0.01, inplace=True)]
        self.decoder = nn.Sequential(*layers, nn.Conv2d(width, fold * fold, 1))

    def forward(self, visible: Tensor, thermal: Tensor, weight: Tensor | None = None) -> Tensor:
        """Fuse (n, 1, H, W) luma planes in 0..1; `weight` is ignored. Clipped in eval() only."""
        a, b = fold_image(visible, self.fold), fold_image(thermal, self.fold)
        for i, (for_a, for_b) in enumerate(zip(self.visible, self.thermal, strict=True)):
            a, b = functional.leaky_relu(for_a(a), 0.01), functional.leaky_relu(for_b(b), 0.01)
            if 1 <= i <= 3:
                a, b = exchange_differences(a, b)
        fused = unfold_image(self.decoder(torch.cat([a, b], 1)), self.fold, visible)
        return fused if self.training else fused.clamp(0, 1)
