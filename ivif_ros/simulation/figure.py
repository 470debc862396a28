# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Canvas for people and bicycles: rounded body parts with colour and temperature."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

from ivif_ros.simulation.noise import Rng, bleed, fractal
from ivif_ros.simulation.radiance import encode
from ivif_ros.simulation.surface import Texture
from ivif_ros.types import Array

PX_PER_M = 80
Point = tuple[float, float]


class Figure:
    """Body parts painted from back to front, each with colour, temperature and rounded shading."""

    def __init__(self, rng: Rng, size_m: tuple[float, float]) -> None:
        """Start empty; points are metres to the right of the middle and above the ground."""
        self.size = (int(size_m[0] * PX_PER_M), int(size_m[1] * PX_PER_M))
        shape = self.size[::-1]
        self.reflect = np.zeros((*shape, 3), np.float32)
        self.heat = np.zeros(shape, np.float32)
        self.alpha = np.zeros(shape, np.float32)
        self.folds = fractal(rng, shape, 22, 4, 0.75)

    def pixel(self, point: Point) -> tuple[int, int]:
        """Pixel of a point, in sixteenths."""
        return (
            round((point[0] * PX_PER_M + self.size[0] / 2) * 16),
            round((self.size[1] - 1 - point[1] * PX_PER_M) * 16),
        )

    def limb(self, points: list[Point], widths: list[float], colour: Array, celsius: float) -> None:
        """A chain of tapered capsules through points, with a diameter in metres at each."""
        mask = np.zeros(self.size[::-1], np.uint8)
        for (a, b), (wide, narrow) in zip(pairwise(points), pairwise(widths), strict=True):
            direction = np.subtract(b, a)
            normal = np.array([-direction[1], direction[0]]) / max(np.hypot(*direction), 1e-6)
            corners = [
                a + normal * wide / 2,
                b + normal * narrow / 2,
                b - normal * narrow / 2,
                a - normal * wide / 2,
            ]
            quad = np.array([self.pixel((float(c[0]), float(c[1]))) for c in corners], np.int32)
            cv2.fillConvexPoly(mask, quad, 255, cv2.LINE_AA, 4)
        for point, width in zip(points, widths, strict=True):
            cv2.circle(
                mask, self.pixel(point), int(width / 2 * PX_PER_M * 16), 255, -1, cv2.LINE_AA, 4
            )
        self.part(mask, colour, celsius)

    def shape(self, points: list[Point], colour: Array, celsius: float) -> None:
        """A filled outline."""
        mask = np.zeros(self.size[::-1], np.uint8)
        outline = np.array([self.pixel(p) for p in points], np.int32)
        cv2.fillPoly(mask, [outline], 255, cv2.LINE_AA, 4)
        self.part(mask, colour, celsius)

    def part(self, mask: Array, colour: Array, celsius: float) -> None:
        """Paint a mask: round, folded, a little cooler where the surface turns away."""
        x, y, w, h = cv2.boundingRect(mask)
        if not w:
            return
        box = np.s_[y : y + h, x : x + w]
        cover = mask[box] / np.float32(255)
        inside: Array = cv2.distanceTransform(
            (np.pad(mask[box], 1) > 127).astype(np.uint8), cv2.DIST_L2, 3
        )
        inside = inside[1:-1, 1:-1]
        round_ = np.sqrt(np.clip(inside / max(float(inside.max()), 1.0), 0, 1))
        folds = self.folds[box]
        shade = (0.55 + 0.5 * round_) * (1 + 0.16 * folds)
        weight = cover[..., None]
        self.reflect[box] += weight * (colour * shade[..., None] - self.reflect[box])
        heat = celsius - 1.6 * (1 - round_) + 0.7 * folds
        self.heat[box] += cover * (heat - self.heat[box])
        self.alpha[box] = np.maximum(self.alpha[box], cover)

    def texture(self) -> Texture:
        """Encode; the light on the figure is applied when it is drawn."""
        colour = encode(bleed(np.maximum(self.reflect, 0.012), self.alpha))
        visible = np.dstack([colour, np.rint(self.alpha * 255).astype(np.uint8)])
        thermal = np.dstack([bleed(self.heat, self.alpha), self.alpha])
        return Texture(visible, thermal)
