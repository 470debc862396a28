# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Motion of both cameras in one window of time, compared for all delays and layouts."""

from __future__ import annotations

import math

import numpy as np

from ivif_ros.sync import coherence
from ivif_ros.sync.layout import NODES, STRETCH, Layout
from ivif_ros.sync.motion import CHANNELS
from ivif_ros.types import Array

DELAYS_MS = np.arange(-400.0, 401.0, coherence.STEP_MS)
"""Delays at which the likelihood is taken."""

_PLACES = NODES[0] * NODES[1]
_TRUST = 0.5  # share of the information that is believed: models are never quite right
_CHANCE = 0.5  # what -N log(1 - r^2), r > 0, amounts to on average between unrelated signals
# Measured: what places tell that move with the rig, and the share of places that objects alone
# reach in a busy street, against that of a rig that moves.
_MOVING_PER_S = 1.0
_OBJECTS, _EVERYWHERE = 0.65, 0.9


class Comparison:
    """Spectra of the motion of both cameras over one window.

    All places together count as one observation of each band, since the motion of the camera shows
    everywhere.
    """

    def __init__(self, rgb: Array, thermal: Array, weights: Array, rate_hz: float) -> None:
        """Transform the signals.

        Args:
            rgb: (samples, CHANNELS * cells) float32 motion of the RGB camera.
            thermal: the same of the thermal camera.
            weights: (samples,) trust in each sample, see coherence.taper.
            rate_hz: frame rate of the slower camera.
        """
        bins, self._bands, self._frequencies = coherence.band_bins(len(weights), rate_hz)
        self._rgb, cells = (
            coherence.spectra(signals, weights, bins).reshape(CHANNELS, -1, len(bins))
            for signals in (rgb, thermal))
        self._thermal = np.matmul(STRETCH.weights()[0], cells)
        self._seconds = float((weights * weights).sum()) * coherence.SAMPLE_NS / 1e9
        self._share = self._seconds / (len(weights) * coherence.SAMPLE_NS / 1e9)

    def likelihood(self, layout: Layout, delays_ms: Array = DELAYS_MS,
                   change: float = 1.0, *, clean: bool = False) -> Array:
        """Log-likelihood of delays of the thermal camera.

        Args:
            layout: part of the RGB image that the thermal camera sees.
            delays_ms: (delays,) milliseconds by which thermal stamps are late.
            change: how much the amount of change counts beside the displacements, 0 to 1.
            clean: keep a strong vibration from leaking into other bands, where its phase would
                mean another delay; at the price of half the window.

        Returns:
            (delays,) float64, 0 for what chance would give.
        """
        information = self._information(layout, delays_ms, clean=clean)
        if information is None:
            return np.full(len(delays_ms), -math.inf)
        channels = (information - _CHANCE * len(self._bands)).sum(axis=1)
        return np.asarray(
            0.5 * _TRUST / _PLACES * (channels[0] + channels[1] + change * channels[2]))

    def camera_motion(self, layout: Layout, delay_ms: float) -> float:
        """Tell motion of the rig from motion of objects in front of it: it shows everywhere.

        Args:
            layout: part of the RGB image that the thermal camera sees.
            delay_ms: milliseconds by which thermal stamps are late.

        Returns:
            0 (only here and there) to 1 (at all places).
        """
        information = self._information(layout, np.array([delay_ms]))
        if information is None:
            return 0.0
        chance = 2 * _CHANCE * len(self._bands)
        moving = information[:2, :, 0].sum(axis=0) > chance + _MOVING_PER_S * self._seconds
        return min(max((float(moving.mean()) - _OBJECTS) / (_EVERYWHERE - _OBJECTS), 0.0), 1.0)

    def _information(
            self, layout: Layout, delays_ms: Array, *, clean: bool = False) -> Array | None:
        """What each channel (first axis) tells at each place (second) about each delay (third)."""
        shares, seen = layout.weights()
        if not seen.any() or not self._bands:
            return None
        first = np.matmul(shares[seen], self._rgb).reshape(-1, len(self._frequencies))
        second = self._thermal[:, seen].reshape(-1, len(self._frequencies))
        if clean:
            first, second = coherence.hann(first), coherence.hann(second)
        r, counts = coherence.correlations(
            first, second, self._frequencies, self._bands, delays_ms)
        told = (coherence.log_likelihood(r) * (self._share * counts)[..., None]).sum(axis=0)
        result: Array = told.reshape(CHANNELS, -1, len(delays_ms))
        return result
