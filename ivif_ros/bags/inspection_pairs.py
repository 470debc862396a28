# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""How the two cameras of a recording fit together: in time, in pairs and in space."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median

import cv2
import numpy as np

from ivif_ros.bags.inspection_timing import TimingMeter
from ivif_ros.bags.pairs import paired
from ivif_ros.counters import Counters
from ivif_ros.errors import IvifError
from ivif_ros.frame_source import FrameSource
from ivif_ros.parameters import SyncParameters
from ivif_ros.registration import Estimate, Estimator
from ivif_ros.registration.maps import distance_px, map_planes
from ivif_ros.registration.pictures import composite
from ivif_ros.registration.rig_words import rig_view
from ivif_ros.sync import Synchroniser
from ivif_ros.types import Array, Deformation, Frame, Sensor

AGREE_SHARE = 0.01
"""Mean distance of two estimates, as a share of the image width, up to which they agree."""
ALIGNED_PX = 2.0
"""Shift up to which images count as aligned, in RGB pixels."""
_AGREE_OFFSET_MS = 30.0
_EMPTY = np.zeros((1, 1), np.uint8)


@dataclass(frozen=True)
class OffsetFinding:
    """What motion in both streams says about the clocks.

    Attributes:
        offset_ms: what `sync.thermal_offset_ms` should be; NaN where nobody knows.
        std_ms: standard deviation of its error; NaN likewise.
        confidence: 0 to 1, of the motion that was looked at.
        agreeing: parts of the recording that say so.
        parts: parts of the recording that were asked.
        clocks_ms: the same from the receive times alone: exact only where both cameras need
            equally long from exposure to reception; NaN without stamps.
        reason: why nobody knows; empty otherwise.
    """

    offset_ms: float
    std_ms: float
    confidence: float
    agreeing: int
    parts: int
    clocks_ms: float
    reason: str

    @property
    def known(self) -> bool:
        """True where there is an offset."""
        return not math.isnan(self.offset_ms)


@dataclass(frozen=True)
class PairingForecast:
    """What the matcher would make of the stamps, for a set of parameters.

    Attributes:
        rgb_frames: RGB frames that were looked at.
        fused: of these, with a thermal frame of their own.
        held: of these, with a thermal frame that served an earlier one.
        rgb_only: of these, without thermal frame.
        thermal_only: thermal frames that go out alone.
        lost: frames that go into no pair, by reason.
        skew_ms: median of the absolute difference of the stamps of pairs; NaN without.
        skew_p99_ms: 99th percentile of it.
        wait_p99_ms: 99th percentile of the time that pairs waited for their second frame; NaN
            likewise.
    """

    rgb_frames: int
    fused: int
    held: int
    rgb_only: int
    thermal_only: int
    lost: dict[str, int]
    skew_ms: float
    skew_p99_ms: float
    wait_p99_ms: float

    @property
    def fused_share(self) -> float:
        """Share of the RGB frames that are fused, with fresh or held thermal frames."""
        return (self.fused + self.held) / self.rgb_frames if self.rgb_frames else 0.0


@dataclass(frozen=True, eq=False)
class AlignmentFinding:
    """What a few pairs say about how the thermal image lies on the RGB image.

    Attributes:
        pairs: pairs that were asked.
        accepted: of these, whose estimate is credible by itself.
        agreeing: of these, that agree with the one that is given.
        deformation: the estimate that most agree with; None where none is credible.
        confidence: median confidence of the agreeing ones, 0 to 1.
        expected_error_px: median of the error that they expect of themselves, in RGB pixels.
        shift_px: mean distance from the stretched thermal image, in RGB pixels.
        chosen: number of the pair whose estimate it is; 0 where none is credible.
        words: the rig in words, or why nothing was found.
    """

    pairs: int
    accepted: int
    agreeing: int
    deformation: Deformation | None
    confidence: float
    expected_error_px: float
    shift_px: float
    chosen: int
    words: str

    @property
    def misaligned(self) -> bool:
        """True where the shift is more than what an estimate may be off."""
        return self.shift_px > max(ALIGNED_PX, 2 * self.expected_error_px)


def combined_offset(parts: Sequence[tuple[float, float, float, str]],
                    clocks_ms: float) -> OffsetFinding:
    """Put together what the parts of a recording say about the clocks.

    Args:
        parts: offset, standard deviation, confidence, and the reason where the offset is NaN.
        clocks_ms: offset from the receive times alone.
    """
    known = [part for part in parts if not math.isnan(part[0])]
    if not known:
        reasons = [part[3] for part in parts if part[3]]
        reason = max(reasons, key=reasons.count) if reasons else 'not looked for'
        return OffsetFinding(math.nan, math.nan, 0.0, 0, len(parts), clocks_ms, reason)
    middle = median(part[0] for part in known)
    agreeing = [part for part in known if abs(part[0] - middle) <= _AGREE_OFFSET_MS]
    if 2 * len(agreeing) <= len(known) and len(known) > 1:
        return OffsetFinding(
            math.nan, math.nan, 0.0, len(agreeing), len(parts), clocks_ms,
            'parts of the recording disagree: '
            + ', '.join(f'{part[0]:+.0f} ms' for part in known))
    std = median(part[1] for part in agreeing) / math.sqrt(len(agreeing))
    return OffsetFinding(median(part[0] for part in agreeing), std,
                         median(part[2] for part in agreeing), len(agreeing), len(parts),
                         clocks_ms, '')


