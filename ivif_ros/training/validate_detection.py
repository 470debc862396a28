# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Validation of the detector: average precision on pairs that training does not see."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from ivif_ros.detection import draw
from ivif_ros.metrics.detection import DetectionEvaluator
from ivif_ros.training.data.labelled import CLASSES, LabelledPair, labelled_datasets
from ivif_ros.training.data.views import PairViews
from ivif_ros.training.detection_network import find_objects
from ivif_ros.training.validate import Verdict, side_by_side
from ivif_ros.types import Array, Detections

SHOWN = ('fused', 'rgb', 'thermal')
"""Views that are measured, those of the three situations: both cameras, or one of them."""
_PICTURE_SCORE = 0.25


class DetectionValidation:
    """Labelled pairs of the validation split, as fused images and as single cameras."""

    figures = tuple(f'{name}/AP50' for name in SHOWN)
    picture_name = 'fused_rgb_thermal'

    def __init__(self, root: Path | str, datasets: Sequence[str], labels: Path | None, most: int,
                 fusion_weights: str = '') -> None:
        """Read the pairs and make their views.

        Args:
            root: folder of data sets, or one data set.
            datasets: data sets to use, none for all.
            labels: folder of pseudo-labels, or None.
            most: at most this many pairs of each data set, spread evenly.
            fusion_weights: weights of the fusion network, empty for those of the package.

        Raises:
            SourceError: no labelled pairs of the validation split.
        """
        views = PairViews(weights=fusion_weights)
        self._pairs: list[LabelledPair] = []
        self._first: list[int] = []
        for source in labelled_datasets(root, 'validation', datasets, labels, 0):
            count = min(most, len(source))
            self._first.append(len(self._pairs))
            self._pairs += [source[i * len(source) // count] for i in range(count)]
        self._images = {name: [views.make(name, pair.visible, pair.thermal)
                               for pair in self._pairs] for name in SHOWN}

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self._pairs)

    def judge(self, network: nn.Module, device: torch.device) -> Verdict:
        """Find the objects of all views; see `Validation.judge`.

        The picture shows one pair of each data set with the boxes of at least a quarter's score.
        """
        training = network.training
        network.eval()
        metrics: dict[str, float] = {}
        panels: list[list[Array]] = [[] for _ in self._first]
        for name, images in self._images.items():
            evaluator = DetectionEvaluator(CLASSES)
            found = find_objects(network, images)
            for one, pair in zip(found, self._pairs, strict=True):
                evaluator.add(one.boxes, one.scores, one.class_ids, pair.boxes, pair.class_ids)
            figures = evaluator.figures()
            metrics |= {f'{name}/{key}': figures[key]  # type: ignore[literal-required]
                        for key in ('AP50', 'mAP50-95', 'precision', 'recall')}
            metrics |= {f'{name}/AP50/{key}': row['AP50']
                        for key, row in figures['per_class'].items()}
            for panel, index in zip(panels, self._first, strict=True):
                panel.append(_picture(images[index], found[index]))
        network.train(training)
        return Verdict(metrics, np.concatenate([side_by_side(*panel) for panel in panels]))


def _picture(image: Array, found: Detections) -> Array:
    keep = found.scores >= _PICTURE_SCORE
    shown = draw(image, Detections(found.boxes[keep], found.scores[keep], found.class_ids[keep],
                                   found.names))
    return np.asarray(cv2.cvtColor(shown, cv2.COLOR_BGR2GRAY))
