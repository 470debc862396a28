# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Averages over windows as products of matrices.

On images of this size a product with a matrix of a few hundred rows takes a fraction of the time of
pooling, padding and interpolating one after the other, and one matrix does all of them.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional


def windowed(planes: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """Average planes (..., h, w) with a matrix (rows, h) and one (columns, w)."""
    # The shorter side first.
    if down.shape[0] * planes.shape[-1] <= across.shape[0] * planes.shape[-2]:
        return (down @ planes) @ across.T
    return down @ (planes @ across.T)


@lru_cache(maxsize=64)
def joined(length: int, cell: int, passes: int, device: torch.device) -> Tensor:
    """Matrix that joins values to cells and smoothes these.

    Args:
        length: number of values.
        cell: values per cell; what is left over at the end is left out.
        passes: how often the mean of each cell and its two neighbours is taken, at the ends of
            those that there are.
        device: where it is used.

    Returns:
        (length // cell, length) float32.
    """
    matrix = torch.eye(length).unsqueeze(1)
    matrix = functional.avg_pool1d(matrix, cell)
    for _ in range(passes):
        matrix = functional.avg_pool1d(matrix, 3, 1, 1, count_include_pad=False)
    return matrix[:, 0].T.contiguous().to(device)


@lru_cache(maxsize=64)
def box(length: int, size: int, device: torch.device) -> Tensor:
    """Matrix of means over `size` values (odd), at the ends of those that there are.

    Returns:
        (length, length) float32.
    """
    matrix = functional.avg_pool1d(
        torch.eye(length).unsqueeze(1), size, 1, size // 2, count_include_pad=False)
    return matrix[:, 0].T.contiguous().to(device)


@lru_cache(maxsize=64)
def spread(length: int, cell: int, device: torch.device) -> Tensor:
    """Matrix that smoothes cells and interpolates them to values again.

    Args:
        length: number of values.
        cell: values per cell.
        device: where it is used.

    Returns:
        (length, length // cell) float32: mean of three cells, the last ones repeated, then linear
        interpolation between the middles of the cells.
    """
    matrix = torch.eye(length // cell).unsqueeze(1)
    matrix = functional.avg_pool1d(functional.pad(matrix, (1, 1), mode='replicate'), 3, 1)
    matrix = functional.interpolate(matrix, size=length, mode='linear', align_corners=False)
    return matrix[:, 0].T.contiguous().to(device)
