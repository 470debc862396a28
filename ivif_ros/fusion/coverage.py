# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What to do where the thermal camera did not look."""

from __future__ import annotations

import torch
from torch import Tensor

from ivif_ros.fusion.arena import Arena
from ivif_ros.fusion.resample import double, halve_box, pad_to_multiple

FILL_LEVELS = 5
"""Holes are filled from means over up to 32 pixels; further away it hardly matters from where."""

FADE_LEVEL = 4
"""The result fades out over about the 16 pixels of a cell of this level."""


def complete(thermal: Tensor, weight: Tensor, arena: Arena) -> tuple[Tensor, Tensor]:
    """Continue the thermal image into its holes, and let its weight fade out towards them.

    A hole must not become an edge of the fused image. Filled smoothly (pull-push interpolation:
    Gortler et al., The Lumigraph, 1996) it shows methods no step; the faded weight then blends
    their result into the RGB image.

    Args:
        thermal: (H, W) float32.
        weight: (H, W) float32 in 0..1; 0 where there is no thermal image.
        arena: memory of both results.

    Returns:
        The thermal image, unchanged where the weight is above 0. And the weight, falling to 0
        within about 24 pixels inside the border of the covered area, unchanged further inside; the
        border of the RGB image is not such a border.
    """
    height, width = thermal.shape
    fade, full = arena.empty(height, width), arena.empty(height, width)
    with arena.scratch():
        known = arena.empty(2, height, width)
        torch.gt(weight, 0, out=known[1])
        torch.mul(thermal, known[1], out=known[0])
        pulled = [pad_to_multiple(known, 2 ** FILL_LEVELS)]
        for _ in range(FILL_LEVELS):
            pulled.append(halve_box(pulled[-1], arena))

        filled = pulled[-1][:1] / pulled[-1][1:].clamp(min=1e-6)
        for level in reversed(pulled[1:-1]):
            # Cells that are half covered are believed.
            own = level[:1] / level[1:].clamp(min=1e-6)
            filled = double(filled, arena).lerp_(own, level[1:].mul(2).clamp_(max=1))
        filled = double(filled, arena)[0, :height, :width]
        torch.lerp(filled, thermal, known[1], out=full)

        inside = pulled[FADE_LEVEL][1:]
        for _ in range(FADE_LEVEL):
            inside = double(inside, arena)
        # Half of the neighbourhood of a pixel on a straight border is covered: there it ends.
        ramp = inside[0, :height, :width].mul(2).sub_(1).clamp_(0, 1)
        torch.mul(ramp, -2, out=fade).add_(3).mul_(ramp).mul_(ramp).mul_(weight)
    return full, fade
