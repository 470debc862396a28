# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A source with faults that are known exactly: clocks, rates, drops, misalignment, encoding.

What real rigs suffer from and nobody can measure on them, done on purpose to frames that are free
of it, so that one can see what it does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import cv2
import numpy as np

from ivif_ros.counters import Counters
from ivif_ros.errors import ParameterError, SourceError
from ivif_ros.frame_source import FrameSource
from ivif_ros.parameters import ThermalParameters
from ivif_ros.sources.shaping import WrappedSource
from ivif_ros.thermal import ThermalNormaliser
from ivif_ros.training.data.deformations import NEAR, BackwardMap
from ivif_ros.types import Array, Frame, Sensor, Size

ThermalEncoding = Literal['as_is', 'mono8', 'mono16']

COUNTS_AT_ZERO, COUNTS_PER_LEVEL = 6829, 4
"""16-bit counts of grey level 0, and of each level above it."""
CELSIUS_PER_COUNT = 0.04
"""Scale of those counts (T-linear, kelvin): grey levels 0 to 255 become 0 to 40.8 degC."""
_CELSIUS_AT_ZERO_COUNTS = -273.15
_JITTER_LIMIT = 2.5
_FITTING_ROUNDS = 4
_NODES = 65


class Blackout(NamedTuple):
    """A time without frames.

    Attributes:
        sensor: which camera; None for both.
        start_s: when it begins, in seconds of the stream since its first frame.
        length_s: how long it lasts in seconds.
    """

    sensor: Sensor | None
    start_s: float
    length_s: float


