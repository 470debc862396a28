# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Generator of UFGAN: a U-Net (Ronneberger et al. 2015) with residual connections (He et al. 2016).

An encoder of three scales, a decoder that takes each scale of the encoder in again, and a residual
layer at each step of both. The method's losses (structural similarity, style transfer with total
variation, and a discriminator for images of any size) are in `training/recipes/ufgan.py`.

Narrowed: 16, 24 and 32 features on 2x2 blocks of pixels (space to depth) where the usual U-Net has
64 and more at full resolution; scales are changed by strided convolution and bilinear interpolation
instead of pooling and transposed convolution, which leaves checkerboards; the result is a residual
to the mean of both sources.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ivif_ros.fusion.networks.folding import fold_image, unfold_image


class _Residual(nn.Module):
    """x + activation(convolution(x))."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the same shape."""
        return x + functional.leaky_relu(self.convolution(x), 0.2)


class _Down(nn.Sequential):
    """Half the size, other features, residual layer."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, 3, stride=2, padding=1),
                         nn.LeakyReLU(0.2, inplace=True), _Residual(outputs))


class _Up(nn.Module):
    """Twice the size, joined with the encoder's features, residual layer."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(coarse, fine, 1)
        self.join = nn.Conv2d(2 * fine, fine, 1)
        self.residual = _Residual(fine)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Bring x (n, coarse, h, w) to the scale of skip (n, fine, 2 h, 2 w)."""
        x = functional.interpolate(
            self.narrow(x), scale_factor=2.0, mode='bilinear', align_corners=False)
        joined = functional.leaky_relu(self.join(torch.cat((x, skip), 1)), 0.2)
        out: Tensor = self.residual(joined)
        return out


class UFGAN(nn.Module):
    """Forty thousand parameters on three scales."""

    OVERLAP = 40
    MULTIPLE = 8

    def __init__(self, fine: int = 16, middle: int = 24, coarse: int = 32) -> None:
        """Make encoder and decoder.

        Args:
            fine: features at half the resolution.
            middle: features at a quarter.
            coarse: features at an eighth.
        """
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(8, fine, 3, padding=1),
                                  nn.LeakyReLU(0.2, inplace=True), _Residual(fine))
        self.down = nn.ModuleList((_Down(fine, middle), _Down(middle, coarse)))
        self.up = nn.ModuleList((_Up(coarse, middle), _Up(middle, fine)))
        self.head = nn.Conv2d(fine, 4, 1)

    def forward(self, visible: Tensor, thermal: Tensor, weight: Tensor | None = None) -> Tensor:
        """Fuse luma planes (n, 1, H, W) in 0..1.

        `weight` is ignored. The result is cut to 0..1 only in eval mode: beyond the range a cut has
        no gradient.
        """
        folded = fold_image(torch.cat((visible, thermal), 1), 2)
        height, width = folded.shape[-2:]
        folded = functional.pad(folded, (0, -width % 4, 0, -height % 4), 'replicate')
        fine = self.stem(folded)
        middle = self.down[0](fine)
        x = self.up[1](self.up[0](self.down[1](middle), middle), fine)
        fused = (visible + thermal) / 2 + unfold_image(self.head(x), 2, visible)
        return fused if self.training else fused.clamp(0, 1)
