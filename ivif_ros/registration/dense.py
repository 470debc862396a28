# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A homography and what it leaves, cell by cell."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from ivif_ros.registration.maps import grid_nodes, sample_grid
from ivif_ros.registration.network import FINE
from ivif_ros.registration.robust import apply
from ivif_ros.registration.smoothing import blurred
from ivif_ros.registration.voting import Vote
from ivif_ros.types import Array, Deformation, Size

_NARROW, _BROAD = 0.8, 5.0
"""Standard deviations in cells of the two windows over which displacements are averaged."""
_BROAD_SHARE = 0.04
_STIFFNESS = 0.0005
"""Weight of no displacement at all, against that of cells whose error is half a pixel."""


@lru_cache(maxsize=32)
def centres(size: Size, cell: int) -> Array:
    """Middle of each cell, (rows, columns, 2) float64 x, y in pixels; not to be written to."""
    x, y = (np.arange(length // cell) * cell + (cell - 1) / 2 for length in size)
    points = np.stack(np.meshgrid(x, y), axis=-1)
    points.setflags(write=False)
    return points


@dataclass(frozen=True, eq=False)
class DenseMap:
    """Working pixel -> pixel of another image: the small thermal one, or again the working one.

    Attributes:
        size: width, height of the working image.
        homography: (3, 3) float64.
        rest: (rows, columns, 2) float64, what is added in the middle of each cell of FINE pixels,
            in pixels of the other image.
    """

    size: Size
    homography: Array
    rest: Array

    @classmethod
    def of(cls, deformation: Deformation) -> DenseMap:
        """Take a deformation for images of these sizes."""
        size = deformation.rgb_size
        points = centres(size, FINE)
        rest = (np.zeros_like(points) if deformation.grid is None else
                sample_grid(deformation.grid, size, points))
        return cls(size, deformation.homography, rest)

    @classmethod
    def identity(cls, size: Size) -> DenseMap:
        """Each working pixel stays where it is."""
        return cls(size, np.eye(3), np.zeros_like(centres(size, FINE)))

    @classmethod
    def fitted(cls, size: Size, homography: Array, target: Array, weight: Array) -> DenseMap:
        """Average what a homography leaves, over a narrow window, and a broad one where in doubt.

        Args:
            size: width, height of the working image.
            homography: (3, 3).
            target: (rows, columns, 2) pixel for the middle of each cell.
            weight: (rows, columns) trust in it: 1 over the square of its error in pixels.
        """
        rest = target - apply(homography, centres(size, FINE))
        stack = np.dstack([rest * weight[..., None], weight])
        mixed = blurred(stack, _NARROW) + _BROAD_SHARE * blurred(stack, _BROAD)
        return cls(size, homography, mixed[..., :2] / (mixed[..., 2:] + 4 * _STIFFNESS))

    @property
    def scale(self) -> float:
        """Pixels of the other image per working pixel in the middle of the image."""
        middle = np.array([[0.0, 0], [1, 0], [0, 1]]) + np.array(self.size) / 2
        zero, right, down = apply(self.homography, middle)
        area = abs(float(np.linalg.det(np.stack([right - zero, down - zero]))))
        return max(float(np.sqrt(area)), 1e-3)

    def at(self, points: Array) -> Array:
        """Pixels of the other image for working pixels (rows, columns, 2)."""
        # OpenCV rounds positions to 1/32 of a cell, over which displacements hardly change, and is
        # ten times as fast as exact sampling.
        cells = ((points - (FINE - 1) / 2) / FINE).astype(np.float32)
        x, y = cv2.split(cells)
        rest = cv2.remap(self.rest, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(apply(self.homography, points) + rest)

    def after(self, moved: Array) -> DenseMap:
        """The map that first moves the working pixel by a homography (3, 3)."""
        return self._moved(moved, apply(moved, centres(self.size, FINE)))

    def corrected(self, vote: Vote) -> DenseMap:
        """The map that first moves the working pixel by what was voted for."""
        points = centres(self.size, FINE)
        moved = apply(vote.homography, points)
        if vote.rest.any():
            moved = moved + _spread_over(vote.rest, points.shape[:2])
        return self._moved(vote.homography, moved)

    def following(self, first: DenseMap) -> DenseMap:
        """The map that first moves the working pixel by another map."""
        return self._moved(first.homography, first.at(centres(self.size, FINE)))

    def _moved(self, homography: Array, points: Array) -> DenseMap:
        homography = self.homography @ homography
        homography = homography / homography[2, 2]
        rest = self.at(points) - apply(homography, centres(self.size, FINE))
        return DenseMap(self.size, homography, rest)

    def lattice(self, width: int, height: int, cell: int = 1) -> Array:
        """Where it maps to, in the coordinates of `grid_sample` for an image.

        Args:
            width: of the other image.
            height: likewise.
            cell: working pixels per sample, which is taken in the middle of them.

        Returns:
            (h / cell, w / cell, 2) float32.
        """
        # Its coordinates count from -1 to 1 between the outer edges of the outer pixels.
        across, down = 2 / width, 2 / height
        h = np.array([[across, 0, across / 2 - 1], [0, down, down / 2 - 1], [0, 0, 1]]
                     ) @ self.homography
        size = self.size[0] // cell, self.size[1] // cell
        x, y = (np.arange(length) * cell + (cell - 1) / 2 for length in size)
        # Each row of the homography is a sum of a term per column and one per row.
        u, v, w = ((h[row, 0] * x).astype(np.float32)
                   + (h[row, 1] * y + h[row, 2]).astype(np.float32)[:, None] for row in range(3))
        np.divide(1.0, np.maximum(w, 1e-6, out=w), out=w)
        u *= w
        v *= w
        lattice = cv2.merge([u, v])
        lattice += cv2.resize((self.rest * (across, down)).astype(np.float32), size,
                              interpolation=cv2.INTER_LINEAR)
        return np.asarray(lattice)

    def deformation(self, thermal_size: Size) -> Deformation:
        """The map for thermal images of this size, with its nodes on the outer pixel centres."""
        rows, columns = self.rest.shape[:2]
        nodes = grid_nodes(self.size, columns, rows)
        grid = self.at(nodes) - apply(self.homography, nodes)
        return Deformation(self.size, thermal_size, self.homography, grid.astype(np.float32))


def _spread_over(rest: Array, shape: tuple[int, ...]) -> Array:
    """Interpolate displacements (rows, columns, 2) of cells to more cells."""
    return np.asarray(cv2.resize(rest, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR))
