# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What the default method is trained for: information of both cameras in a natural image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ivif_ros.training.batch import Batch
from ivif_ros.training.losses import metric
from ivif_ros.training.losses.brightness import brightness_loss, coarse, glow_loss
from ivif_ros.training.losses.halo import halo_loss
from ivif_ros.training.losses.metric import SourceStatistics
from ivif_ros.training.losses.noise import noise_gain_loss
from ivif_ros.training.losses.temporal import unexplained_change
from ivif_ros.training.objective import Objective


@dataclass(frozen=True)
class Weights:
    """Weight of each term.

    Attributes:
        vif: mean of -log(VIF + 0.1) over both sources: the source that is worse off counts more, so
            that copying the busier one does not pay.
        ssim: 1 - SSIM.
        qabf: 1 - Qabf.
        scd: 2 - SCD.
        entropy: lack of entropy against the richer source, in bits.
        sf: lack of spatial frequency against that of both sources together.
        brightness: `brightness_loss`.
        glow: `glow_loss`: rims in flat areas.
        halo: `halo_loss`: overshoot.
        noise: `noise_gain_loss`: amplified noise.
        temporal: change of coarse brightness over time that the clean sources do not explain.
    """

    vif: float = 0.3
    ssim: float = 1.1
    qabf: float = 2.1
    scd: float = 1.3
    entropy: float = 0.25
    sf: float = 2.0
    brightness: float = 3.5
    glow: float = 20.0
    halo: float = 25.0
    noise: float = 60.0
    temporal: float = 20.0


class PyramidObjective(Objective):
    """Fidelity to the clean sources, natural brightness, no halos, no flicker."""

    def __init__(self, network: nn.Module, weights: Weights | None = None) -> None:
        """Keep the network and the weights of the terms (None: the defaults)."""
        super().__init__(network)
        self._weights = weights or Weights()

    def losses(self, batch: Batch, group: int) -> dict[str, Tensor]:
        """Fuse the degraded images and judge the result against the clean ones."""
        weights = self._weights
        fused: Tensor = self.network(batch.visible, batch.thermal).float()
        thermal, visible = batch.clean_thermal, batch.clean_visible
        figures = SourceStatistics(thermal, visible)
        with torch.no_grad():
            # As much as both have together, were their details independent of each other.
            busy = torch.hypot(metric.sf(thermal), metric.sf(visible))
            rich = torch.maximum(metric.entropy(thermal), metric.entropy(visible))
        found = {
            'vif': -weights.vif * torch.log(figures.vif_of_each(fused) + 0.1).mean(),
            'ssim': weights.ssim * (1 - figures.ssim(fused)).mean(),
            'qabf': weights.qabf * (1 - figures.qabf(fused)).mean(),
            'scd': weights.scd * (2 - figures.scd(fused)).mean(),
            'entropy': weights.entropy * torch.relu(rich - metric.entropy(fused)).mean(),
            'sf': weights.sf * torch.relu(1 - metric.sf(fused) / busy.clamp_min(1e-3)).mean(),
            'brightness': weights.brightness * brightness_loss(fused, thermal, visible),
            'halo': weights.halo * halo_loss(fused, thermal, visible, margin=2.5 / 255),
            'noise': weights.noise * noise_gain_loss(fused, thermal, visible),
            'glow': weights.glow * glow_loss(fused, thermal, visible)}
        if weights.temporal and batch.then is not None:
            later: Tensor = self.network(batch.then.visible, batch.then.thermal).float()
            then = batch.then
            found['temporal'] = weights.temporal * unexplained_change(
                coarse(fused), coarse(later), (coarse(thermal), coarse(then.clean_thermal)),
                (coarse(visible), coarse(then.clean_visible)))
        return found
