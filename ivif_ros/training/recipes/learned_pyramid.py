# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The default method, trained for figures, brightness and steadiness at once."""

from __future__ import annotations

from collections.abc import Mapping

from ivif_ros.training.data.config import DataConfig
from ivif_ros.training.objectives.learned_pyramid import PyramidObjective
from ivif_ros.training.recipe_fusion import FusionRecipe


def score(metrics: Mapping[str, float]) -> float:
    """Weigh what is kept of both sources, and sharpness in a tenth of its usual size."""
    return (metrics['VIF'] + metrics['Qabf'] + metrics['SSIM'] + metrics['SCD'] / 2
            + metrics['SF'] / 100)


RECIPE = FusionRecipe(
    name='learned_pyramid', network='learned_pyramid', objective=PyramidObjective, steps=12000,
    batch_size=4, crop=224, learning_rate=3e-3, weight_decay=1e-4, warmup=100, ema=0.998,
    validate_every=1000, validation_pairs=8, score=score,
    data=DataConfig(share={'msrs': 0.4, 'roadscene': 0.4, 'llvip': 0.06, 'm3svd': 0.08,
                           'm3svd_stills': 0.06},
                    temporal=0.2, degradation=0.6, low_light=0.02))
