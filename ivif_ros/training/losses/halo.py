# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Halo: output outside the local range of both sources is overshoot or noise."""

from __future__ import annotations

import torch
from torch import Tensor

from ivif_ros.training.losses.filters import window_max


@torch.no_grad()
def local_envelope(thermal: Tensor, visible: Tensor, size: int = 5) -> tuple[Tensor, Tensor]:
    """Smallest and largest value of either source in the odd `size` x `size` window.

    Args:
        thermal: (n, 1, h, w).
        visible: the same shape.
        size: side of the window in pixels, odd.

    Returns:
        Low and high, (n, 1, h, w) each.

    Raises:
        ValueError: an even or negative size.
    """
    if size < 1 or size % 2 == 0:
        raise ValueError(f'size of the envelope is an odd number of pixels, not {size}')
    both = torch.cat((torch.maximum(thermal, visible), -torch.minimum(thermal, visible)), 1)
    both = window_max(both, size)
    return -both[:, 1:], both[:, :1]


def halo_loss(fused: Tensor, thermal: Tensor, visible: Tensor, size: int = 5,
              margin: float = 0.0) -> Tensor:
    """`mean max(0, f - high - margin) + max(0, low - margin - f)`.

    Args:
        fused: (n, 1, h, w) in 0..1.
        thermal: source of the same shape.
        visible: source of the same shape.
        size: window of `local_envelope`; small, so that a lamp excuses only what is next to it.
        margin: overshoot that does not count.

    Returns:
        Scalar, 0 for any local selection or average of the sources.
    """
    low, high = local_envelope(thermal, visible, size)
    return (torch.relu(fused - high - margin) + torch.relu(low - margin - fused)).mean()
