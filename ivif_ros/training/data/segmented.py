# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Pairs from the simulator in which the class of each pixel is known, too."""

from __future__ import annotations

from dataclasses import dataclass

from ivif_ros.simulation import SimulatedRig
from ivif_ros.training.data.labelled import LabelledPair
from ivif_ros.training.data.labelled_streets import labelled_instant
from ivif_ros.types import Array


@dataclass(frozen=True, eq=False)
class SegmentedPair(LabelledPair):
    """A labelled pair with the class of each pixel.

    Attributes:
        class_map: (H, W) int64, class id, -1 for the background.
    """

    class_map: Array


def segmented_instant(rig: SimulatedRig, t: float) -> SegmentedPair:
    """Add the class map to what `labelled_instant` renders; arguments as there."""
    pair = labelled_instant(rig, t)
    return SegmentedPair(pair.visible, pair.thermal, pair.boxes, pair.class_ids,
                         rig.true_classes(t))
