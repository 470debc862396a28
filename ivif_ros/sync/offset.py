# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The constant time offset between two cameras, from what moves in both of them."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from ivif_ros.sync import coherence
from ivif_ros.sync.comparison import DELAYS_MS, Comparison
from ivif_ros.sync.layout import STRETCH, Layout
from ivif_ros.sync.motion import CHANNELS, COLUMNS, ROWS, MotionMeter
from ivif_ros.sync.track import WINDOW_NS, MotionTrack
from ivif_ros.types import Array, Sensor

RANGE_MS = 350.0
"""Offsets up to this, of either sign, from the expected one are found."""
MIN_SPAN_S = 5.0
"""Time over which both cameras must have been seen before there is an estimate."""
PERIOD_NS = 1_000_000_000
"""Time of the stream between two estimates."""

_MIN_LIKELIHOOD = 4.0  # above the median of all delays
_MIN_MASS = 0.9
# Measured with benchmarks/offset.py: how far errors keep to the curvature of the likelihood, what
# remains with any amount of motion, and what objects add that pass a camera that stands still: the
# two cameras see them from two places.
_NOISE_SHARE = 0.4
_FLOOR_MS = 3.0
_PARALLAX_MS = 15.0
_SCALES = (1.0, 0.75, 0.55, 1.35)
_SMALLEST_STEP, _LARGEST_STEP = 0.01, 0.08
_FIRST_ROUNDS = 3

Pieces = Generator[None, None, 'OffsetEstimate']
"""Work that is done piece by piece and ends with an estimate."""


@dataclass(frozen=True)
class OffsetEstimate:
    """How far the stamps of the thermal camera are off.

    Attributes:
        offset_ms: what must be added to the thermal stamps so that they agree with the RGB stamps:
            -80 where thermal stamps are 80 ms late. NaN where it is not known.
        std_ms: standard deviation of its error; NaN where it is not known.
        confidence: 0 to 1, share of the likelihood that lies at this offset rather than elsewhere.
        reason: why there is no offset; empty where there is one.
    """

    offset_ms: float = math.nan
    std_ms: float = math.nan
    confidence: float = 0.0
    reason: str = 'no images yet'

    @property
    def known(self) -> bool:
        """True where there is an offset."""
        return not math.isnan(self.offset_ms)


