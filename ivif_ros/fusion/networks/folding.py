# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Folding: a full-size image as a smaller one with more channels, and back.

Each block of `fold` x `fold` pixels becomes the channels of one pixel (space to depth). Nothing is
lost, and a convolution of the same width then costs 1 / fold^2 as much.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

MARGIN = 4
"""Pixels by which images are continued before they are folded, so that the zeros that convolutions
see beyond the border stay away from what is kept."""


def fold_image(image: Tensor, fold: int) -> Tensor:
    """Continue an image beyond its border and fold it.

    Args:
        image: (n, 1, H, W), any H, W >= 1.
        fold: side of the blocks.

    Returns:
        (n, fold^2, ceil((H + 2 MARGIN) / fold), ceil((W + 2 MARGIN) / fold)).
    """
    height, width = image.shape[-2:]
    right, bottom = -(width + 2 * MARGIN) % fold, -(height + 2 * MARGIN) % fold
    padding = (MARGIN, MARGIN + right, MARGIN, MARGIN + bottom)
    return functional.pixel_unshuffle(functional.pad(image, padding, mode='replicate'), fold)


def unfold_image(folded: Tensor, fold: int, like: Tensor) -> Tensor:
    """Undo `fold_image`: (n, fold^2, h, w) becomes (n, 1, H, W) of the size of `like`."""
    height, width = like.shape[-2:]
    image = functional.pixel_shuffle(folded, fold)
    return image[..., MARGIN:MARGIN + height, MARGIN:MARGIN + width]