@dataclass(frozen=True)
class Disturbance:
    """What is done to the frames; equal values give equal frames.

    Attributes:
        seed: chooses jitter, drops and misalignment.
        skew_ms: added to every thermal stamp: the thermal clock is this far ahead.
        jitter_ms: standard deviation of noise on the stamps of both cameras, cut off at 2.5
            deviations; stamps of one camera never change order.
        delay_ms: from exposure to reception, added for both cameras.
        rgb_rate_hz: leave out RGB frames down to this rate; None keeps all.
        thermal_rate_hz: the same for thermal frames.
        drop_rgb: share of the RGB frames that are lost at random, 0 to 1.
        drop_thermal: the same for thermal frames.
        blackouts: times without frames.
        misalign_px: mean displacement of the thermal image in its pixels, by a homography, a lens
            term and an elastic field; 0 for none.
        thermal_encoding: `mono8` or `mono16` converts the thermal images; `as_is` does not.
    """

    seed: int = 0
    skew_ms: float = 0.0
    jitter_ms: float = 0.0
    delay_ms: float = 0.0
    rgb_rate_hz: float | None = None
    thermal_rate_hz: float | None = None
    drop_rgb: float = 0.0
    drop_thermal: float = 0.0
    blackouts: tuple[Blackout, ...] = ()
    misalign_px: float = 0.0
    thermal_encoding: ThermalEncoding = 'as_is'

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ParameterError: a value lies outside its range.
        """
        limits: dict[str, tuple[float, float]] = {
            'seed': (0, 2**63), 'skew_ms': (-10_000, 10_000), 'jitter_ms': (0, 1000),
            'delay_ms': (0, 10_000), 'rgb_rate_hz': (0.01, 10_000),
            'thermal_rate_hz': (0.01, 10_000), 'drop_rgb': (0, 1), 'drop_thermal': (0, 1),
            'misalign_px': (0, 1000)}
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ParameterError(
                    f"{name.replace('_', '-')} is {value:g}, expected {low:g} to {high:g}")
        for blackout in self.blackouts:
            if not (blackout.start_s >= 0 and 0 < blackout.length_s < float('inf')):
                raise ParameterError(
                    f'blackout from {blackout.start_s:g} s for {blackout.length_s:g} s, expected '
                    'a start of 0 or later and a positive length')

    def rate_hz(self, sensor: Sensor) -> float | None:
        """Rate to which frames of a camera are thinned out; None for all of them."""
        return self.rgb_rate_hz if sensor == 'rgb' else self.thermal_rate_hz

    def drop_share(self, sensor: Sensor) -> float:
        """Share of the frames of a camera that are lost."""
        return self.drop_rgb if sensor == 'rgb' else self.drop_thermal


class DisturbedSource(WrappedSource):
    """Another source with faults.

    It does not know the true map; what an import writes beside the recording does. Frames that are
    left out are counted in `left_out` (`thermal.thinned`, `rgb.dropped`,
    `thermal.blackout`), apart from `problems`, which are not on purpose.

    Args:
        source: the frames; it is closed with this one.
        disturbance: what is done to them.

    Attributes:
        disturbance: what is done to them.
        left_out: frames that are not there on purpose, by reason; counted anew by each pass.
        misalignment: pixel of the disturbed thermal image -> pixel of the one of the source; None
            before the first thermal frame, or without misalignment.
    """

    def __init__(self, source: FrameSource, disturbance: Disturbance) -> None:
        """Keep both."""
        super().__init__(source)
        self.left_out = Counters()
        self.misalignment: BackwardMap | None = None
        self.disturbance = disturbance
        self._planes: tuple[Array, Array] | None = None
        self._normaliser = ThermalNormaliser(ThermalParameters())

    def frames(self) -> Iterator[tuple[Sensor, Frame]]:
        """Yield what is left of the frames, in the order in which they arrive.

        Raises:
            SourceError: the source cannot be read to its end, or a stamp would not be positive.
        """
        self.left_out.reset()
        self._normaliser.reset()
        first_ns: int | None = None
        cameras: dict[Sensor, _Camera] = {
            sensor: _Camera(sensor, self.disturbance) for sensor in ('rgb', 'thermal')}
        for sensor, frame in self._source.frames():
            if first_ns is None:
                first_ns = frame.stamp_ns
                self._check_stamps(first_ns)
            reason = cameras[sensor].missing(frame.stamp_ns, first_ns)
            if reason:
                self.left_out.add(f'{sensor}.{reason}')
                continue
            image = frame.image if sensor == 'rgb' else self._thermal(frame)
            stamp_ns = cameras[sensor].stamp(frame.stamp_ns)
            # Even with the largest jitter no frame arrives before it was exposed.
            late_ms = self.disturbance.delay_ms + _JITTER_LIMIT * self.disturbance.jitter_ms
            yield sensor, replace(frame, stamp_ns=stamp_ns, image=image,
                                  received_ns=frame.received_ns + round(late_ms * 1e6))

    def describe(self) -> str:
        """Describe the source; what is done to it is in the Disturbance."""
        return self._source.describe()

    def true_map(self, rgb_stamp_ns: int) -> None:
        """Know nothing: the map of the source is that of other images."""

    def _check_stamps(self, first_ns: int) -> None:
        earliest_ms = min(self.disturbance.skew_ms, 0) - _JITTER_LIMIT * self.disturbance.jitter_ms
        if earliest_ms < 0 and first_ns + earliest_ms * 1e6 <= 0:
            raise SourceError(
                f'stamps become negative: the source begins at {first_ns / 1e9:g} s, skew and '
                f'jitter take up to {-earliest_ms:g} ms from them; choose smaller ones')

    def _thermal(self, frame: Frame) -> Array:
        """Deform and convert a thermal image."""
        image = frame.image
        if self.disturbance.misalign_px:
            if self.misalignment is None or self.misalignment.size != frame.size:
                if self.misalignment is not None:
                    raise SourceError(
                        f'thermal images have {self.misalignment.size} and {frame.size} px: a '
                        'misalignment needs images of one size')
                self.misalignment = misalignment(frame.size, self.disturbance.misalign_px,
                                                 self.disturbance.seed)
                self._planes = self.misalignment.planes()
            assert self._planes is not None
            image = np.asarray(cv2.remap(
                image, *self._planes, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
        return self._encoded(image, frame.stamp_ns)

    def _encoded(self, image: Array, stamp_ns: int) -> Array:
        wanted = self.disturbance.thermal_encoding
        if wanted == 'mono8' and image.dtype != np.uint8:
            return self._normaliser.apply(image, stamp_ns)
        if wanted == 'mono16' and image.dtype == np.uint8:
            return image.astype(np.uint16) * COUNTS_PER_LEVEL + COUNTS_AT_ZERO
        if wanted == 'mono16' and image.dtype == np.float32:
            counts = (np.nan_to_num(image) - _CELSIUS_AT_ZERO_COUNTS) / CELSIUS_PER_COUNT
            return np.clip(np.rint(counts), 0, 65535).astype(np.uint16)
        return image


class _Camera:
    """Clock and losses of one camera."""

    def __init__(self, sensor: Sensor, what: Disturbance) -> None:
        self._sensor = sensor
        self._what = what
        rate = what.rate_hz(sensor)
        self._period_ns = None if rate is None else 1e9 / rate
        self._due_ns = -1.0
        self._last_ns = 0
        self._off = 0.0
        number = ('rgb', 'thermal').index(sensor)
        self._noise, self._luck = (
            np.random.default_rng([what.seed, number, stream]) for stream in (1, 2))

    def missing(self, stamp_ns: int, first_ns: int) -> str:
        """Why a frame is left out; empty where it is not. Call it once for each frame."""
        # Drawn for each frame, lost or not, so that changing one fault leaves the others as they
        # are.
        self._off = float(np.clip(self._noise.standard_normal(), -_JITTER_LIMIT, _JITTER_LIMIT))
        unlucky = self._luck.random() < self._what.drop_share(self._sensor)
        if self._period_ns is not None:
            since = float(stamp_ns - first_ns)
            # Stamps are rounded to nanoseconds, and frame times to those of the container.
            if since < self._due_ns - 0.01 * self._period_ns:
                return 'thinned'
            # The grid goes on, so that the mean rate is right; over gaps it begins again.
            self._due_ns = (self._due_ns if self._due_ns >= 0 else since) + self._period_ns
            if self._due_ns <= since:
                self._due_ns = since + self._period_ns
        for blackout in self._what.blackouts:
            into_s = (stamp_ns - first_ns) / 1e9 - blackout.start_s
            if blackout.sensor in (None, self._sensor) and 0 <= into_s < blackout.length_s:
                return 'blackout'
        return 'dropped' if unlucky else ''

    def stamp(self, stamp_ns: int) -> int:
        """What the camera stamps the frame with that `missing` was asked about last."""
        off_ms = self._off * self._what.jitter_ms
        if self._sensor == 'thermal':
            off_ms += self._what.skew_ms
        found = stamp_ns + round(off_ms * 1e6)
        if self._what.jitter_ms:
            found = max(found, self._last_ns + 1)
            self._last_ns = found
        return found


def misalignment(size: Size, strength_px: float, seed: int) -> BackwardMap:
    """Draw how a thermal image is deformed: homography, lens term and elastic field.

    Args:
        size: width, height of the thermal image in pixels.
        strength_px: mean displacement over the image in pixels.
        seed: chooses the shape.

    Returns:
        Pixel of the deformed image -> pixel of the image as it was.
    """
    lattice = np.stack(np.meshgrid(*(np.linspace(0, length - 1, _NODES, dtype=np.float32)
                                     for length in size)), axis=-1)
    strength = strength_px / size[0]
    for _ in range(_FITTING_ROUNDS):
        # The same numbers each time; their lengths grow almost in proportion to the strength.
        drawn = NEAR.draw(size, np.random.default_rng([seed, 3]), strength)
        length = float(np.linalg.norm(drawn.at(lattice) - lattice, axis=-1).mean())
        strength *= strength_px / length
    return NEAR.draw(size, np.random.default_rng([seed, 3]), strength)
