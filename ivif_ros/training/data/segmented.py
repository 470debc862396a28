# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Pairs from the simulator in which the class of each pixel is known, too."""

from __future__ import annotations

from dataclasses import dataclass

from ivif_ros.simulation import SimulatedRig
from ivif_ros.training.data.config import SIMULATED
from ivif_ros.training.data.labelled import LabelledPair
from ivif_ros.training.data.labelled_streets import labelled_instant
from ivif_ros.training.data.simulated import APART_S, INSTANTS, first_seed, street_rig
from ivif_ros.training.data.splits import Split
from ivif_ros.types import Array


@dataclass(frozen=True, eq=False)
class SegmentedPair(LabelledPair):
    """A labelled pair with the class of each pixel.

    Attributes:
        class_map: (H, W) int64, class id, -1 for the background.
    """

    class_map: Array


class SegmentedStreets:
    """The streets of `LabelledStreets`, with class maps; rendered when the source is made.

    Attributes:
        name: 'simulated'.
    """

    name = SIMULATED

    def __init__(self, count: int, split: Split) -> None:
        """Render the streets, INSTANTS pairs of each.

        Args:
            count: number of streets; each takes some seconds.
            split: each split has streets of its own.
        """
        first = first_seed(split)
        self._pairs = [segmented_instant(rig, 1 + instant * APART_S)
                       for rig in map(street_rig, range(first, first + count))
                       for instant in range(INSTANTS)]

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self._pairs)

    def __getitem__(self, index: int) -> SegmentedPair:
        """Return pair `index`."""
        return self._pairs[index]


def segmented_instant(rig: SimulatedRig, t: float) -> SegmentedPair:
    """Add the class map to what `labelled_instant` renders; arguments as there."""
    pair = labelled_instant(rig, t)
    return SegmentedPair(pair.visible, pair.thermal, pair.boxes, pair.class_ids,
                         rig.true_classes(t))
