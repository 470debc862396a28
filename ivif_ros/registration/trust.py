# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What a confidence means, and which estimates are believed.

A confidence is `exp(-e / 5)` of an expected error e in pixels of an image 640 wide, so that images
of all sizes share one scale. An estimate is believed where it continues what was known. One that
lies far off must be repeated by others that agree with it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ivif_ros.registration.maps import distance_px, grid_nodes, points_to_thermal, thermal_scale
from ivif_ros.types import Array, Deformation

REFERENCE_WIDTH = 640.0
"""Width of the image in whose pixels expected errors are counted."""
ERROR_SCALE = 5.0
"""Expected error in those pixels at which confidence is 1 / e."""
REPEATS = 3
"""Estimates that must agree before what is known is left far behind."""

_LEAST_CONFIDENCE = 1e-4
_NARROWEST, _WIDEST = 6.4, 16.0
_AGREE = 6.4
_DEVIATIONS = 3.0
_MEMORY = 0.2
_UNTIL_WIDE_NS = 2_000_000_000
_CANDIDATE_NS = 3_000_000_000


def confidence_of(error: float | Array) -> Array:
    """Confidence of an expected error in pixels of an image 640 wide."""
    return np.exp(np.asarray(error) / -ERROR_SCALE)


def error_of(confidence: float | Array) -> Array:
    """Expected error that a confidence stands for, in pixels of an image 640 wide (46 at most)."""
    return -ERROR_SCALE * np.log(np.maximum(confidence, _LEAST_CONFIDENCE))


def reference_px(deformation: Deformation) -> float:
    """Thermal pixels that make up one pixel of an RGB image 640 wide."""
    return thermal_scale(deformation) * deformation.rgb_size[0] / REFERENCE_WIDTH


def typical_distance(first: Deformation, second: Deformation) -> float:
    """How far two deformations lie apart in most of the image.

    Returns:
        Median distance in pixels of an image 640 wide. Objects that move do not change it.
    """
    nodes = grid_nodes(first.rgb_size, 17, 13)
    apart = points_to_thermal(first, nodes) - points_to_thermal(second, nodes)
    return float(np.median(np.linalg.norm(apart, axis=-1)) / reference_px(first))


class _Candidate(NamedTuple):
    deformation: Deformation
    stamp_ns: int


class Gate:
    """Lets estimates pass that continue what is known, and others when they repeat themselves.

    The gate is three times as wide as estimates have lain from their prediction lately, within 1
    and 2.5 % of the width of the image.
    """

    def __init__(self) -> None:
        """Start with the widest gate."""
        self.reset()

    def reset(self) -> None:
        """Forget all estimates."""
        self._square = (_WIDEST / _DEVIATIONS) ** 2
        self._passed_ns: int | None = None
        self._candidates: list[_Candidate] = []

    def reset_timing(self) -> None:
        """Forget stamps (a recording starts again)."""
        self._passed_ns = None
        self._candidates = []

    def passes(self, predicted: Deformation, found: Deformation, stamp_ns: int) -> bool:
        """Whether an estimate continues what was predicted; if not, it becomes a candidate.

        Args:
            predicted: deformation that was in force for the pair of the estimate.
            found: the estimate.
            stamp_ns: stamp of that pair.
        """
        apart = typical_distance(predicted, found)
        width = float(np.clip(_DEVIATIONS * np.sqrt(self._square), _NARROWEST, _WIDEST))
        if self._passed_ns is None or stamp_ns - self._passed_ns > _UNTIL_WIDE_NS:
            width = _WIDEST
        if apart <= width:
            self._square += _MEMORY * (apart**2 - self._square)
            self._passed_ns = stamp_ns
            self._candidates = []
            return True
        limit = _AGREE * found.rgb_size[0] / REFERENCE_WIDTH
        self._candidates = [
            other for other in self._candidates
            if stamp_ns - other.stamp_ns <= _CANDIDATE_NS
            and distance_px(other.deformation, found) <= limit] + [_Candidate(found, stamp_ns)]
        return False

    def repeated(self) -> list[Deformation]:
        """Candidates that agree with each other, oldest first, once they are enough; else none.

        They are believed from then on, and the gate opens widely for what follows them.
        """
        if len(self._candidates) < REPEATS:
            return []
        agreed, newest_ns = self._candidates, self._candidates[-1].stamp_ns
        self.reset()
        self._passed_ns = newest_ns
        return [candidate.deformation for candidate in agreed]
