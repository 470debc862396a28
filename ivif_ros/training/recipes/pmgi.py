# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""PMGI: intensity and gradient of both sources in a fixed proportion."""

from torch import Tensor, nn

from ivif_ros.training.batch import Batch
from ivif_ros.training.data.config import DataConfig
from ivif_ros.training.losses.pmgi import proportional_loss
from ivif_ros.training.objective import FusionObjective, Objective
from ivif_ros.training.recipe_fusion import FusionRecipe


def proportional(fused: Tensor, batch: Batch) -> Tensor:
    """Proportions of the authors' program for infrared and visible images."""
    return proportional_loss(fused, batch.clean_thermal, batch.clean_visible,
                             thermal_intensity=1.0, visible_intensity=0.3,
                             thermal_gradient=4.0, visible_gradient=5.0, signed=False)


def objective(network: nn.Module) -> Objective:
    """Make the objective of a network; the factor keeps gradients near the clipping norm."""
    return FusionObjective(network, {'proportional': (10.0, proportional)})


RECIPE = FusionRecipe(
    name='pmgi', network='pmgi', objective=objective, steps=1500, batch_size=4, crop=96,
    learning_rate=2e-3, validate_every=750, data=DataConfig(degradation=0.0))
