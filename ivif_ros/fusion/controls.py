# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What an operator may ask of the fused image at run time, whatever the method.

The controls see luma planes only: the RGB image, the thermal image and what the method made of
them. Where a control asks nothing of the image, it costs nothing.

* Emphasis, below its middle, takes back the brightness that came from the thermal image and leaves
  the details; above it, warm targets rise and their surroundings fall.
* The priors give places to the thermal image where the RGB image is saturated (as OpIVF does, by a
  soft map) or dark.

All figures are in units of luma, 0 (black) to 1 (white).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ivif_ros.fusion.arena import Arena
from ivif_ros.fusion.resample import double, halve_box, pad_to_multiple, smooth
from ivif_ros.parameters import FusionParameters

NEUTRAL = 0.5
"""The emphasis that leaves the result of the method."""

GRID_LEVEL = 3
"""Maps are made on cells of 8 pixels; what varies within one is a detail, the rest brightness."""

UNDERSHOOT = 0.08
"""Share of its brightness by which details may cross the RGB image where brightness was taken back:
more is a halo."""

WARM_RANGE = 0.75, 2.25
"""Deviations above the mean temperature between which a target begins and is complete."""

DEVIATION_FLOOR = 0.02
"""Added to the deviation: a scene of one temperature has noise, and no targets."""

RAISE = 0.6
"""Share of the room up to white by which full emphasis raises a target."""

QUIET = 0.2
"""Share by which full emphasis darkens the surroundings."""

RAMP_LEVEL = 6
"""Towards the border of the thermal image that fades over about a cell of 64 pixels."""

SATURATED_RANGE = 0.85, 0.97
"""Brightness between which RGB cells count as saturated."""

DARK_RANGE = 0.03, 0.25
"""Brightness between which RGB cells stop counting as dark."""


class Controls:
    """Applies the controls of some parameters to fused luma planes."""

    def __init__(self, params: FusionParameters) -> None:
        """Take `emphasis`, `overexposure_prior` and `low_light_prior`."""
        self._emphasis = params.emphasis
        self._saturated = params.overexposure_prior
        self._dark = params.low_light_prior

    def apply(self, visible: Tensor, thermal: Tensor, fused: Tensor, seen: Tensor | None,
              arena: Arena) -> Tensor:
        """Change a fused plane; none of the inputs is changed.

        Args:
            visible: (H, W) float32 luma of the RGB image, 0..1.
            thermal: (H, W) float32, 0..1, warm is bright, without holes.
            fused: (H, W) float32 as the method gave it.
            seen: (H, W) float32, how far the thermal image counts; None: everywhere.
            arena: memory of the result.

        Returns:
            (H, W) float32; `fused` itself where all controls are neutral.
        """
        if self._saturated or self._dark:
            fused = self._give_to_thermal(visible, thermal, fused, arena)
        if self._emphasis < NEUTRAL:
            return _take_back(visible, fused, 1 - self._emphasis / NEUTRAL, arena)
        if self._emphasis > NEUTRAL:
            strength = (self._emphasis - NEUTRAL) / (1 - NEUTRAL)
            return _raise_targets(thermal, fused, seen, strength, arena)
        return fused

    def _give_to_thermal(
            self, visible: Tensor, thermal: Tensor, fused: Tensor, arena: Arena) -> Tensor:
        """Move the plane towards the thermal image where RGB is saturated or dark."""
        out = arena.empty(*fused.shape)
        with arena.scratch():
            mean = smooth(_coarse(visible, GRID_LEVEL, arena), arena)
            share = step(mean, *SATURATED_RANGE).mul_(self._saturated)
            share += (1 - step(mean, *DARK_RANGE)).mul_(self._dark)
            share = _fine(share, GRID_LEVEL, fused, arena)
            return torch.lerp(fused, thermal, share, out=out)


def step(x: Tensor, low: float, high: float) -> Tensor:
    """Rise smoothly from 0 at `low` to 1 at `high` (cubic Hermite)."""
    t = (x - low).mul_(1 / (high - low)).clamp_(0, 1)
    return (3 - 2 * t).mul_(t).mul_(t)