class _StampSource(FrameSource):
    """The times of both cameras in one part of a recording, with empty images."""

    def __init__(self, times: dict[Sensor, tuple[Sequence[int], Sequence[int]]]) -> None:
        super().__init__()
        self._times = times

    def frames(self) -> Iterator[tuple[Sensor, Frame]]:
        """Yield empty frames in the order of their receive times."""
        items = [(received, sensor, stamp) for sensor, (stamps, all_received) in self._times.items()
                 for stamp, received in zip(stamps, all_received, strict=True)]
        for received, sensor, stamp in sorted(items):
            yield sensor, Frame(stamp, sensor, _EMPTY, received_ns=received)

    def describe(self) -> str:
        """Say what this is."""
        return 'times of both cameras'


def forecast(meters: dict[Sensor, TimingMeter], params: SyncParameters) -> PairingForecast:
    """Let the matcher of the package pair the times that were seen.

    Args:
        meters: times of both cameras, with the same windows.
        params: how to pair; the offset is not estimated here.
    """
    params = replace(params, offset_estimation='off', policy='native')
    counters = Counters()
    skews: list[float] = []
    waits: list[float] = []
    fused = held = rgb_only = thermal_only = 0
    for window in range(len(meters['rgb'].stamps)):
        source = _StampSource({sensor: (meter.stamps[window], meter.received[window])
                               for sensor, meter in meters.items()})
        for pair, _ in paired(source, Synchroniser(params, counters)):
            if pair.rgb is None:
                thermal_only += 1
            elif pair.thermal is None:
                rgb_only += 1
            else:
                held += pair.held
                fused += not pair.held
                skews.append(abs(pair.skew_ns) / 1e6)
                if not pair.held:
                    waits.append(abs(pair.rgb.received_ns - pair.thermal.received_ns) / 1e6)
    nan = float('nan')
    return PairingForecast(
        meters['rgb'].messages, fused, held, rgb_only, thermal_only,
        counters.losses(), float(np.median(skews)) if skews else nan,
        float(np.percentile(skews, 99)) if skews else nan,
        float(np.percentile(waits, 99)) if waits else nan)


def align(pairs: Sequence[tuple[Array, Array]], estimator: Estimator,
          initial: Deformation | None) -> AlignmentFinding:
    """Ask a few pairs how the thermal image lies on the RGB image.

    Args:
        pairs: (H, W, 3) uint8 BGR and (h, w) uint8 thermal images of one size each.
        estimator: what one pair says.
        initial: first guess from camera_info, or None.

    Returns:
        The estimate that most of the others agree with.
    """
    found: list[tuple[int, Estimate]] = []
    reasons: list[str] = []
    for number, (rgb, thermal) in enumerate(pairs):
        stretch = Deformation.stretch((rgb.shape[1], rgb.shape[0]),
                                      (thermal.shape[1], thermal.shape[0]))
        for start in (stretch,) if initial is None else (initial, stretch):
            try:
                estimate = estimator(rgb, thermal, start)
            except (IvifError, ArithmeticError, np.linalg.LinAlgError) as error:
                reasons.append(f'estimate failed: {error}')
                continue
            if estimate.accepted:
                found.append((number, estimate))
                break
            reasons.append(estimate.reason)
    nan = float('nan')
    if not found:
        reason = max(reasons, key=reasons.count) if reasons else 'no pair of both cameras'
        return AlignmentFinding(len(pairs), 0, 0, None, 0.0, nan, nan, 0, reason)
    maps = [estimate.deformation for _, estimate in found]
    reach = AGREE_SHARE * maps[0].rgb_size[0]
    apart = np.array([[distance_px(one, other) for other in maps] for one in maps])
    votes = (apart <= reach).sum(axis=1)
    best = int(np.lexsort((apart.mean(axis=1), -votes))[0])
    group = [maps[index] for index in np.flatnonzero(apart[best] <= reach)]
    chosen = maps[best]
    return AlignmentFinding(
        len(pairs), len(found), len(group), chosen,
        float(median(item.confidence for item in group)),
        float(median(item.residual_px for item in group)),
        distance_px(chosen, Deformation.stretch(chosen.rgb_size, chosen.thermal_size)),
        found[best][0], str(rig_view(chosen)))


def alignment_picture(pairs: Sequence[tuple[Array, Array]], found: AlignmentFinding) -> Array:
    """Picture of the pair whose estimate was chosen: stretched thermal image, and as estimated.

    Args:
        pairs: as `align` was asked; at least one.
        found: its answer.

    Returns:
        (h, w, 3) uint8 BGR.
    """
    rgb, thermal = pairs[found.chosen]
    stretch = Deformation.stretch((rgb.shape[1], rgb.shape[0]),
                                  (thermal.shape[1], thermal.shape[0]))
    before, after = (
        np.asarray(cv2.remap(thermal, *map_planes(deformation), cv2.INTER_LINEAR))
        for deformation in (stretch, found.deformation or stretch))
    return composite(rgb, before, after, line=found.words,
                     labels=('stretched', 'estimated' if found.deformation else 'not found'))
