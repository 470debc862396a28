# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Fusion pixel by pixel: the baselines that everything else must beat."""

from __future__ import annotations

import torch
from torch import Tensor

from ivif_ros.fusion.registry import register


@register('average')
class Average:
    """Mean of both images: halves the contrast of each, adds nothing of its own."""

    def __call__(self, visible: Tensor, thermal: Tensor, weight: Tensor | None) -> Tensor:
        """Fuse (1, 1, H, W) luma planes in 0..1."""
        return (visible + thermal).mul_(0.5)


@register('maximum')
class Maximum:
    """The brighter of both: keeps lights and warm targets, hides whatever is dark in either."""

    def __call__(self, visible: Tensor, thermal: Tensor, weight: Tensor | None) -> Tensor:
        """Fuse (1, 1, H, W) luma planes in 0..1."""
        return torch.maximum(visible, thermal)
