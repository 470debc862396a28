# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Comparison of features with those around them in another image."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_BLOCK = 16
_FEW = 4


def local_correlation(first: Tensor, second: Tensor, reach: int) -> Tensor:
    """Inner products of each feature with those around it in the other image.

    Many channels: rows are cut into blocks, so that the products are matrix products of blocks of
    both images. Few: planes are multiplied, which has no overhead then.

    Args:
        first: (n, c, h, w).
        second: (n, c, h, w).
        reach: largest shift in cells.

    Returns:
        (n, (2 reach + 1)^2, h, w); entry (dy + reach) (2 reach + 1) + dx + reach compares
        first(x, y) with second(x + dx, y + dy), 0 outside.
    """
    n, c, h, w = first.shape
    side = 2 * reach + 1
    if c <= _FEW:
        shifted = functional.pad(second, (reach, reach, reach, reach)).unfold(
            2, h, 1).unfold(3, w, 1)
        products = first[:, 0, None, None] * shifted[:, 0]
        for channel in range(1, c):
            products = products.addcmul_(first[:, channel, None, None], shifted[:, channel])
        return products.flatten(1, 2)
    blocks = -(-w // _BLOCK)
    more = blocks * _BLOCK - w
    window = _BLOCK + 2 * reach
    queries = functional.pad(first, (0, more)).permute(0, 2, 3, 1).reshape(
        n, h * blocks, _BLOCK, c)
    padded = functional.pad(second, (reach, reach + more, reach, reach))
    keys = padded.unfold(3, window, _BLOCK).permute(0, 2, 3, 1, 4)
    rows = []
    for dy in range(side):
        products = queries @ keys[:, dy:dy + h].reshape(n, h * blocks, c, window)
        # Query q is compared with keys q to q + 2 reach: reading the matrix with rows that are
        # longer by one brings these to the front.
        sheared = functional.pad(products.flatten(2), (0, _BLOCK)).view(
            n, h * blocks, _BLOCK, window + 1)
        rows.append(sheared[..., :side].reshape(n, h, w + more, side)[:, :, :w])
    return torch.cat(rows, dim=-1).permute(0, 3, 1, 2)
