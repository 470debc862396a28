# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Illumination-aware loss (PIAFusion, Tang et al. 2022): by day the visible image leads."""

from __future__ import annotations

import torch
from torch import Tensor

from ivif_ros.training.losses.filters import single
from ivif_ros.training.losses.pixel import intensity_weighted

_DUSK = 0.2  # mean luma between day and night pictures of driving (MSRS: night < 0.27, day > 0.16)
_SOFTNESS = 0.04


@torch.no_grad()
def luma_day_probability(visible: Tensor, dusk: float = _DUSK,
                         softness: float = _SOFTNESS) -> Tensor:
    """Probability of daylight from the mean luma, `sigmoid((mean - dusk) / softness)`.

    A stand-in for PIAFusion's classifier where none is trained.

    Args:
        visible: (n, 1, h, w) luma in 0..1.
        dusk: mean luma that is neither day nor night.
        softness: change of the mean luma that makes odds of e.

    Returns:
        (n,) in 0..1.
    """
    return torch.sigmoid((single(visible).mean((1, 2, 3)) - dusk) / softness)


def illumination_weights(day: Tensor, night: Tensor) -> tuple[Tensor, Tensor]:
    """`W_ir = P_n / (P_d + P_n)` and `W_vi = P_d / (P_d + P_n)`.

    Args:
        day: (n,) or (n, 1) probability or score of day, 0 or more.
        night: the same of night.

    Returns:
        Weights of the thermal and of the visible image, (n, 1, 1, 1) each; they sum to 1.
    """
    thermal = (night + 1e-6) / (day + night + 2e-6)
    thermal = thermal.reshape(-1, 1, 1, 1)
    return thermal, 1 - thermal


def illumination_intensity(fused: Tensor, thermal: Tensor, visible: Tensor,
                           day: Tensor | None = None) -> Tensor:
    """`mean W_ir |f - t| + W_vi |f - v|`.

    Args:
        fused: (n, 1, h, w) in 0..1.
        thermal: source of the same shape.
        visible: source of the same shape.
        day: (n,) probability of day, None for `luma_day_probability(visible)`. It is taken as
            given: the loss must not persuade the classifier.

    Returns:
        Scalar; least at the source that leads.
    """
    day = luma_day_probability(visible) if day is None else day.detach()
    weight, _ = illumination_weights(day, 1 - day)
    return intensity_weighted(fused, thermal, visible, weight)
