# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""How far two deformations lie apart in each place."""

from __future__ import annotations

import numpy as np

from ivif_ros.registration.maps import (
    NOWHERE,
    apply_homography,
    grid_nodes,
    points_to_thermal,
    sample_grid,
)
from ivif_ros.types import Array, Deformation

LATTICE = 161, 121
"""Nodes across and down on which a displacement is computed: finer than any grid."""


def displacement(deformation: Deformation, relative_to: Deformation | None = None) -> Array:
    """How far the content of each place lies off under another map.

    Under the other map the thermal image shows the content of RGB pixel x at `x + d(x)`, with
    `d(x) = H'^-1(T(x) - g'(x)) - x` for the map T and the other one, `T' = H' + g'`: exact where
    the other one is a homography, to first order where it has a grid.

    Args:
        deformation: backward map T, RGB -> thermal.
        relative_to: other map T' of images of the same sizes; None: the thermal image stretched.

    Returns:
        (rows, columns, 2) float64 x, y in RGB pixels on LATTICE, placed like the nodes of a grid;
        NaN where a map leads behind the thermal camera.
    """
    size = deformation.rgb_size
    other = relative_to if relative_to is not None else Deformation.stretch(
        size, deformation.thermal_size)
    nodes = grid_nodes(size, *LATTICE)
    thermal = points_to_thermal(deformation, nodes)
    if other.grid is not None:
        thermal = thermal - sample_grid(other.grid, size, nodes)
    found = apply_homography(np.linalg.inv(other.homography), thermal)
    found[(thermal[..., 0] < NOWHERE / 2) | (found[..., 0] <= NOWHERE)] = np.nan
    return np.asarray(found - nodes)
