# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Which pairs of a long stream are worth an estimate: a few that differ as much as possible.

A standing camera gives the same picture a thousand times. A thousand estimates of it say no more
than one, and agree with each other even where they are wrong.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from ivif_ros.types import Array, Size

SAME = 0.01
"""Difference of two pairs, 0 to 2, up to which they show the same: noise gives about 0.002."""
_THUMBNAIL = 32, 24
_FAINT = 2.0
"""Standard deviation in grey levels below which a thumbnail counts as empty."""


@dataclass(frozen=True, eq=False)
class NamedPair:
    """Two images of the rig at one time.

    Attributes:
        name: what to call it in tables: a file name or a time.
        rgb: (H, W, 3) uint8 BGR.
        thermal: (h, w) uint8, warm is bright or dark.
    """

    name: str
    rgb: Array
    thermal: Array

    @property
    def sizes(self) -> tuple[Size, Size]:
        """Width and height of the RGB and of the thermal image."""
        return ((self.rgb.shape[1], self.rgb.shape[0]),
                (self.thermal.shape[1], self.thermal.shape[0]))


def pick_pairs(pairs: Iterable[NamedPair], most: int) -> list[NamedPair]:
    """Keep the pairs of a stream that differ most from each other.

    One pass, and memory for `most` pairs, however long the stream is: of the two kept pairs that
    are most alike, the later one gives way to a newcomer that is less alike to all others.

    Args:
        pairs: the stream; the images of those that are kept must not be written to later.
        most: how many to keep, at least 2.

    Returns:
        Up to `most` pairs in the order of the stream; no two of them show the same.
    """
    kept: list[NamedPair] = []
    signatures: list[Array] = []
    # Distances between the kept pairs; a pair is infinitely far from itself.
    apart = np.zeros((0, 0))
    for pair in pairs:
        signature = _signature(pair)
        distances = np.array([_difference(signature, other) for other in signatures])
        if len(kept) and distances.min() <= SAME:
            continue
        if len(kept) == most:
            drop = _most_alike(apart)
            others = np.arange(most) != drop
            if distances[others].min() <= apart[drop].min():
                continue
            del kept[drop], signatures[drop]
            apart, distances = apart[others][:, others], distances[others]
        kept.append(pair)
        signatures.append(signature)
        apart = np.block([[apart, distances[:, None]],
                          [distances[None, :], np.full((1, 1), np.inf)]])
    return kept


def _most_alike(apart: Array) -> int:
    """The later one of the two pairs that are most alike."""
    return int(max(np.unravel_index(int(apart.argmin()), apart.shape)))


def _signature(pair: NamedPair) -> Array:
    """Both images as small pictures without mean and contrast, one vector of unit length each."""
    parts = []
    for image in (pair.rgb, pair.thermal):
        small = cv2.resize(image, _THUMBNAIL, interpolation=cv2.INTER_AREA)
        if small.ndim == 3:
            small = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
        flat = small.astype(np.float32).ravel()
        flat -= flat.mean()
        contrast = float(flat.std())
        parts.append(flat / (np.sqrt(flat.size) * contrast) if contrast > _FAINT
                     else np.zeros_like(flat))
    return np.concatenate(parts)


def _difference(one: Array, other: Array) -> float:
    """1 minus the correlation of two pairs, averaged over both images."""
    apart = one - other
    return float(apart @ apart) / 4.0
