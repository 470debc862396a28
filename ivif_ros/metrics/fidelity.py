# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Visual information fidelity of fused images with each of their sources, on tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from ivif_ros.metrics.windows import gaussian, moments

FIDELITY_SIDE = 72
"""Shortest side of an image: a few windows are left at the fourth scale."""

_NOISE = 2.0  # variance of the visual noise, squared grey levels
_FLAT = 1e-10  # variance that is none


def visual_information_fidelity(fused: Tensor, sources: Tensor) -> Tensor:
    """Compute VIF, see `fusion.visual_information_fidelity`.

    Args:
        fused: (n, 1, H, W) uint8.
        sources: (n, k, H, W) uint8.

    Returns:
        (n, k) float64; 1 for a source without any variance, which has nothing to lose.
    """
    f, s = fused.double(), sources.double()
    kept = total = torch.zeros((), dtype=torch.float64, device=f.device)
    for scale in range(4):
        size = 2 ** (4 - scale) + 1
        window = gaussian(size, size / 5.0)
        if scale:
            f, s = window.sums(f, 2), window.sums(s, 2)
        mf, ms, vf, vs, covariance = moments(f, s, window)
        # Differences of large moments: single precision would drown the variance of flat regions.
        vf.addcmul_(mf, mf, value=-1).clamp_min_(0)
        torch.threshold_(vs.addcmul_(ms, ms, value=-1), _FLAT, 0)
        # Regress the fused image on the source: gain times source plus a remainder. Where the
        # contrast is inverted, nothing of the source is left.
        covariance.addcmul_(mf, ms, value=-1).clamp_min_(0)
        explained = covariance.square_().div_(vs + _FLAT)
        rest = vf.add_(_NOISE).sub(explained).clamp_min_(_NOISE)
        kept = kept + _log1p_sum(explained.div_(rest))
        total = total + _log1p_sum(vs.div_(_NOISE))
    return torch.where(total > 0, kept / total, 1.0)


def _log1p_sum(x: Tensor) -> Tensor:
    """Sum of log(1 + x) over each plane, float64; the logarithms are taken in single precision."""
    return torch.log1p(x.float()).sum((2, 3), dtype=torch.float64)
