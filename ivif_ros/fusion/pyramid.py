# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Fusion in a Laplacian pyramid: details by local energy, brightness by saliency.

The pyramid is Burt and Adelson's (1983) with the binomial filter [1 3 3 1]; choosing details by
their energy goes back to Burt and Kolczynski (1993). What differs from the textbook: choices are
soft, energy below the noise of the image does not count, details that only one camera sees are
added instead of chosen, and the coarsest level keeps the brightness of the RGB image unless that is
black, saturated or holds a warm target. Two equal inputs come back unchanged.

All figures below are in units of luma, 0 (black) to 1 (white).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ivif_ros.fusion.arena import Arena
from ivif_ros.fusion.registry import register
from ivif_ros.fusion.resample import (
    detail_energies,
    double,
    halve,
    halve_box,
    pad_to_multiple,
    smooth,
)

LEVELS = 5
"""The coarsest level has cells of 32 pixels: the details are all that is smaller."""

NOISE_LEVELS = 3
"""Levels on which noise is estimated; further up it has averaged out."""

NOISE_QUANTILE = 0.1
"""The calmest tenth of an image shows its noise."""

NOISE_GAIN = 4.0
"""Times the noise energy that must be exceeded: the calmest tenth understates the rest."""

NOISE_MAX = (6 / 255) ** 2
"""More than this is texture: an image without any calm part."""

SHARPNESS = 3
"""Exponent of the energies: how clearly the stronger detail wins."""

ENERGY_FLOOR = 1e-6
"""Energy (a quarter of a grey level) below which neither image has details."""

NOVELTY = 0.8
"""Share of the weaker detail that is added where it resembles nothing in the stronger one."""

NOVELTY_ENERGY = 2e-5
"""Energy (about one grey level) that a weaker detail needs to be added."""

WARM_GAIN = 8.0
"""Times the energy of thermal details that belong to a warm target."""

WARM_FROM = 2
"""First level with that gain: a target has its shape from the thermal image, and finer texture of
clothes or signs from whichever image shows it."""

BASE_GAIN = 0.3
"""Share of the thermal brightness, as far as the RGB image does not explain it, that is added."""

FLOOR_SHARPNESS = 100.0
"""Steepness of the soft minimum: smooth in time where a plain minimum would jump."""

RING_LEVEL = 2
"""Level (a quarter of the size) on which dark rings around warm targets are taken away."""

HEADROOM = 2.0
"""Amplitudes of thermal detail by which saturated areas are darkened so that it can be seen."""

HEADROOM_MAX = 0.35
"""Most that a saturated area is darkened."""


@register('pyramid')
class Pyramid:
    """The default method."""

    def __init__(self) -> None:
        """Start without memory; the first pair makes it."""
        self._arena: Arena | None = None

    def __call__(self, visible: Tensor, thermal: Tensor, weight: Tensor | None) -> Tensor:
        """Fuse luma planes.

        Args:
            visible: (1, 1, H, W) float32 in 0..1.
            thermal: (1, 1, H, W) float32 in 0..1, warm is bright, without holes.
            weight: (1, 1, H, W) float32, 0 where the thermal camera did not look; None: it saw all.

        Returns:
            (1, 1, H, W), valid until the next call; may leave 0..1 a little where details
            overshoot.
        """
        if self._arena is None or self._arena.device != visible.device:
            self._arena = Arena(visible.device)
        arena = self._arena
        arena.restart()
        height, width = visible.shape[-2:]
        planes = torch.cat((visible[0], thermal[0]), out=arena.empty(2, height, width))
        planes = pad_to_multiple(planes, 2 ** LEVELS)
        # What is wanted of the images of all coarse levels lies side by side, so that each
        # arithmetic operation is done once for all of them.
        grid = _Grid(planes.shape[-2], planes.shape[-1])
        coarse, energies = arena.empty(2, grid.cells), arena.empty(3, grid.cells)
        gains = arena.empty(3, grid.cells)
        seen = _seen(weight, arena)

        details, finer = [], planes
        for level in range(LEVELS):
            halved = halve(finer, arena)
            detail = double(halved, arena)
            details.append(torch.sub(finer, detail, out=detail))
            detail_energies(detail, arena, grid.view(energies, level))
            grid.view(coarse, level).copy_(halved)
            finer = halved

        base = grid.view(coarse, LEVELS - 1)
        mean, deviation, floor = _statistics(base[1], seen[LEVELS])
        warm = _warmth(coarse[1], mean, deviation)
        change = _base_change(base[0], base[1], grid.view(warm[None], LEVELS - 1)[0], mean, floor)
        change -= _headroom(base[0], [grid.view(energies, level) for level in range(LEVELS)], arena)

        ring = _rings(grid.view(warm[None], RING_LEVEL + 1),
                      grid.view(coarse, RING_LEVEL - 1)[0], arena)
        _choose(energies, coarse, warm, seen, grid, arena, gains[1:])
        for level in reversed(range(LEVELS)):
            maps = grid.view(gains, level)
            maps[0] = change
            maps = double(maps, arena)
            change = maps[0].addcmul_(maps[1], details[level][0])
            change.addcmul_(maps[2], details[level][1])
            if level == RING_LEVEL:
                # The detail levels of a warm target swing below zero around it. On the thermal
                # background that is right, on an RGB image in the dark it is a black halo.
                change.addcmul_(change.clamp(max=0), ring, value=-1)
        return change.add_(planes[0])[None, None, :height, :width]


