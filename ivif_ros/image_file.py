# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Which files are images and videos, and decoding of an image file with one clear error."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ivif_ros.errors import SourceError
from ivif_ros.types import Array

STILL_SUFFIXES = frozenset({'.png', '.jpg', '.jpeg', '.webp', '.bmp', '.tif', '.tiff'})
"""Image files that can be read (compared in lower case)."""
VIDEO_SUFFIXES = frozenset({'.mp4', '.avi', '.mkv', '.mov'})
"""Videos that can be read (compared in lower case)."""


def decode_image(path: Path, flags: int) -> Array:
    """Decode an image file.

    Args:
        path: PNG, JPEG, WebP, BMP or TIFF.
        flags: of `cv2.imdecode`.

    Returns:
        The image as OpenCV decodes it.

    Raises:
        SourceError: not there, not readable or not an image.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise SourceError(f"image '{path}' cannot be read: {error.strerror or error}") from error
    try:
        image = cv2.imdecode(data, flags) if len(data) else None
    except cv2.error as error:
        raise SourceError(f"image '{path}' cannot be decoded: {error.err}") from error
    if image is None:
        raise SourceError(f"image '{path}' cannot be decoded ({len(data)} bytes): damaged or not "
                          f"one of {', '.join(sorted(STILL_SUFFIXES))}")
    return np.asarray(image)
