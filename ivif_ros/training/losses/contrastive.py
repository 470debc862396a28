# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Contrastive losses: pull the fused image to good parts of the sources, push it from bad ones.

CoCoNet (Liu et al. 2023): targets of the fused image are near those of the thermal image and far
from those of the visible image in a feature space; the background the other way round.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ivif_ros.training.losses.saliency import target_mask
from ivif_ros.training.losses.style import Features


def contrastive_loss(anchor: Tensor, positive: Tensor, negatives: Sequence[Tensor],
                     features: Features, floor: float = 1e-3) -> Tensor:
    """`mean over levels of |F(a) - F(p)|_1 / (|F(a) - F(p)|_1 + sum over n |F(a) - F(n)|_1)`.

    Distances are means over image and channels. The distance to the positive is in the denominator
    too: the published quotient has no bound where a negative is near, and then rules the step.

    Args:
        anchor: (n, 1, h, w), (part of) the fused image.
        positive: what it shall be like.
        negatives: what it shall not be like; at least one.
        features: module from planes to a list of maps, see `style`.
        floor: added to the denominator, for parts that all images share.

    Returns:
        Scalar in 0..1: 0 at the positive, near 1 at a single negative.
    """
    with torch.no_grad():
        goods = features(positive)
        bads = [features(negative) for negative in negatives]
    found = features(anchor)
    losses = []
    for level, feature in enumerate(found):
        near = _distance(feature, goods[level])
        far = torch.stack([_distance(feature, bad[level]) for bad in bads]).sum(0)
        losses.append((near / (near + far + floor)).mean())
    return torch.stack(losses).mean()


def coupled_contrastive(fused: Tensor, thermal: Tensor, visible: Tensor, features: Features,
                        mask: Tensor | None = None) -> Tensor:
    """CoCoNet's pair: targets against the visible image, background against the thermal image.

    `L(m f; m t, m v) + L((1 - m) f; (1 - m) v, (1 - m) t)` with `contrastive_loss`.

    Args:
        fused: (n, 1, h, w) in 0..1.
        thermal: source of the same shape.
        visible: source of the same shape.
        features: see `contrastive_loss`.
        mask: (n, 1, h, w) in 0..1, 1 at targets; None for `saliency.target_mask(thermal)`.

    Returns:
        Scalar in 0..2.
    """
    m = target_mask(thermal) if mask is None else mask
    rest = 1 - m
    return (contrastive_loss(m * fused, m * thermal, [m * visible], features)
            + contrastive_loss(rest * fused, rest * visible, [rest * thermal], features))


def _distance(first: Tensor, second: Tensor) -> Tensor:
    """Mean absolute difference of each image, (n,)."""
    return (first - second).abs().flatten(1).mean(1)