class OffsetEstimator:
    """Finds the time offset between two cameras that need not be aligned.

    The motion of the last 20 s in a raster of places (`ivif_ros.sync.motion`) is compared for all
    delays (`ivif_ros.sync.comparison`). The thermal camera sees another part of the scene than the
    RGB camera, and what moves is seen earlier or later elsewhere; so the part that both see is
    looked for as well: it is the one in which motion agrees best.

    The work of one estimate is spread over several frames. The result depends on the sequence of
    calls alone. Not thread-safe.

    Attributes:
        layout: where the RGB image shows what the thermal camera sees, as far as motion told.
        expected_ms: offset around which is looked for; may be set at any time.
    """

    def __init__(self, expected_ms: float = 0.0) -> None:
        """Start without knowledge.

        Args:
            expected_ms: offset in milliseconds that is known so far.
        """
        self.expected_ms = expected_ms
        self._meters: dict[Sensor, MotionMeter] = {'rgb': MotionMeter(), 'thermal': MotionMeter()}
        self._tracks: dict[Sensor, MotionTrack] = {
            sensor: MotionTrack(CHANNELS * ROWS * COLUMNS) for sensor in self._meters}
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        for sensor, meter in self._meters.items():
            meter.reset()
            self._tracks[sensor].reset()
        self.layout = STRETCH
        self._layout_step = _LARGEST_STEP
        self._settled = False  # whether the layout has led to an estimate
        self._estimate = OffsetEstimate()
        self._work: Pieces | None = None
        self._begun_ns = 0

    @property
    def estimate(self) -> OffsetEstimate:
        """The newest estimate."""
        return self._estimate

    def add(self, sensor: Sensor, stamp_ns: int, image: Array) -> bool:
        """Take a frame of a camera.

        Args:
            sensor: which camera.
            stamp_ns: its stamp; frames without one (0) are passed over.
            image: (H, W, 3) uint8 BGR, or (H, W) uint8, uint16 or float32. It is not kept.

        Returns:
            True where this call completed an estimate.
        """
        if stamp_ns == 0:
            return False
        track = self._tracks[sensor]
        if track.leaps_to(stamp_ns):
            track.reset()
            self._meters[sensor].reset()
            self._work = None
            self._estimate = OffsetEstimate(reason=f'the {sensor} clock was set')
        if track.wants(stamp_ns):
            step = self._meters[sensor].update(image)
            if step is not None:
                track.add(stamp_ns, step.ravel())
        return self._go_on(sensor, stamp_ns)

    def _go_on(self, sensor: Sensor, stamp_ns: int) -> bool:
        """Do the next piece of work; True where it was the last one of an estimate."""
        if self._work is None:
            # One clock tells when: those of the cameras may be hours apart.
            if sensor != 'rgb' or abs(stamp_ns - self._begun_ns) < PERIOD_NS:
                return False
            self._begun_ns = stamp_ns
            self._work = self._pieces()
        try:
            next(self._work)
        except StopIteration as end:
            self._estimate, self._work = end.value, None
            return True
        return False

    def _pieces(self) -> Pieces:
        """One estimate, in pieces of a few milliseconds."""
        centre_ms = -(self._estimate.offset_ms if self._estimate.known else self.expected_ms)
        for last in (False, True):
            comparison = yield from self._compare(centre_ms)
            if isinstance(comparison, str):
                return OffsetEstimate(reason=comparison)
            yield from self._fit_layout(comparison)
            found = self._read(comparison, centre_ms)
            self._settled = self._settled or found.known
            # Parts of the window have no partner unless the delay is small; then look again.
            if not found.known or abs(found.offset_ms + centre_ms) <= coherence.STEP_MS:
                break
            if not last:
                centre_ms = -found.offset_ms
                yield
        return found

    def _compare(self, centre_ms: float) -> Generator[None, None, Comparison | str]:
        """Motion of both cameras in what they both saw lately, or why there is none.

        Args:
            centre_ms: by how much thermal stamps are taken to be late.
        """
        rgb, thermal = self._tracks['rgb'], self._tracks['thermal']
        if len(rgb) < 2 or len(thermal) < 2:
            return f"no {'rgb' if len(rgb) < 2 else 'thermal'} images that differ"
        shift_ns = round(centre_ms * 1e6)
        end = min(rgb.newest_ns, thermal.newest_ns - shift_ns)
        start = max(rgb.oldest_ns, thermal.oldest_ns - shift_ns, end - WINDOW_NS)
        if end - start < MIN_SPAN_S * 1e9:
            if abs(rgb.newest_ns + shift_ns - thermal.newest_ns) > WINDOW_NS:
                return 'the clocks of the cameras have nothing in common'
            return f'less than {MIN_SPAN_S:g} s of both cameras so far'
        count = (end - start) // coherence.SAMPLE_NS
        first, known = rgb.sample(start, coherence.SAMPLE_NS, count)
        yield
        second, also_known = thermal.sample(start + shift_ns, coherence.SAMPLE_NS, count)
        weights = coherence.taper(known & also_known)
        if weights.sum() * coherence.SAMPLE_NS < 0.5 * MIN_SPAN_S * 1e9:
            return 'too many gaps or repeated images'
        yield
        comparison = Comparison(first, second, weights,
                                1e9 / max(rgb.period_ns, thermal.period_ns))
        yield
        return comparison

    def _fit_layout(self, comparison: Comparison) -> Generator[None, None, None]:
        """Move the layout to where motion agrees better, by a few steps."""
        if not self._settled:
            peaks = []
            for scale in _SCALES:
                peaks.append(float(comparison.likelihood(Layout(scale, 0.0, 0.0)).max()))
                yield
            self.layout = Layout(_SCALES[int(np.argmax(peaks))], 0.0, 0.0)
            self._layout_step = _LARGEST_STEP
        curve = comparison.likelihood(self.layout)
        best = int(np.argmax(curve))
        delay, reached = DELAYS_MS[best:best + 1], float(curve[best])
        yield
        for _ in range(1 if self._settled else _FIRST_ROUNDS):
            moved = False
            for axis in range(3):
                for sign in (1, -1):
                    tried = self.layout.moved(axis, sign * self._layout_step)
                    there = float(comparison.likelihood(tried, delay)[0])
                    if there > reached:
                        self.layout, reached, moved = tried, there, True
                    yield
            if not moved:
                self._layout_step = max(self._layout_step / 2, _SMALLEST_STEP)

    def _read(self, comparison: Comparison, centre_ms: float) -> OffsetEstimate:
        """Take the offset from a comparison.

        The amount of change counts only as far as the rig stands still: where it moves, change
        depends on what passes rather than on how fast.
        """
        curve = comparison.likelihood(self.layout)
        objects = 1 - comparison.camera_motion(self.layout, DELAYS_MS[int(np.argmax(curve))])
        rough, clean = (comparison.likelihood(self.layout, change=objects, clean=only_clean)
                        for only_clean in (False, True))
        found = _peak(rough, clean, centre_ms, objects)
        if abs(found.offset_ms - self.expected_ms) > RANGE_MS:
            return OffsetEstimate(
                confidence=found.confidence,
                reason=f'more than {RANGE_MS:g} ms from what is expected')
        return found


