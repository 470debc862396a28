# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""TDFusion: the loss of a detector teaches which fusion loss serves it; any network, any task."""

from ivif_ros.training.data.config import DataConfig
from ivif_ros.training.data.meta import Epoch
from ivif_ros.training.recipe_tdfusion import TDFusionRecipe

RECIPE = TDFusionRecipe(
    name='tdfusion', network='learned_pyramid', steps=30000, batch_size=2, crop=256,
    learning_rate=1e-4, schedule='constant', warmup=0, epoch=Epoch(200, 400), validate_every=600,
    validation_pairs=8, data=DataConfig(degradation=0.0))
