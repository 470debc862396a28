# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What a step of TDFusion sees: crops, colour, and the truth about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ivif_ros.training.batch import Batch

BACKGROUND = -1
"""In a class map: none of the classes."""


class Targets(NamedTuple):
    """What n images of h x w pixels show; everything on one device.

    Attributes:
        boxes: (k, 4) float32 x0, y0, x1, y1 of all objects in pixels, counted from the outer edge
            of the first pixel: a whole image is 0, 0, w, h.
        class_ids: (k,) int64, index into `ivif_ros.training.data.labelled.CLASSES`.
        image_ids: (k,) int64, which of the n images the object is in.
        class_map: (n, h, w) int64, class id of each pixel, `BACKGROUND` where it shows none of
            them; None where pixels have no labels.
    """

    boxes: Tensor
    class_ids: Tensor
    image_ids: Tensor
    class_map: Tensor | None = None

    def to(self, device: torch.device | str) -> Targets:
        """Return the targets on a device."""
        return Targets(*(None if value is None else value.to(device, non_blocking=True)
                         for value in self))  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class LabelledBatch:
    """Crops with the truth about them; everything on one device.

    Attributes:
        planes: luma and thermal planes.
        colour: (n, 3, h, w) float32 RGB in 0..1, whose luma `planes.clean_visible` is.
        targets: what the crops show.
    """

    planes: Batch
    colour: Tensor
    targets: Targets

    def to(self, device: torch.device | str) -> LabelledBatch:
        """Return the batch on a device."""
        return LabelledBatch(self.planes.to(device), self.colour.to(device, non_blocking=True),
                             self.targets.to(device))


@dataclass(frozen=True, eq=False)
class MetaBatch:
    """What one step sees.

    Attributes:
        train: the meta-train batch, or that of a fusion step.
        test: the meta-test batch of a meta step; None makes it a fusion step.
    """

    train: LabelledBatch
    test: LabelledBatch | None = None

    def to(self, device: torch.device | str) -> MetaBatch:
        """Return both on a device."""
        return MetaBatch(self.train.to(device), None if self.test is None else self.test.to(device))
