# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""MFF-GAN (Zhang et al., Information Fusion 2021): the sharper source, and joint gradients.

A decision from the sharpness of the sources says at each pixel whose intensity and gradient to
keep: L_con = L_int + 5 L_grad. The discriminator tells max(|nabla v|, |nabla t|) from |nabla f|.
L_G = mean (D(|nabla f|) - c)^2 + 10 L_con. Weights as published, for images in -1..1: in 0..1
squares are a quarter, so 10 is 40 here. One term is added against patterns of the folded network,
see `objectives.adversarial.block_pattern`.
"""

from __future__ import annotations

from torch import Tensor, nn

from ivif_ros.training.batch import Batch
from ivif_ros.training.data.config import DataConfig
from ivif_ros.training.discriminators import Discriminator
from ivif_ros.training.losses.focus import (
    focus_decision,
    focus_gradient,
    focus_intensity,
    gradient_image,
    joint_gradient,
)
from ivif_ros.training.objective import Objective
from ivif_ros.training.objectives.adversarial import AdversarialObjective
from ivif_ros.training.recipe_fusion import FusionRecipe

_CONTENT = 40.0
_EVEN = 5000.0
_GRADIENT = 5.0


def _decision(batch: Batch) -> Tensor:
    return focus_decision(batch.clean_visible, batch.clean_thermal)


def _intensity(fused: Tensor, batch: Batch) -> Tensor:
    return focus_intensity(fused, batch.clean_visible, batch.clean_thermal, _decision(batch))


def _gradient(fused: Tensor, batch: Batch) -> Tensor:
    return focus_gradient(fused, batch.clean_visible, batch.clean_thermal, _decision(batch))


def _joint(batch: Batch) -> Tensor:
    return joint_gradient(batch.clean_visible, batch.clean_thermal)


def objective(network: nn.Module) -> Objective:
    """Make the objective."""
    return AdversarialObjective(
        network, Discriminator(), real=_joint, view=gradient_image, even=_EVEN,
        content={'intensity': (_CONTENT, _intensity),
                 'gradient': (_CONTENT * _GRADIENT, _gradient)})


RECIPE = FusionRecipe(
    name='mff_gan', network='mff_gan', objective=objective, steps=2000, batch_size=8, crop=96,
    learning_rate=2e-3, clip_norm=0.0, ema=0.99, data=DataConfig(degradation=0.0))
