# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""FusionGAN (Ma et al., Information Fusion 2019): thermal intensity, RGB gradients, a critic.

L_G = mean (D(f) - c)^2 + 100 (mean (f - t)^2 + xi mean |nabla f - nabla v|^2); the discriminator
tells the RGB image from the fused one. Squares are a quarter for images in 0..1 in place of -1..1,
so lambda is 400 here. xi is 1 where the authors have 5: with that much of the Sobel gradient there
were halos around everything that only the thermal image shows.
"""

from __future__ import annotations

from torch import Tensor, nn

from ivif_ros.training.batch import Batch
from ivif_ros.training.data.config import DataConfig
from ivif_ros.training.discriminators import Discriminator
from ivif_ros.training.losses.pixel import gradient_of, intensity_of
from ivif_ros.training.objective import Objective
from ivif_ros.training.objectives.adversarial import AdversarialObjective
from ivif_ros.training.recipe_fusion import FusionRecipe

_CONTENT = 400.0
_GRADIENT = 1.0


def _intensity(fused: Tensor, batch: Batch) -> Tensor:
    return intensity_of(fused, batch.clean_thermal, power=2)


def _gradient(fused: Tensor, batch: Batch) -> Tensor:
    return gradient_of(fused, batch.clean_visible, power=2)


def _visible(batch: Batch) -> Tensor:
    return batch.clean_visible


def objective(network: nn.Module) -> Objective:
    """Make the objective."""
    return AdversarialObjective(
        network, Discriminator(), real=_visible,
        content={'intensity': (_CONTENT, _intensity),
                 'gradient': (_CONTENT * _GRADIENT, _gradient)})


RECIPE = FusionRecipe(
    name='fusiongan', network='fusiongan', objective=objective, steps=2000, batch_size=8, crop=96,
    learning_rate=2e-3, clip_norm=0.0, ema=0.99, data=DataConfig(degradation=0.0))
