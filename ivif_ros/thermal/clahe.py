# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Contrast limited adaptive histogram equalisation without quantising first."""

from __future__ import annotations

import cv2
import numpy as np

from ivif_ros.types import Array

BINS = 256
FINE_BINS = 2048
_SAMPLES = 40_000
_FULL = 0.4
"""Share of a fine bin, in multiples of an even share, from which its range counts as fully used."""


def equalise(values: Array, clip: float, tiles: int, gain: float) -> Array:
    """CLAHE (Zuiderveld, Graphics Gems IV, 1994) of an image with fine steps.

    OpenCV's CLAHE either works on 8 bits, and enlarges their steps, or on 65536 bins, of which one
    tile fills so few that the limit has no effect. Here each tile has BINS bins, and the curves are
    interpolated linearly between bins as well as between tiles, so the steps of the input survive.
    Ranges that hold no pixels, such as those between a fire and everything else, are closed first:
    they would take the grey levels that people need.

    Args:
        values: (H, W) float32 in 0..1, finite.
        clip: largest share of a bin, in multiples of the share that an even histogram has.
        tiles: tiles per side.
        gain: how much steeper closing the gaps may make the rest; 1 or less leaves the gaps.

    Returns:
        (H, W) uint8.
    """
    height, width = values.shape
    rows, columns = min(tiles, height), min(tiles, width)
    position = _close_gaps(values, gain) * np.float32(BINS - 1)
    curves = _curves(position, clip, rows, columns)
    # The neighbours of a pixel are the tiles whose centres surround it.
    tile_y = np.clip((np.arange(height) + 0.5) * rows / height - 0.5, 0, rows - 1)
    tile_x = np.clip((np.arange(width) + 0.5) * columns / width - 0.5, 0, columns - 1)
    upper = np.minimum(tile_y.astype(np.intp), max(rows - 2, 0))
    weight = (tile_y - upper).astype(np.float32)[:, None]
    across = np.ascontiguousarray(np.broadcast_to(tile_x.astype(np.float32), (height, width)))
    out = np.empty((height, width), np.uint8)
    for row in range(max(rows - 1, 1)):
        start, stop = np.searchsorted(upper, [row, row + 1])
        pair = np.stack([curves[row], curves[min(row + 1, rows - 1)]], axis=-1)
        both = cv2.remap(
            pair, position[start:stop], across[start:stop], cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE).reshape(stop - start, width, 2)
        w = weight[start:stop]
        out[start:stop] = both[..., 0] * (1 - w) + both[..., 1] * w + np.float32(0.5)
    return out


def _close_gaps(values: Array, gain: float) -> Array:
    """Leave out the ranges in 0..1 that hold no pixels; (H, W) float32 again."""
    if gain <= 1:
        return values
    step = max(1, int((values.size / _SAMPLES) ** 0.5))
    position = values * np.float32(FINE_BINS - 1)
    sample = (position[::step, ::step] + np.float32(0.5)).astype(np.intp).ravel()
    share = np.bincount(sample, minlength=FINE_BINS) * (FINE_BINS / sample.size)
    used = np.minimum(share, _FULL)
    # So much for each bin that the steepest part of the curve is not steeper than the gain.
    used += max((_FULL - gain * used.mean()) / (gain - 1), 0)
    curve = ((np.cumsum(used) - used / 2) / used.sum()).astype(np.float32)
    closed: Array = cv2.remap(
        curve[None], position, np.zeros_like(position), cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE)
    return closed.reshape(values.shape)


def _curves(position: Array, clip: float, rows: int, columns: int) -> Array:
    """Grey curve of each tile: (rows, columns, BINS) float32 in 0..255."""
    height, width = position.shape
    # A share of the pixels gives the same curves, as long as each tile keeps many.
    step = max(1, int((height * width / _SAMPLES) ** 0.5))
    step = max(1, min(step, height // rows // 4, width // columns // 4))
    sample = (position[::step, ::step] + np.float32(0.5)).astype(np.intp)
    tile_y = np.arange(0, height, step) * rows // height
    tile_x = np.arange(0, width, step) * columns // width
    sample += (tile_y[:, None] * columns + tile_x) * BINS
    counts = np.bincount(sample.ravel(), minlength=rows * columns * BINS)
    share = counts.reshape(rows, columns, BINS).astype(np.float32)
    share /= np.maximum(share.sum(axis=-1, keepdims=True), 1)
    share = np.minimum(share, np.float32(clip / BINS))
    share += (1 - share.sum(axis=-1, keepdims=True)) / BINS
    # Half of the own bin lies below its centre.
    curves: Array = np.cumsum(share, axis=-1)
    curves -= share / 2
    curves *= 255
    return curves