class _Grid:
    """Where each coarse level lies in a buffer (n, cells) of all of them."""

    def __init__(self, height: int, width: int) -> None:
        """Lay out the levels of an image whose sides are multiples of 2 ** LEVELS."""
        self.shapes = [(height >> level, width >> level) for level in range(1, LEVELS + 1)]
        self.starts = [0]
        for h, w in self.shapes:
            self.starts.append(self.starts[-1] + h * w)
        self.cells = self.starts[-1]

    def view(self, buffer: Tensor, level: int) -> Tensor:
        """Images (n, h, w) on the grid that is one coarser than a level."""
        start, end = self.starts[level:level + 2]
        height, width = self.shapes[level]
        return buffer[:, start:end].view(len(buffer), height, width)


def _step(x: Tensor, low: float, high: float) -> Tensor:
    """Rise smoothly from 0 at `low` to 1 at `high` (cubic Hermite)."""
    t = (x - low).mul_(1 / (high - low)).clamp_(0, 1)
    return (3 - 2 * t).mul_(t).mul_(t)


def _seen(weight: Tensor | None, arena: Arena) -> list[Tensor | None]:
    """Share of each cell that the thermal camera saw, (h, w) by level; None: all of it."""
    if weight is None:
        return [None] * (LEVELS + 1)
    seen = arena.empty(1, *weight.shape[-2:])
    levels = [pad_to_multiple(torch.gt(weight[0], 0, out=seen), 2 ** LEVELS)]
    for _ in range(LEVELS):
        levels.append(halve_box(levels[-1], arena))
    return [level[0] for level in levels]


