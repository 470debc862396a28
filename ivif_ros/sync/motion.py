# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What moves where between two frames of a camera, in a form that both modalities share.

Grey levels of the two cameras have little in common, but what moves in one moves in the other.
Each frame is reduced to a small picture whose local contrast is evened out, and compared with the
frame before in a raster of cells. Per cell this gives the displacement, from the normal equations
of Lucas and Kanade (IJCAI 1981), and the amount of change. All three do not depend on the polarity
of contrast: an edge that is dark on bright in one camera and bright on dark in the other moves the
same way.
"""

from __future__ import annotations

import cv2
import numpy as np

from ivif_ros.types import Array

WIDTH, HEIGHT = 144, 108
"""Pixels of the picture in which motion is looked for."""
COLUMNS, ROWS = 12, 9
"""Cells of the raster."""
CHANNELS = 3
"""Displacement to the right, displacement down, amount of change."""

_BLUR_PX = 2.0  # displacements up to about this size are measured without bias
_CONTRAST_PX = 29  # side of the neighbourhood whose mean is taken away
_GAIN_PX = 57  # side of the neighbourhood whose contrast becomes one
_COARSE = WIDTH // 2, HEIGHT // 2
_WINDOW = cv2.createHanningWindow(_COARSE, cv2.CV_32F)


class MotionMeter:
    """Compares each frame of a camera with the one before.

    A frame that equals the one before in every pixel of the small picture is a repetition (a
    closed shutter, or a driver that sends a slow camera at a higher rate). It tells nothing about
    motion and is passed over, so that the next comparison spans the repetitions.
    """

    def __init__(self) -> None:
        """Start without a frame."""
        self._small: Array | None = None
        self._even: Array | None = None

    def reset(self) -> None:
        """Forget the frame before."""
        self._small = self._even = None

    def update(self, image: Array) -> Array | None:
        """Compare a frame with the one before.

        Args:
            image: (H, W, 3) uint8 BGR, or (H, W) uint8, uint16 or float32. It is not kept.

        Returns:
            (CHANNELS, ROWS * COLUMNS) float32: displacements in pixels of the small picture, and
            change in units of its local contrast; None for a repetition. The first frame gives
            zeros.
        """
        small = _reduced(image)
        if self._small is not None and np.array_equal(small, self._small):
            return None
        even = _evened(small)
        before, self._small, self._even = self._even, small, even
        if before is None:
            return np.zeros((CHANNELS, ROWS * COLUMNS), np.float32)
        return _compare(before, even)


def _reduced(image: Array) -> Array:
    """Small float32 grey picture of an image of any size and type."""
    small = _shrunk(image)
    if image.dtype == np.float32 and not np.isfinite(small).all():
        finite = np.isfinite(image)
        fill = float(image[finite].mean()) if finite.any() else 0.0
        small = _shrunk(np.where(finite, image, np.float32(fill)))
    return small


def _shrunk(image: Array) -> Array:
    if image.shape[0] > 2 * HEIGHT and image.shape[1] > 2 * WIDTH:
        # Averages over all pixels of a large image cost more than everything that follows.
        image = cv2.resize(image, (2 * WIDTH, 2 * HEIGHT), interpolation=cv2.INTER_LINEAR)
    small = cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(np.float32)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY) if small.ndim == 3 else small)


def _evened(small: Array) -> Array:
    """Take away what is smooth and even out the contrast, so that gain controls hardly show."""
    blurred = cv2.GaussianBlur(small, (0, 0), _BLUR_PX)
    detail = blurred - cv2.boxFilter(blurred, -1, (_CONTRAST_PX, _CONTRAST_PX))
    power = cv2.boxFilter(detail * detail, -1, (_GAIN_PX, _GAIN_PX))
    floor = 0.01 * float(power.mean()) + 1e-9
    return np.asarray(detail / np.sqrt(power + floor))


def _compare(before: Array, after: Array) -> Array:
    """Displacement and change per cell."""
    dx, dy = _leap(before, after)
    if dx or dy:
        after = np.roll(after, (-dy, -dx), (0, 1))
    mean, change = (before + after) * np.float32(0.5), before - after
    ix = cv2.Sobel(mean, cv2.CV_32F, 1, 0, scale=1 / 8)
    iy = cv2.Sobel(mean, cv2.CV_32F, 0, 1, scale=1 / 8)
    a, b, c = _cells(ix * ix), _cells(iy * iy), _cells(ix * iy)
    u, v, e = _cells(ix * change), _cells(iy * change), _cells(change * change)
    # A cell without structure moves by zero rather than by noise.
    floor = 0.02 * float((a + b).mean()) + 1e-9
    a, b = a + floor, b + floor
    scale = 1 / (a * b - c * c)
    return np.stack([(b * u - c * v) * scale + dx, (a * v - c * u) * scale + dy,
                     np.sqrt(e)]).reshape(CHANNELS, -1)


def _leap(before: Array, after: Array) -> tuple[int, int]:
    """Displacement of the whole picture in pixels where it is too large for the gradients."""
    small = [cv2.resize(image, _COARSE, interpolation=cv2.INTER_AREA) for image in (before, after)]
    (x, y), _ = cv2.phaseCorrelate(small[0], small[1], _WINDOW)
    dx, dy = round(2 * x), round(2 * y)
    if max(abs(dx), abs(dy)) < _BLUR_PX or abs(dx) > WIDTH // 3 or abs(dy) > HEIGHT // 3:
        return 0, 0
    moved = np.roll(after, (-dy, -dx), (0, 1))
    better = float(np.abs(before - moved).mean()) < 0.8 * float(np.abs(before - after).mean())
    return (dx, dy) if better else (0, 0)


def _cells(image: Array) -> Array:
    return np.asarray(cv2.resize(image, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA))
