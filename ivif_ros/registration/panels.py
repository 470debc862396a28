# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Pictures side by side, with captions that fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from ivif_ros.types import Array

BACKGROUND = (32, 32, 32)
INK = (235, 235, 235)
FONT = cv2.FONT_HERSHEY_SIMPLEX


class Panel(NamedTuple):
    """One picture of a sheet.

    Attributes:
        picture: (H, W, 3) uint8 BGR.
        caption: one line that stands above it; cut where it is too long.
    """

    picture: Array
    caption: str


def sheet(rows: Sequence[Sequence[Panel]], line: str = '') -> Array:
    """Lay out rows of pictures.

    Args:
        rows: from top to bottom, each from left to right; all pictures have one width, those of a
            row one height.
        line: what is written below all of them; empty for none.

    Returns:
        (H, W, 3) uint8 BGR; letters grow with the pictures.
    """
    width = rows[0][0].picture.shape[1]
    heights = [row[0].picture.shape[0] for row in rows]
    letter = letter_height(width)
    gap = max(2, letter // 2)
    band = letter + 2 * gap
    columns = max(map(len, rows))
    below = band if line else gap
    canvas = np.full((sum(heights) + len(rows) * band + below, columns * (width + gap) + gap, 3),
                     BACKGROUND, np.uint8)
    top = 0
    for row, height in zip(rows, heights, strict=True):
        top += band
        for j, panel in enumerate(row):
            left = gap + j * (width + gap)
            canvas[top:top + height, left:left + width] = panel.picture
            write(canvas, panel.caption, left, top - gap, letter, width)
        top += height
    if line:
        write(canvas, line, gap, canvas.shape[0] - gap, letter, canvas.shape[1] - 2 * gap)
    return canvas


def letter_height(width: int) -> int:
    """Height of capitals in pixels for a picture of a width in pixels."""
    return max(8, round(width / 38))


def write(canvas: Array, text: str, left: int, baseline: int, letter: int, room: int) -> None:
    """Write one line, cut with dots where it does not fit.

    Args:
        canvas: (H, W, 3) uint8 BGR, drawn into.
        text: ASCII.
        left: x of the first letter in pixels.
        baseline: y below the letters in pixels.
        letter: height of capitals in pixels.
        room: pixels across that there are.
    """
    if text_width(text, letter) > room:
        kept = len(text)
        while kept > 0 and text_width(text[:kept] + '...', letter) > room:
            kept -= 1
        text = text[:kept] + '...' if kept else ''
    scale, stroke = _scale(letter)
    cv2.putText(canvas, text, (left, baseline), FONT, scale, INK, stroke, cv2.LINE_AA)


def text_width(text: str, letter: int) -> int:
    """Pixels across that a line takes with letters of a height in pixels."""
    scale, stroke = _scale(letter)
    return int(cv2.getTextSize(text, FONT, scale, stroke)[0][0])


def _scale(letter: int) -> tuple[float, int]:
    stroke = max(1, round(letter / 11))
    return cv2.getFontScaleFromHeight(FONT, letter, stroke), stroke
