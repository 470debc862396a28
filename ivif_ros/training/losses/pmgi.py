# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Proportional maintenance of gradient and intensity (PMGI, Zhang et al. 2020)."""

from __future__ import annotations

from torch import Tensor

from ivif_ros.training.losses.filters import gradient_magnitude
from ivif_ros.training.losses.pixel import gradient_of, intensity_of


def proportional_loss(fused: Tensor, thermal: Tensor, visible: Tensor, *,
                      thermal_intensity: float = 1.0, visible_intensity: float = 0.5,
                      thermal_gradient: float = 1.0, visible_gradient: float = 2.0,
                      signed: bool = True) -> Tensor:
    """Keep fixed proportions of intensity and gradient of each source.

    `b1 |f - t|^2 + b2 |f - v|^2 + b3 |nabla f - nabla t|^2 + b4 |nabla f - nabla v|^2`, means over
    pixels, Sobel gradients over 4. The optimum is a compromise: its intensity is the b1 : b2 mean
    of the sources where both are smooth, its gradient the b3 : b4 mean at edges. Of signed
    gradients, as in the authors' program, edges of opposite contrast cancel (a tree that is dark
    before the sky and warm); of their strengths they do not.

    Args:
        fused: (n, 1, h, w) in 0..1.
        thermal: source of the same shape.
        visible: source of the same shape.
        thermal_intensity: b1.
        visible_intensity: b2.
        thermal_gradient: b3.
        visible_gradient: b4.
        signed: nabla is the gradient; else its strength.

    Returns:
        Scalar; 0 only where the sources agree.
    """
    distance = gradient_of if signed else _strength_of
    return (thermal_intensity * intensity_of(fused, thermal, 2)
            + visible_intensity * intensity_of(fused, visible, 2)
            + thermal_gradient * distance(fused, thermal)
            + visible_gradient * distance(fused, visible))


def _strength_of(fused: Tensor, source: Tensor) -> Tensor:
    return intensity_of(gradient_magnitude(fused) / 4, gradient_magnitude(source) / 4, 2)
