# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Figures of a run: pairs, their difference in time, latencies, registration error and losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ivif_ros.bags.truth import RegistrationError
from ivif_ros.counters import is_loss
from ivif_ros.sync import OffsetEstimate
from ivif_ros.types import Mode, Sensor, ThermalOffset

SENSORS: tuple[Sensor, Sensor] = ('rgb', 'thermal')

Percentiles = dict[str, float]
"""`p50` and `p99` of some values; empty where there was none."""


@dataclass(frozen=True)
class TimeOffset:
    """How far apart the clocks of the cameras were found to be, at the end of a run.

    Attributes:
        in_use_ms: added to thermal stamps for pairing, less what was added to RGB stamps.
        estimate_ms: what `sync.thermal_offset_ms` should be; None where that is unknown.
        std_ms: standard deviation of the estimate; None where there is none.
        reason: why there is no estimate; empty where there is one.
    """

    in_use_ms: float
    estimate_ms: float | None
    std_ms: float | None
    reason: str

    @classmethod
    def of(cls, offset: ThermalOffset, estimate: OffsetEstimate) -> TimeOffset:
        """Take what a Synchroniser says."""
        if not estimate.known:
            return cls(offset.in_use_ms, None, None, estimate.reason)
        return cls(offset.in_use_ms, estimate.offset_ms, estimate.std_ms, '')


@dataclass(frozen=True)
class RunSummary:
    """What a run did.

    Attributes:
        pairs_in: pairs that were given to the pipeline.
        pairs_fused: of these, fused from both cameras.
        pairs_partial: of these, made of one camera only (missing, or not trusted), as in `status`.
        modes: number of results by mode (`fused`, `rgb_only`, `thermal_only`).
        dropped: frames and pairs that gave no output, by reason.
        events: everything else that was counted.
        skew_ms: p50 and p99 of the absolute difference of the stamps of complete pairs.
        latency_ms: stage name to p50 and p99 in milliseconds.
        fps: results per second of the time that the run took.
        seconds: time that the run took.
        stream_seconds: time of the stream from the first to the last frame.
        registration_error: number of `pairs`, `mean` and `median` end-point error in `thermal_px`
            and in `rgb_px`; None where the truth is not known.
        time_offset: offset between the clocks; None where nobody looked for it.
        stamps_ns: stamps of the first and last usable frame in nanoseconds, by camera; empty where
            nobody watched the frames.
    """

    pairs_in: int
    pairs_fused: int
    pairs_partial: int
    modes: dict[str, int]
    dropped: dict[str, int]
    events: dict[str, int]
    skew_ms: Percentiles
    latency_ms: dict[str, Percentiles]
    fps: float
    seconds: float
    stream_seconds: float
    registration_error: dict[str, Any] | None
    time_offset: TimeOffset | None = None
    stamps_ns: dict[Sensor, tuple[int, int]] = field(default_factory=dict)

    def why_unpaired(self) -> str:
        """Say why not one pair has both cameras; empty where there is one."""
        if self.skew_ms:
            return ''
        missing = [sensor for sensor in SENSORS if sensor not in self.stamps_ns]
        if missing:
            lost = ', '.join(f'{name} {count}' for name, count in self.dropped.items()
                             if name.startswith(f'{missing[0]}.'))
            return f'not one {missing[0]} image can be used' + (f' ({lost})' if lost else '')
        (rgb_first, rgb_last), (first, last) = self.stamps_ns['rgb'], self.stamps_ns['thermal']
        if first <= rgb_last and rgb_first <= last:
            return 'no RGB and no thermal image lie within sync.tolerance_ms of each other'
        apart_s = (first - rgb_last if first > rgb_last else last - rgb_first) / 1e9
        return ('the cameras do not overlap in time: RGB stamps go from '
                f'{rgb_first / 1e9:.3f} to {rgb_last / 1e9:.3f} s, thermal stamps from '
                f'{first / 1e9:.3f} to {last / 1e9:.3f} s, {abs(apart_s):.3f} s '
                f"{'after' if apart_s > 0 else 'before'} them; let both drivers stamp with one "
                'clock, or correct up to 10 s with sync.thermal_offset_ms')

    def as_dict(self) -> dict[str, Any]:
        """Return a copy that JSON can hold."""
        return asdict(self)


