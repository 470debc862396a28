# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Quality of object detection: precision, recall and average precision as COCO counts them.

A found box may match one object of its class that overlaps it by at least the threshold,
`IoU = area of the intersection / area of the union`. Boxes choose in the order of their scores,
each takes the free object that it overlaps most; a box without one is false. With the boxes of all
images sorted by score,

    precision(k) = true boxes among the first k / k,   recall(k) = true boxes among them / objects
    AP = 1/101 sum over r = 0, 0.01, ..., 1 of max {precision(k) : recall(k) >= r}

(Everingham et al., The Pascal VOC Challenge, 2010; Lin et al., Microsoft COCO, 2014). AP50 and AP75
are AP at an overlap of 0.50 and 0.75, mAP50-95 is its mean over 0.50, 0.55, ..., 0.95. The results
are those of pycocotools (`COCOeval`, all areas, no crowds, at most 100 boxes an image).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from ivif_ros.types import Array

OVERLAPS = np.linspace(0.5, 0.95, 10)
"""Overlaps (IoU) that mAP50-95 is the mean over."""

MOST_BOXES = 100
"""Boxes of one class in one image that count, those of the best scores."""

_RECALLS = np.linspace(0, 1, 101)

DetectionFigures = TypedDict('DetectionFigures', {
    'precision': float, 'recall': float, 'confidence': float, 'AP50': float, 'AP75': float,
    'mAP50-95': float, 'objects': int, 'images': int, 'per_class': dict[str, dict[str, float]]})
"""Figures of all images so far: means over the classes that have objects, NaN without any.

`precision` and `recall` hold at an overlap of 0.50 for the boxes of at least the score
`confidence`. `per_class` has all of these figures but `confidence` for each class, and `objects`,
their number.
"""


class DetectionEvaluator:
    """Collects found and true boxes of images; keeps a score and ten decisions for each found box.

    Args:
        classes: names by class id, 0 first.
        confidence: score from which boxes count for `precision` and `recall`, such as the threshold
            that the robot runs with. None takes the score at which the mean of
            `F1 = 2 precision recall / (precision + recall)` over the classes is best, as
            Ultralytics does. AP looks at all boxes, so detectors should give those of low score too
            (0.001 in published tables).

    Raises:
        ValueError: no classes, or a confidence that is no score.
    """

    def __init__(self, classes: Sequence[str], confidence: float | None = None) -> None:
        """Start without images."""
        if not classes:
            raise ValueError('no classes were given, expected at least one name')
        if confidence is not None and not 0 <= confidence <= 1:
            raise ValueError(f'confidence is {confidence}, expected 0 to 1 or None')
        self._classes = tuple(classes)
        self._confidence = confidence
        self._images = 0
        self._objects = np.zeros(len(classes), np.int64)
        # Class id -> for each image the scores (n,) and whether a box is true, (overlaps, n).
        self._found: list[list[tuple[Array, Array]]] = [[] for _ in classes]

    def add(self, boxes: Array, scores: Array, class_ids: Array,
            true_boxes: Array, true_class_ids: Array) -> None:
        """Take the boxes of one image.

        Args:
            boxes: (n, 4) found boxes x0, y0, x1, y1 in pixels.
            scores: (n,) their scores, 0..1.
            class_ids: (n,) their classes, index into `classes`; boxes of other classes (a detector
                knows more than the labels do) do not count.
            true_boxes: (m, 4) objects of the image in the same pixels.
            true_class_ids: (m,) their classes.

        Raises:
            ValueError: numbers of boxes, scores and classes that differ, boxes that are not finite
                or end before they start, scores that are not finite, or a true class that has no
                name.
        """
        boxes, scores, class_ids = _checked('found', boxes, class_ids, scores)
        true_boxes, _, true_class_ids = _checked('true', true_boxes, true_class_ids)
        unknown = true_class_ids[(true_class_ids < 0) | (true_class_ids >= len(self._classes))]
        if len(unknown):
            raise ValueError(f'the truth has class {unknown[0]}, expected 0 to '
                             f'{len(self._classes) - 1}; are all classes named?')
        self._images += 1
        for index, found in enumerate(self._found):
            truth = true_boxes[true_class_ids == index]
            mine = np.flatnonzero(class_ids == index)
            best = mine[np.argsort(-scores[mine], kind='stable')][:MOST_BOXES]
            self._objects[index] += len(truth)
            if len(best):
                found.append((scores[best], _matches(overlap(boxes[best], truth))))

    def figures(self) -> DetectionFigures:
        """Compute the figures of all images so far."""
        curves = [_Curve(found, int(objects))
                  for found, objects in zip(self._found, self._objects, strict=True)]
        known = [curve for curve in curves if curve.objects]
        confidence = self._confidence
        if confidence is None:
            confidence = _best_confidence(known)
        rows = {name: {**curve.at(confidence), **curve.average_precision(),
                       'objects': curve.objects}
                for name, curve in zip(self._classes, curves, strict=True)}
        present = [row for row in rows.values() if row['objects']]

        def mean(key: str) -> float:
            return float(np.mean([row[key] for row in present])) if present else float('nan')

        return {'precision': mean('precision'), 'recall': mean('recall'), 'confidence': confidence,
                'AP50': mean('AP50'), 'AP75': mean('AP75'), 'mAP50-95': mean('mAP50-95'),
                'objects': int(self._objects.sum()), 'images': self._images, 'per_class': rows}


