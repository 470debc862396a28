# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Flicker of fused video: change from frame to frame that the inputs do not explain.

Images are divided into blocks; b(x) is the brightness of a block of image x (mean) and c(x) its
local contrast (standard deviation), both in grey levels. D is the difference between two frames
that follow each other. A block is still in a pair of frames where neither input moves there: less
than `STILL_LEVELS` of `|D b|` remain after the change of the whole image (median over blocks, such
as of exposure or of thermal gain control) is taken off. All means below run over still blocks:

    flicker(x)  = mean |D b(x)|                            of fused image, RGB image, thermal image
    ratio       = flicker(fused) / max(flicker(rgb), flicker(thermal))
    unexplained = mean |D b(fused) - p D b(rgb) - q D b(thermal)|
    consistency = 1 - sum (D b(fused) - p D b(rgb) - q D b(thermal))^2 / sum (D b(fused))^2

p and q are the least squares fit for each block over about `WINDOW` pairs of frames that follow
each other (ridge `RIDGE`): methods weigh the inputs differently from place to place, but should not
do so from frame to frame. Videos of a few frames leave the fit too much freedom to say anything.
`contrast_*` is the same for c.

A ratio of at most 1 says that the fused video flickers no more than the less steady of its inputs.
A consistency of 1 says that all change comes from the inputs, 0 that none does. Rounding to 8 bits
leaves about 0.05 grey levels unexplained where images are flat.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ivif_ros.errors import ImageError
from ivif_ros.types import Array

BLOCK = 16
"""Side of a block in pixels; what remains at the right and lower border is left out."""

STILL_LEVELS = 3.0
"""Grey levels of change in either input from which a block moves."""

WINDOW = 30
"""Pairs of frames over which the share of each input is taken as constant."""

RIDGE = 4e-4
"""Squared grey levels per pair of frames that hold the fit where the inputs do not change: the
rounding error of the mean of a block."""


@dataclass(frozen=True)
class Flicker:
    """Figures of one video, in grey levels unless said; NaN where no block was ever still.

    Attributes:
        fused: flicker of the brightness of the fused image.
        rgb: flicker of the RGB image.
        thermal: flicker of the thermal image.
        ratio: of the fused image to the less steady input, no unit.
        unexplained: change of the fused image that a mix of the inputs' changes does not explain.
        consistency: share of the change (squared) that is explained, 0..1.
        contrast_fused: flicker of the local contrast of the fused image.
        contrast_ratio: of that to the less steady input, no unit.
        still: share of blocks that were still, 0..1.
        pairs: pairs of frames that were looked at.
    """

    fused: float
    rgb: float
    thermal: float
    ratio: float
    unexplained: float
    consistency: float
    contrast_fused: float
    contrast_ratio: float
    still: float
    pairs: int


