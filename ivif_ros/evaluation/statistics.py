# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Means with bootstrap intervals, and percentiles, of figures that come by pair by pair."""

from __future__ import annotations

from array import array

import numpy as np

from ivif_ros.evaluation.records import Estimate
from ivif_ros.types import Array

DRAWS = 1000
"""Resamples of the bootstrap (Efron and Tibshirani 1993; percentile intervals)."""
LEVEL = 0.95
SEED = 0
"""The same evaluation gives the same intervals."""
_AT_ONCE = 100


class Column:
    """Values of one figure over the pairs of some recordings; eight bytes for each value."""

    def __init__(self) -> None:
        """Start without values."""
        self.recordings: dict[str, array[float]] = {}

    def add(self, recording: str, value: float) -> None:
        """Take the value of a pair."""
        self.recordings.setdefault(recording, array('d')).append(value)

    def means(self) -> dict[str, float]:
        """Mean of each recording."""
        return {name: float(np.mean(values)) for name, values in self.recordings.items()}

    def values(self) -> Array:
        """All values."""
        return np.concatenate([np.frombuffer(values) for values in self.recordings.values()])


def estimate(column: Column) -> Estimate:
    """Mean over all pairs, with an interval from the bootstrap.

    Pairs of a recording resemble each other, so that whole recordings are drawn. One recording
    alone says nothing about others: its pairs are drawn, and the interval is one for this recording
    (and too narrow, as neighbours in time are alike).
    """
    parts = [np.frombuffer(values) for values in column.recordings.values()]
    over = 'recordings' if len(parts) > 1 else 'pairs'
    if over == 'recordings':
        sums, counts = (np.array([fn(part) for part in parts], np.float64) for fn in (np.sum, len))
    else:
        sums, counts = parts[0], np.ones(len(parts[0]))
    low, high = _interval(sums, counts)
    n = sum(len(part) for part in parts)
    return Estimate(float(sums.sum() / n), low, high, n, over)


def percentiles(values: Array) -> dict[str, float]:
    """p50, p90 and p99 (linear interpolation)."""
    found = np.percentile(values, (50, 90, 99))
    return {name: float(value) for name, value in zip(('p50', 'p90', 'p99'), found, strict=True)}


def _interval(sums: Array, counts: Array) -> tuple[float | None, float | None]:
    """Percentile interval of the mean over units of which so many values have these sums."""
    units = len(sums)
    if units < 2:
        return None, None
    rng = np.random.default_rng(SEED)
    means = []
    for _ in range(DRAWS // _AT_ONCE):
        drawn = rng.multinomial(units, np.full(units, 1 / units), size=_AT_ONCE)
        means.append(drawn @ sums / (drawn @ counts))
    low, high = np.quantile(np.concatenate(means), ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(low), float(high)
