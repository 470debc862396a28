# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""PIAFusion: illumination-aware loss, maximum intensity, maximum gradient."""

from torch import Tensor, nn

from ivif_ros.training.batch import Batch
from ivif_ros.training.data.config import DataConfig
from ivif_ros.training.losses.pixel import gradient_max, intensity_max
from ivif_ros.training.objective import Objective
from ivif_ros.training.objectives.illumination import IlluminationObjective
from ivif_ros.training.recipe_fusion import FusionRecipe


def brightest(fused: Tensor, batch: Batch) -> Tensor:
    """Auxiliary intensity loss of the paper."""
    return intensity_max(fused, batch.clean_thermal, batch.clean_visible)


def texture(fused: Tensor, batch: Batch) -> Tensor:
    """Texture loss of the paper."""
    return gradient_max(fused, batch.clean_thermal, batch.clean_visible)


def objective(network: nn.Module) -> Objective:
    """Weights 3, 7 and 50 of the paper over 10; the paper does not divide Sobel by 4."""
    return IlluminationObjective(
        network, 0.3, {'intensity': (0.7, brightest), 'texture': (4 * 5.0, texture)})


RECIPE = FusionRecipe(
    name='piafusion', network='piafusion', objective=objective, steps=2400, batch_size=4, crop=96,
    learning_rate=2e-3, data=DataConfig(degradation=0.0))