def _peak(curve: Array, clean: Array, centre_ms: float, objects: float) -> OffsetEstimate:
    """Peak of a likelihood, and whether it can be believed.

    Args:
        curve: log-likelihood at DELAYS_MS.
        clean: the same, less exact and free of leakage, to tell whether there are other peaks.
        centre_ms: delay that was taken away before.
        objects: 0 where the rig moves, 1 where only objects do.
    """
    peak = int(np.argmax(curve))
    share = np.exp(clean - clean.max())
    share /= share.sum()
    mass = float(share[_hill(clean, peak)].sum())
    if float(curve[peak] - np.median(curve)) < _MIN_LIKELIHOOD:
        return OffsetEstimate(confidence=mass, reason='no motion that both cameras see')
    if mass < _MIN_MASS:
        return OffsetEstimate(confidence=mass, reason='motion fits several offsets (periodic?)')
    if not 0 < peak < len(curve) - 1:
        return OffsetEstimate(
            confidence=mass, reason=f'more than {RANGE_MS:g} ms from what is expected')
    left, middle, right = (float(value) for value in curve[peak - 1:peak + 2])
    bend = max(2 * middle - left - right, 1e-6)
    delay = float(DELAYS_MS[peak]) + coherence.STEP_MS * 0.5 * (right - left) / bend
    std = math.hypot(_NOISE_SHARE * coherence.STEP_MS / math.sqrt(bend),
                     _FLOOR_MS + _PARALLAX_MS * objects)
    return OffsetEstimate(-(centre_ms + delay), std, mass, '')


def _hill(curve: Array, index: int) -> slice:
    """Part of a curve around the top that is uphill from an index, down to both valleys."""
    falls = np.diff(curve) < 0
    while index < len(falls) and not falls[index]:
        index += 1
    while index > 0 and falls[index - 1]:
        index -= 1
    before, after = np.flatnonzero(falls[:index]), np.flatnonzero(~falls[index:])
    return slice(int(before[-1]) + 1 if len(before) else 0,
                 index + int(after[0]) + 1 if len(after) else len(curve))
