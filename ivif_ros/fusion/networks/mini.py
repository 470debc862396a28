# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A network of a few hundred parameters, distilled from a large method (`recipes/mini.py`).

The idea is MMDRFuse's (Deng et al., ACM MM 2024): two 3x3 convolutions, 113 parameters, can fuse if
a good teacher shows them how. Those two layers see 5 pixels, so they cannot know whether a dark
pixel lies in a dark scene. Here the bias of the first layer comes from an equally small network on
an eighth of the resolution, which costs a sixty-fourth: 300 parameters that see the surroundings.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_CELL = 8
"""Pixels of a side of the cells on which the surroundings are judged."""


class Mini(nn.Module):
    """Two layers at full resolution, two on means of 8x8 pixels."""

    OVERLAP = 32
    MULTIPLE = _CELL

    def __init__(self, width: int = 6) -> None:
        """Make the layers.

        Args:
            width: features of the hidden layers; 4 gives 205 parameters, 6 gives 319.
        """
        super().__init__()
        self.local = nn.Conv2d(2, width, 3, bias=False)
        self.around = nn.Conv2d(2, width, 3, padding=1, padding_mode='replicate')
        self.mix = nn.Conv2d(width, width, 1)
        self.out = nn.Conv2d(width, 1, 3)

    def forward(self, visible: Tensor, thermal: Tensor, weight: Tensor | None = None) -> Tensor:
        """Fuse luma planes (n, 1, H, W) in 0..1.

        `weight` is ignored. The result is cut to 0..1 only in eval mode: beyond the range a cut has
        no gradient.
        """
        height, width = visible.shape[-2:]
        # Two pixels for the convolutions, and up to a whole number of cells.
        right, low = -(width + 4) % _CELL + 2, -(height + 4) % _CELL + 2
        x = functional.pad(torch.cat((visible, thermal), 1), (2, right, 2, low), 'replicate')
        around = functional.relu(self.around(functional.avg_pool2d(x, _CELL)))
        bias = functional.interpolate(
            self.mix(around), scale_factor=float(_CELL), mode='bilinear', align_corners=False)
        hidden = functional.relu(self.local(x) + bias[..., 1:-1, 1:-1])
        change: Tensor = self.out(hidden)[..., :height, :width]
        fused = (visible + thermal) / 2 + change
        return fused if self.training else fused.clamp(0, 1)
