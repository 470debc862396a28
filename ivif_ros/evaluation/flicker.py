# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Flicker of a recording of any length, in windows of a few dozen pairs."""

from __future__ import annotations

import cv2
import numpy as np

from ivif_ros.metrics.video import WINDOW, Flicker, FlickerMeter
from ivif_ros.pipeline import FOLLOWS_NS
from ivif_ros.types import Array, FusionResult, Mode

LEAST_PAIRS = WINDOW // 2
"""Steps from pair to pair without which a window says nothing."""
_MEANS = ('rgb', 'thermal', 'unexplained', 'consistency', 'contrast_fused', 'contrast_ratio')


class FlickerWindows:
    """Collects the fused images of a stream; a window ends where a pair does not follow."""

    def __init__(self) -> None:
        """Start before the first pair."""
        self._meter = FlickerMeter()
        self._frames = 0
        self._last_ns: int | None = None
        self._shape: tuple[int, ...] = ()
        self._windows: list[Flicker] = []

    def add(self, result: FusionResult) -> None:
        """Take the next pair; one of a single camera interrupts the stream."""
        pair = result.pair
        if result.mode is not Mode.FUSED or pair.rgb is None or result.thermal_registered is None:
            self._end()
            return
        shape = result.fused.shape
        follows = (self._last_ns is not None and 0 < pair.stamp_ns - self._last_ns < FOLLOWS_NS
                   and shape == self._shape)
        if not follows:
            self._end()
        self._last_ns, self._shape = pair.stamp_ns, shape
        grey = [_grey(image) for image in (result.fused, pair.rgb.image)]
        images = grey[0], result.thermal_registered, grey[1]
        self._meter.add(*images)
        self._frames += 1
        if self._frames > WINDOW:
            self._end()
            # The next window begins with this image, so that no step is lost.
            self._meter.add(*images)
            self._frames, self._last_ns = 1, pair.stamp_ns

    def figures(self) -> dict[str, float | None] | None:
        """Means of the windows, weighted with the still blocks in them; None without a window.

        Returns:
            `flicker` and the other figures of `metrics.video.Flicker`, `pairs` as a sum.
        """
        self._end()
        if not self._windows:
            return None
        weights = np.array([one.pairs * one.still for one in self._windows])
        figures: dict[str, float | None] = {
            'flicker': _mean([one.fused for one in self._windows], weights)}
        for name in _MEANS:
            figures[name] = _mean([getattr(one, name) for one in self._windows], weights)
        fused, inputs = figures['flicker'], (figures['rgb'], figures['thermal'])
        steadiness = max((value for value in inputs if value is not None), default=0.0)
        figures['ratio'] = fused / steadiness if fused is not None and steadiness else None
        pairs = sum(one.pairs for one in self._windows)
        figures['still'] = float(weights.sum() / pairs)
        figures['pairs'] = float(pairs)
        return figures

    def _end(self) -> None:
        if self._frames > LEAST_PAIRS:
            self._windows.append(self._meter.result())
        self._meter, self._frames, self._last_ns = FlickerMeter(), 0, None


def _grey(image: Array) -> Array:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))


def _mean(values: list[float], weights: Array) -> float | None:
    numbers = np.array(values)
    known = np.isfinite(numbers) & (weights > 0)
    if not known.any():
        return None
    return float(np.average(numbers[known], weights=weights[known]))
