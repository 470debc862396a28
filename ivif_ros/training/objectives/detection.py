# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What the detector learns: boxes and classes, with the loss of its ultralytics model."""

from __future__ import annotations

import torch
from torch import Tensor

from ivif_ros.training.data.detection import DetectionBatch
from ivif_ros.training.objective import Objective


class DetectionObjective(Objective):
    """Loss of YOLOv8 and later, as a mean over the images, with ultralytics' default gains.

    - `box`: complete IoU of the boxes that are assigned to an object.
    - `class`: binary cross entropy of all cells, weighted by how well they are placed.
    - `edge`: distribution focal loss of the four edges.
    """

    def losses(self, batch: DetectionBatch, group: int) -> dict[str, Tensor]:    # type: ignore[override]
        """Compute the terms; see `Objective.losses`."""
        images, targets = batch.images, batch.targets
        n, _, high, wide = images.shape
        found = self.network(images.contiguous(memory_format=torch.channels_last))
        low, far = targets.boxes[:, :2], targets.boxes[:, 2:]
        sides = targets.boxes.new_tensor([wide, high])
        centred = torch.cat([(low + far) / 2, far - low], 1) / sides.tile(2)
        truth = {'img': images, 'bboxes': centred, 'cls': targets.class_ids.float(),
                 'batch_idx': targets.image_ids.float()}
        with torch.autocast(images.device.type, enabled=False):
            # Coordinates of hundreds of pixels need more digits than half precision has.
            found = {name: ([level.float() for level in value] if isinstance(value, list)
                            else value.float()) for name, value in found.items()}
            terms, _ = self.network.loss(truth, found)  # type: ignore[operator]
        return dict(zip(('box', 'class', 'edge'), terms / n, strict=True))
