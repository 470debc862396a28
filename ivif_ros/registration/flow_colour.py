# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Vectors as colours: direction is hue, length is saturation."""

from __future__ import annotations

from functools import cache

import numpy as np

from ivif_ros.types import Array

_ARCS = (15, 6, 4, 11, 13, 6)
"""Colours from red to yellow, green, cyan, blue, magenta and back: unequal, since people tell
reds apart better than greens."""
_BEYOND = 0.75
"""Brightness of colours of vectors that are longer than the scale."""


def flow_colours(vectors: Array, largest: float) -> Array:
    """Colour of each vector: white at rest, full colour at the end of the scale, darker beyond.

    The convention of optical flow (Baker et al., A Database and Evaluation Methodology for Optical
    Flow, 2011).

    Args:
        vectors: (..., 2) x (right), y (down).
        largest: length at the end of the scale, > 0.

    Returns:
        (..., 3) uint8 BGR.
    """
    x, y = vectors[..., 0] / largest, vectors[..., 1] / largest
    radius = np.hypot(x, y)
    wheel = _wheel()
    position = (np.arctan2(-y, -x) / np.pi + 1) / 2 * len(wheel)
    first = position.astype(np.intp) % len(wheel)
    share = (position % 1)[..., None]
    hue = wheel[first] * (1 - share) + wheel[(first + 1) % len(wheel)] * share
    inside = (radius <= 1)[..., None]
    colour = np.where(inside, 1 - radius[..., None] * (1 - hue), hue * _BEYOND)
    return np.asarray(np.rint(colour * 255).astype(np.uint8))


def disc(diameter: int) -> tuple[Array, Array]:
    """Legend: every direction and length up to the end of the scale, as a disc.

    Args:
        diameter: in pixels, at least 3.

    Returns:
        (diameter, diameter, 3) uint8 BGR, and its opacity (diameter, diameter, 1) float32 with a
        smooth rim.
    """
    across = (np.arange(diameter) + 0.5) * 2 / diameter - 1
    vectors = np.stack(np.meshgrid(across, across), axis=-1)
    radius = np.hypot(vectors[..., 0], vectors[..., 1])
    # The rim keeps the colours of the end of the scale.
    vectors /= np.maximum(radius, 1.0)[..., None]
    opacity = np.clip((1 - radius) * diameter / 2 + 0.5, 0, 1).astype(np.float32)
    return flow_colours(vectors, 1.0 + 1e-9), opacity[..., None]


@cache
def _wheel() -> Array:
    """Hues (n, 3) float64 BGR in 0..1, from red over yellow, green, cyan, blue and magenta."""
    corners = np.array([[0, 0, 1], [0, 1, 1], [0, 1, 0], [1, 1, 0], [1, 0, 0], [1, 0, 1]], float)
    arcs = []
    for index, count in enumerate(_ARCS):
        share = (np.arange(count) / count)[:, None]
        arcs.append(corners[index] * (1 - share) + corners[(index + 1) % 6] * share)
    return np.concatenate(arcs)
