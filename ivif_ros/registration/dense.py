# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A homography and what it leaves, cell by cell, on the device of the network."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ivif_ros.registration.maps import grid_nodes, sample_grid
from ivif_ros.registration.network import FINE
from ivif_ros.registration.robust import apply
from ivif_ros.registration.smoothing import blurred
from ivif_ros.registration.voting import Vote, spread_over
from ivif_ros.types import Deformation, Size

_NARROW, _BROAD = 0.8, 5.0
"""Standard deviations in cells of the two windows over which displacements are averaged."""
_BROAD_SHARE = 0.04
_STIFFNESS = 0.0005
"""Weight of no displacement at all, against that of cells whose error is half a pixel."""


def centres(size: Size, cell: int, device: torch.device) -> Tensor:
    """Middle of each cell, (rows, columns, 2) float64 x, y in pixels."""
    x, y = (torch.arange(length // cell, dtype=torch.float64, device=device) * cell + (cell - 1) / 2
            for length in size)
    return torch.stack(torch.meshgrid(x, y, indexing='xy'), dim=-1)


@dataclass(frozen=True, eq=False)
class DenseMap:
    """Working pixel -> pixel of the small thermal image.

    Attributes:
        size: width, height of the working image.
        homography: (3, 3) float64.
        rest: (rows, columns, 2) float64, what is added in the middle of each cell of FINE pixels,
            in thermal pixels.
    """

    size: Size
    homography: Tensor
    rest: Tensor

    @classmethod
    def of(cls, deformation: Deformation, device: torch.device) -> DenseMap:
        """Take a deformation for images of these sizes."""
        size = deformation.rgb_size
        points = centres(size, FINE, torch.device('cpu'))
        rest = torch.zeros_like(points)
        if deformation.grid is not None:
            rest = torch.from_numpy(sample_grid(deformation.grid, size, points.numpy()))
        homography = torch.tensor(deformation.homography)
        return cls(size, homography.to(device), rest.to(device))

    @classmethod
    def fitted(cls, size: Size, homography: Tensor, target: Tensor, weight: Tensor) -> DenseMap:
        """Average what a homography leaves, over a narrow window, and a broad one where in doubt.

        Args:
            size: width, height of the working image.
            homography: (3, 3).
            target: (rows, columns, 2) thermal pixel for the middle of each cell.
            weight: (rows, columns) trust in it: 1 over the square of its error in pixels.
        """
        rest = target - apply(homography, centres(size, FINE, target.device))
        stack = torch.cat([rest * weight[..., None], weight[..., None]], dim=-1)
        stack = stack.permute(2, 0, 1)[None].float()
        mixed = blurred(stack, _NARROW) + _BROAD_SHARE * blurred(stack, _BROAD)
        mean = mixed[:, :2] / (mixed[:, 2:] + 4 * _STIFFNESS)
        return cls(size, homography, mean[0].permute(1, 2, 0).double())

    @property
    def scale(self) -> float:
        """Thermal pixels per working pixel in the middle of the image."""
        middle = torch.tensor([[0.0, 0], [1, 0], [0, 1]], dtype=torch.float64)
        middle = (middle + torch.tensor(self.size) / 2).to(self.homography.device)
        zero, right, down = apply(self.homography, middle)
        area = torch.linalg.det(torch.stack([right - zero, down - zero])).abs()
        return max(float(area.sqrt()), 1e-3)

    def at(self, points: Tensor) -> Tensor:
        """Thermal pixels of working pixels (rows, columns, 2)."""
        cells = points.new_tensor([self.size[0], self.size[1]])
        lattice = ((2 * points + 1) / cells - 1)[None].float()
        rest = functional.grid_sample(
            self.rest.permute(2, 0, 1)[None].float(), lattice, mode='bilinear',
            padding_mode='border', align_corners=False)
        return apply(self.homography, points) + rest[0].permute(1, 2, 0)

    def after(self, moved: Tensor) -> DenseMap:
        """The map that first moves the working pixel by a homography (3, 3)."""
        return self._moved(moved, apply(moved, self._centres))

    def corrected(self, vote: Vote) -> DenseMap:
        """The map that first moves the working pixel by what was voted for."""
        points = self._centres
        moved = apply(vote.homography, points) + spread_over(vote.rest, points.shape[:2])
        return self._moved(vote.homography, moved)

    @property
    def _centres(self) -> Tensor:
        return centres(self.size, FINE, self.homography.device)

    def _moved(self, homography: Tensor, points: Tensor) -> DenseMap:
        homography = self.homography @ homography
        rest = self.at(points) - apply(homography, self._centres)
        return DenseMap(self.size, homography / homography[2, 2], rest)

    def planes(self) -> Tensor:
        """Thermal pixel of every working pixel, (h, w, 2) float32."""
        return self._spread(self.homography, 1.0, 1.0, 1)

    def lattice(self, width: int, height: int, cell: int = 1) -> Tensor:
        """The same in the coordinates of `grid_sample` for a thermal image.

        Args:
            width: of the thermal image.
            height: likewise.
            cell: working pixels per sample, which is taken in the middle of them.

        Returns:
            (h / cell, w / cell, 2) float32.
        """
        # Its coordinates count from -1 to 1 between the outer edges of the outer pixels.
        across, down = 2 / width, 2 / height
        scale = torch.tensor([[across, 0, across / 2 - 1], [0, down, down / 2 - 1], [0, 0, 1]],
                             dtype=torch.float64, device=self.homography.device)
        return self._spread(scale @ self.homography, across, down, cell)

    def _spread(self, homography: Tensor, across: float, down: float, cell: int) -> Tensor:
        width, height = self.size[0] // cell, self.size[1] // cell
        h = homography.float()
        x, y = (torch.arange(length, device=h.device, dtype=torch.float32) * cell + (cell - 1) / 2
                for length in (width, height))
        # Each row of the homography is a sum of a term per column and one per row.
        u, v, w = (h[:, :1, None] * x + (h[:, 1:2, None] * y[:, None] + h[:, 2:, None])).unbind(0)
        rest = functional.interpolate(
            self.rest.permute(2, 0, 1)[None].float(), size=(height, width), mode='bilinear',
            align_corners=False)[0]
        w = w.clamp_min(1e-6).reciprocal_()
        return torch.stack([torch.addcmul(across * rest[0], u, w),
                            torch.addcmul(down * rest[1], v, w)], dim=-1)

    def deformation(self, thermal_size: Size) -> Deformation:
        """The map for thermal images of this size, with its nodes on the outer pixel centres."""
        rows, columns = self.rest.shape[:2]
        nodes = torch.from_numpy(grid_nodes(self.size, columns, rows)).to(self.rest.device)
        grid = self.at(nodes) - apply(self.homography, nodes)
        return Deformation(self.size, thermal_size, self.homography.cpu().numpy(),
                           grid.float().cpu().numpy())
