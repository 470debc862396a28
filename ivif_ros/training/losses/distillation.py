# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Distillation: a small network learns the pictures of a large one (MMDRFuse and others)."""

from __future__ import annotations

from torch import Tensor

from ivif_ros.training.losses.pixel import gradient_of, intensity_of


def distillation(fused: Tensor, teacher: Tensor, gradient_weight: float = 1.0,
                 power: int = 1) -> Tensor:
    """`mean |f - T|^p + weight * mean |nabla f - nabla T|^p`.

    Args:
        fused: (n, 1, h, w) of the student, in 0..1.
        teacher: (n, 1, h, w) of the teacher; nothing flows back to it.
        gradient_weight: of the signed Sobel gradient (over 4) against the intensity.
        power: 1 or 2.

    Returns:
        Scalar, 0 where the student equals the teacher.
    """
    teacher = teacher.detach()
    loss = intensity_of(fused, teacher, power)
    if gradient_weight:
        loss = loss + gradient_weight * gradient_of(fused, teacher, power)
    return loss
