# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Gaussian windows over cells."""

from __future__ import annotations

import cv2
import numpy as np

from ivif_ros.types import Array


def blurred(stack: Array, deviation: float) -> Array:
    """Gaussian blur of (rows, columns, c) with a standard deviation in cells, 0 outside."""
    side = 2 * int(3 * deviation + 0.5) + 1
    return np.asarray(cv2.GaussianBlur(
        stack, (side, side), deviation, borderType=cv2.BORDER_CONSTANT)).reshape(stack.shape)
