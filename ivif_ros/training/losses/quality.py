# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Metric-driven loss: what the evaluation figures of the fused image lack.

Figures can be gamed: a network that sees nothing else finds noise and contrast that please them.
Keep an intensity and a halo term beside this one, and look at pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ivif_ros.training.losses import metric
from ivif_ros.training.losses.metric import SourceStatistics

_KEPT: dict[str, tuple[float, Callable[[SourceStatistics, Tensor], Tensor]]] = {
    'vif': (1.0, SourceStatistics.vif), 'ssim': (1.0, SourceStatistics.ssim),
    'qabf': (1.0, SourceStatistics.qabf), 'scd': (2.0, SourceStatistics.scd),
    'cc': (1.0, SourceStatistics.cc)}
_ALONE: dict[str, Callable[[Tensor], Tensor]] = {
    'sf': metric.sf, 'ag': metric.ag, 'sd': metric.sd, 'entropy': metric.entropy}


def quality_loss(fused: Tensor, thermal: Tensor, visible: Tensor, weights: Mapping[str, float],
                 share: float = 1.0) -> Tensor:
    """Weighted sum of what the figures lack.

    `vif`, `ssim`, `qabf`, `scd` and `cc` compare with the sources and lack `best - value` (best is
    2 for scd, else 1). `sf`, `ag`, `sd` and `entropy` look at the fused image alone and grow with
    noise, so they only count up to a goal: `max(0, 1 - value / (share * goal))`, the goal being the
    higher figure of both sources.

    Args:
        fused: (n, 1, h, w) in 0..1; at least 72 pixels a side with vif.
        thermal: source of the same shape.
        visible: source of the same shape.
        weights: name of the figure -> weight; those of weight 0 are not computed.
        share: of the goals, 1 asks for as much as the busier source has.

    Returns:
        Scalar, 0 or more.

    Raises:
        ValueError: a figure of another name.
        ImageError: planes of different shapes, or too small.
    """
    unknown = weights.keys() - _KEPT.keys() - _ALONE.keys()
    if unknown:
        raise ValueError(f'no figure {sorted(unknown)}; there are {[*_KEPT, *_ALONE]}')
    statistics = SourceStatistics(thermal, visible)
    loss = fused.new_zeros(len(fused), dtype=statistics.sources.dtype)
    for name, weight in weights.items():
        if not weight:
            continue
        if name in _KEPT:
            best, figure = _KEPT[name]
            lack = best - figure(statistics, fused)
        else:
            alone = _ALONE[name]
            with torch.no_grad():
                goal = share * torch.maximum(alone(thermal), alone(visible))
            lack = torch.relu(1 - alone(fused) / goal.clamp_min(1e-3))
        loss = loss + weight * lack
    return loss.mean()