class FlickerMeter:
    """Collects a video frame by frame; keeps a few numbers per block, not the images."""

    def __init__(self) -> None:
        """Start before the first frame."""
        self._frames: list[Array] = []

    def add(self, fused: Array, thermal: Array, rgb: Array) -> None:
        """Take the next frame.

        Args:
            fused: (H, W) uint8 grey fused image.
            thermal: (H, W) uint8 thermal image on the same grid.
            rgb: (H, W) uint8 grey RGB image.

        Raises:
            ImageError: images that are not grey uint8, differ in size from each other or from the
                frame before, or are smaller than one block.
        """
        images = (fused, rgb, thermal)
        for name, image in zip(('fused', 'RGB', 'thermal'), images, strict=True):
            if image.ndim != 2 or image.dtype != np.uint8 or image.shape != fused.shape:
                raise ImageError(
                    f'{name} image is {image.shape} {image.dtype}, expected (H, W) uint8 of the '
                    f'size of the fused image {fused.shape[:2]}', 'bad_shape')
        if min(fused.shape) < BLOCK:
            raise ImageError(
                f'image of {fused.shape[1]}x{fused.shape[0]} is too small, expected at least '
                f'{BLOCK} pixels a side', 'bad_shape')
        measured = np.stack([_blocks(image) for image in images])
        if self._frames and self._frames[-1].shape != measured.shape:
            raise ImageError(
                'the size of the images changed within the video; use a new FlickerMeter',
                'bad_shape')
        self._frames.append(measured)

    def result(self) -> Flicker:
        """Compute the figures of the frames so far.

        Raises:
            ImageError: fewer than two frames.
        """
        if len(self._frames) < 2:
            raise ImageError(
                f'{len(self._frames)} frames, flicker needs at least two', 'too_few')
        # (pairs, source, brightness or contrast, rows, columns)
        change = np.diff(np.stack(self._frames), axis=0)
        brightness, contrast = change[:, :, 0], change[:, :, 1]
        still = _still(brightness[:, 1:])
        fused, rgb, thermal = (_mean(np.abs(brightness[:, i]), still) for i in range(3))
        contrasts = [_mean(np.abs(contrast[:, i]), still) for i in range(3)]
        rest = _unexplained(brightness, still)
        own = (brightness[:, 0] ** 2)[still].sum()
        left = (rest ** 2)[still].sum()
        consistency = max(0.0, 1 - float(left / own)) if own > 0 else 1.0
        return Flicker(
            fused, rgb, thermal, _ratio(fused, max(rgb, thermal)), _mean(np.abs(rest), still),
            consistency if still.any() else float('nan'), contrasts[0],
            _ratio(contrasts[0], max(contrasts[1:])), float(still.mean()), len(change))


def _blocks(image: Array) -> Array:
    """Mean and standard deviation of each block: (2, rows, columns) float64."""
    rows, columns = image.shape[0] // BLOCK, image.shape[1] // BLOCK
    x = image[:rows * BLOCK, :columns * BLOCK].astype(np.float64)
    mean, square = (cv2.resize(y, (columns, rows), interpolation=cv2.INTER_AREA)
                    for y in (x, x * x))
    return np.stack((mean, np.sqrt(np.maximum(square - mean * mean, 0))))


def _still(inputs: Array) -> Array:
    """Blocks (pairs, rows, columns) where neither input (pairs, 2, rows, columns) moves."""
    whole = np.median(inputs, axis=(2, 3), keepdims=True)
    still: Array = (np.abs(inputs - whole) < STILL_LEVELS).all(axis=1)
    return still


def _unexplained(change: Array, still: Array) -> Array:
    """What the fit of the inputs' changes leaves of the fused one: (pairs, rows, columns).

    Args:
        change: (pairs, 3, rows, columns) of fused, RGB and thermal brightness.
        still: (pairs, rows, columns), what the fit looks at.
    """
    rest = np.empty_like(change[:, 0])
    for part in np.array_split(np.arange(len(change)), max(1, round(len(change) / WINDOW))):
        f, v, t = (change[part, i] for i in range(3))
        count = still[part]

        def total(x: Array, count: Array = count) -> Array:
            summed: Array = (x * count).sum(axis=0)
            return summed

        ridge = RIDGE * len(f)
        vv, tt, vt = total(v * v) + ridge, total(t * t) + ridge, total(v * t)
        fv, ft = total(f * v), total(f * t)
        determinant = vv * tt - vt * vt
        p, q = (fv * tt - ft * vt) / determinant, (ft * vv - fv * vt) / determinant
        rest[part] = f - p * v - q * t
    return rest


def _mean(x: Array, where: Array) -> float:
    """Mean over the chosen elements; NaN where there are none."""
    return float(x[where].mean()) if where.any() else float('nan')


def _ratio(a: float, b: float) -> float:
    """Divide; 1 for 0 / 0, infinite for anything else over 0."""
    if b == 0:
        return 1.0 if a == 0 else float('inf')
    return a / b
