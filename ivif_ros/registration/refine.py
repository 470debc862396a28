# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Refinement of a deformation by one pair of images, accepted only on independent evidence."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np

from ivif_ros.registration.align import MARGIN, Fit, Level, descend, make_level, search
from ivif_ros.registration.maps import (
    apply_homography,
    corners,
    grid_nodes,
    map_planes,
    precomposed,
    sample_grid,
    thermal_scale,
)
from ivif_ros.registration.score import agreement
from ivif_ros.types import Array, Deformation, DeformationSource

_WIDTH = 320


class Refinement(NamedTuple):
    deformation: Deformation
    accepted: bool
    score_before: float
    score_after: float
    reason: str


class Pyramid(NamedTuple):
    """Both images on common grids, fine to coarse.

    Attributes:
        levels: finest first, each half as wide as the one before.
        to_full: (3, 3) per level, pixel of the level -> RGB pixel.
    """

    levels: list[Level]
    to_full: list[Array]


def build(rgb, thermal, initial, sigmas=(1.2, 1.4, 1.2)):
    width = _WIDTH
    full = initial.rgb_size
    height = max(round(width * full[1] / full[0] / 4), 12) * 4
    margin = round(MARGIN * width / 4) * 4
    small = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
    luminance = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float32)
    canvas, valid = _canvas(thermal, initial, (width, height), margin)
    levels, to_full = [], []
    for depth, sigma in enumerate(sigmas):
        if depth:
            half = luminance.shape[1] // 2, luminance.shape[0] // 2
            luminance = cv2.resize(luminance, half, interpolation=cv2.INTER_AREA)
            half = canvas.shape[1] // 2, canvas.shape[0] // 2
            canvas = cv2.resize(canvas, half, interpolation=cv2.INTER_AREA)
            valid = cv2.resize(valid, half, interpolation=cv2.INTER_AREA)
            margin //= 2
        levels.append(make_level(luminance, canvas, valid, margin, sigma))
        to_full.append(Deformation.stretch(
            (luminance.shape[1], luminance.shape[0]), full).homography)
    return Pyramid(levels, to_full)


def _canvas(thermal, initial, size, margin):
    """Thermal image on the RGB grid of a level, with a margin around it."""
    wide = size[0] + 2 * margin, size[1] + 2 * margin
    up = Deformation.stretch(size, initial.rgb_size).homography
    to_rgb = up @ np.array([[1.0, 0, -margin], [0, 1.0, -margin], [0, 0, 1.0]])
    grid = initial.grid
    if grid is not None:
        nodes = grid_nodes(wide, grid.shape[1], grid.shape[0])
        grid = sample_grid(grid, initial.rgb_size, apply_homography(to_rgb, nodes))
    laid = Deformation(wide, initial.thermal_size, initial.homography @ to_rgb, grid)
    x, y = map_planes(laid)
    shrink = thermal_scale(laid)
    image = thermal.astype(np.float32)
    if shrink > 1.2:
        image = cv2.GaussianBlur(image, (0, 0), 0.45 * shrink)
    canvas = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = cv2.bitwise_and(cv2.inRange(x, -0.5, initial.thermal_size[0] - 0.5),
                             cv2.inRange(y, -0.5, initial.thermal_size[1] - 0.5))
    return canvas, inside


def shapes(initial: Deformation) -> list[Array]:
    if initial.source is not DeformationSource.NONE:
        return [z * np.eye(2) for z in (0.97, 1.0, 1.03)]
    sx, sy = initial.thermal_size[0] / initial.rgb_size[0], initial.thermal_size[1] / initial.rgb_size[1]
    out = []
    iso = min(sx, sy) / np.array([sx, sy])
    forms = [np.eye(2)] if iso.min() > 0.97 else [np.eye(2), np.diag(iso)]
    for f in forms:
        out += [z * f for z in (0.78, 0.84, 0.9, 0.95, 1.0, 1.06, 1.13, 1.2)]
        for a in (-0.05, 0.05):
            out += [z*np.array([[1, -a], [a, 1]]) @ f for z in (.93,1.04)]
    return out


def estimate(rgb, thermal, initial, keep=3):
    p = build(rgb, thermal, initial)
    found = search(p.levels[2], shapes(initial), keep)
    fits = [descend(p.levels[2], c, 'affine', 8) for s, c in found]
    best = max(fits, key=lambda f: f.correlation)
    c = _between(p, 2, 1, best.correction)
    mid = descend(p.levels[1], c, 'affine', 8)
    c = _between(p, 1, 0, mid.correction)
    fine = descend(p.levels[0], c, 'homography', 6)
    return p, found, best, mid, fine


def _between(p, a, b, c):
    m = np.linalg.inv(p.to_full[b]) @ p.to_full[a]
    return m @ c @ np.linalg.inv(m)


def to_rgb(p, k, c):
    m = p.to_full[k] @ c @ np.linalg.inv(p.to_full[k])
    return m / m[2, 2]

def refine(rgb, thermal, initial):
    before, _ = agreement(rgb, thermal, initial)
    p, _, _, mid, fine = estimate(rgb, thermal, initial)
    found = precomposed(initial, to_rgb(p, 0, fine.correction))
    after, overlap = agreement(rgb, thermal, found)
    ok = after > 1.1 * before and fine.correlation > 0.2
    c = float(np.clip((fine.correlation - 0.2) / 0.3, 0, 1)) if ok else 0.0
    found = replace(found, confidence=c, residual_px=5.0, source=DeformationSource.ESTIMATED)
    return Refinement(found if ok else initial, ok, before, after, '' if ok else 'agreement did not improve')
