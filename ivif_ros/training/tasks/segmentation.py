# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A small network that says what each pixel shows; trains with cross entropy."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ivif_ros.training.data.labelled import CLASSES
from ivif_ros.training.labelled_batch import BACKGROUND, Targets
from ivif_ros.training.tasks.base import TaskNetwork


def _stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Two convolutions; groups, not batches, are normalised: batches of two say little."""
    layers: list[nn.Module] = []
    for channels, step in ((inputs, stride), (outputs, 1)):
        layers += [nn.Conv2d(channels, outputs, 3, step, 1, bias=False),
                   nn.GroupNorm(4, outputs), nn.SiLU()]
    return nn.Sequential(*layers)


class Segmenter(TaskNetwork):
    """Encoder of four stages (1/2 to 1/16 of the size), decoder with skips (U-Net, 2015).

    128 thousand parameters with the default width.

    Args:
        width: channels of the first stage, a multiple of 4; the last one has four times as many.
        object_weight: weight of a pixel of an object in the cross entropy; one of the background
            has 1. Objects are a few percent of a street.
    """

    MULTIPLE = 16
    NEEDS_CLASS_MAP = True

    def __init__(self, width: int = 12, object_weight: float = 4.0) -> None:
        """Make the layers."""
        super().__init__()
        if width < 4 or width % 4:
            raise ValueError(f'width is {width}, expected a multiple of 4')
        widths = (width, 2 * width, 3 * width, 4 * width)
        self.down = nn.ModuleList(
            _stage(before, after, 2) for before, after in zip((3, *widths), widths, strict=False))
        self.up = nn.ModuleList(
            _stage(deep + shallow, shallow, 1)
            for deep, shallow in zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.head = nn.Conv2d(width, len(CLASSES) + 1, 1)
        weights = torch.full((len(CLASSES) + 1,), object_weight)
        weights[-1] = 1.0
        self.register_buffer('weights', weights)
        self.weights: Tensor

    def scores(self, images: Tensor) -> Tensor:
        """Logits (n, classes + 1, h, w) of (n, 3, h, w); the last one is the background."""
        seen: list[Tensor] = []
        x = images
        for stage in self.down:
            x = stage(x)
            seen.append(x)
        for stage, skip in zip(self.up, seen[-2::-1], strict=True):
            x = stage(torch.cat((functional.interpolate(x, size=skip.shape[2:]), skip), 1))
        coarse: Tensor = self.head(x)
        return functional.interpolate(coarse, size=images.shape[2:], mode='bilinear')

    def loss(self, images: Tensor, targets: Targets) -> Tensor:
        """Weighted cross entropy over all pixels; see `TaskNetwork.loss`.

        Raises:
            ValueError: the targets have no class map.
        """
        if targets.class_map is None:
            raise ValueError('targets have no class map, which segmentation needs')
        background = targets.class_map == BACKGROUND
        wanted = targets.class_map.masked_fill(background, len(CLASSES))
        return functional.cross_entropy(self.scores(images).float(), wanted, self.weights)
