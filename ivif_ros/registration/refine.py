# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Refinement of a deformation by one pair of images, accepted only on independent evidence.

Coarse to fine on structure that both sensors see (`features`): a search over shift, zoom and turn
at 1/8 of the resolution, then descent over a similarity, an affine map and a homography
(`align`). What comes out is believed only if the local correlation of the grey levels (`score`),
which nothing was optimised for, says so.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from ivif_ros.registration.align import MARGIN, Fit, Level, descend, make_level, search
from ivif_ros.registration.estimate import Estimate
from ivif_ros.registration.maps import (
    apply_homography,
    corners,
    distance_px,
    grid_nodes,
    map_planes,
    precomposed,
    sample_grid,
    thermal_scale,
)
from ivif_ros.registration.score import agreement
from ivif_ros.types import Array, Deformation, DeformationSource, check_image

_WIDTH = 320
_SIGMA = 1.0
_SMALLEST = 64
_FLAT = 2.0
_LEVELS = 3
_CANDIDATES = 3
_REFERENCE_WIDTH = 640.0
_ZOOMS = (0.78, 0.84, 0.9, 0.95, 1.0, 1.06, 1.13, 1.2)
_TURNED_ZOOMS = (0.93, 1.04)
_TURN = 0.05
_KNOWN_ZOOMS = (0.97, 1.0, 1.03)
_REACH = {True: 0.35, False: 0.15}
"""Largest shift of a corner as a share of the RGB width, by whether nothing was known before."""

# Expected error: log(px at 640 px width) = w . (1, correlation, log score, log gain, move / 50 px),
# a least-squares fit to 210 pairs with known truth; benchmarks/registration.py prints how it holds.
_ERROR_WEIGHTS = np.array([-0.066, -0.539, -0.790, -0.656, 1.005])
_LARGEST_ERROR = 6.0
_ERROR_SCALE = 5.0
_LEAST_GAIN = 1.1
_CLEAR_GAIN = 1.5
_SIGNIFICANT = 3.0


def refine(rgb: Array, thermal: Array, initial: Deformation) -> Estimate:
    """Correct a first guess by a homography, or confirm or keep it.

    Args:
        rgb: (H, W, 3) uint8 BGR.
        thermal: (h, w) uint8; whether warm is bright or dark does not matter.
        initial: backward map RGB -> thermal to start from. With source NONE the search is wide
            (zoom 0.78 to 1.2, shifts to a fifth of the width, turns of 3 degrees), else narrow.

    Returns:
        The refinement; a deformation in it has source ESTIMATED when accepted.

    Raises:
        ImageError: an image of impossible shape or type.
    """
    check_image(rgb, 'RGB image')
    check_image(thermal, 'thermal image')
    problem = _unusable(rgb, thermal, initial)
    if problem:
        return Estimate(initial, False, problem)
    before, _ = agreement(rgb, thermal, initial)
    fit, correction = _estimate(rgb, thermal, initial)
    problem = _implausible(correction, initial)
    if problem:
        return Estimate(initial, False, problem)
    found = precomposed(initial, correction)
    after, _ = agreement(rgb, thermal, found)
    moved = distance_px(initial, found) * _REFERENCE_WIDTH / initial.rgb_size[0]
    gain = after / max(before, 1e-3)
    expected = expected_error(fit.correlation, after, gain, moved)
    if expected > _LARGEST_ERROR:
        return Estimate(initial, False, (
            f'images agree too little (score {after:.2f}, structure {fit.correlation:.2f})'))
    # A correction must be several times larger than its own error, or improve the images a lot; a
    # smaller one tells that the first guess is right, as far as these images can tell.
    significant = gain > _CLEAR_GAIN or moved > _SIGNIFICANT * expected
    if gain > _LEAST_GAIN and significant:
        return Estimate(_supported(found, expected), True, '')
    doubt = float(np.hypot(expected, 0.5 * moved))
    if not significant and doubt <= _LARGEST_ERROR:
        return Estimate(_supported(initial, doubt), True, '')
    return Estimate(initial, False, (
        f'score does not improve enough (from {before:.3f} to {after:.3f})'))


def _supported(deformation: Deformation, error_px: float) -> Deformation:
    """Mark a deformation as estimated, with the error expected in pixels of an image 640 wide."""
    return replace(
        deformation, confidence=float(np.exp(-error_px / _ERROR_SCALE)),
        residual_px=error_px * deformation.rgb_size[0] / _REFERENCE_WIDTH,
        source=DeformationSource.ESTIMATED)


def expected_error(correlation: float, score: float, gain: float, moved_px: float) -> float:
    """Mean end-point error that such an estimate has had on pairs with known truth.

    Args:
        correlation: of the structure after the last step, -1..1.
        score: independent agreement after it, 0..1.
        gain: that score divided by the one before.
        moved_px: mean length of the correction in pixels of an image 640 wide.

    Returns:
        Expected error in pixels of an image 640 wide.
    """
    evidence = np.array([
        1.0, correlation, np.log(max(score, 0.01)), np.log(np.clip(gain, 0.5, 3.0)),
        moved_px / 50.0])
    return float(np.exp(_ERROR_WEIGHTS @ evidence))


def _unusable(rgb: Array, thermal: Array, initial: Deformation) -> str:
    """Why no estimate can be made from these images; empty where one can."""
    sizes = (rgb.shape[1], rgb.shape[0]), (thermal.shape[1], thermal.shape[0])
    if sizes != (initial.rgb_size, initial.thermal_size):
        return (f'images are {sizes[0]} and {sizes[1]}, the first guess is for {initial.rgb_size} '
                f'and {initial.thermal_size}')
    if min(*sizes[0], *sizes[1]) < _SMALLEST:
        return f'an image is smaller than {_SMALLEST} px'
    for name, image in (('RGB', rgb), ('thermal', thermal)):
        if float(image[::4, ::4].std()) < _FLAT:
            return f'{name} image is flat'
    return ''