def scene_statistics(thermal: Tensor, seen: Tensor | None) -> tuple[Tensor, Tensor]:
    """Mean temperature of a scene and the unit in which warmth is counted.

    Args:
        thermal: any shape, float32 in 0..1.
        seen: the same shape, weights; None: all equal.

    Returns:
        Mean, and deviation plus `DEVIATION_FLOOR`; two scalar tensors.
    """
    if seen is None:
        mean = thermal.mean()
        deviation = (thermal - mean).square_().mean().sqrt()
    else:
        total = seen.sum().clamp_(min=1e-6)
        mean = (thermal * seen).sum() / total
        deviation = ((thermal - mean).square_() * seen).sum().div_(total).sqrt_()
    return mean, deviation + DEVIATION_FLOOR


def _take_back(visible: Tensor, fused: Tensor, strength: float, arena: Arena) -> Tensor:
    """Remove the brightness that fusion added to or took from the RGB image; keep the details."""
    out = arena.empty(*fused.shape)
    with arena.scratch():
        change = torch.sub(fused, visible, out=arena.empty(*fused.shape))
        base = _coarse(change, GRID_LEVEL, arena)
        base = _fine(smooth(smooth(base, arena), arena), GRID_LEVEL, fused, arena)
        torch.sub(change, base, alpha=strength, out=out)
        # Next to a target its blurred brightness lies on pixels that never had it.
        margin = strength * UNDERSHOOT
        low = torch.clamp(change, max=0, out=base).sub_(visible, alpha=margin)
        torch.maximum(out, low, out=out)
        high = change.clamp_(min=0).add_(visible, alpha=margin)
        return torch.minimum(out, high, out=out).add_(visible)


def _raise_targets(thermal: Tensor, fused: Tensor, seen: Tensor | None, strength: float,
                   arena: Arena) -> Tensor:
    """Raise what is warm for this scene, and darken the rest a little."""
    out = arena.empty(*fused.shape)
    with arena.scratch():
        # At half the size the noise of the thermal image is halved too.
        half = _coarse(thermal, 1, arena)
        level = half
        for _ in range(GRID_LEVEL - 1):
            level = halve_box(pad_to_multiple(level, 2), arena)
        counts = None if seen is None else _coarse(seen, GRID_LEVEL, arena)
        mean, unit = scene_statistics(level, counts)
        warm = step(half.sub_(mean).div_(unit), *WARM_RANGE)
        room = _coarse(fused, GRID_LEVEL, arena)
        for _ in range(GRID_LEVEL - 1):
            room = double(room, arena)
        room = (1 - room[:, :warm.shape[1], :warm.shape[2]]).clamp_(min=0)
        maps = arena.empty(2, *warm.shape[1:])
        torch.mul(warm, room, out=maps[:1]).mul_(RAISE * strength)
        cold = torch.sub(1, warm, out=maps[1:])
        if counts is not None:
            cold.mul_(_inside(counts, arena)[:, :cold.shape[1], :cold.shape[2]])
        cold.mul_(-QUIET * strength).add_(1)
        height, width = fused.shape
        maps = double(maps, arena)[:, :height, :width]
        return torch.addcmul(maps[0], fused, maps[1], out=out)


def _inside(counts: Tensor, arena: Arena) -> Tensor:
    """1 far inside the thermal image, 0 on its border: from the grid to half the size."""
    inside = counts
    for _ in range(RAMP_LEVEL - GRID_LEVEL):
        inside = halve_box(pad_to_multiple(inside, 2), arena)
    inside = smooth(inside, arena).mul_(2).sub_(1).clamp_(min=0)
    for _ in range(RAMP_LEVEL - 1):
        inside = double(inside, arena)
    return inside


def _coarse(plane: Tensor, level: int, arena: Arena) -> Tensor:
    """Means over cells of 2 ** level pixels: (1, h, w), the last cells padded."""
    planes = pad_to_multiple(plane[None], 2 ** level)
    for _ in range(level):
        planes = halve_box(planes, arena)
    return planes


def _fine(planes: Tensor, level: int, like: Tensor, arena: Arena) -> Tensor:
    """Undo `_coarse` smoothly: (H, W) of `like`."""
    for _ in range(level):
        planes = double(planes, arena)
    return planes[0, :like.shape[0], :like.shape[1]]
