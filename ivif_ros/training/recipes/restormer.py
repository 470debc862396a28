# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Restormer network with a fixed loss; the brighter source leads, the stronger edge is kept."""

from torch import Tensor, nn

from ivif_ros.training.batch import Batch
from ivif_ros.training.data.config import DataConfig
from ivif_ros.training.losses.pixel import gradient_joint, intensity_max
from ivif_ros.training.losses.structural import ssim_loss
from ivif_ros.training.objective import FusionObjective, Objective
from ivif_ros.training.recipe_fusion import FusionRecipe


def intensity(fused: Tensor, batch: Batch) -> Tensor:
    """Distance to the brighter source."""
    return intensity_max(fused, batch.clean_thermal, batch.clean_visible)


def gradient(fused: Tensor, batch: Batch) -> Tensor:
    """Distance to the gradient of the source that has the stronger one."""
    return gradient_joint(fused, batch.clean_thermal, batch.clean_visible)


def structure(fused: Tensor, batch: Batch) -> Tensor:
    """Structural dissimilarity to both sources."""
    return ssim_loss(fused, batch.clean_thermal, batch.clean_visible)


def objective(network: nn.Module) -> Objective:
    """Make the objective of a network."""
    return FusionObjective(network, {
        'intensity': (2.0, intensity), 'gradient': (4.0, gradient), 'structure': (0.5, structure)})


RECIPE = FusionRecipe(
    name='restormer', network='restormer', objective=objective, steps=1600, batch_size=4, crop=96,
    learning_rate=2e-3, validate_every=800, data=DataConfig(degradation=0.0))
