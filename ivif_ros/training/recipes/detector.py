# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Our detector: people, bicycles and cars in fused images and in those of either camera alone."""

from __future__ import annotations

from ivif_ros.training.data.detection import DetectionData
from ivif_ros.training.objectives.detection import DetectionObjective
from ivif_ros.training.recipe_detection import DetectionRecipe

RECIPE = DetectionRecipe(
    name='detector', objective=DetectionObjective, steps=2000, batch_size=16, crop=320,
    learning_rate=3e-4, final_rate=0.01, weight_decay=5e-4, warmup=200, clip_norm=10.0, ema=0.998,
    validate_every=400, validation_pairs=20, data=DetectionData(share={'roadscene': 24.0}))
