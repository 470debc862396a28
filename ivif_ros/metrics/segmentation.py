# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Quality of semantic segmentation, from one confusion matrix over all images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from ivif_ros.errors import ImageError
from ivif_ros.types import Array

IGNORED = 255
"""Label of pixels that nobody has labelled, as in Cityscapes, MSRS and FMB."""


class SegmentationFigures(TypedDict):
    """Figures of all images so far; NaN where nothing can be said.

    Keys:
        mIoU: mean of IoU over the classes that appear, 0..1.
        mAcc: mean of accuracy over the classes that the truth has, 0..1.
        per_class: class name -> `IoU`, `accuracy` (NaN where the class does not appear) and
            `pixels`, the number of pixels that truly are of the class.
    """

    mIoU: float
    mAcc: float
    per_class: dict[str, dict[str, float]]


class SegmentationEvaluator:
    """Collects label images; keeps the confusion matrix alone.

    With `n[i, j]` the pixels of true class i that were given class j (Long, Shelhamer and Darrell,
    Fully Convolutional Networks for Semantic Segmentation, 2015):

        IoU(i)      = n[i, i] / (sum_j n[i, j] + sum_j n[j, i] - n[i, i]),  mIoU = mean over classes
        accuracy(i) = n[i, i] / sum_j n[i, j],                              mAcc = mean over classes

    Counts are summed over all images before anything is divided, and classes without any pixel are
    left out of the means, as MMSegmentation does it. Pixels whose truth is `ignored` do not count.
    A pixel that was given no known class is a miss for its true class.

    Args:
        classes: names by class id, 0 first.
        ignored: label in the truth of pixels that do not count.

    Raises:
        ValueError: no classes.
    """

    def __init__(self, classes: Sequence[str], ignored: int = IGNORED) -> None:
        """Start with an empty matrix."""
        if not classes:
            raise ValueError('no classes were given, expected at least one name')
        self._classes = tuple(classes)
        self._ignored = ignored
        # The last column holds pixels that were given no known class.
        self._confusion = np.zeros((len(classes), len(classes) + 1), np.int64)

    def add(self, found: Array, truth: Array) -> None:
        """Take an image or a batch of images.

        Args:
            found: (H, W) or (n, H, W) integer class ids as segmented; any id that is not a class
                counts as none.
            truth: the same as it is, classes or `ignored`.

        Raises:
            ImageError: different shapes, labels that are not whole numbers, or a true label that
                is no class.
        """
        if found.shape != truth.shape or found.ndim not in (2, 3):
            raise ImageError(
                f'label images have shapes {found.shape} and {truth.shape}, expected the same '
                '(H, W) or (n, H, W)', 'bad_shape')
        if found.dtype.kind not in 'iu' or truth.dtype.kind not in 'iu':
            raise ImageError(
                f'label images are {found.dtype} and {truth.dtype}, expected whole numbers',
                'bad_encoding')
        counts = truth != self._ignored
        true, given = truth[counts].astype(np.int64), found[counts].astype(np.int64)
        n = len(self._classes)
        unknown = true[(true < 0) | (true >= n)]
        if len(unknown):
            raise ImageError(
                f'the truth has label {unknown[0]}, expected 0 to {n - 1} or {self._ignored} for '
                'pixels that do not count; are all classes named?', 'bad_label')
        given[(given < 0) | (given >= n)] = n
        self._confusion += np.bincount(
            true * (n + 1) + given, minlength=n * (n + 1)).reshape(n, n + 1)

    def figures(self) -> SegmentationFigures:
        """Compute the figures of all images so far."""
        matrix = self._confusion[:, :-1]
        right = np.diag(matrix).astype(np.float64)
        true = self._confusion.sum(axis=1)
        union = true + matrix.sum(axis=0) - right
        iou, accuracy = (np.divide(right, whole, out=np.full(len(right), np.nan), where=whole > 0)
                         for whole in (union, true))
        return {'mIoU': _mean(iou), 'mAcc': _mean(accuracy), 'per_class': {
            name: {'IoU': float(iou[i]), 'accuracy': float(accuracy[i]), 'pixels': int(true[i])}
            for i, name in enumerate(self._classes)}}


def _mean(values: Array) -> float:
    """Mean of what is a number; NaN where nothing is."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float('nan')
