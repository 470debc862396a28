# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Comparison of features with those around them in another image."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

_ROWS, _COLUMNS = 4, 16
"""Size of a block: small ones compare more than is needed, large ones multiply small matrices."""


def local_correlation(first: Tensor, second: Tensor, reach: int) -> Tensor:
    """Inner products of each feature with those around it in the other image.

    The images are cut into blocks, so that all products of a block with its surroundings are one
    product of matrices, of which the near ones are read.

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
    down, across = -(-h // _ROWS), -(-w // _COLUMNS)
    below, right = down * _ROWS - h, across * _COLUMNS - w
    high, wide = _ROWS + 2 * reach, _COLUMNS + 2 * reach
    queries = functional.pad(first.permute(0, 2, 3, 1), (0, 0, 0, right, 0, below)).reshape(
        n, down, _ROWS, across, _COLUMNS, c).transpose(2, 3).reshape(-1, _ROWS * _COLUMNS, c)
    padded = functional.pad(second.permute(0, 2, 3, 1), (
        0, 0, reach, reach + right, reach, reach + below))
    keys = padded.unfold(1, high, _ROWS).unfold(2, wide, _COLUMNS).permute(
        0, 1, 2, 4, 5, 3).reshape(-1, high * wide, c)
    products = (queries @ keys.transpose(1, 2)).view(
        n, down, across, _ROWS, _COLUMNS, high, wide)
    # A query at (y, x) of its block is compared with keys (y, x) to (y + 2 reach, x + 2 reach):
    # steps of one down and to the right in both at once.
    image, of_rows, of_columns, y, x, key_y, key_x = products.stride()
    near = products.as_strided(
        (n, down, _ROWS, across, _COLUMNS, side, side),
        (image, of_rows, y + key_y, of_columns, x + key_x, key_y, key_x))
    return near.reshape(n, down * _ROWS, across * _COLUMNS, side * side)[:, :h, :w].permute(
        0, 3, 1, 2)


def shift_products(first: Tensor, second: Tensor, reach: int, cell: int) -> Tensor:
    """Inner products of features of few channels with those around them, averaged over cells.

    Not differentiable.

    Args:
        first: (n, c, h, w).
        second: (n, c, h, w).
        reach: largest shift in features.
        cell: features per side of a cell; sides are multiples of it.

    Returns:
        (n, (2 reach + 1)^2, h / cell, w / cell), in the order of `local_correlation`; 0 outside.
    """
    n, _, h, w = first.shape
    side, rows, columns = 2 * reach + 1, h // cell, w // cell
    padded = functional.pad(second, (reach, reach, reach, reach)) / cell ** 2
    products = first.new_zeros(n, side, side, rows, columns)
    # Features of the same place in each cell are a plane by themselves, and shifts that differ by
    # whole cells take the same plane of the other image: so nothing is stored per feature.
    for oy in range(cell):
        for ox in range(cell):
            own = first[:, :, oy::cell, ox::cell].contiguous()
            for py in range(cell):
                for px in range(cell):
                    # Shifts (dy, dx) whose target lies at place (py, px) of a cell.
                    dy, dx = (py - oy) % cell, (px - ox) % cell
                    if dy >= side or dx >= side:
                        continue
                    other = padded[:, :, oy + dy::cell, ox + dx::cell].contiguous()
                    windows = other.unfold(2, rows, 1).unfold(3, columns, 1)
                    into = products[:, dy::cell, dx::cell]
                    for channel in range(first.shape[1]):
                        into.addcmul_(own[:, channel, None, None], windows[
                            :, channel, :into.shape[1], :into.shape[2]])
    return products.flatten(1, 2)
