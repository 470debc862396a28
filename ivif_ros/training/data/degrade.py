# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Draws the degradations of a sample and applies them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ivif_ros.training.data.config import DataConfig
from ivif_ros.training.data.degradations_thermal import THERMAL
from ivif_ros.training.data.degradations_visible import VISIBLE

MOST = 2
"""Degradations of one image that may meet."""


class Degraded(NamedTuple):
    """One sample; all planes (t, h, w) float32 in 0..1.

    Attributes:
        visible: as the camera would give it.
        thermal: as the camera would give it.
        clean_visible: what is really there.
        clean_thermal: what is really there, in its place; black where the camera is dead, because
            nothing can bring back an image that was never taken.
    """

    visible: Tensor
    thermal: Tensor
    clean_visible: Tensor
    clean_thermal: Tensor


class Degrader:
    """Degrades samples with the probabilities of a DataConfig."""

    def __init__(self, config: DataConfig) -> None:
        """Keep the probabilities."""
        self._strongest = config.strongest
        self._chance = {name: getattr(config, name) * config.degradation
                        for name in (*VISIBLE, *THERMAL, 'dead')}

    def apply(self, visible: Tensor, thermal: Tensor, rng: np.random.Generator,
              noise: torch.Generator) -> Degraded:
        """Degrade one sample.

        Args:
            visible: (t, h, w) float32 in 0..1, t moments.
            thermal: (t, h, w) float32 in 0..1.
            rng: decides which degradations, and how strong.
            noise: decides what they look like.
        """
        seen_visible, seen_thermal, clean_thermal = visible, thermal, thermal
        for name in self.draw(VISIBLE, rng):
            seen_visible = VISIBLE[name](seen_visible, rng.random() * self._strongest, noise)
        if rng.random() < self._chance['dead']:
            seen_thermal = clean_thermal = torch.zeros_like(thermal)
        else:
            for name in self.draw(THERMAL, rng):
                seen_thermal = THERMAL[name](seen_thermal, rng.random() * self._strongest, noise)
        return Degraded(seen_visible, seen_thermal, visible, clean_thermal)

    def draw(self, names: Iterable[str], rng: np.random.Generator) -> list[str]:
        """Draw at most two of the degradations, each with its probability, in their order."""
        drawn = [name for name in names if rng.random() < self._chance[name]]
        while len(drawn) > MOST:
            del drawn[int(rng.integers(len(drawn)))]
        return drawn