class RunStatistics:
    """Collects the figures of a run pair by pair; a few dozen bytes per pair."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._modes = dict.fromkeys(Mode, 0)
        self._skew_ms: list[float] = []
        self._latency_ms: dict[str, list[float]] = {}
        self._errors: list[RegistrationError] = []
        self._stamps_ns: dict[Sensor, tuple[int, int]] = {}

    @property
    def pairs(self) -> int:
        """Number of pairs so far."""
        return sum(self._modes.values())

    def add_frame(self, sensor: Sensor, stamp_ns: int) -> None:
        """Note the stamp of a usable frame in nanoseconds."""
        first, last = self._stamps_ns.get(sensor, (stamp_ns, stamp_ns))
        self._stamps_ns[sensor] = min(first, stamp_ns), max(last, stamp_ns)

    def add_pair(self, mode: Mode, skew_ms: float | None, latency_ms: Mapping[str, float]) -> None:
        """Count one pair.

        Args:
            mode: what its result was made of.
            skew_ms: thermal minus RGB stamp in milliseconds; None where one camera is missing.
            latency_ms: stage name to milliseconds.
        """
        self._modes[mode] += 1
        if skew_ms is not None:
            self._skew_ms.append(abs(skew_ms))
        for stage, value in latency_ms.items():
            self.add_latency(stage, value)

    def add_latency(self, stage: str, milliseconds: float) -> None:
        """Add one more duration of a stage, such as `end_to_end`."""
        self._latency_ms.setdefault(stage, []).append(milliseconds)

    def add_registration_error(self, error: RegistrationError) -> None:
        """Add the registration error of one pair."""
        self._errors.append(error)

    def summary(self, *, dropped: Mapping[str, int], seconds: float, stream_seconds: float,
                time_offset: TimeOffset | None = None) -> RunSummary:
        """Sum up.

        Args:
            dropped: everything that was counted, by reason; losses and events are told apart here.
            seconds: time that the run took.
            stream_seconds: time of the stream from the first to the last frame.
            time_offset: offset between the clocks, where somebody looked for it.
        """
        counted = {name: count for name, count in sorted(dropped.items()) if count}
        return RunSummary(
            pairs_in=self.pairs,
            pairs_fused=self._modes[Mode.FUSED],
            pairs_partial=self.pairs - self._modes[Mode.FUSED],
            modes={mode.name.lower(): count for mode, count in self._modes.items()},
            dropped={name: count for name, count in counted.items() if is_loss(name)},
            events={name: count for name, count in counted.items() if not is_loss(name)},
            skew_ms=percentiles(self._skew_ms),
            latency_ms={stage: percentiles(values)
                        for stage, values in self._latency_ms.items()},
            fps=self.pairs / seconds if seconds > 0 else 0.0,
            seconds=seconds,
            stream_seconds=stream_seconds,
            registration_error=self._registration_error(),
            time_offset=time_offset,
            stamps_ns=dict(self._stamps_ns),
        )

    def _registration_error(self) -> dict[str, Any] | None:
        """Mean over all pixels of all pairs, and median over the pairs of their medians."""
        if not self._errors:
            return None
        pixels = np.array([error.pixels for error in self._errors], np.float64)
        result: dict[str, Any] = {'pairs': len(self._errors)}
        for unit in ('thermal_px', 'rgb_px'):
            means = np.array([getattr(error, unit).mean for error in self._errors])
            medians = np.array([getattr(error, unit).median for error in self._errors])
            result[unit] = {'mean': float((means * pixels).sum() / pixels.sum()),
                            'median': float(np.median(medians))}
        return result


def percentiles(values: Sequence[float]) -> Percentiles:
    """Return p50 and p99 (linear interpolation), or nothing for nothing."""
    if not values:
        return {}
    p50, p99 = np.percentile(np.asarray(values, np.float64), (50, 99))
    return {'p50': float(p50), 'p99': float(p99)}
