# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Training to reconstruct single images, for networks that fuse between encoder and decoder."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ivif_ros.fusion.networks.densefuse import DenseFuse
from ivif_ros.training.batch import Batch
from ivif_ros.training.losses.metric import ssim
from ivif_ros.training.objective import Objective


class AutoEncoderObjective(Objective):
    """Reconstruction as in DenseFuse: pixel loss (L2) + ssim_weight * (1 - SSIM).

    Images of both modalities go through the same encoder and decoder, each by itself; the fusion
    rule takes no part. The images are those without degradation.

    Args:
        network: has a method `reconstruct`, (n, 1, h, w) to the same.
        pixel_weight: factor of the mean squared error. The paper's is 1 for levels 0..255 and a
            sum over all pixels; a mean over levels 0..1 needs a larger one.
        ssim_weight: lambda.
    """

    network: DenseFuse

    def __init__(self, network: Any, pixel_weight: float = 50.0,
                 ssim_weight: float = 1.0) -> None:
        """Keep the network and the weights."""
        super().__init__(network)
        self._pixel_weight = pixel_weight
        self._ssim_weight = ssim_weight

    def losses(self, batch: Batch, group: int) -> dict[str, Tensor]:
        """Reconstruct both images of the batch; see `Objective.losses`."""
        images = torch.cat([batch.clean_visible, batch.clean_thermal])
        again = self.network.reconstruct(images).float()
        return {'pixel': self._pixel_weight * ((again - images) ** 2).mean(),
                'ssim': self._ssim_weight * (1 - ssim(again, images).mean())}
