# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Contact sheet and video of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ivif_ros.errors import OutputError
from ivif_ros.types import Array, Size

COLUMNS = ('RGB', 'thermal', 'thermal on the RGB grid', 'fused')
TILE_WIDTH = 420
MARGIN = 6
CAPTION = 22
BACKGROUND = (32, 32, 32)
INK = (235, 235, 235)


@dataclass(frozen=True, eq=False)
class SheetRow:
    """One moment of a run.

    Attributes:
        images: one (H, W) or (H, W, 3) uint8 image for each column, None where there is none.
        caption: one line about it.
    """

    images: Sequence[Array | None]
    caption: str


def contact_sheet(rows: Sequence[SheetRow], title: str, columns: Sequence[str] = COLUMNS) -> Array:
    """Lay out rows of images under a title.

    Args:
        rows: from top to bottom; the first image has the shape of all tiles.
        title: first line.
        columns: what is written above the images, one line for each.

    Returns:
        (H, W, 3) uint8 BGR.
    """
    reference = next(image for row in rows for image in row.images if image is not None)
    tile: Size = (TILE_WIDTH, round(TILE_WIDTH * reference.shape[0] / reference.shape[1]))
    width = len(columns) * (tile[0] + MARGIN) + MARGIN
    head = 2 * CAPTION + 2 * MARGIN
    height = head + len(rows) * (tile[1] + CAPTION + MARGIN)
    sheet = np.full((height, width, 3), BACKGROUND, np.uint8)
    _write(sheet, title, MARGIN, CAPTION, 0.6)
    for column, name in enumerate(columns):
        _write(sheet, name, MARGIN + column * (tile[0] + MARGIN), head - MARGIN, 0.5)
    for index, row in enumerate(rows):
        top = head + index * (tile[1] + CAPTION + MARGIN)
        for column, image in enumerate(row.images):
            left = MARGIN + column * (tile[0] + MARGIN)
            if image is not None:
                sheet[top:top + tile[1], left:left + tile[0]] = letterbox(image, tile)
        _write(sheet, row.caption, MARGIN, top + tile[1] + CAPTION - MARGIN, 0.45)
    return sheet


def letterbox(image: Array, size: Size) -> Array:
    """Scale an image into a box without changing its aspect.

    Args:
        image: (H, W) or (H, W, 3) uint8.
        size: width, height of the box in pixels.

    Returns:
        (height, width, 3) uint8 BGR.
    """
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    height, width = image.shape[:2]
    scale = min(size[0] / width, size[1] / height)
    inner = max(1, round(width * scale)), max(1, round(height * scale))
    shrinks = scale < 1
    image = cv2.resize(image, inner, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    box = np.full((size[1], size[0], 3), BACKGROUND, np.uint8)
    left, top = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    box[top:top + inner[1], left:left + inner[0]] = image
    return box


def save_image(path: Path, image: Array) -> None:
    """Write an image file.

    Raises:
        OutputError: it cannot be written.
    """
    if not cv2.imwrite(str(path), image):
        raise OutputError(f"picture '{path}' cannot be written; is the folder writable and the "
                          'disk not full?')


class Video:
    """MP4 of images that may differ in size; the first one fixes the size of the video.

    Args:
        path: file to make.
        rate_hz: frames per second.
    """

    def __init__(self, path: Path, rate_hz: float) -> None:
        """Remember what to make; the file is opened by the first image."""
        self._path = path
        self._rate_hz = rate_hz
        self._size: Size | None = None
        self._writer: cv2.VideoWriter | None = None

    def add(self, image: Array) -> None:
        """Append a (H, W, 3) uint8 BGR image.

        Raises:
            OutputError: the video cannot be written.
        """
        if self._writer is None or self._size is None:
            # Encoders want even sizes.
            self._size = image.shape[1] // 2 * 2, image.shape[0] // 2 * 2
            self._writer = cv2.VideoWriter(
                str(self._path), cv2.VideoWriter.fourcc(*'mp4v'), self._rate_hz, self._size)
            if not self._writer.isOpened():
                raise OutputError(f"video '{self._path}' cannot be written")
        self._writer.write(letterbox(image, self._size))

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.release()
            self._writer = None


def _write(sheet: Array, text: str, left: int, baseline: int, scale: float) -> None:
    cv2.putText(sheet, text, (left, baseline), cv2.FONT_HERSHEY_SIMPLEX, scale, INK, 1, cv2.LINE_AA)
