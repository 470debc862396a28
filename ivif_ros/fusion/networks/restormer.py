# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A light fusion network of Restormer blocks: the fusion network of TDFusion (Bai et al. 2025)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from ivif_ros.fusion.networks.folding import fold_image, unfold_image
from ivif_ros.fusion.networks.restormer_blocks import AdaptiveFusion, TransformerBlock


class Restormer(nn.Module):
    """An encoder of Restormer blocks per modality, adaptive fusion, a decoder of such blocks.

    66 thousand parameters with the defaults (TDFusion: about 60). Against it: images are folded
    4 x 4, and the output is a correction of the average of both images, clipped, in place of a
    sigmoid: a network that starts from a sensible image trains in minutes. Attention looks at the
    whole image; tiles of a large one therefore differ a little from the whole.

    Args:
        width: channels of each encoder, a multiple of `heads`; the decoder has twice as many.
        blocks: in each encoder and in the decoder.
        heads: of every attention.
        expansion: of the feed-forward networks.
        fold: side of the blocks of pixels that become channels.
    """

    OVERLAP = 32
    MULTIPLE = 4

    def __init__(self, width: int = 16, blocks: int = 2, heads: int = 8, expansion: float = 2.0,
                 fold: int = 4) -> None:
        """Make the layers."""
        super().__init__()
        self.fold = fold

        def sequence(channels: int) -> list[nn.Module]:
            return [TransformerBlock(channels, heads, expansion) for _ in range(blocks)]

        def encoder() -> nn.Sequential:
            return nn.Sequential(nn.Conv2d(fold * fold, width, 3, padding=1, bias=False),
                                 *sequence(width))

        self.visible, self.thermal = encoder(), encoder()
        self.fusion = AdaptiveFusion(width, heads)
        self.decoder = nn.Sequential(*sequence(2 * width))
        self.head = nn.Conv2d(2 * width, width, 3, padding=1, bias=False)
        self.last = nn.Conv2d(width, fold * fold, 3, padding=1)

    def forward(self, visible: Tensor, thermal: Tensor, weight: Tensor | None = None) -> Tensor:
        """Fuse (n, 1, H, W) luma planes in 0..1; `weight` is ignored. Clipped in eval() only."""
        a, b = fold_image(visible, self.fold), fold_image(thermal, self.fold)
        features = self.decoder(self.fusion(self.visible(a), self.thermal(b)))
        correction = self.last(functional.leaky_relu(self.head(features)))
        fused = unfold_image(correction + (a + b) * 0.5, self.fold, visible)
        return fused if self.training else fused.clamp(0, 1)
