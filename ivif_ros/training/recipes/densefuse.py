# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""DenseFuse: an auto-encoder of single images; the fusion rules need no training."""

from ivif_ros.training.data.config import DataConfig
from ivif_ros.training.objectives.autoencoder import AutoEncoderObjective
from ivif_ros.training.recipe_fusion import FusionRecipe

RECIPE = FusionRecipe(
    name='densefuse', network='densefuse', objective=AutoEncoderObjective, steps=3500,
    batch_size=4, crop=128, learning_rate=2e-3, data=DataConfig(degradation=0.0))
