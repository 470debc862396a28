# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The fusion loss that TDFusion (Bai et al. 2025) learns: a network makes its weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ivif_ros.fusion.networks.folding import fold_image, unfold_image
from ivif_ros.fusion.networks.restormer_blocks import TransformerBlock
from ivif_ros.training.batch import Batch
from ivif_ros.training.losses.pixel import gradient_max, intensity_weighted


class LossGenerator(nn.Module):
    """Says for each pixel how much the fused image is to be like either source.

    Images are folded, as in `Restormer`, and go through Restormer blocks; a softmax over two planes
    makes weights that sum to 1. The last layer starts at zero, so a fresh generator says 1/2
    everywhere: as long as it has learned nothing, the loss is the one with fixed weights.

    Args:
        width: channels, a multiple of `heads`.
        blocks: Restormer blocks.
        heads: of every attention.
        expansion: of the feed-forward networks.
        fold: side of the blocks of pixels that become channels.
    """

    def __init__(self, width: int = 16, blocks: int = 2, heads: int = 8, expansion: float = 2.0,
                 fold: int = 4) -> None:
        """Make the layers."""
        super().__init__()
        if width % heads:
            raise ValueError(f'width is {width}, expected a multiple of heads ({heads})')
        self.fold = fold
        self.layers = nn.Sequential(
            nn.Conv2d(2 * fold * fold, width, 3, padding=1, bias=False),
            *(TransformerBlock(width, heads, expansion) for _ in range(blocks)))
        self.head = nn.Conv2d(width, 2 * fold * fold, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)

    def forward(self, thermal: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        """Weigh the sources, planes (n, 1, h, w) in 0..1.

        Returns:
            w_a of the thermal and w_b of the visible image, (n, 1, h, w) each, w_a + w_b = 1.
        """
        folded = torch.cat([fold_image(plane, self.fold) for plane in (thermal, visible)], 1)
        logits = [unfold_image(part, self.fold, visible)
                  for part in self.head(self.layers(folded)).chunk(2, 1)]
        weights = torch.cat(logits, 1).softmax(1)
        return weights[:, :1], weights[:, 1:]


def fusion_losses(fused: Tensor, batch: Batch, thermal_weight: Tensor,
                  alpha: float) -> dict[str, Tensor]:
    """L_f = L_int + alpha L_grad of TDFusion, against the clean images.

    `L_int = mean (w_a (f - a)^2 + w_b (f - b)^2)`, w_b = 1 - w_a;
    `L_grad = mean | |nabla f| - max(|nabla a|, |nabla b|) |`, plain Sobel strengths: a step of
    height 1 counts 4.

    Args:
        fused: (n, 1, h, w).
        batch: the sources; a is thermal, b is visible.
        thermal_weight: w_a, (n, 1, h, w); its derivative is kept.
        alpha: weight of the gradient term.

    Returns:
        `intensity` and `gradient`, scalars.
    """
    a, b = batch.clean_thermal, batch.clean_visible
    return {'intensity': intensity_weighted(fused, a, b, thermal_weight, 2),
            'gradient': 4 * alpha * gradient_max(fused, a, b)}    # which is over 4
