# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Labelled pairs from the simulator, whose boxes are exact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np

from ivif_ros.simulation import SimulatedRig
from ivif_ros.simulation.groups import CLASS_NAMES
from ivif_ros.training.data.config import SIMULATED
from ivif_ros.training.data.labelled import CLASSES, LabelledPair
from ivif_ros.training.data.pairs import to_luma
from ivif_ros.training.data.simulated import APART_S, INSTANTS, first_seed, street_rig
from ivif_ros.training.data.splits import Split
from ivif_ros.types import Array

P = TypeVar('P', bound=LabelledPair)

LEAST_VISIBLE = 0.3
"""Objects of which a smaller share can be seen are not labelled."""
LEAST_SIDE_PX = 6.0
"""Nor are those whose box is lower or narrower."""


class LabelledStreets(Generic[P]):
    """Simulated streets by day, at dusk and at night, in turn; rendered when the source is made.

    Attributes:
        name: 'simulated'.
    """

    name = SIMULATED

    def __init__(self, count: int, split: Split,
                 render: Callable[[SimulatedRig, float], P]) -> None:
        """Render the streets, INSTANTS pairs of each.

        Args:
            count: number of streets; each takes some seconds.
            split: each split has streets of its own.
            render: makes a pair of a rig and the seconds since the start, such as
                `labelled_instant`.
        """
        first = first_seed(split)
        self._pairs = [render(rig, 1 + instant * APART_S)
                       for rig in map(street_rig, range(first, first + count))
                       for instant in range(INSTANTS)]

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self._pairs)

    def __getitem__(self, index: int) -> P:
        """Return pair `index`."""
        return self._pairs[index]


def labelled_instant(rig: SimulatedRig, t: float) -> LabelledPair:
    """Render both images of a rig whose pixels show the same points, and their true boxes.

    Args:
        rig: both cameras in one place, with one lens and size.
        t: seconds since the start.
    """
    truth = rig.true_boxes(t)
    boxes = outer_edges(truth.boxes)
    seen = ((truth.visibility >= LEAST_VISIBLE)
            & ((boxes[:, 2:] - boxes[:, :2]).min(1, initial=np.inf) >= LEAST_SIDE_PX))
    ids = np.array([CLASSES.index(CLASS_NAMES[int(key)]) for key in truth.class_ids[seen]],
                   np.int64)
    return LabelledPair(rig.render_rgb(t), to_luma(rig.render_thermal(t)), boxes[seen], ids)


def outer_edges(boxes: Array) -> Array:
    """Count boxes from the outer edge of the first pixel instead of from its centre.

    The simulator has the centre of the first pixel at (0, 0), so that the whole image is
    -0.5, -0.5, W - 0.5, H - 0.5; labels and detectors call it 0, 0, W, H.

    Args:
        boxes: (n, 4) x0, y0, x1, y1 in pixels, from the centre.

    Returns:
        (n, 4) float32, half a pixel farther right and down.
    """
    moved: Array = (np.asarray(boxes, np.float32).reshape(-1, 4) + np.float32(0.5))
    return moved