def overlap(boxes: Array, others: Array) -> Array:
    """Intersection over union of each box with each other one.

    Args:
        boxes: (n, 4) x0, y0, x1, y1, from outer edge to outer edge (a pixel has side 1).
        others: (m, 4) the same.

    Returns:
        (n, m) float64, 0..1; 0 where both boxes are empty.
    """
    a, b = (np.asarray(x, np.float64).reshape(-1, 4) for x in (boxes, others))
    low, high = np.maximum(a[:, None, :2], b[:, :2]), np.minimum(a[:, None, 2:], b[:, 2:])
    shared = np.maximum(high - low, 0).prod(axis=2)
    areas = [(x[:, 2:] - x[:, :2]).prod(axis=1) for x in (a, b)]
    union = areas[0][:, None] + areas[1] - shared
    result: Array = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return result


class _Curve:
    """Precision and recall of one class over the scores of its boxes."""

    def __init__(self, found: list[tuple[Array, Array]], objects: int) -> None:
        self.objects = objects
        scores = np.concatenate([scores for scores, _ in found] or [np.empty(0)])
        right = np.concatenate([right for _, right in found]
                               or [np.empty((len(OVERLAPS), 0), bool)], axis=1)
        order = np.argsort(-scores, kind='stable')
        self.scores = scores[order]
        self._right = right[:, order].cumsum(axis=1)  # true boxes among the first k, per overlap

    def at(self, confidence: float) -> dict[str, float]:
        """Precision (0 without boxes) and recall of the boxes of at least this score."""
        count = int(np.searchsorted(-self.scores, -confidence, side='right'))
        right = int(self._right[0, count - 1]) if count else 0
        return {'precision': right / count if count else 0.0,
                'recall': right / self.objects if self.objects else float('nan')}

    def average_precision(self) -> dict[str, float]:
        """AP50, AP75 and mAP50-95; NaN where the class has no objects."""
        if not self.objects:
            return dict.fromkeys(('AP50', 'AP75', 'mAP50-95'), float('nan'))
        count = self._right.shape[1]
        values = np.zeros(len(OVERLAPS))
        for i, right in enumerate(self._right):
            precision = right / np.arange(1, count + 1)
            # The best precision at this or any higher recall.
            envelope = np.maximum.accumulate(precision[::-1])[::-1]
            first = np.searchsorted(right / self.objects, _RECALLS, side='left')
            values[i] = np.where(first < count, np.append(envelope, 0)[first], 0).mean()
        return {'AP50': float(values[0]), 'AP75': float(values[5]),
                'mAP50-95': float(values.mean())}


def _matches(overlaps: Array) -> Array:
    """Whether each of n boxes, best first, is true at each overlap: (OVERLAPS, n) bool."""
    right = np.zeros((len(OVERLAPS), len(overlaps)), bool)
    for i, least in enumerate(OVERLAPS):
        free = overlaps.copy()
        for box, row in enumerate(free):
            if not row.size:
                break
            # Of objects that it overlaps equally, COCO takes the last one.
            chosen = row.size - 1 - int(np.argmax(row[::-1]))
            if row[chosen] >= least:
                right[i, box] = True
                free[:, chosen] = -1
    return right


def _best_confidence(curves: list[_Curve]) -> float:
    """The score at which the mean F1 over the classes is best; 0 without boxes."""
    scores = np.unique(np.concatenate([curve.scores for curve in curves] or [np.empty(0)]))
    best, chosen = 0.0, 0.0
    # A thousand thresholds are enough: between two of them hardly a box lies.
    for score in scores[np.linspace(0, len(scores) - 1, min(len(scores), 1000)).astype(int)]:
        quality = 0.0
        for curve in curves:
            found = curve.at(score)
            product = found['precision'] * found['recall']
            quality += 2 * product / max(found['precision'] + found['recall'], 1e-12)
        if quality > best:
            best, chosen = quality, float(score)
    return chosen


def _checked(kind: str, boxes: Array, class_ids: Array,
             scores: Array | None = None) -> tuple[Array, Array, Array]:
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    class_ids = np.asarray(class_ids).reshape(-1).astype(np.int64)
    scores = np.ones(len(boxes)) if scores is None else np.asarray(scores, np.float64).reshape(-1)
    if not len(boxes) == len(scores) == len(class_ids):
        raise ValueError(f'{len(boxes)} {kind} boxes, {len(scores)} scores and {len(class_ids)} '
                         'classes, expected the same number')
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise ValueError(f'{kind} boxes or their scores are not finite')
    if (boxes[:, 2:] < boxes[:, :2]).any():
        raise ValueError(f'a {kind} box ends before it starts, expected x0, y0, x1, y1')
    return boxes, scores, class_ids
