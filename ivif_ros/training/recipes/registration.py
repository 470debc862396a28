# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The registration network: matching, refinement and how sure it is, all at once."""

from __future__ import annotations

from ivif_ros.training.data.config import DataConfig
from ivif_ros.training.objectives.registration import RegistrationObjective
from ivif_ros.training.recipe_registration import RegistrationRecipe

RECIPE = RegistrationRecipe(
    name='registration', objective=RegistrationObjective, steps=4800, batch_size=4,
    learning_rate=1.5e-3, final_rate=0.01, weight_decay=1e-4, warmup=100, clip_norm=2.0, ema=0.999,
    validate_every=800, validation_pairs=20,
    data=DataConfig(share={'msrs': 0.45, 'roadscene': 0.35, 'llvip': 0.05, 'm3svd': 0.07,
                           'm3svd_stills': 0.08},
                    simulated_scenes=24, degradation=0.7, low_light=0.12, misalignment=0.0))
