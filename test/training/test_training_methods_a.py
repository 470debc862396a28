# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Objectives and recipes of DenseFuse, PMGI, PIAFusion and the Restormer network."""

import numpy as np
import pytest
import torch
from torch import nn

from ivif_ros.fusion.networks import build
from ivif_ros.training.batch import Batch
from ivif_ros.training.objectives.autoencoder import AutoEncoderObjective
from ivif_ros.training.objectives.illumination import IlluminationClassifier, IlluminationObjective
from ivif_ros.training.recipes import load_recipe

NAMES = ('densefuse', 'pmgi', 'piafusion', 'restormer')


def smooth(n, size, seed, low=0.0, high=1.0):
    """Random images with some structure, (n, 1, size, size)."""
    coarse = torch.rand(n, 1, size // 8 + 1, size // 8 + 1,
                        generator=torch.Generator().manual_seed(seed))
    fine = nn.functional.interpolate(coarse, (size, size), mode='bicubic').clamp(0, 1)
    return low + (high - low) * fine


def make_batch(n=2, size=80, seed=0):
    visible, thermal = smooth(n, size, seed), smooth(n, size, seed + 1)
    return Batch(visible * 0.5, thermal, visible, thermal)


class Constant(nn.Module):
    """Gives the same image whatever it sees."""

    def __init__(self, image):
        super().__init__()
        self.image = nn.Parameter(image)

    def forward(self, visible, thermal, weight=None):
        return self.image.expand_as(visible)


@pytest.mark.parametrize('name', NAMES)
def test_a_few_steps_lower_the_losses_of_the_recipe(name):
    recipe = load_recipe(name)
    torch.manual_seed(0)
    objective = recipe.objective(build(recipe.network, **recipe.config)).train()
    batch = make_batch()
    optimizers = [torch.optim.Adam(group, 3e-3) for group in objective.groups()]
    history = []
    for _ in range(12):
        total = 0.0
        for index, optimizer in enumerate(optimizers):
            loss = sum(objective.losses(batch, index).values())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += float(loss.detach())
        history.append(total)
    assert history[-1] < 0.7 * history[0]


@pytest.mark.parametrize('name', NAMES)
def test_recipes_name_the_network_and_only_its_weights_are_shipped(name):
    recipe = load_recipe(name)
    assert recipe.name == recipe.network == name
    objective = recipe.objective(build(recipe.network, **recipe.config))
    owned = {id(p) for group in objective.groups() for p in group}
    assert owned == {id(p) for p in objective.parameters()}
    assert sum(len(group) for group in objective.groups()) == len(owned)


# DenseFuse

def test_the_auto_encoder_sees_each_clean_image_by_itself():
    skimage = pytest.importorskip('skimage.metrics')

    class Shift(nn.Module):
        def reconstruct(self, image):
            seen.append(image)
            return image + 0.1

    seen = []
    batch = make_batch()
    losses = AutoEncoderObjective(Shift(), pixel_weight=3.0, ssim_weight=0.5).losses(batch, 0)
    assert torch.equal(torch.cat(seen), torch.cat([batch.clean_visible, batch.clean_thermal]))
    assert float(losses['pixel']) == pytest.approx(3.0 * 0.01, rel=1e-4)
    images = [plane[0].numpy().astype(np.float64) * 255 for plane in seen[0]]
    similar = np.mean([skimage.structural_similarity(image + 25.5, image, data_range=255)
                       for image in images])
    assert float(losses['ssim']) == pytest.approx(0.5 * (1 - similar), abs=1e-4)


# PMGI

def test_proportions_of_pmgi_agree_with_a_loop():
    recipe = load_recipe('pmgi')
    visible, thermal = smooth(1, 24, 1), smooth(1, 24, 2)
    fused = smooth(1, 24, 3)
    batch = Batch(visible, thermal, visible, thermal)
    objective = recipe.objective(Constant(fused))
    got = float(objective.losses(batch, 0)['proportional'].detach())

    def strength(plane, y, x):
        p = np.pad(plane, 1, mode='edge')[y:y + 3, x:x + 3]
        gx = p[0, 2] + 2 * p[1, 2] + p[2, 2] - p[0, 0] - 2 * p[1, 0] - p[2, 0]
        gy = p[2, 0] + 2 * p[2, 1] + p[2, 2] - p[0, 0] - 2 * p[0, 1] - p[0, 2]
        return np.hypot(gx, gy) / 4

    def squares(source):
        f, s = (plane[0, 0].double().numpy() for plane in (fused, source))
        places = [(y, x) for y in range(24) for x in range(24)]
        return (np.mean([(f[place] - s[place]) ** 2 for place in places]),
                np.mean([(strength(f, *place) - strength(s, *place)) ** 2 for place in places]))

    (i_t, g_t), (i_v, g_v) = squares(thermal), squares(visible)
    assert got == pytest.approx(10 * (i_t + 0.3 * i_v + 4 * g_t + 5 * g_v), rel=1e-3)


# PIAFusion

class Certain(nn.Module):
    """A classifier that knows the probability of day."""

    def __init__(self, day):
        super().__init__()
        self.day = torch.tensor(day)

    def forward(self, visible):
        return torch.stack([self.day, 1 - self.day], 1)


def test_the_illumination_loss_leans_to_the_source_that_sees():
    visible, thermal, fused = smooth(2, 24, 1), smooth(2, 24, 2), smooth(1, 24, 3)
    objective = IlluminationObjective(Constant(fused), 2.0, {
        'other': (3.0, lambda image, batch: image.mean())})
    objective.classifier = Certain([0.9, 0.2])
    found = objective.losses(Batch(visible, thermal, visible, thermal), 1)
    f, v, t = (x.detach().double().numpy() for x in (fused, visible, thermal))
    expected = np.mean([0.9 * np.abs(f[0] - v[0]) + 0.1 * np.abs(f[0] - t[0]),
                        0.2 * np.abs(f[0] - v[1]) + 0.8 * np.abs(f[0] - t[1])])
    assert float(found['illumination'].detach()) == pytest.approx(2 * expected, rel=1e-4)
    assert float(found['other'].detach()) == pytest.approx(3 * f.mean(), rel=1e-4)


def test_classifier_and_network_learn_apart():
    objective = IlluminationObjective(build('piafusion'), 1.0, {})
    batch = make_batch()
    parts = [list(objective.classifier.parameters()), list(objective.network.parameters())]
    for group in (0, 1):
        objective.zero_grad(set_to_none=True)
        sum(objective.losses(batch, group).values()).backward()
        for index, part in enumerate(parts):
            assert all((p.grad is not None) == (index == group) for p in part)


def test_probabilities_of_day_and_night_sum_to_one():
    probabilities = IlluminationClassifier()(smooth(3, 32, 0))
    assert probabilities.shape == (3, 2)
    assert torch.allclose(probabilities.sum(1), torch.ones(3), atol=1e-6)
    assert (probabilities > 0).all()


def test_the_classifier_learns_day_and_night():
    torch.manual_seed(0)
    objective = IlluminationObjective(build('piafusion'), 1.0, {})
    optimizer = torch.optim.Adam(objective.groups()[0], 3e-3)

    def images(seed):
        return torch.cat([smooth(4, 48, seed, 0.2, 0.8), smooth(4, 48, seed + 50, 0.0, 0.2)])

    for seed in range(60):
        visible = images(seed)
        loss = objective.losses(Batch(visible, visible, visible, visible), 0)['classifier']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        day = objective.classifier(images(1000))[:, 0]
    assert (day[:4] > 0.7).all()
    assert (day[4:] < 0.3).all()
