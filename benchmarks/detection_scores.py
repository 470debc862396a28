# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Average precision with its uncertainty: the images are drawn again and again (bootstrap)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ivif_ros.metrics.detection import DetectionEvaluator, DetectionFigures
from ivif_ros.training.data.labelled import CLASSES
from ivif_ros.types import Array

_OPERATING_SCORE = 0.25


class ImageScores(DetectionEvaluator):
    """What was found in one image, or in several together."""

    def __init__(self) -> None:
        """Start without images."""
        super().__init__(CLASSES, _OPERATING_SCORE)

    @classmethod
    def of(cls, table: Array, boxes: Array, class_ids: Array) -> ImageScores:
        """Compare what was found in one image with the truth.

        Args:
            table: (n, 6) x0, y0, x1, y1, score, class id.
            boxes: (m, 4) true boxes.
            class_ids: (m,) their classes.
        """
        one = cls()
        one.add(table[:, :4], table[:, 4], table[:, 5], boxes, class_ids)
        return one

    @classmethod
    def together(cls, several: Iterable[ImageScores]) -> ImageScores:
        """Join images; one may come more than once."""
        whole = cls()
        for one in several:
            whole._images += one._images
            whole._objects = whole._objects + one._objects
            for found, more in zip(whole._found, one._found, strict=True):
                found += more
        return whole


def figures(images: Sequence[ImageScores]) -> DetectionFigures:
    """Figures of several images; means are over the classes that have objects."""
    return ImageScores.together(images).figures()


def draws(images: int, count: int) -> Array:
    """Draw images with replacement.

    Args:
        images: number of images.
        count: number of draws.

    Returns:
        (count, images) int64 indices, always the same ones.
    """
    return np.random.default_rng(0).integers(images, size=(count, images))


def drawn_ap50(images: Sequence[ImageScores], drawn: Array) -> Array:
    """AP50 of each draw, (count,) float64; NaN for a draw without objects."""
    return np.array([figures([images[i] for i in row])['AP50'] for row in drawn])


def interval(values: Array) -> tuple[float, float]:
    """95 % interval of a statistic from its draws; NaN without draws."""
    known = values[np.isfinite(values)]
    if not len(known):
        return float('nan'), float('nan')
    low, high = np.percentile(known, (2.5, 97.5))
    return float(low), float(high)
