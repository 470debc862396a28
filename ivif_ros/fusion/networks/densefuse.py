# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""DenseFuse (Li and Wu 2019): an auto-encoder that fuses between its halves.

The network learns to reconstruct single images only. At run time it encodes both images, a rule
without parameters merges the features, and the decoder makes an image of them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ivif_ros.fusion.networks.folding import fold_image, unfold_image

RULES = ('addition', 'l1')


def add_features(a: Tensor, b: Tensor) -> Tensor:
    """Addition rule: F = (F_a + F_b) / 2.

    The paper leaves out the 1/2 and clips what gets too bright. With it, the sum has the level
    that the decoder was trained on (the authors' later code has it too).
    """
    return (a + b) * 0.5


def l1_weights(a: Tensor, b: Tensor, radius: int = 1) -> Tensor:
    """Weight of the first source by the activity of its features.

    Activity is the L1 norm over the channels, averaged over (2 radius + 1)^2 pixels (fewer at the
    border). The weight is C_a / (C_a + C_b), which the paper calls a soft-max; the other source has
    the rest.

    Args:
        a: features (n, c, h, w).
        b: features of the other source, same shape.
        radius: of the box that averages.

    Returns:
        (n, 1, h, w) in 0..1; 1/2 where neither source is active.
    """
    activity = torch.cat([a.abs().sum(1, keepdim=True), b.abs().sum(1, keepdim=True)], 1)
    activity = functional.avg_pool2d(
        activity, 2 * radius + 1, stride=1, padding=radius, count_include_pad=False) + 1e-6
    weight: Tensor = activity[:, :1] / activity.sum(1, keepdim=True)
    return weight


def weigh_features(a: Tensor, b: Tensor) -> Tensor:
    """L1-norm rule: F = w F_a + (1 - w) F_b with the weights of `l1_weights`."""
    return b + l1_weights(a, b) * (a - b)


class DenseFuse(nn.Module):
    """Encoder with a dense block, fusion rule, decoder of three convolutions.

    Against the paper: images are folded 2 x 2, the decoder lacks its first layer (64 to 64
    channels), and the output is not rectified. The encoder has the paper's widths (16 channels,
    then three layers that add 16 each).

    Args:
        rule: 'addition' or 'l1'; may be changed at any time, it has no parameters.
        width: channels of the first layer and of what each dense layer adds.
        fold: side of the blocks that become channels.

    Raises:
        ValueError: unknown rule.
    """

    OVERLAP = 20
    MULTIPLE = 2

    def __init__(self, rule: str = 'addition', width: int = 16, fold: int = 2) -> None:
        """Make the layers."""
        super().__init__()
        if rule not in RULES:
            raise ValueError(f"unknown rule '{rule}', expected one of {', '.join(RULES)}")
        self.rule = rule
        self.fold = fold
        self.first = nn.Conv2d(fold * fold, width, 3, padding=1)
        self.dense = nn.ModuleList(
            nn.Conv2d(width * (i + 1), width, 3, padding=1) for i in range(3))
        self.decoder = nn.Sequential(
            nn.Conv2d(4 * width, 2 * width, 3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(2 * width, width, 3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(width, fold * fold, 3, padding=1))

    def encode(self, image: Tensor) -> Tensor:
        """Features (n, 4 width, h, w) >= 0 of an image (n, 1, H, W) in 0..1."""
        features = functional.relu(self.first(fold_image(image, self.fold)))
        for layer in self.dense:
            features = torch.cat([features, functional.relu(layer(features))], 1)
        return features

    def decode(self, features: Tensor, like: Tensor) -> Tensor:
        """Image (n, 1, H, W), not clipped, of the size of `like`."""
        return unfold_image(self.decoder(features), self.fold, like)

    def reconstruct(self, image: Tensor) -> Tensor:
        """Encode and decode one image (n, 1, H, W): what training minimises the error of."""
        return self.decode(self.encode(image), image)

    def forward(self, visible: Tensor, thermal: Tensor, weight: Tensor | None = None) -> Tensor:
        """Fuse (n, 1, H, W) luma planes in 0..1; `weight` is ignored."""
        a, b = self.encode(visible), self.encode(thermal)
        merged = add_features(a, b) if self.rule == 'addition' else weigh_features(a, b)
        return self.decode(merged, visible).clamp(0, 1)
