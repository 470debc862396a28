# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Which camera a fused image relies on at each place, whatever method made it."""

from __future__ import annotations

import torch
from torch import Tensor

from ivif_ros.fusion.arena import Arena
from ivif_ros.fusion.resample import double, halve_box, pad_to_multiple, smooth

GRID_LEVEL = 3
"""The share is measured on cells of 8 pixels."""

WIDE_LEVELS = 3
"""Cells that say little take the share of cells this many levels coarser."""

DETAIL_GAIN = 100.0
"""Times the energy of details: brightness differs far more than details do."""

EVIDENCE = 2e-4
"""Energy of the difference of both images (about 4 grey levels) from which a cell decides."""


def contribution(visible: Tensor, thermal: Tensor, fused: Tensor, arena: Arena) -> Tensor:
    """Share of the thermal image in a fused one, by local least squares.

    The share w of a neighbourhood minimises `sum g |(f - v) - w (t - v)|^2` over brightness (g = 1)
    and details (g = DETAIL_GAIN): 0 where the fused image f is the RGB image v, 1 where it is the
    thermal image t. Where both images are the same nothing can be said; such places take the share
    of their wider surroundings, and one half where that says nothing either.

    Args:
        visible: (H, W) float32 luma, 0..1.
        thermal: (H, W) float32, 0..1.
        fused: (H, W) float32 luma, 0..1.
        arena: memory of the result.

    Returns:
        (H, W) float32 in 0..1.
    """
    height, width = fused.shape
    out = arena.empty(height, width)
    with arena.scratch():
        pair = arena.empty(2, height, width)
        torch.sub(fused, visible, out=pair[0])
        torch.sub(thermal, visible, out=pair[1])
        # At half the size there is less noise, and a quarter of the work.
        pair = halve_box(pad_to_multiple(pair, 2 ** (GRID_LEVEL + WIDE_LEVELS)), arena)
        coarse = pair
        for _ in range(GRID_LEVEL - 1):
            coarse = halve_box(coarse, arena)
        base = coarse
        for _ in range(GRID_LEVEL - 1):
            base = double(base, arena)
        detail = pair.sub_(base)
        sums = _products(detail)
        for _ in range(GRID_LEVEL - 1):
            sums = halve_box(sums, arena)
        sums = smooth(sums.mul_(DETAIL_GAIN).add_(_products(coarse)), arena)
        wide = sums
        for _ in range(WIDE_LEVELS):
            wide = halve_box(wide, arena)
        share = _ratio(smooth(wide, arena), torch.full_like(wide[:1], 0.5))
        for _ in range(WIDE_LEVELS):
            share = double(share, arena)
        share = _ratio(sums, share).clamp_(0, 1)
        for _ in range(GRID_LEVEL):
            share = double(share, arena)
        return out.copy_(share[0, :height, :width])


def _products(pair: Tensor) -> Tensor:
    """(f - v)(t - v) and (t - v)^2 as (2, h, w)."""
    return pair * pair[1:]


def _ratio(sums: Tensor, prior: Tensor) -> Tensor:
    """Least squares with a prior of weight EVIDENCE: (1, h, w)."""
    return prior.mul(EVIDENCE).add_(sums[:1]).div_(sums[1:] + EVIDENCE)
