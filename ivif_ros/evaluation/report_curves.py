# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What a report draws of results.jsonl: curves over time, histograms, failures and kept frames.

One pass over the records. Curves have a bounded number of points however long a recording is:
where it becomes too large, neighbouring points are merged two by two, and a point stands for the
mean, the least and the largest of its pairs. So a single bad pair in an hour stays visible.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ivif_ros.evaluation.records import PairRecord
from ivif_ros.evaluation.report_text import finite
from ivif_ros.metrics.catalogue import OTHER_CONVENTION

NUMBERS = 600_000
"""Numbers in all curves of a report together; each takes about 7 bytes in the page."""
MOST_POINTS, FEWEST_POINTS = 400, 40
SERIES = 30
"""Series that a pair has at most: metrics, stages, confidence, ..."""
BINS_PER_DECADE = 24
"""Bins of a histogram; each is 10 % wider than the one before."""
MOST_FAILURES = 500
"""Kinds of failure that are told apart: messages may have a number in them."""
_SAID_TWICE = frozenset(f'metric:{key}' for key in OTHER_CONVENTION.values())


@dataclass
class _Point:
    """Pairs that are drawn as one point; per series number, sum, least and largest value."""

    pairs: int = 0
    time: float = 0.0
    modes: Counter[str] = field(default_factory=Counter)
    series: dict[str, list[float]] = field(default_factory=dict)

    def add(self, record: PairRecord, time: float) -> None:
        self.pairs += 1
        self.time += time
        self.modes[record.mode or 'failed'] += 1
        for key, value in values_of(record):
            cell = self.series.get(key)
            if cell is None:
                self.series[key] = [1, value, value, value]
            else:
                cell[0] += 1
                cell[1] += value
                cell[2] = min(cell[2], value)
                cell[3] = max(cell[3], value)

    def merge(self, other: _Point) -> None:
        self.pairs += other.pairs
        self.time += other.time
        self.modes.update(other.modes)
        for key, cell in other.series.items():
            mine = self.series.setdefault(key, [0, 0.0, math.inf, -math.inf])
            self.series[key] = [mine[0] + cell[0], mine[1] + cell[1],
                                min(mine[2], cell[2]), max(mine[3], cell[3])]


class Curve:
    """All series of one method over one recording, with at most so many points."""

    def __init__(self, most_points: int, stills: bool = False) -> None:
        """Start empty.

        Args:
            most_points: number of points from which on neighbours are merged, at least 2.
            stills: the pairs have an order and no time.
        """
        self._most = most_points
        self._stills = stills
        self._pairs_per_point = 1
        self._points: list[_Point] = []

    def add(self, record: PairRecord) -> None:
        """Add the next pair."""
        if not self._points or self._points[-1].pairs >= self._pairs_per_point:
            if len(self._points) == self._most:
                self._halve()
            self._points.append(_Point())
        self._points[-1].add(record, record.index if self._stills else record.time_s)

    def _halve(self) -> None:
        merged = self._points[::2]
        for point, neighbour in zip(merged, self._points[1::2], strict=False):
            point.merge(neighbour)
        self._points = merged
        self._pairs_per_point *= 2

    def as_json(self) -> dict[str, Any]:
        """Return what the script of the page draws.

        Returns:
            `t`: seconds of the points, numbers of stills; `n`: pairs in a full point; `mode`: the
            least common mode of each point (so that a single partial pair shows); `s`: series ->
            `[means]`, or `[means, least, largest]` where points hold more than one pair. Numbers
            have four digits, null stands for none.
        """
        modes = Counter[str]()
        for point in self._points:
            modes.update(point.modes)
        series: dict[str, list[list[float | None]]] = {}
        for key in sorted({key for point in self._points for key in point.series}):
            cells = [point.series.get(key) for point in self._points]
            series[key] = [[None if cell is None else _short(cell[1] / cell[0]) for cell in cells]]
            if self._pairs_per_point > 1:
                series[key] += [[None if cell is None else _short(cell[part]) for cell in cells]
                                for part in (2, 3)]
        return {'t': [_short(point.time / point.pairs, 6) for point in self._points],
                'n': self._pairs_per_point,
                'mode': [min(point.modes, key=lambda mode: (modes[mode], mode))
                         for point in self._points],
                's': series}


