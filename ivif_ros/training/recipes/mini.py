# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A mini network, distilled (MMDRFuse, Deng et al., ACM MM 2024).

The teacher is the classical method `pyramid`: MMDRFuse trains a convolutional one first. To the
distance to its pictures comes what MMDRFuse calls the comprehensive loss, that is terms of the
sources themselves: here the evaluation figures in their differentiable form. Its dynamic refresh
(pictures of the student's past that were better are supervision too) needs whole images that come
back; with random crops the moving average of the weights stands in.
"""

from __future__ import annotations

from torch import Tensor, nn

from ivif_ros.fusion import registry
from ivif_ros.training.batch import Batch
from ivif_ros.training.data.config import DataConfig
from ivif_ros.training.losses.metric import SourceStatistics
from ivif_ros.training.objective import Objective
from ivif_ros.training.objectives.distillation import DistillationObjective
from ivif_ros.training.recipe_fusion import FusionRecipe

TEACHER = 'pyramid'


def _figures(fused: Tensor, batch: Batch) -> Tensor:
    figures = SourceStatistics(batch.clean_thermal, batch.clean_visible)
    return -(figures.vif(fused) + figures.qabf(fused) + figures.ssim(fused)
             + figures.scd(fused) / 2).mean()


def objective(network: nn.Module) -> Objective:
    """Make the objective."""
    return DistillationObjective(
        network, registry.create(TEACHER), weight=10.0, terms={'figures': (1.0, _figures)})


RECIPE = FusionRecipe(
    name='mini', network='mini', objective=objective, steps=1000, batch_size=4, crop=192,
    learning_rate=3e-3, ema=0.99, data=DataConfig(degradation=0.0))
