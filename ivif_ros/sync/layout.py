# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Which part of the RGB image the thermal camera sees, as coarsely as motion needs it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ivif_ros.sync.motion import COLUMNS, ROWS
from ivif_ros.types import Array

NODES = 8, 6
"""Columns and rows of places at which the motion of both cameras is compared."""
_SEEN = 0.6  # share of a place that must lie inside the RGB image


class Layout(NamedTuple):
    """Rectangle of the RGB image that shows what the thermal image shows.

    Attributes:
        scale: its width and height as shares of the RGB image.
        x: its centre right of the centre of the RGB image, as a share of the width.
        y: its centre below the centre of the RGB image, as a share of the height.
    """

    scale: float
    x: float
    y: float

    def moved(self, axis: int, step: float) -> Layout:
        """A neighbour: a little larger (axis 0), further right (1) or further down (2)."""
        values = list(self)
        values[axis] += step
        return Layout(min(max(values[0], 0.2), 3.0), min(max(values[1], -0.5), 0.5),
                      min(max(values[2], -0.5), 0.5))

    def weights(self) -> tuple[Array, Array]:
        """How the cells of the RGB image add up to the places.

        Returns:
            (NODES, ROWS * COLUMNS) float32 shares, each row adds up to one, and (NODES,) bool,
            True for places that lie inside the RGB image.
        """
        across, seen_across = _overlaps(NODES[0], COLUMNS, self.scale, self.x)
        down, seen_down = _overlaps(NODES[1], ROWS, self.scale, self.y)
        shares = down[:, None, :, None] * across[None, :, None, :]
        return (shares.reshape(NODES[0] * NODES[1], -1).astype(np.float32),
                (seen_down[:, None] & seen_across[None]).ravel())


STRETCH = Layout(1.0, 0.0, 0.0)
"""Both cameras see the same."""


def _overlaps(nodes: int, cells: int, scale: float, centre: float) -> tuple[Array, Array]:
    """Shares of the cells of one axis in the places along it, and which places are seen."""
    width = scale / nodes
    middle = ((np.arange(nodes) + 0.5) / nodes - 0.5) * scale + centre
    edges = np.arange(cells + 1) / cells - 0.5
    overlap = np.clip(
        np.minimum(middle[:, None] + width / 2, edges[1:])
        - np.maximum(middle[:, None] - width / 2, edges[:-1]), 0, None)
    total = overlap.sum(axis=1, keepdims=True)
    return overlap / np.maximum(total, 1e-9), total[:, 0] > _SEEN * width
