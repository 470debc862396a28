# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Objects in the RGB, the registered thermal and the fused image, and how well they were found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import cv2
import numpy as np

from ivif_ros.detection import Detector
from ivif_ros.errors import ParameterError
from ivif_ros.evaluation.labels import Labels, TrueObjects
from ivif_ros.evaluation.parts import ObjectsRecord
from ivif_ros.metrics.detection import DetectionEvaluator
from ivif_ros.types import Array, Detections, FusionResult, Size

LOWEST_SCORE = 0.001
"""Score from which boxes count for average precision, as in published tables."""

Found = dict[str, Detections]
"""Modality -> objects in RGB pixels."""


class ObjectFinder:
    """Runs one detector on the images of a pair.

    Args:
        detector: gives all boxes of at least LOWEST_SCORE where there are labels.
        labels: true objects; None for none.

    Raises:
        ParameterError: the labels have classes that the detector does not know.
    """

    def __init__(self, detector: Detector, labels: Labels | None) -> None:
        """Find which class of the detector each class of the labels is."""
        self._detector = detector
        self._labels = labels
        self._ids = {} if labels is None else class_table(labels, detector.names)

    @property
    def names(self) -> dict[int, str]:
        """Class names of the detector by id."""
        return self._detector.names

    def inputs(self, result: FusionResult) -> Found:
        """Look for objects in both inputs, which are the same for all methods."""
        found: Found = {}
        if result.pair.rgb is not None:
            found['rgb'] = self._detector.detect(result.pair.rgb.image)
        if result.thermal_registered is not None:
            found['thermal'] = self._detector.detect(
                cv2.cvtColor(result.thermal_registered, cv2.COLOR_GRAY2BGR))
        return found

    def fused(self, result: FusionResult) -> Found:
        """Look for objects in the fused image, whatever it was made of."""
        return {'fused': self._detector.detect(result.fused)}

    def truth(self, name: str, size: Size) -> TrueObjects | None:
        """True objects of a pair with class ids of the detector; None without a label."""
        if self._labels is None or name not in self._labels.stems:
            return None
        label = self._labels.read(name, size)
        ids = np.array([self._ids[int(value)] for value in label.class_ids], np.int64)
        return TrueObjects(label.boxes, ids)


def class_table(labels: Labels, names: Mapping[int, str]) -> dict[int, int]:
    """Class id of the labels -> class id of the detector.

    Classes are matched by name. Labels without names have the ids of the detector.

    Raises:
        ParameterError: a class that the detector does not know.
    """
    by_name = {name.lower(): index for index, name in names.items()}
    table: dict[int, int] = {}
    for number in sorted(labels.class_ids()):
        name = labels.names.get(number)
        index = number if name is None else by_name.get(name.lower(), -1)
        if index not in names:
            raise ParameterError(
                f"class {number} ({name or 'without a name'}) of labels '{labels.folder}' is none "
                f"that the detector knows ({', '.join(list(names.values())[:12])}, ...); name the "
                'classes of the labels in classes.txt beside them, one a line')
        table[number] = index
    return table


def objects_record(index: int, found: Found, truth: TrueObjects) -> ObjectsRecord:
    """Found and true objects of a pair as they are stored."""
    return ObjectsRecord(
        index, {modality: _rows(one.boxes, one.scores, one.class_ids)
                for modality, one in found.items()}, _rows(truth.boxes, truth.class_ids))


def confident(detections: Detections, least: float) -> Detections:
    """The detections of at least a score."""
    return detections.where(detections.scores >= least)


def detection_figures(records: Iterable[ObjectsRecord], names: Mapping[int, str],
                      confidence: float) -> dict[str, dict[str, Any]]:
    """Quality of detection by modality.

    Only classes that the labels have count: a detector knows more of them, and what it finds of
    those is neither right nor wrong.

    Args:
        records: found and true objects of all pairs with labels.
        names: class names of the detector by id.
        confidence: score from which boxes count for precision and recall.

    Returns:
        Modality -> figures of `DetectionEvaluator`.
    """
    stored = list(records)
    ids = sorted({int(row[4]) for record in stored for row in record.truth})
    if not ids:
        return {}
    place = {number: index for index, number in enumerate(ids)}
    figures: dict[str, dict[str, Any]] = {}
    for modality in dict.fromkeys(key for record in stored for key in record.found):
        evaluator = DetectionEvaluator([names[number] for number in ids], confidence)
        for record in stored:
            # An image that was not there shows nothing: its objects are missed.
            found = [row for row in record.found.get(modality, []) if int(row[5]) in place]
            table = np.array(found, np.float64).reshape(-1, 6)
            truth = np.array(record.truth, np.float64).reshape(-1, 5)
            evaluator.add(table[:, :4], table[:, 4], _placed(table[:, 5], place),
                          truth[:, :4], _placed(truth[:, 4], place))
        figures[modality] = dict(evaluator.figures())
    return figures


def _placed(class_ids: Array, place: Mapping[int, int]) -> Array:
    return np.array([place[int(number)] for number in class_ids], np.int64)


def _rows(boxes: Array, *columns: Array) -> list[list[float]]:
    table = np.concatenate([boxes, *(column[:, None] for column in columns)], axis=1)
    # Two decimals of a pixel and four of a score are more than a detector knows.
    rows: list[list[float]] = np.round(table.astype(np.float64), 4).tolist()
    return rows
