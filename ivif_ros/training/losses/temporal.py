# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Temporal consistency: the fused image changes only as its sources do."""

from __future__ import annotations

import torch
from torch import Tensor

from ivif_ros.training.batch import Batch
from ivif_ros.training.losses.filters import window_max


def unexplained_change(fused: Tensor, later: Tensor, thermal: tuple[Tensor, Tensor],
                       visible: tuple[Tensor, Tensor], gain: float = 1.0, window: int = 1,
                       margin: float = 0.0) -> Tensor:
    """Change of the fused image beyond what the sources changed; 0 where it is explained.

    With `d` = later minus earlier of each, the fused change may lie in
    `[gain * min(d_t, d_v, 0) - margin, gain * max(d_t, d_v, 0) + margin]`; the excess counts, L1.
    Fused images whose weights are steady lie inside; flicker of weights, of gains or of a colour
    range, and noise that is amplified, do not.

    Args:
        fused: (n, 1, h, w) in 0..1.
        later: fused image a moment later.
        thermal: thermal image and the one a moment later.
        visible: visible image and the one a moment later.
        gain: how much more contrast than the sources the fused image may have.
        window: odd side of the window over which the allowed range is widened; more than 1 where
            the fused image may move edges by a pixel.
        margin: change that does not count.

    Returns:
        Scalar, 0 or more.
    """
    with torch.no_grad():
        changes = torch.cat((thermal[1] - thermal[0], visible[1] - visible[0]), 1) * gain
        high = changes.amax(1, keepdim=True).clamp_min(0)
        low = changes.amin(1, keepdim=True).clamp_max(0)
        if window > 1:
            high, low = window_max(high, window), -window_max(-low, window)
    change = later - fused
    return (torch.relu(change - high - margin) + torch.relu(low - margin - change)).mean()


class TemporalConsistency:
    """`unexplained_change` as a temporal term, against the clean images of the batch.

    Against the clean ones: noise that changes from frame to frame is no excuse to flicker.

    Args:
        gain: see `unexplained_change`.
        window: see `unexplained_change`.
        margin: see `unexplained_change`.
    """

    def __init__(self, gain: float = 1.0, window: int = 1, margin: float = 0.0) -> None:
        """Keep the options."""
        self._options = (gain, window, margin)

    def __call__(self, fused: Tensor, later: Tensor, batch: Batch) -> Tensor:
        """Loss of two moments; `batch.then` must be there.

        Raises:
            ValueError: a batch of a single moment.
        """
        then = batch.then
        if then is None:
            raise ValueError('temporal loss of a batch without a later moment (batch.then)')
        return unexplained_change(
            fused, later, (batch.clean_thermal, then.clean_thermal),
            (batch.clean_visible, then.clean_visible), *self._options)
