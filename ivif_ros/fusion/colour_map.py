# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Colours of the temperature, laid over the fused image where it is warm."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from ivif_ros.errors import ParameterError
from ivif_ros.fusion.arena import Arena
from ivif_ros.fusion.controls import scene_statistics, step

WARM_RANGE = 0.0, 2.5
"""Deviations from the mean temperature between which colours appear and are complete."""

SAMPLE = 4
"""Every fourth pixel of every fourth row tells the temperatures of the scene."""


class ColourMap:
    """A colour map of OpenCV as a table from thermal grey levels to colours.

    Args:
        name: name of the map without `COLORMAP_`, in lower case.
        blend: 0..1, how far the colours cover the warmest parts.
        device: where the images are.

    Raises:
        ParameterError: this OpenCV has no such map.
    """

    def __init__(self, name: str, blend: float, device: torch.device) -> None:
        """Make the table of colours."""
        code = getattr(cv2, f'COLORMAP_{name.upper()}', None)
        if code is None:
            raise ParameterError(f"OpenCV {cv2.__version__} has no colour map '{name}'")
        levels = np.arange(256, dtype=np.uint8)
        colours = cv2.applyColorMap(levels, code).reshape(256, 3).T.astype(np.float32)
        self._blend = blend
        with torch.inference_mode(False):
            self._levels = torch.linspace(0, 1, 256, device=device)
            self._colours = torch.from_numpy(np.ascontiguousarray(colours)).to(device)

    def apply(self, planes: Tensor, thermal: Tensor, seen: Tensor | None, arena: Arena) -> Tensor:
        """Blend the colours into an image; they get stronger with the temperature.

        Args:
            planes: (3, H, W) float32 B, G, R in 0..255; changed in place.
            thermal: (H, W) uint8, warm is bright.
            seen: (H, W) float32 in 0..1, 0 where there is no thermal image; None: it is everywhere.
            arena: memory for intermediate results.

        Returns:
            `planes`.
        """
        sample = thermal[::SAMPLE, ::SAMPLE].float().mul_(1 / 255)
        mean, unit = scene_statistics(
            sample, None if seen is None else seen[::SAMPLE, ::SAMPLE])
        opacity = step((self._levels - mean).div_(unit), *WARM_RANGE).mul_(self._blend)
        tables = torch.cat((self._colours, opacity[None]))
        with arena.scratch():
            looked_up = _look_up(tables, thermal, arena)
            cover = looked_up[3]
            if seen is not None:
                cover.mul_(seen)
            colours = looked_up[:3].sub_(planes)
            return planes.addcmul_(colours, cover)


def _look_up(tables: Tensor, image: Tensor, arena: Arena) -> Tensor:
    """Values of n tables (n, 256) at the levels of a uint8 image (H, W): (n, H, W)."""
    if image.device.type != 'cpu':
        return tables[:, image.long()]
    out = arena.empty(len(tables), *image.shape)
    levels = image.numpy()
    for table, plane in zip(tables.numpy(), out.numpy(), strict=True):
        cv2.LUT(levels, table, plane)
    return out