@dataclass
class Drawn:
    """What one pass over the results gives.

    Attributes:
        curves: recording -> method -> Curve.as_json().
        left_out: recordings whose curves would make the page too large.
        histograms: method -> stage -> `[first bin, counts...]`; bin i holds the pairs between
            10^(i / BINS_PER_DECADE) and 10^((i + 1) / BINS_PER_DECADE) milliseconds.
        failures: (recording, method, message) -> number of pairs.
        kept: records of which pictures were kept.
        vif: (recording, method) -> VIF of all pairs that were measured, to tell the rank of one.
        found: method -> modality -> objects that a detector found, in all pairs together.
        reasons: method -> why a pair was not fused from both images -> pairs.
    """

    curves: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    histograms: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    failures: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    kept: list[PairRecord] = field(default_factory=list)
    vif: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    found: dict[str, Counter[str]] = field(default_factory=dict)
    reasons: dict[str, Counter[str]] = field(default_factory=dict)


def draw(records: Iterable[PairRecord], recordings: int, methods: int,
         stills: Collection[str] = ()) -> Drawn:
    """Pass over the results once.

    Args:
        records: of all recordings and methods, those of one recording and method in their order.
        recordings: number of recordings, which says how many points a curve may have.
        methods: number of methods.
        stills: names of those recordings that are no streams.
    """
    fit = NUMBERS // (3 * SERIES * max(1, methods))
    points = min(max(fit // max(1, recordings), FEWEST_POINTS), MOST_POINTS)
    most_recordings = max(1, fit // points)
    drawn = Drawn()
    curves: dict[str, dict[str, Curve]] = {}
    bins: dict[str, dict[str, Counter[int]]] = {}
    for record in records:
        if record.recording not in curves and len(curves) >= most_recordings:
            if record.recording not in drawn.left_out:
                drawn.left_out.append(record.recording)
        else:
            by_method = curves.setdefault(record.recording, {})
            curve = by_method.setdefault(
                record.method, Curve(points, record.recording in stills))
            curve.add(record)
        for stage, value in record.latency_ms.items():
            if value > 0:
                by_stage = bins.setdefault(record.method, {})
                by_stage.setdefault(stage, Counter())[
                    math.floor(math.log10(value) * BINS_PER_DECADE)] += 1
        _note(drawn, record)
    drawn.curves = {recording: {method: curve.as_json() for method, curve in by_method.items()}
                    for recording, by_method in curves.items()}
    drawn.histograms = {method: {stage: _dense(counts) for stage, counts in by_stage.items()}
                        for method, by_stage in bins.items()}
    return drawn


def values_of(record: PairRecord) -> Iterator[tuple[str, float]]:
    """Yield the series of a pair and its finite values, such as `skew` or `metric:VIF`."""
    parts: list[tuple[str, Any]] = [
        ('skew', record.skew_ms), ('confidence', record.confidence),
        ('expected', record.expected_error_px)]
    for prefix, group in (('latency', record.latency_ms), ('metric', record.metrics),
                          ('registration', record.registration), ('found', record.detections)):
        parts += [(f'{prefix}:{key}', value) for key, value in (group or {}).items()]
    for key, value in parts:
        # Sums over the two sources say the same as their means.
        if (shown := finite(value)) is not None and key not in _SAID_TWICE:
            yield key, shown


def _note(drawn: Drawn, record: PairRecord) -> None:
    if record.error:
        failure = record.recording, record.method, record.error
        if failure not in drawn.failures and len(drawn.failures) >= MOST_FAILURES:
            failure = record.recording, record.method, 'other errors'
        drawn.failures[failure] += 1
    if record.reason:
        drawn.reasons.setdefault(record.method, Counter())[record.reason] += 1
    if record.frames:
        drawn.kept.append(record)
    if record.metrics and (vif := finite(record.metrics.get('VIF'))) is not None:
        drawn.vif.setdefault((record.recording, record.method), []).append(vif)
    if record.detections:
        drawn.found.setdefault(record.method, Counter()).update(record.detections)


def _dense(counts: Counter[int]) -> list[int]:
    first, last = min(counts), max(counts)
    return [first, *(counts[index] for index in range(first, last + 1))]


def _short(value: float, digits: int = 4) -> float:
    """Round to some digits; integers where nothing is lost, as they are shorter in JSON."""
    rounded = float(np.format_float_positional(value, digits, unique=False, fractional=False))
    return int(rounded) if rounded == int(rounded) else rounded
