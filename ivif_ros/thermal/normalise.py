# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""From raw thermal images to 8 bits with steady contrast."""

from __future__ import annotations

import math

import cv2
import numpy as np

from ivif_ros.errors import ImageError, ParameterError
from ivif_ros.parameters import ThermalParameters
from ivif_ros.thermal.clahe import equalise
from ivif_ros.thermal.timing import elapsed_ns
from ivif_ros.types import Array, check_image

_SAMPLES = 20_000


class ThermalNormaliser:
    """Maps thermal images to uint8 in which warm is bright.

    `percentile` and `clahe` find a black and a white level in each image and let them follow the
    scene with the time constant `smoothing_s`, so that a hot object that enters does not make the
    rest of the picture pump. Levels are adopted at once by the first image, after stamps that go
    back, when the type of the image changes, and when old and new levels do not overlap at all
    (the camera has corrected its offset). `clahe` equalises locally between the levels, and gives
    ranges without pixels, as between a fire and all else, no grey levels. The span between them is
    never less than `min_span` counts (16 bit), `min_span_8bit` levels (8 bit: such cameras have
    their own gain control, and more gain would only enlarge its steps) or `min_span_float` units
    (float): an image without contrast becomes mid grey. `fixed` maps `range_min` to black and
    `range_max` to white, in degrees Celsius where `celsius_scale` is set (for float images in
    kelvin: scale 1), else in the values of the image.

    Attributes:
        levels: black and white level of the last image, in its own values; None before the first.
        not_finite: pixels of the last image that were NaN or infinite; they do not move the levels
            and become black.
    """

    def __init__(self, params: ThermalParameters) -> None:
        """Start without levels.

        Raises:
            ParameterError: percentiles or fixed range without any span.
        """
        self.set_parameters(params)
        self.reset()

    def set_parameters(self, params: ThermalParameters) -> None:
        """Take new parameters; levels go on from where they are.

        Raises:
            ParameterError: percentiles or fixed range without any span; nothing is changed then.
        """
        if params.range_max <= params.range_min:
            raise ParameterError(
                f"parameter 'thermal.range_max' is {params.range_max:g}, expected more than "
                f"'thermal.range_min' ({params.range_min:g})")
        if params.percentile_high <= params.percentile_low:
            raise ParameterError(
                f"parameter 'thermal.percentile_high' is {params.percentile_high:g}, expected more "
                f"than 'thermal.percentile_low' ({params.percentile_low:g})")
        self._params = params

    def reset(self) -> None:
        """Forget the levels."""
        self.levels: tuple[float, float] | None = None
        self.not_finite = 0
        self._followed: tuple[float, float] | None = None
        self._stamp_ns = 0
        self._dtype: np.dtype[np.generic] | None = None

    def apply(self, image: Array, stamp_ns: int) -> Array:
        """Normalise one image.

        Args:
            image: (H, W) uint8, uint16 or float32 as the camera gave it.
            stamp_ns: its stamp in nanoseconds; zero where the camera does not stamp.

        Returns:
            (H, W) uint8, a new array.

        Raises:
            ImageError: another shape or dtype, an empty image, or one without any finite pixel.
        """
        check_image(image, 'thermal image')
        if image.ndim != 2:
            raise ImageError(
                f'thermal image has shape {image.shape}, expected (H, W): let the camera publish '
                'mono8, mono16 or 32FC1 instead of a colour palette', 'bad_shape')
        finite = self._finite(image)
        if self._params.normalisation == 'fixed':
            black, white = self._fixed_levels()
        else:
            black, white = self._follow(image, finite, stamp_ns)
            missing = max(self._least_span(black, white, image.dtype) - (white - black), 0) / 2
            black, white = black - missing, white + missing
        self.levels = black, white
        if finite is not None:
            image = np.where(finite, image, np.float32(black))
        if self._params.normalisation == 'clahe':
            gain = (white - black) / self._least_span(black, white, image.dtype)
            out = equalise(_unit(image, black, white), self._params.clahe_clip,
                           self._params.clahe_tiles, gain)
        elif image.dtype == np.uint8:
            out = cv2.LUT(image, _quantised(_unit(np.arange(256), black, white)))
        else:
            out = _quantised(_unit(image, black, white))
        if self._params.invert:
            out = cv2.bitwise_not(out)
        if finite is not None:
            out[~finite] = 0
        return out.reshape(image.shape)

    def _finite(self, image: Array) -> Array | None:
        """Mask of usable pixels, or None where all are."""
        self.not_finite = 0
        if image.dtype != np.float32:
            return None
        finite = np.isfinite(image)
        self.not_finite = image.size - int(np.count_nonzero(finite))
        if self.not_finite == image.size:
            raise ImageError(
                'thermal image has no finite pixel (all NaN or infinite), expected temperatures',
                'not_finite')
        return finite if self.not_finite else None

    def _fixed_levels(self) -> tuple[float, float]:
        params = self._params
        if params.celsius_scale == 0:
            return params.range_min, params.range_max
        return ((params.range_min - params.celsius_offset) / params.celsius_scale,
                (params.range_max - params.celsius_offset) / params.celsius_scale)

    def _follow(
            self, image: Array, finite: Array | None, stamp_ns: int) -> tuple[float, float]:
        """Levels of the image, smoothed over time."""
        low, high = self._percentiles(image, finite)
        before = self._followed
        elapsed = elapsed_ns(self._stamp_ns, stamp_ns)
        if before is not None and elapsed >= 0 and image.dtype == self._dtype and (
                low <= before[1] and high >= before[0]):
            smoothing_ns = self._params.smoothing_s * 1e9
            gain = 1.0 if smoothing_ns == 0 else -math.expm1(-elapsed / smoothing_ns)
            low = before[0] + gain * (low - before[0])
            high = before[1] + gain * (high - before[1])
        self._followed = low, high
        self._stamp_ns = stamp_ns
        self._dtype = image.dtype
        return low, high

    def _percentiles(self, image: Array, finite: Array | None) -> tuple[float, float]:
        """Black and white percentile of an even subsample."""
        step = max(1, int((image.size / _SAMPLES) ** 0.5))
        sample = image[::step, ::step].ravel()
        if finite is not None:
            sample = sample[finite[::step, ::step].ravel()]
            if sample.size == 0:
                sample = image[finite]
        last = sample.size - 1
        low = int(self._params.percentile_low / 100 * last)
        high = math.ceil(self._params.percentile_high / 100 * last)
        if sample.dtype == np.float32:
            ordered = np.partition(sample, (low, high))
            return float(ordered[low]), float(ordered[high])
        # Counts repeat, so their histogram is much faster than ordering them.
        below = np.cumsum(np.bincount(sample))
        return (float(np.searchsorted(below, low, 'right')),
                float(np.searchsorted(below, high, 'right')))

    def _least_span(self, black: float, white: float, dtype: np.dtype[np.generic]) -> float:
        """Span to keep between the levels."""
        params = self._params
        least = {'uint8': params.min_span_8bit, 'uint16': params.min_span}.get(
            dtype.name, params.min_span_float)
        # float32 has no steps much finer than this beside large values.
        return max(least, 1e-6 * max(abs(black), abs(white)))


def _unit(image: Array, black: float, white: float) -> Array:
    """Share of the way from black to white, cut to 0..1, float32."""
    with np.errstate(over='ignore'):
        unit = np.subtract(image, np.float32(black), dtype=np.float32)
        unit *= np.float32(1 / (white - black))
    out: Array = np.clip(unit, 0, 1, out=unit)
    return out


def _quantised(unit: Array) -> Array:
    """Nearest of 256 grey levels."""
    unit *= np.float32(255)
    unit += np.float32(0.5)
    out: Array = unit.astype(np.uint8)
    return out