def _implausible(correction: Array, initial: Deformation) -> str:
    """Why a correction cannot be true; empty where it can."""
    width, height = initial.rgb_size
    before = corners(initial.rgb_size)
    after = apply_homography(correction, before)
    unknown = initial.source is DeformationSource.NONE
    # Without knowledge the aspect ratio may be wrong by half the image as well.
    reach = _REACH[unknown] * max(width, height)
    if not np.isfinite(after).all() or np.linalg.norm(after - before, axis=1).max() > reach:
        return 'estimate moves a corner farther than is plausible'
    sides = np.roll(after, -1, axis=0) - after
    turns = sides[:, 0] * np.roll(sides, -1, axis=0)[:, 1] - (
        sides[:, 1] * np.roll(sides, -1, axis=0)[:, 0])
    area = (width - 1.0) * (height - 1.0)
    if turns.min() < 0.3 * area or turns.max() > 2.5 * area:
        return 'estimate folds, shrinks or stretches the image'
    return ''


def _estimate(rgb: Array, thermal: Array, initial: Deformation) -> tuple[Fit, Array]:
    """Search and descend; returns the last fit and the correction in RGB pixels."""
    levels, to_rgb = _pyramid(rgb, thermal, initial)
    coarse = levels[-1]
    starts = [start for _, start in search(coarse, _shapes(initial), _CANDIDATES)]
    if initial.source is not DeformationSource.NONE:
        starts.append(np.eye(3))
    fits = [descend(coarse, start, 'similarity', 8) for start in starts]
    fit = max(fits, key=lambda candidate: candidate.correlation)
    correction = _between(to_rgb[2], to_rgb[1], fit.correction)
    fit = descend(levels[1], correction, 'affine', 8)
    correction = _between(to_rgb[1], to_rgb[0], fit.correction)
    fit = descend(levels[0], correction, 'homography', 5)
    correction = _between(to_rgb[0], np.eye(3), fit.correction)
    return fit, correction / correction[2, 2]


def _between(source: Array, target: Array, correction: Array) -> Array:
    """Express a correction in the pixels of another level."""
    change = np.linalg.inv(target) @ source
    return np.asarray(change @ correction @ np.linalg.inv(change))


def _shapes(initial: Deformation) -> list[Array]:
    """Zooms, turns and aspect ratios worth trying, (2, 2) each."""
    if initial.source is not DeformationSource.NONE:
        return [zoom * np.eye(2) for zoom in _KNOWN_ZOOMS]
    scales = np.array(initial.thermal_size) / np.array(initial.rgb_size)
    # The whole image stretched, and square pixels: images are cropped as often as they are resized.
    aspects = [np.eye(2)]
    square = scales.min() / scales
    if square.min() < 0.97:
        aspects.append(np.diag(square))
    turns = [np.array([[1.0, -turn], [turn, 1.0]]) for turn in (-_TURN, _TURN)]
    upright = [zoom * aspect for aspect in aspects for zoom in _ZOOMS]
    return upright + [
        zoom * turn @ aspect for aspect in aspects for turn in turns for zoom in _TURNED_ZOOMS]


def _pyramid(rgb: Array, thermal: Array, initial: Deformation) -> tuple[list[Level], list[Array]]:
    """Both images on common grids, finest first, and the (3, 3) maps from each to RGB pixels."""
    step = 2 ** (_LEVELS - 1)
    width = _WIDTH
    height = max(round(width * initial.rgb_size[1] / initial.rgb_size[0] / step), 8) * step
    margin = round(MARGIN * width / step) * step
    small = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
    luminance: Array = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float32)
    canvas, valid = _canvas(thermal, initial, (width, height), margin)
    levels, to_rgb = [], []
    for depth in range(_LEVELS):
        if depth:
            luminance, canvas, valid = (
                cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2),
                           interpolation=cv2.INTER_AREA)
                for image in (luminance, canvas, valid))
        levels.append(make_level(luminance, canvas, valid, margin >> depth, _SIGMA))
        to_rgb.append(Deformation.stretch(
            (luminance.shape[1], luminance.shape[0]), initial.rgb_size).homography)
    return levels, to_rgb


def _canvas(thermal: Array, initial: Deformation, size: tuple[int, int],
            margin: int) -> tuple[Array, Array]:
    """Thermal image on the RGB grid of the finest level with a margin, and where it shows."""
    wide = size[0] + 2 * margin, size[1] + 2 * margin
    to_rgb = Deformation.stretch(size, initial.rgb_size).homography @ np.array(
        [[1.0, 0, -margin], [0, 1.0, -margin], [0, 0, 1.0]])
    grid = initial.grid
    if grid is not None:
        nodes = grid_nodes(wide, grid.shape[1], grid.shape[0])
        grid = sample_grid(grid, initial.rgb_size, apply_homography(to_rgb, nodes))
    laid = Deformation(wide, initial.thermal_size, initial.homography @ to_rgb, grid)
    x, y = map_planes(laid)
    shrink = thermal_scale(laid)
    image: Array = thermal.astype(np.float32)
    if shrink > 1.2:
        image = cv2.GaussianBlur(image, (0, 0), 0.45 * shrink)
    canvas = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = cv2.bitwise_and(cv2.inRange(x, -0.5, initial.thermal_size[0] - 0.5),
                             cv2.inRange(y, -0.5, initial.thermal_size[1] - 0.5))
    return canvas, inside
