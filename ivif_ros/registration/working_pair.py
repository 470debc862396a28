# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Both images of a pair at the size at which they are compared, and their edges."""

from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ivif_ros.registration.dense import DenseMap, centres
from ivif_ros.registration.maps import rescaled, thermal_scale
from ivif_ros.registration.network import FINE, STEP
from ivif_ros.registration.structure import (
    edge_directions,
    edge_products,
    shift_likelihood,
    structure,
)
from ivif_ros.registration.voting import vote_nearby
from ivif_ros.types import Array, Deformation, Size

_PIXELS = 320 * 240


def working_size(size: Size) -> Size:
    """Size of the working image: the shape of the image, about 77,000 pixels, multiples of STEP."""
    scale = (_PIXELS / (size[0] * size[1])) ** 0.5
    return (max(round(size[0] * scale / STEP), 4) * STEP,
            max(round(size[1] * scale / STEP), 4) * STEP)


class WorkingPair:
    """Both images at working size, on a device.

    Attributes:
        rgb: (1, 1, h, w) float32 luma in 0..1.
        initial: the first guess for the images as they came.
        first: map to start from, working pixels -> pixels of the small thermal image.
    """

    def __init__(self, rgb: Array, thermal: Array, initial: Deformation,
                 device: torch.device) -> None:
        """Shrink and upload them.

        Args:
            rgb: (H, W, 3) uint8 BGR.
            thermal: (h, w) uint8.
            initial: backward map RGB -> thermal to start from.
            device: where images are compared.
        """
        self.initial = initial
        size = working_size(initial.rgb_size)
        small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        self.rgb = _uploaded(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), device)
        # Thermal pixels per working pixel; what is finer than the working image would alias.
        fine = thermal_scale(rescaled(initial, size, initial.thermal_size))
        width, height = initial.thermal_size
        if fine > 1.3:
            width, height = max(round(width / fine), 16), max(round(height / fine), 16)
            thermal = cv2.resize(thermal, (width, height), interpolation=cv2.INTER_AREA)
        self._thermal = _uploaded(thermal, device)
        self._halved = functional.avg_pool2d(self._thermal, 2)
        self.first = DenseMap.of(rescaled(initial, size, (width, height)))

    def sampled(self, state: DenseMap, cell: int = 1) -> Tensor:
        """Thermal image on the working grid, (1, 1, h / cell, w / cell), 0 outside.

        Args:
            state: working pixels -> pixels of the small thermal image.
            cell: 1, or 2 for half of the resolution.
        """
        height, width = self._thermal.shape[2:]
        return _resampled(self._thermal if cell == 1 else self._halved,
                          state.lattice(width, height, cell))

    @cached_property
    def coarse_edges(self) -> Tensor:
        """Directions of edges of the RGB image in cells of 4x4 working pixels."""
        return _edges(functional.avg_pool2d(self.rgb, 2))

    def edges(self, state: DenseMap) -> Tensor:
        """Directions of edges of the thermal image in cells of 2x2 working pixels."""
        return _edges(self.sampled(state))

    def finished(self, state: DenseMap) -> Deformation:
        """Express a map in pixels of the original images."""
        height, width = self._thermal.shape[2:]
        return rescaled(state.deformation((width, height)), self.initial.rgb_size,
                        self.initial.thermal_size)


class EdgeVotes:
    """Votes of all cells for corrections of a map, by the directions of edges.

    The edges of the thermal image are found once. For each vote after a correction they are moved
    as they are, at their low resolution, which takes a fifth of the time of finding them in the
    moved image: corrections are small and hardly turn anything.
    """

    def __init__(self, pair: WorkingPair, state: DenseMap, fine: bool,
                 rgb_edges: Tensor | None = None) -> None:
        """Find the edges.

        Args:
            pair: the images.
            state: map to be corrected.
            fine: cells of 2x2 pixels instead of 4x4.
            rgb_edges: those of the RGB image in such cells, where they are known already.
        """
        self._state = state
        self._moved: DenseMap | None = None
        self.fine = fine
        if fine:
            self._rgb = _edges(pair.rgb) if rgb_edges is None else rgb_edges
            self._thermal = pair.edges(state)
        else:
            self._rgb = pair.coarse_edges
            self._thermal = _edges(pair.sampled(state, 2))

    @property
    def state(self) -> DenseMap:
        """The map with all corrections so far."""
        return self._state if self._moved is None else self._state.following(self._moved)

    def vote(self, scale: int, sharpness: float, deviations: tuple[float, ...],
             smoothness: float) -> None:
        """Let the cells vote once, and correct the map by that.

        Args:
            scale: factor by which cells of 4x4 pixels are joined.
            sharpness: see `shift_likelihood`.
            deviations: see `vote_nearby`.
            smoothness: likewise, in pixels.
        """
        size = self._state.size
        step = FINE // 2 if self.fine else FINE
        thermal = self._thermal
        if self._moved is not None:
            thermal = _resampled(thermal, self._moved.lattice(*size, step))
        likelihood = shift_likelihood(
            edge_products(self._rgb, thermal, self.fine), scale, sharpness)[0].cpu().numpy()
        side = round(len(likelihood) ** 0.5)
        cell = FINE * scale
        vote = vote_nearby(likelihood.reshape(side, side, *likelihood.shape[1:]),
                           centres(size, cell), step, deviations, smoothness / cell)
        before = DenseMap.identity(size) if self._moved is None else self._moved
        self._moved = before.corrected(vote)


def _resampled(planes: Tensor, lattice: Array) -> Tensor:
    return functional.grid_sample(
        planes, torch.from_numpy(lattice)[None].to(planes.device), mode='bilinear',
        padding_mode='zeros', align_corners=False)


def _edges(image: Tensor) -> Tensor:
    return edge_directions(structure(image, grey=False))[0]


def _uploaded(image: Array, device: torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image)).to(device)[None, None].float() / 255
