# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A network, an objective and pairs that are as small as they can be and use all features."""

import cv2
import numpy as np
import torch
from torch import nn

from ivif_ros.training.data.config import DataConfig
from ivif_ros.training.data.splits import split_of
from ivif_ros.training.objective import Objective
from ivif_ros.training.recipe_fusion import FusionRecipe

RECIPE_FILE = """
from ivif_ros.fusion.networks import NETWORKS
NETWORKS['toy'] = 'training_toy:Toy'
from training_toy import RECIPE
"""


class Toy(nn.Module):
    OVERLAP, MULTIPLE = 1, 1

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(2, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.Tanh(),
            nn.Conv2d(channels, 1, 1), nn.Sigmoid())

    def forward(self, visible, thermal, weight=None):
        return self.layers(torch.cat((visible, thermal), 1))


class ToyObjective(Objective):
    """Adversarial, with random numbers: a step that is not repeated exactly shows."""

    def __init__(self, network):
        super().__init__(network)
        self.discriminator = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Dropout(0.5), nn.Conv2d(2, 1, 3))

    def groups(self):
        return [list(self.discriminator.parameters()), list(self.network.parameters())]

    def losses(self, batch, group):
        fused = self.network(batch.visible, batch.thermal)
        if group == 0:
            real = self.discriminator(batch.clean_visible)
            return {'discriminator': ((real - 1) ** 2).mean()
                    + (self.discriminator(fused.detach()) ** 2).mean()}
        noise = 0.1 * torch.rand_like(fused)
        return {'content': (fused + noise - batch.clean_thermal).abs().mean(),
                'adversarial': 0.1 * ((self.discriminator(fused) - 1) ** 2).mean()}


RECIPE = FusionRecipe(
    name='toy', network='toy', objective=ToyObjective, steps=6, batch_size=2, crop=16,
    learning_rate=0.01, warmup=1, ema=0.9, validate_every=4, validation_pairs=2,
    data=DataConfig(cache_mb=10))


def make_data(root, train=5, validation=2, name='pairs'):
    """Write pairs of random smooth images as the data set `root/name`; return root."""
    wanted = {'train': train, 'validation': validation}
    rng = np.random.default_rng(3)
    for folder in ('rgb', 'thermal'):
        (root / name / folder).mkdir(parents=True)
    for index in range(200):
        split = split_of(name, f'{index:03d}')
        if wanted.get(split, 0):
            wanted[split] -= 1
            for folder, shape in (('rgb', (80, 96, 3)), ('thermal', (80, 96))):
                image = cv2.GaussianBlur(rng.uniform(-300, 555, shape), (0, 0), 2)
                image = np.clip(image, 0, 255).astype(np.uint8)
                cv2.imwrite(str(root / name / folder / f'{index:03d}.png'), image)
    assert not any(wanted.values())
    return root
