# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The pictures of a recording that are kept: best, median and worst pairs of a method."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np

from ivif_ros.detection import draw
from ivif_ros.parameters import ThermalParameters
from ivif_ros.thermal import ThermalNormaliser
from ivif_ros.types import Array, Detections, FusionResult

WIDTH = 480
"""Widest picture, in pixels."""
QUALITY = 70
"""Of WebP, 0 to 100."""
APART_S = 1.0
"""Pairs of the same second of a stream look alike: at most one of them is kept of each kind."""

Pictures = Mapping[str, Array]
"""Name of the picture (`rgb`, `thermal`, `registered`, `fused`) -> (h, w) or (h, w, 3) uint8."""


@dataclass(frozen=True, eq=False)
class Kept:
    """A pair with its pictures."""

    value: float
    index: int
    time_s: float
    pictures: Pictures


class Gallery:
    """Chooses pairs by a figure while they come by, in memory that does not grow.

    Best and worst pairs are exact. The median moves while pairs come, so that some more than needed
    are kept near it, and the nearest of them remain in the end. All take about 6 MB for each of
    `count`.

    Args:
        count: pairs of each kind.
        apart_s: pairs of the same span of so many seconds are alike; 0 for stills.
    """

    def __init__(self, count: int, apart_s: float) -> None:
        """Start without pairs."""
        self._count = count
        self._apart_s = apart_s
        self._values: list[float] = []
        self._best: list[Kept] = []
        self._worst: list[Kept] = []
        self._middle: list[Kept] = []

    def offer(self, value: float, index: int, time_s: float,
              pictures: Callable[[], Pictures]) -> None:
        """Take a pair, or not.

        Args:
            value: the figure; NaN is not kept.
            index: of the pair.
            time_s: of the pair.
            pictures: makes the pictures, called where the pair is kept.
        """
        if not np.isfinite(value) or not self._count:
            return
        bisect.insort(self._values, value)
        middle = self._median()
        kept: list[Kept] = []

        def candidate() -> Kept:
            if not kept:
                kept.append(Kept(value, index, time_s, pictures()))
            return kept[0]

        for pairs, badness, room in (
                (self._best, lambda value: -value, self._count),
                (self._worst, lambda value: value, self._count),
                (self._middle, lambda value: abs(value - middle), 2 * self._count)):
            self._place(pairs, badness, room, value, time_s, candidate)

    def chosen(self) -> list[Kept]:
        """Return the pairs to show, each once, by index."""
        middle = self._median() if self._values else 0.0
        near = sorted(self._middle, key=lambda kept: (abs(kept.value - middle), kept.index))
        pairs = {kept.index: kept for kept in (*self._best, *self._worst, *near[:self._count])}
        return [pairs[index] for index in sorted(pairs)]

    def _median(self) -> float:
        return self._values[len(self._values) // 2]

    def _place(self, pairs: list[Kept], badness: Callable[[float], float], room: int, value: float,
               time_s: float, candidate: Callable[[], Kept]) -> None:
        """Keep a pair where it is better than one that must leave for it."""
        alike = (kept for kept in pairs if self._apart_s
                 and kept.time_s // self._apart_s == time_s // self._apart_s)
        rival = next(alike, None)
        if rival is None and len(pairs) >= room:
            rival = max(pairs, key=lambda kept: badness(kept.value))
        if rival is None:
            pairs.append(candidate())
        elif badness(value) < badness(rival.value):
            pairs.remove(rival)
            pairs.append(candidate())


def pictures_of(result: FusionResult, thermal: ThermalParameters,
                found: Mapping[str, Detections]) -> Pictures:
    """Small pictures of a pair.

    Args:
        result: of one method.
        thermal: how to show the raw thermal image.
        found: modality -> objects in RGB pixels, drawn into rgb, registered and fused image.
    """
    images: dict[str, tuple[Array, Detections | None]] = {
        'fused': (result.fused, found.get('fused'))}
    if result.pair.rgb is not None:
        images['rgb'] = result.pair.rgb.image, found.get('rgb')
    if result.pair.thermal is not None:
        frame = result.pair.thermal
        images['thermal'] = ThermalNormaliser(thermal).apply(frame.image, frame.stamp_ns), None
    if result.thermal_registered is not None:
        images['registered'] = result.thermal_registered, found.get('thermal')
    return {name: _picture(image, objects) for name, (image, objects) in images.items()}


def encoded(image: Array) -> bytes:
    """WebP of a picture."""
    done, data = cv2.imencode('.webp', image, (cv2.IMWRITE_WEBP_QUALITY, QUALITY))
    assert done, 'OpenCV encodes WebP'
    return bytes(data)


def _picture(image: Array, objects: Detections | None) -> Array:
    """An image at most WIDTH wide, with boxes, in memory of its own."""
    height, width = image.shape[:2]
    scale = min(1.0, WIDTH / width)
    size = min(WIDTH, width), max(1, round(height * scale))
    small: Array = np.array(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
    if objects is None:
        return small
    colour = small if small.ndim == 3 else np.asarray(cv2.cvtColor(small, cv2.COLOR_GRAY2BGR))
    return draw(colour, replace(objects, boxes=objects.boxes * scale))
