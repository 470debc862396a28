# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Pairs from the simulator: both cameras in one place, with one lens, pixel on pixel."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from ivif_ros.simulation import RigConfig, SimulatedRig
from ivif_ros.simulation.config import LIGHTINGS
from ivif_ros.training.data.config import SIMULATED
from ivif_ros.training.data.pairs import Pair, to_luma
from ivif_ros.training.data.splits import SPLITS, Split
from ivif_ros.types import Size

INSTANTS = 4
"""Pictures of each street."""
_SIZE: Size = (640, 480)
APART_S = 2.5
"""Seconds between two pictures of a street."""
_FRAME_S = 1 / 30
_SEEDS_PER_SPLIT = 100_000


class Streets:
    """Simulated streets by day, at dusk and at night, in turn.

    A street takes five to ten seconds and 5 MB; it is rendered when the source is made, and once in
    a process. Smoke, glare and the like are left to the degradations, for which the clean image is
    wanted too.

    Attributes:
        name: 'simulated'.
        moves: True.
    """

    name = SIMULATED
    moves = True

    def __init__(self, count: int, split: Split) -> None:
        """Render the streets.

        Args:
            count: number of streets.
            split: each split has streets of its own.
        """
        first = first_seed(split)
        self._scenes = [scene for seed in range(first, first + count)
                        for scene in render_street(seed)]

    def __len__(self) -> int:
        """Return the number of scenes."""
        return len(self._scenes)

    def moments(self, index: int, rng: np.random.Generator, count: int) -> Sequence[Pair]:
        """Return the first `count` moments of scene `index`."""
        return self._scenes[index][:count]


def street_rig(seed: int) -> SimulatedRig:
    """Make a rig whose cameras are in one place: day, dusk and night in turn."""
    return SimulatedRig(RigConfig(
        seed=seed, lighting=LIGHTINGS[seed % len(LIGHTINGS)], rgb_size=_SIZE, thermal_size=_SIZE,
        rgb_fov_deg=60.0, thermal_fov_deg=60.0, rgb_distortion=(), thermal_distortion=(),
        baseline_m=0.0, thermal_rotation_deg=(0.0, 0.0, 0.0)))


def first_seed(split: Split) -> int:
    """Seed of the first street of a split; each split has streets of its own."""
    return SPLITS.index(split) * _SEEDS_PER_SPLIT


@cache
def render_street(seed: int) -> tuple[tuple[Pair, Pair], ...]:
    """Render a street, each scene at two moments that are one to three frames apart.

    The grey levels of the thermal image are those of the first moment and the second alike.
    """
    rig = street_rig(seed)
    scenes = []
    for instant in range(INSTANTS):
        times = [1 + instant * APART_S]
        times.append(times[0] + (1 + (seed + instant) % 3) * _FRAME_S)
        thermal = np.vsplit(to_luma(np.vstack([rig.render_thermal(t) for t in times])), 2)
        visible = [to_luma(rig.render_rgb(t)) for t in times]
        scenes.append((Pair(visible[0], thermal[0]), Pair(visible[1], thermal[1])))
    return tuple(scenes)
