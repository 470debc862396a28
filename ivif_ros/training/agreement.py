# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What several looks at one scene agree on: labels without people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ivif_ros.errors import ParameterError
from ivif_ros.metrics.detection import overlap
from ivif_ros.training.data.labelled import CLASSES
from ivif_ros.types import Array, Detections

SAME_OBJECT = 0.5
"""Overlap (IoU) from which two boxes of one class are the same object."""


@dataclass(frozen=True, eq=False)
class Agreed:
    """Objects that are taken as true, and places that may hold others.

    Attributes:
        boxes: (n, 4) float32 x0, y0, x1, y1 in pixels.
        class_ids: (n,) int64, index into CLASSES.
        doubtful: (m, 4) float32, where something was found by too few.
    """

    boxes: Array
    class_ids: Array
    doubtful: Array


def agree(looks: Sequence[Detections], enough: float = 1.0, voters: int = 2,
          doubt: float = 0.25) -> Agreed:
    """Compare what teachers found in several views of one scene.

    Boxes of one class that overlap by SAME_OBJECT with the one of the best score are one object;
    of each look the best of them votes with its score. An object with enough votes of at least
    `voters` looks is taken, its box being the mean of the voters, weighted by their scores (as in
    weighted boxes fusion, Solovyev et al. 2021). One with fewer, but some look sure of it by
    `doubt`, is doubtful.

    Args:
        looks: objects found in one view by one teacher each; classes are matched by name.
        enough: sum of the scores of an object.
        voters: looks that must have found it.
        doubt: score from which a single look makes a place doubtful.

    Raises:
        ParameterError: a teacher does not know one of CLASSES.
    """
    tables = [our_classes(look) for look in looks]
    boxes: list[Array] = []
    class_ids: list[int] = []
    doubtful: list[Array] = []
    for class_id in range(len(CLASSES)):
        picks = [table[table[:, 5] == class_id] for table in tables]
        rows = np.concatenate(picks or [np.zeros((0, 6))])
        look_of = np.repeat(np.arange(len(picks)), [len(pick) for pick in picks])
        free = np.ones(len(rows), bool)
        for best in np.argsort(-rows[:, 4], kind='stable'):
            if not free[best]:
                continue
            same = free & (overlap(rows[best:best + 1, :4], rows[:, :4])[0] >= SAME_OBJECT)
            same[best] = True
            free &= ~same
            members = np.flatnonzero(same)
            members = members[np.argsort(-rows[members, 4], kind='stable')]
            _, first = np.unique(look_of[members], return_index=True)
            votes = rows[members[first]]
            box = np.average(votes[:, :4], axis=0, weights=votes[:, 4])
            if len(votes) >= voters and votes[:, 4].sum() >= enough:
                boxes.append(box)
                class_ids.append(class_id)
            elif votes[:, 4].max() >= doubt:
                doubtful.append(box)
    return Agreed(np.array(boxes, np.float32).reshape(-1, 4), np.array(class_ids, np.int64),
                  np.array(doubtful, np.float32).reshape(-1, 4))


def our_classes(look: Detections) -> Array:
    """Boxes of our classes, matched by name.

    Returns:
        (n, 6) float64: x0, y0, x1, y1, score, index into CLASSES.

    Raises:
        ParameterError: the detector does not know one of CLASSES.
    """
    theirs = {name.lower(): index for index, name in look.names.items()}
    if missing := [name for name in CLASSES if name not in theirs]:
        raise ParameterError(f"a detector does not know the class '{missing[0]}', expected "
                             f"{', '.join(CLASSES)} among {', '.join(list(theirs)[:10])}")
    ours = {theirs[name]: index for index, name in enumerate(CLASSES)}
    keep = np.isin(look.class_ids, list(ours)) & (look.scores > 0)
    return np.column_stack([look.boxes[keep], look.scores[keep],
                            [ours[int(index)] for index in look.class_ids[keep]]]).astype(float)
