# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Correspondences from the similarity of all cells with all cells."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ivif_ros.registration.network import COARSE

_LEAST = 0.02


class Matches(NamedTuple):
    """Correspondences of the cells of an image.

    Attributes:
        source: (n, 2) float64 x, y in working pixels of the RGB image.
        target: (n, 2) float64 x, y in working pixels of the thermal image.
        weight: (n,) float64, 0..1.
    """

    source: Tensor
    target: Tensor
    weight: Tensor


def global_matches(logits: Tensor, shape: tuple[int, int] | torch.Size) -> Matches:
    """Take the most probable partner of each cell, with the mean place around it.

    The probability is that of both directions (dual softmax, Sun et al., LoFTR, 2021), summed over
    the 3x3 cells around the best.

    Args:
        logits: (rows * columns, rows * columns) float32, RGB cell by thermal cell.
        shape: rows, columns.

    Returns:
        One match for each RGB cell; the weight is 0 where it is as good as none.
    """
    rows, columns = shape
    across, down = logits.logsumexp(1), logits.logsumexp(0)
    best = torch.add(logits, down, alpha=-0.5).argmax(1)
    steps = torch.arange(-1, 2, device=logits.device)
    x = best[:, None] % columns + steps.repeat(3)
    y = best[:, None] // columns + steps.repeat_interleave(3)
    inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
    index = y.clamp(0, rows - 1) * columns + x.clamp(0, columns - 1)
    around = torch.where(inside, logits.gather(1, index), -torch.inf)
    share = around.softmax(1).double()
    weight = (2 * around - across[:, None] - down[index]).exp().sum(1).double()
    target = torch.stack([(share * x).sum(1), (share * y).sum(1)], dim=1)
    cells = torch.arange(rows * columns, device=logits.device)
    source = torch.stack([cells % columns, cells // columns], dim=1).double()
    middle = (COARSE - 1) / 2
    return Matches(source * COARSE + middle, target * COARSE + middle,
                   torch.where(weight > _LEAST, weight, 0.0))
