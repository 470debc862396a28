# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""UFGAN: U-Net generator, structural similarity, style transfer, a critic of any size.

To the adversarial and content terms of FusionGAN come 1 - SSIM to both sources, and a transfer loss
L_content + k L_style + lambda L_tv: features of the thermal image place by place, textures (Gram
matrices) of the RGB image, total variation against noise. The published method takes the features
from a classifier trained on ImageNet; nothing is downloaded here, so they are the fixed filters of
`losses.features`. k is small: much style pulls the result to the RGB image. Thermal intensity has
a tenth of its weight in FusionGAN: at that weight, daylight turns dark.
"""

from __future__ import annotations

from torch import Tensor, nn

from ivif_ros.training.batch import Batch
from ivif_ros.training.data.config import DataConfig
from ivif_ros.training.discriminators import Discriminator
from ivif_ros.training.losses.features import FixedFeatures
from ivif_ros.training.losses.pixel import gradient_of, intensity_of
from ivif_ros.training.losses.structural import ssim_loss
from ivif_ros.training.losses.style import transfer_loss
from ivif_ros.training.objective import Objective
from ivif_ros.training.objectives.adversarial import AdversarialObjective
from ivif_ros.training.recipe_fusion import FusionRecipe

_CONTENT = 40.0
_EVEN = 5000.0
_GRADIENT = 5.0
_STRUCTURE = 10.0
_TRANSFER = 30.0
_STYLE = 5.0
_VARIATION = 0.2


class Transfer(nn.Module):
    """Transfer loss with the thermal image as content and the RGB image as style."""

    def __init__(self) -> None:
        """Make the features."""
        super().__init__()
        self.features = FixedFeatures()

    def forward(self, fused: Tensor, batch: Batch) -> Tensor:
        """Judge a fused image."""
        return transfer_loss(fused, batch.clean_thermal, batch.clean_visible, self.features,
                             style_weight=_STYLE, variation_weight=_VARIATION)


def _intensity(fused: Tensor, batch: Batch) -> Tensor:
    return intensity_of(fused, batch.clean_thermal, power=2)


def _gradient(fused: Tensor, batch: Batch) -> Tensor:
    return gradient_of(fused, batch.clean_visible, power=2)


def _structure(fused: Tensor, batch: Batch) -> Tensor:
    return ssim_loss(fused, batch.clean_thermal, batch.clean_visible)


def _visible(batch: Batch) -> Tensor:
    return batch.clean_visible


def objective(network: nn.Module) -> Objective:
    """Make the objective."""
    return AdversarialObjective(
        network, Discriminator(), real=_visible, even=_EVEN,
        content={'intensity': (_CONTENT, _intensity),
                 'gradient': (_CONTENT * _GRADIENT, _gradient),
                 'structure': (_STRUCTURE, _structure), 'transfer': (_TRANSFER, Transfer())})


RECIPE = FusionRecipe(
    name='ufgan', network='ufgan', objective=objective, steps=1500, batch_size=6, crop=96,
    learning_rate=1.5e-3, clip_norm=0.0, ema=0.99, data=DataConfig(degradation=0.0))
