# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Random but realistic maps from the pixels of a thermal image back to those of an RGB image.

A map is a homography (mounts, fields of view), a radial term (lenses) and a smooth elastic field.
It is drawn in the direction thermal -> RGB, in which the thermal image is made by one resampling,
and inverted numerically for the truth, RGB -> thermal.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ivif_ros.types import Array, Size

_NODES = (15, 20)
_INVERSION_STEPS = 8


@dataclass(frozen=True, eq=False)
class BackwardMap:
    """Where the pixels of a thermal image lie in the RGB image.

    Attributes:
        size: width, height of both working images in pixels.
        homography: (3, 3) thermal pixel -> RGB pixel.
        bend: (rows, columns, 2) float32, what is added to it, in RGB pixels; nodes spread evenly
            over the thermal image, the outer ones on the outer pixel centres.
    """

    size: Size
    homography: Array
    bend: Array

    def planes(self) -> tuple[Array, Array]:
        """RGB pixel of every thermal pixel: x and y, (h, w) float32 each."""
        width, height = self.size
        x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        points = self.at(np.stack([x, y], axis=-1))
        return np.ascontiguousarray(points[..., 0]), np.ascontiguousarray(points[..., 1])

    def at(self, points: Array) -> Array:
        """RGB pixels of thermal pixels, (h, w, 2) float32 both."""
        return np.asarray(mapped(self.homography, points) + self._bent(points))

    def inverse(self, points: Array) -> Array:
        """Thermal pixels of RGB pixels, (h, w, 2) float32 both, by fixed point iteration."""
        back = np.linalg.inv(self.homography)
        found = mapped(back, points)
        for _ in range(_INVERSION_STEPS):
            found = mapped(back, points - self._bent(found))
        return found

    def _bent(self, points: Array) -> Array:
        rows, columns = self.bend.shape[:2]
        scale = np.array([columns - 1, rows - 1], np.float32) / np.array(
            [self.size[0] - 1, self.size[1] - 1], np.float32)
        place: Array = points * scale
        return sampled(self.bend, place, border=cv2.BORDER_REPLICATE)


@dataclass(frozen=True)
class Spread:
    """How far maps reach; lengths as shares of the width of the image, standard deviations.

    Attributes:
        shift: of the whole image.
        turn_deg: rotation.
        zoom: of the logarithm of the zoom.
        aspect: of the logarithm of the ratio of the zooms across and down.
        corner: of each corner by itself (perspective).
        lens: radial term at the corners of the image.
        elastic: mean length of the elastic field, drawn from an exponential distribution.
    """

    shift: float
    turn_deg: float
    zoom: float
    aspect: float
    corner: float
    lens: float
    elastic: float

    def draw(self, size: Size, rng: np.random.Generator, strength: float = 1.0,
             zoom: float = 1.0) -> BackwardMap:
        """Draw a map.

        Args:
            size: width, height of the working images.
            rng: source of randomness.
            strength: factor for all of it.
            zoom: RGB pixels per thermal pixel about which the zoom is drawn.
        """
        width, height = size
        centre = np.array([width - 1, height - 1]) / 2
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (centre + 0.5)
        normal = rng.standard_normal(4) * strength
        angle = np.radians(self.turn_deg * normal[0])
        both = zoom * np.exp(self.zoom * normal[1])
        stretch = np.exp(self.aspect * normal[2] / 2)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        moved = (corners @ turn.T) * both * [stretch, 1 / stretch] + centre
        moved += strength * width * (
            self.shift * rng.standard_normal(2) + self.corner * rng.standard_normal((4, 2)))
        homography = cv2.getPerspectiveTransform(
            (corners + centre).astype(np.float32), moved.astype(np.float32))
        rows, columns = _NODES
        nodes = rng.standard_normal((rng.integers(3, 8), rng.integers(3, 9), 2))
        bend = cv2.resize(nodes.astype(np.float32), (columns, rows), interpolation=cv2.INTER_CUBIC)
        length = np.linalg.norm(bend, axis=2).mean()
        bend *= strength * width * rng.exponential(self.elastic) / max(length, 1e-6)
        x, y = np.meshgrid(np.linspace(-1, 1, columns), np.linspace(-1, 1, rows) * height / width)
        radial = strength * width * self.lens * normal[3] * (x * x + y * y)
        bend += np.stack([radial * x, radial * y], axis=-1).astype(np.float32)
        return BackwardMap(size, homography, bend)


NEAR = Spread(shift=0.03, turn_deg=2.0, zoom=0.04, aspect=0.02, corner=0.012, lens=0.004,
              elastic=0.006)
"""A rig that is roughly known, or two cameras mounted with care."""
REST = Spread(shift=0.008, turn_deg=0.5, zoom=0.01, aspect=0.006, corner=0.005, lens=0.003,
              elastic=0.006)
"""What a global estimate leaves."""
WIDE = Spread(shift=0.06, turn_deg=3.0, zoom=0.12, aspect=0.10, corner=0.012, lens=0.006,
              elastic=0.004)
"""About a zoom that is drawn as well: nothing is known."""


def sampled(image: Array, place: Array, how: int = cv2.INTER_LINEAR,
            border: int = cv2.BORDER_CONSTANT, outside: float = 0.0) -> Array:
    """Sample an image.

    Args:
        image: (H, W) or (H, W, c).
        place: (h, w, 2) x, y in pixels of it.
        how: interpolation of OpenCV.
        border: border mode of OpenCV.
        outside: value beyond the border, for a constant one.
    """
    x, y = (np.ascontiguousarray(place[..., axis], np.float32) for axis in (0, 1))
    return np.asarray(cv2.remap(image, x, y, how, borderMode=border, borderValue=(outside,) * 4))


def mapped(homography: Array, points: Array) -> Array:
    """Map points (..., 2) by a homography (3, 3); float32, NaN stays NaN."""
    h = homography.astype(np.float32)
    x, y = points[..., 0], points[..., 1]
    w = np.maximum(h[2, 0] * x + h[2, 1] * y + h[2, 2], np.float32(1e-3))
    return np.stack([(h[0, 0] * x + h[0, 1] * y + h[0, 2]) / w,
                     (h[1, 0] * x + h[1, 1] * y + h[1, 2]) / w], axis=-1).astype(
                         np.float32, copy=False)
