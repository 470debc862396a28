# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Where the content of an RGB image was in an earlier one: fast, at low resolution."""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np

from ivif_ros.types import Array, Size

_WIDTH = 160
_SMALLEST = 32
_FINEST = 1
"""Flow is found at half of the resolution of the small images."""
_SURROUNDINGS = 7


class Motion(NamedTuple):
    """Where content was.

    Attributes:
        before: (rows, columns, 2) float32 position x, y, in nodes, that each node had before.
        mismatch: (rows, columns) float32 grey levels by which the images differ there.
    """

    before: Array
    mismatch: Array


def small_image(rgb: Array) -> Array:
    """Grey image of at most 160 pixels width.

    Args:
        rgb: (H, W, 3) uint8 BGR.

    Returns:
        (h, w) uint8 in memory of its own.
    """
    height, width = rgb.shape[:2]
    if width <= _WIDTH:
        return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_BGR2GRAY))
    # Averaging all pixels of a large image takes longer than the flow.
    step = max(width // (4 * _WIDTH), 1)
    size = _WIDTH, max(round(height * _WIDTH / width), 1)
    small = cv2.resize(rgb[::step, ::step], size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY))


class MotionFinder:
    """Dense inverse search (Kroeger et al., Fast Optical Flow using Dense Inverse Search, 2016)."""

    def __init__(self) -> None:
        """Create the search."""
        self._search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._search.setFinestScale(_FINEST)
        self._then: Array | None = None
        self._flow: Array | None = None

    def find(self, now: Array, then: Array, rgb_size: Size, shape: tuple[int, int]) -> Motion:
        """Find where content was; starts at the last flow to the same earlier image.

        Args:
            now: (h, w) uint8 of `small_image`.
            then: (h, w) uint8, the earlier one.
            rgb_size: width, height of the RGB images that they were made of.
            shape: rows, columns of nodes over the image, placed like those of a grid.
        """
        rows, columns = shape
        x, y = np.meshgrid(np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32))
        height, width = now.shape
        if now.shape != then.shape or min(now.shape) < _SMALLEST:
            return Motion(np.dstack([x, y]), np.zeros(shape, np.float32))
        # The stubs of OpenCV know no missing start.
        start: Any = self._flow.copy() if self._flow is not None and self._then is then else None
        flow = self._search.calc(now, then, start)
        self._then, self._flow = then, flow
        pixel_x, pixel_y = np.meshgrid(np.arange(width, dtype=np.float32),
                                       np.arange(height, dtype=np.float32))
        brought = cv2.remap(then, pixel_x + flow[..., 0], pixel_y + flow[..., 1],
                            cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        apart = now.astype(np.float32) - brought
        # Exposure and gain change everything alike.
        apart = cv2.blur(np.abs(apart - np.median(apart)), (_SURROUNDINGS, _SURROUNDINGS))
        # Nodes stand on the outer pixel centres of the RGB image, which are others than those of
        # the small one.
        at_x = ((x * ((rgb_size[0] - 1) / (columns - 1)) + 0.5) * (width / rgb_size[0]) - 0.5)
        at_y = ((y * ((rgb_size[1] - 1) / (rows - 1)) + 0.5) * (height / rgb_size[1]) - 0.5)
        seen = cv2.remap(cv2.merge([flow, apart]), at_x, at_y, cv2.INTER_LINEAR,
                         borderMode=cv2.BORDER_REPLICATE)
        seen[..., 0] *= rgb_size[0] / width * (columns - 1) / max(rgb_size[0] - 1, 1)
        seen[..., 1] *= rgb_size[1] / height * (rows - 1) / max(rgb_size[1] - 1, 1)
        return Motion(np.dstack([x + seen[..., 0], y + seen[..., 1]]), seen[..., 2])
