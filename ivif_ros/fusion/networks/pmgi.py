# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""PMGI (Zhang et al. 2020): proportional maintenance of gradient and intensity.

Two paths, one for gradients and one for intensities, run side by side and exchange what they found
(pathwise transfer). Which path carries what is not wired but learned: from their inputs and from a
loss that keeps a fixed proportion of the intensity and the gradient of each source.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ivif_ros.fusion.networks.folding import fold_image, unfold_image


def _activate(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, 0.2, inplace=True)


class PathwiseTransfer(nn.Module):
    """Exchange between the paths: each gets a 1 x 1 convolution of the features of both.

    Args:
        width: channels of one path.
    """

    def __init__(self, width: int) -> None:
        """Make the layers."""
        super().__init__()
        self.to_gradient = nn.Conv2d(2 * width, width, 1)
        self.to_intensity = nn.Conv2d(2 * width, width, 1)

    def forward(self, gradient: Tensor, intensity: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the gradient and the intensity path receive, (n, width, h, w) each."""
        both = torch.cat([gradient, intensity], 1)
        return _activate(self.to_gradient(both)), _activate(self.to_intensity(both))


class PMGI(nn.Module):
    """Two densely connected paths of four layers with two exchanges, and one merging layer.

    The gradient path sees two copies of the visible image and one of the thermal image, the
    intensity path the other way round. Against the paper: images are folded 2 x 2, the first layer
    is then 3 x 3 (it covers 6 x 6 pixels, the paper's 5 x 5), there is no batch normalisation, and
    the output is linear and clipped in place of tanh. All else, widths too, is the paper's.

    Args:
        width: channels of each layer of each path.
        fold: side of the blocks that become channels.
    """

    OVERLAP = 10
    MULTIPLE = 2

    def __init__(self, width: int = 16, fold: int = 2) -> None:
        """Make the layers."""
        super().__init__()
        self.fold = fold

        def path() -> nn.ModuleList:
            return nn.ModuleList([
                nn.Conv2d(3 * fold * fold, width, 3, padding=1),
                nn.Conv2d(width, width, 3, padding=1),
                nn.Conv2d(3 * width, width, 3, padding=1),
                nn.Conv2d(4 * width, width, 3, padding=1)])

        self.gradient, self.intensity = path(), path()
        self.transfers = nn.ModuleList([PathwiseTransfer(width), PathwiseTransfer(width)])
        self.merge = nn.Conv2d(8 * width, fold * fold, 1)

    def forward(self, visible: Tensor, thermal: Tensor, weight: Tensor | None = None) -> Tensor:
        """Fuse (n, 1, H, W) luma planes in 0..1; `weight` is ignored. Clipped in eval() only."""
        a, b = fold_image(visible, self.fold), fold_image(thermal, self.fold)
        gradient = [_activate(self.gradient[0](torch.cat([a, a, b], 1)))]
        intensity = [_activate(self.intensity[0](torch.cat([b, b, a], 1)))]
        received: tuple[list[Tensor], list[Tensor]] = ([], [])
        for i in range(1, 4):
            gradient.append(_activate(self.gradient[i](torch.cat(gradient + received[0], 1))))
            intensity.append(_activate(self.intensity[i](torch.cat(intensity + received[1], 1))))
            if i < 3:
                to_gradient, to_intensity = self.transfers[i - 1](gradient[-1], intensity[-1])
                received = ([to_gradient], [to_intensity])
        fused = unfold_image(self.merge(torch.cat(gradient + intensity, 1)), self.fold, visible)
        return fused if self.training else fused.clamp(0, 1)