def _statistics(thermal: Tensor, seen: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, deviation and soft minimum of the thermal base (h, w), each a scalar tensor."""
    share = torch.ones_like(thermal) if seen is None else seen
    total = share.sum().clamp_(min=1e-6)
    mean = (thermal * share).sum() / total
    deviation = ((thermal - mean).square_() * share).sum().div(total).sqrt()
    low = torch.logsumexp(
        (share.clamp(min=1e-12).log_() - FLOOR_SHARPNESS * thermal).flatten(), 0)
    return mean, deviation, (total.log() - low) / FLOOR_SHARPNESS


def _warmth(thermal: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """0 for the usual temperature of the scene, 1 for 2.5 deviations above it."""
    return _step((thermal - mean).div_(deviation + 0.02), 1.0, 2.5)


def _rings(warm: Tensor, visible: Tensor, arena: Arena) -> Tensor:
    """1 on and around warm targets where the RGB image is dark.

    Args:
        warm: (1, h, w) from `_warmth`.
        visible: (4 h, 4 w) luma.
        arena: memory of the result.

    Returns:
        (4 h, 4 w).
    """
    around = smooth(smooth(warm, arena), arena).mul_(3).clamp_(max=1)
    return double(double(around, arena), arena)[0].mul_(1 - _step(visible, 0.15, 0.4))


def _base_change(
        visible: Tensor, thermal: Tensor, warm: Tensor, mean: Tensor, floor: Tensor) -> Tensor:
    """What to add to the base (h, w) of the RGB image.

    The thermal level is taken from the coldest part of the scene, so that a cold flat thermal image
    adds nothing. Dark and warm cells are raised to it; elsewhere a share of what the RGB image does
    not explain (the residual of a linear fit) is added.
    """
    dark = 1 - _step(visible, 0.2, 0.6)
    lift = torch.maximum(dark, warm)
    change = lift.mul_((thermal - floor - visible).clamp_(min=0))
    v, t = visible - visible.mean(), thermal - mean
    slope = ((v * t).mean() / (v.square().mean() + 1e-6)).clamp_(0, 1)
    residual = t - slope * v
    # Darkening what is dark already would only hide it.
    lit = _step(visible, 0.05, 0.35)
    return change.add_(torch.where(residual < 0, residual * lit, residual), alpha=BASE_GAIN)


def _headroom(visible: Tensor, energies: list[Tensor], arena: Arena) -> Tensor:
    """How far to darken cells (h, w) where the RGB image is saturated and the thermal one is not.

    White on white cannot be seen: thermal details need room above themselves.
    """
    total = energies[0][:2]
    for energy in energies[1:]:
        total = halve_box(total, arena).add_(energy[:2])
    amplitude = (total[1] - 2 * total[0]).clamp_(min=0).sqrt_()
    return amplitude.mul_(HEADROOM).clamp_(max=HEADROOM_MAX).mul_(_step(visible, 0.88, 0.98))


def _choose(
        energies: Tensor, coarse: Tensor, warm: Tensor, seen: list[Tensor | None], grid: _Grid,
        arena: Arena, out: Tensor) -> None:
    """Weights of the details of all levels, each on the next coarser grid.

    Args:
        energies: (3, cells) from `detail_energies`; used up.
        coarse: (2, cells) luma and thermal levels.
        warm: (cells,) from `_warmth`; used up.
        seen: from `_seen`.
        grid: where each level lies.
        arena: memory for intermediate results.
        out: (2, cells): change of the RGB details (0 keeps them, -1 removes them), weight of the
            thermal ones.
    """
    own, other, novel = energies
    with arena.scratch():
        buffer = arena.empty(grid.cells)
        # Novelty: 1 - |correlation| of both details.
        torch.mul(own, other, out=buffer).add_(1e-14).sqrt_()
        novel.abs_().div_(buffer).mul_(-NOVELTY).add_(NOVELTY).clamp_(min=0)
        for level in range(NOISE_LEVELS):
            images = grid.view(energies, level)
            for image, inside in ((images[0], None), (images[1], seen[level + 1])):
                image.sub_(_noise(image, inside), alpha=NOISE_GAIN)
        energies[:2].clamp_(min=0)
        added = torch.add(energies[:2], NOVELTY_ENERGY, out=arena.empty(2, grid.cells))
        torch.div(energies[:2], added, out=out).mul_(novel)

        # A target is warm and brighter in the thermal image than in the other.
        first = grid.starts[WARM_FROM]
        warm = warm[first:].mul_(_step(coarse[1, first:] - coarse[0, first:], -0.1, 0.1))
        other[first:].addcmul_(other[first:], warm, value=WARM_GAIN)
        # In units of the floor, so that the powers stay far from the smallest floats.
        energies[:2].mul_(1 / ENERGY_FLOOR).pow_(SHARPNESS)
        own.add_(other).add_(1)
        # Without details in either, black areas take what little the thermal image has.
        black = torch.sub(coarse[0], 0.02, out=buffer).mul_(-1 / 0.08).add_(1).clamp_(0, 1)
        choice = other.add_(black).div_(own)
        out[0].sub_(1).mul_(choice)
        out[1].addcmul_(choice, torch.sub(1, out[1], out=buffer))


def _noise(energy: Tensor, seen: Tensor | None) -> Tensor:
    """Noise energy of one level: that of its calmest part, from about a thousand samples."""
    step = max(1, math.isqrt(energy.numel() // 1024))
    sample = energy[::step, ::step].flatten()
    if seen is None:
        rank = max(1, int(NOISE_QUANTILE * sample.numel()))
        calm = sample.kthvalue(rank).values
    else:
        inside = seen[::step, ::step].flatten() > 0.99
        calm = torch.where(inside, sample, torch.nan).nanquantile(NOISE_QUANTILE).nan_to_num(0.0)
    return calm.clamp_(max=NOISE_MAX)
