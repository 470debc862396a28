# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What the values of thermal and colour images say about the camera that made them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from ivif_ros.types import Array, Size

PERCENTILES = (0.1, 1.0, 50.0, 99.0, 99.9)
_SAMPLES = 40_000
"""Pixels of each image that are looked at."""
_LIVEABLE_C = -45.0, 180.0
"""Temperatures of which the middle of a scene is one."""
_LARGEST_SPAN_K = 700.0
_SCALES_K = 0.01, 0.04, 0.1
"""Kelvin per count of cameras with T-linear output."""
_CONVERTED_LEVELS = 256
_DARK, _BRIGHT = 16, 250

Radiometric = Literal['yes', 'likely', 'possible', 'no', 'unknown']


@dataclass(frozen=True)
class ThermalLook:
    """What a few thermal images say.

    Attributes:
        images: how many were looked at.
        size: width, height in pixels.
        dtype: `uint8`, `uint16` or `float32`.
        percentiles: percentile -> value over all images; not finite pixels are left out.
        minimum: smallest value.
        maximum: largest value.
        step: greatest common divisor of the differences between the values that occur; 0 for float.
        bits: bits that the values need once divided by the step; 0 for float.
        at_minimum: share of pixels with the smallest value.
        at_maximum: share of pixels with the largest value.
        not_finite: share of pixels that are NaN or infinite.
        radiometric: whether values are temperatures.
        celsius_scale: degrees per count where they may be; 0 where not.
        celsius_offset: degrees Celsius at count zero, likewise.
        words: what the values seem to be, for people.
    """

    images: int
    size: Size
    dtype: str
    percentiles: dict[float, float]
    minimum: float
    maximum: float
    step: int
    bits: int
    at_minimum: float
    at_maximum: float
    not_finite: float
    radiometric: Radiometric
    celsius_scale: float
    celsius_offset: float
    words: str


@dataclass(frozen=True)
class ColourLook:
    """What a few colour images say.

    Attributes:
        images: how many were looked at.
        size: width, height in pixels.
        brightness: mean luma, 0 to 255.
        dark: share of pixels darker than 16.
        saturated: share of pixels brighter than 250.
        colourless: True where the three channels are equal everywhere.
    """

    images: int
    size: Size
    brightness: float
    dark: float
    saturated: float
    colourless: bool


def look_at_colour(images: Sequence[Array], size: Size) -> ColourLook:
    """Describe colour images.

    Args:
        images: `thinned` (h, w, 3) uint8 BGR, at least one.
        size: width, height of the images before.
    """
    luma = np.concatenate([cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).ravel() for image in images])
    grey = all(bool((image == image[..., :1]).all()) for image in images)
    return ColourLook(len(images), size, float(luma.mean()),
                      float((luma < _DARK).mean()), float((luma > _BRIGHT).mean()), grey)


def look_at_thermal(images: Sequence[Array], size: Size, *,
                    coloured: bool = False) -> ThermalLook:
    """Describe thermal images.

    Args:
        images: `thinned` (h, w) uint8, uint16 or float32, at least one; those of another type than
            the last are left out.
        size: width, height of the images before.
        coloured: True where they came as colour pictures (a palette).
    """
    dtype = images[-1].dtype
    values = np.concatenate([image.ravel() for image in images if image.dtype == dtype])
    total = len(values)
    if dtype == np.float32:
        values = values[np.isfinite(values)]
    lost = 1 - len(values) / total
    if not len(values):
        return ThermalLook(len(images), size, dtype.name, {}, float('nan'), float('nan'),
                           0, 0, 0.0, 0.0, lost, 'unknown', 0.0, 0.0, 'not one finite pixel')
    spread = dict(zip(PERCENTILES, map(float, np.percentile(values, PERCENTILES)), strict=True))
    low, high = float(values.min()), float(values.max())
    levels = np.unique(values) if dtype != np.float32 else np.zeros(0)
    step = int(np.gcd.reduce(np.diff(levels).astype(np.int64))) if len(levels) > 1 else 1
    bits = int((int(high) - (int(low) if step > 1 else 0)) // max(step, 1)).bit_length()
    kind = _Kind.of(dtype.name, spread, low, high, step, len(levels), coloured)
    return ThermalLook(
        len(images), size, dtype.name, spread, low, high,
        0 if dtype == np.float32 else step, 0 if dtype == np.float32 else bits,
        float((values == low).mean()), float((values == high).mean()), lost, kind.radiometric,
        kind.scale, kind.offset, kind.words)


@dataclass(frozen=True)
class _Kind:
    """What values seem to be."""

    radiometric: Radiometric
    words: str
    scale: float = 0.0
    offset: float = 0.0

    @classmethod
    def of(cls, dtype: str, spread: dict[float, float], low: float, high: float, step: int,
           levels: int, coloured: bool) -> _Kind:
        if coloured:
            return cls('no', 'a colour palette, read as grey: its order need not be that of '
                             'temperature')
        if dtype == 'uint8':
            return cls('no', '8 bits behind the gain control of the camera')
        if dtype == 'float32':
            return cls._of_float(spread)
        if high <= 255:
            return cls('no', '8 bits in 16')
        if step > 1 and levels <= _CONVERTED_LEVELS:
            return cls('no', f'8-bit levels converted to 16 bits (all values are {step} apart)')
        if low < 1000 and high > 60_000 and spread[99.9] - spread[0.1] > 40_000:
            return cls('no', '16 bits stretched by a gain control')
        for scale in _SCALES_K:
            middle, first, last = (
                value * scale - 273.15 for value in (spread[50.0], spread[0.1], spread[99.9]))
            if _LIVEABLE_C[0] <= middle <= _LIVEABLE_C[1] and last - first <= _LARGEST_SPAN_K:
                reach = f'{first:.0f} to {last:.0f} degC'
                if scale == _SCALES_K[0]:
                    return cls('likely', f'temperatures, {scale:g} K per count ({reach})', scale,
                               -273.15)
                return cls('possible', f'raw {int(high).bit_length()}-bit counts, or temperatures '
                           f'of {scale:g} K per count ({reach})', scale, -273.15)
        return cls('unknown', f'raw {int(high).bit_length()}-bit counts')

    @classmethod
    def _of_float(cls, spread: dict[float, float]) -> _Kind:
        middle = spread[50.0]
        reach = f'{spread[0.1]:.1f} to {spread[99.9]:.1f}'
        if spread[0.1] >= 0 and spread[99.9] <= 1.001:
            return cls('no', 'normalised to 0..1')
        if _LIVEABLE_C[0] + 273.15 <= middle <= _LIVEABLE_C[1] + 273.15:
            return cls('likely', f'temperatures in kelvin ({reach})', 1.0, -273.15)
        if _LIVEABLE_C[0] <= middle <= _LIVEABLE_C[1]:
            return cls('likely', f'temperatures in degrees Celsius ({reach})')
        return cls('unknown', f'float values of an unknown unit ({reach})')


def thinned(image: Array) -> Array:
    """An even subsample of an image, as a copy."""
    step = max(1, int((image.shape[0] * image.shape[1] / _SAMPLES) ** 0.5))
    return np.array(image[::step, ::step])
