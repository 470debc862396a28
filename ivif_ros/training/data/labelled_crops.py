# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Crops of labelled pairs, as one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from ivif_ros.training.batch import Batch
from ivif_ros.training.data.config import DataConfig
from ivif_ros.training.data.degrade import Degrader
from ivif_ros.training.data.labelled import LabelledPair
from ivif_ros.training.data.sampling import intensity_curve
from ivif_ros.training.data.segmented import SegmentedPair
from ivif_ros.training.labelled_batch import LabelledBatch, Targets
from ivif_ros.types import Array

KEPT_SHARE = 0.3
"""An object of which a crop shows less than this has no box there."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, eq=False)
class LabelledCrop:
    """A part of a pair, n = 1; as a field of `LabelledBatch` each.

    Attributes:
        planes: (1, 1, h, w) each.
        colour: (1, 3, h, w).
        boxes: (k, 4) float32 in pixels of the crop.
        class_ids: (k,) int64.
        class_map: (h, w) int64, or None.
    """

    planes: Batch
    colour: torch.Tensor
    boxes: Array
    class_ids: Array
    class_map: Array | None


def collate(crops: Sequence[LabelledCrop]) -> LabelledBatch:
    """Put crops of one size together."""
    visible, thermal, clean_visible, clean_thermal = (
        torch.cat([getattr(crop.planes, name) for crop in crops])
        for name in ('visible', 'thermal', 'clean_visible', 'clean_thermal'))
    planes = Batch(visible, thermal, clean_visible, clean_thermal)
    image_ids = np.repeat(np.arange(len(crops)), [len(crop.boxes) for crop in crops])
    maps = [torch.from_numpy(crop.class_map) for crop in crops if crop.class_map is not None]
    return LabelledBatch(planes, torch.cat([crop.colour for crop in crops]), Targets(
        torch.from_numpy(np.concatenate([crop.boxes for crop in crops])),
        torch.from_numpy(np.concatenate([crop.class_ids for crop in crops])),
        torch.from_numpy(image_ids), torch.stack(maps) if len(maps) == len(crops) else None))


class CropMaker:
    """Cuts square crops, mirrors, shrinks and degrades them.

    Args:
        config: `flip`, `shrink`, `intensity` and the degradations count.
        crop: side of the crops in pixels; regions of smaller images are enlarged to it.
    """

    def __init__(self, config: DataConfig, crop: int) -> None:
        """Keep the settings."""
        self._config = config
        self._crop = crop
        self._degrader = Degrader(config)

    def cut(self, pair: LabelledPair, rng: np.random.Generator) -> LabelledCrop:
        """Make a crop; `rng` makes all decisions."""
        config, crop = self._config, self._crop
        high, wide = pair.thermal.shape
        side = crop * (rng.uniform(1, 2) if rng.random() < config.shrink else 1)
        side = min(round(side), high, wide)
        top, left = int(rng.integers(high - side + 1)), int(rng.integers(wide - side + 1))
        mirror = rng.random() < config.flip
        part = np.s_[top:top + side, left:left + side]
        visible, thermal = (_resized(image[part], crop, mirror)
                            for image in (pair.visible, pair.thermal))
        if rng.random() < config.intensity:
            visible, thermal = (intensity_curve(rng)[image] for image in (visible, thermal))
        else:
            visible, thermal = (image.astype(np.float32) / 255 for image in (visible, thermal))
        boxes, kept = cut_boxes(pair.boxes, top, left, side)
        boxes = boxes * np.float32(crop / side)
        if mirror:
            boxes[:, [0, 2]] = crop - boxes[:, [2, 0]]
        class_map = None
        if isinstance(pair, SegmentedPair):
            rows = ((np.arange(crop) + 0.5) * (side / crop)).astype(np.int64)
            class_map = pair.class_map[part][rows[:, None], rows]
            class_map = np.ascontiguousarray(class_map[:, ::-1] if mirror else class_map)
        rgb = np.ascontiguousarray(visible[..., ::-1])
        noise = torch.Generator().manual_seed(int(rng.integers(2 ** 62)))
        seen = self._degrader.apply(torch.from_numpy(rgb @ _LUMA)[None],
                                    torch.from_numpy(np.ascontiguousarray(thermal))[None],
                                    rng, noise)
        planes = Batch(seen.visible[None], seen.thermal[None], seen.clean_visible[None],
                       seen.clean_thermal[None])
        return LabelledCrop(planes,
                            torch.from_numpy(rgb).permute(2, 0, 1)[None].contiguous(),
                            boxes, pair.class_ids[kept], class_map)


def whole(pair: LabelledPair, multiple: int) -> LabelledBatch:
    """Take a whole pair as a batch of one, continued by its border to a multiple of a size."""
    high, wide = pair.thermal.shape
    edges = (0, -high % multiple, 0, -wide % multiple)
    visible, thermal = (
        np.asarray(cv2.copyMakeBorder(image, *edges, cv2.BORDER_REPLICATE)).astype(np.float32) / 255
        for image in (pair.visible, pair.thermal))
    rgb = np.ascontiguousarray(visible[..., ::-1])
    luma, warm = torch.from_numpy(rgb @ _LUMA)[None, None], torch.from_numpy(thermal)[None, None]
    class_map = None
    if isinstance(pair, SegmentedPair):
        class_map = np.pad(pair.class_map, (edges[:2], edges[2:]), 'edge')
    return collate([LabelledCrop(
        Batch(luma, warm, luma, warm), torch.from_numpy(rgb).permute(2, 0, 1)[None].contiguous(),
        pair.boxes, pair.class_ids, class_map)])


def cut_boxes(boxes: Array, top: int, left: int, side: int) -> tuple[Array, Array]:
    """Cut boxes to a square region.

    Args:
        boxes: (n, 4) x0, y0, x1, y1 in pixels from the outer edge of the first pixel.
        top: first row of the region.
        left: first column of the region.
        side: of the region in pixels.

    Returns:
        (k, 4) float32 in pixels of the region, and (n,) bool: the boxes of which at least
        KEPT_SHARE lies in it.
    """
    moved = boxes - np.array([left, top, left, top], np.float32)
    inside = moved.clip(0, side)
    area = np.prod(moved[:, 2:] - moved[:, :2], axis=1)
    rest = np.prod(inside[:, 2:] - inside[:, :2], axis=1)
    kept: Array = (rest > 0) & (rest >= KEPT_SHARE * area)
    return inside[kept].astype(np.float32), kept


def _resized(image: Array, crop: int, mirror: bool) -> Array:
    if image.shape[0] != crop:
        shrinks = image.shape[0] > crop
        image = np.asarray(cv2.resize(
            image, (crop, crop), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR))
    return image[:, ::-1] if mirror else image
