# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What one training step sees, and what it is judged against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Movable(Protocol):
    """What all batches have in common."""

    def to(self, device: torch.device | str) -> Movable:
        """Return the batch on a device."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Crops of registered pairs; all planes (n, 1, h, w) float32 in 0..1 on one device.

    Attributes:
        visible: luma (BT.601) as the network sees it, degraded.
        thermal: thermal image as the network sees it, degraded; warm is bright.
        clean_visible: luma without the degradation.
        clean_thermal: thermal image without the degradation.
        then: the same crops a moment later, for temporal losses; None where nothing moves.
    """

    visible: Tensor
    thermal: Tensor
    clean_visible: Tensor
    clean_thermal: Tensor
    then: Batch | None = None

    def __post_init__(self) -> None:
        """Check that the planes belong together.

        Raises:
            ValueError: a plane that is not (n, 1, h, w), or of another shape than the others.
        """
        shape = self.visible.shape
        for name in ('visible', 'thermal', 'clean_visible', 'clean_thermal'):
            plane = getattr(self, name)
            if plane.ndim != 4 or plane.shape[1] != 1 or plane.shape != shape:
                raise ValueError(f'{name} is {tuple(plane.shape)}, expected (n, 1, h, w) like '
                                 f'visible, which is {tuple(shape)}')
        if self.then is not None and self.then.visible.shape != shape:
            raise ValueError(f'then is {tuple(self.then.visible.shape)}, expected {tuple(shape)}')

    def to(self, device: torch.device | str) -> Batch:
        """Return the batch on a device; copies from pinned memory do not wait."""
        def move(plane: Tensor) -> Tensor:
            return plane.to(device, non_blocking=True)

        return Batch(move(self.visible), move(self.thermal), move(self.clean_visible),
                     move(self.clean_thermal), None if self.then is None else self.then.to(device))
