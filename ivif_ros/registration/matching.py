# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Correspondences from the similarity of all cells with all cells."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ivif_ros.registration.network import COARSE, RegistrationNetwork
from ivif_ros.registration.robust import apply
from ivif_ros.types import Array

_LEAST = 0.02
_MIDDLE = (COARSE - 1) / 2


class Matches(NamedTuple):
    """Correspondences of the cells of an image.

    Attributes:
        source: (n, 2) float64 x, y in working pixels of the RGB image.
        target: (n, 2) float64 x, y in working pixels of the thermal image.
        weight: (n,) float64, 0..1.
    """

    source: Array
    target: Array
    weight: Array

    def agreement(self, homography: Array, tolerance: float) -> float:
        """Sum of the weights of those that a homography (3, 3) explains within a tolerance."""
        off = np.square(apply(homography, self.source) - self.target).sum(1)
        return float((self.weight / (1 + off / tolerance ** 2)).sum())


class Similarity:
    """How likely cells of one image are seen in each cell of another.

    Attributes:
        shape: rows, columns of both.
        points: (n, 2) float64 middle of the cells that are looked for, in working pixels: every
            second one, like the black squares of a chessboard, which find as good a model.
    """

    def __init__(self, network: RegistrationNetwork, rgb: Tensor, thermal: Tensor) -> None:
        """Compare.

        Args:
            network: knows how.
            rgb: (1, c, rows, columns) coarse features.
            thermal: the same of the thermal image.
        """
        self.shape = rows, columns = rgb.shape[2], rgb.shape[3]
        cells = np.arange(rows * columns)
        cells = cells[(cells // columns + cells % columns) % 2 == 0]
        self.points = np.stack([cells % columns, cells // columns], axis=1) * COARSE + _MIDDLE
        asking = torch.from_numpy(cells).to(rgb.device)
        logits = network.similarity(rgb.flatten(2)[:, :, asking], thermal.flatten(2))[0]
        # One exponential of each logit serves both directions. Logits differ by less than the
        # exponents of float32 allow: they are cosines times a moderate factor.
        weight = (logits - logits.amax()).exp_()
        of_rgb, of_thermal = weight.sum(1), 2 * weight.sum(0).clamp_min_(1e-30)
        self._best = (weight * of_thermal.rsqrt()).argmax(1).cpu().numpy()
        self._weight = weight.cpu().numpy()
        self._of_rgb, self._of_thermal = of_rgb.cpu().numpy(), of_thermal.cpu().numpy()

    def cell_of(self, pixels: Array) -> Array:
        """Position in cells of working pixels (n, 2)."""
        return (pixels - _MIDDLE) / COARSE

    def pixel_of(self, cells: Array) -> Array:
        """Working pixels of positions in cells (n, 2)."""
        return cells * COARSE + _MIDDLE

    def of_thermal(self, cells: Array) -> Array:
        """Probability of thermal cells (..., n), given the points; float32."""
        return np.asarray(self._weight[np.arange(len(self.points)), cells] / self._of_rgb)

    def matches(self) -> Matches:
        """Take the most probable partner of each point, with the mean place around it.

        The probability is that of both directions (dual softmax, Sun et al., LoFTR, 2021), summed
        over the 3x3 cells around the best.

        Returns:
            One match for each point; the weight is 0 where it is as good as none.
        """
        rows, columns = self.shape
        steps = np.arange(-1, 2)
        x = self._best % columns + np.tile(steps, 3)[:, None]
        y = self._best // columns + np.repeat(steps, 3)[:, None]
        inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
        index = y.clip(0, rows - 1) * columns + x.clip(0, columns - 1)
        around = self._weight[np.arange(len(self.points)), index].astype(np.float64) * inside
        weight = (np.square(around) / (self._of_rgb.astype(np.float64) * self._of_thermal[index])
                  ).sum(0)
        share = around / np.maximum(around.sum(0), 1e-300)
        target = np.stack([(share * x).sum(0), (share * y).sum(0)], axis=1)
        return Matches(self.points, self.pixel_of(target), np.where(weight > _LEAST, weight, 0.0))
