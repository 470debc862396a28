# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What the default method is trained for: its objective and losses, against plain NumPy."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from ivif_ros.fusion.networks import build
from ivif_ros.metrics import fusion
from ivif_ros.training.batch import Batch
from ivif_ros.training.losses.brightness import brightness_loss, glow_loss
from ivif_ros.training.losses.noise import noise_gain_loss
from ivif_ros.training.objectives.learned_pyramid import PyramidObjective, Weights
from ivif_ros.training.recipe_fusion import FusionRecipe
from ivif_ros.training.recipes import load_recipe

LEVEL = 1 / 255


def levels(seed, low=0, high=256, size=(80, 96)):
    """(H, W) uint8: blocks of random brightness with some texture."""
    rng = np.random.default_rng(seed)
    rows, columns = size
    blocks = rng.integers(low, high, (rows // 16 + 1, columns // 16 + 1))
    image = np.kron(blocks, np.ones((16, 16)))[:rows, :columns]
    return np.clip(image + rng.normal(0, 4, size), 0, 255).astype(np.uint8)


def plane(*images):
    """(n, 1, H, W) in 0..1 of uint8 images."""
    return torch.from_numpy(np.stack(images)[:, None].astype(np.float32) / 255)


def cells(image, side=8):
    """Means of blocks of float (H, W)."""
    rows, columns = image.shape[0] // side, image.shape[1] // side
    return np.array([[image[side * y:side * y + side, side * x:side * x + side].mean()
                      for x in range(columns)] for y in range(rows)])


def step(x, low, high):
    t = min(max((x - low) / (high - low), 0), 1)
    return t * t * (3 - 2 * t)


# Losses


def expected_brightness(fused, thermal, visible):
    """Cell by cell, for one image of floats."""
    f, t, v = cells(fused), cells(thermal), cells(visible)
    total = 0.0
    for y in range(f.shape[0]):
        for x in range(f.shape[1]):
            here = v[y, x]
            around = v[max(y - 2, 0):y + 3, max(x - 2, 0):x + 3].mean()
            warm = step((t[y, x] - t.mean()) / (t.std() + 0.02), 1, 2.5)
            target = warm * step(t[y, x] - here, -0.05, 0.1)
            saturated = step(min(here, around), 0.88, 0.98)
            error = abs(f[y, x] - here)
            counts = 2 if f[y, x] < here else 0.3 + 0.7 * step(here, 0.05, 0.3)
            kept = (error + 3 * error ** 2) * counts * (1 - 0.8 * saturated)
            error = abs(f[y, x] - max(here, t[y, x]))
            total += kept * (1 - target) + 2 * target * (error + 3 * error ** 2)
    return total / f.size


@pytest.mark.parametrize(('visible', 'thermal'), [
    (levels(1), levels(2)), (levels(3, 0, 40), levels(4, 20, 120)),
    (levels(5, 225, 256), levels(6, 0, 80))])
def test_the_brightness_loss_is_its_formula(visible, thermal):
    thermal[16:48, 32:48] = 250  # a target
    fused = levels(7)
    wanted = expected_brightness(*(x / 255 for x in (fused, thermal, visible)))
    assert wanted > 0.01
    found = brightness_loss(plane(fused), plane(thermal), plane(visible))
    assert float(found) == pytest.approx(wanted, rel=1e-4)


def test_the_brightness_loss_is_that_of_each_image():
    images = [levels(seed) for seed in range(6)]
    together = brightness_loss(plane(*images[:2]), plane(*images[2:4]), plane(*images[4:]))
    alone = [brightness_loss(plane(images[i]), plane(images[2 + i]), plane(images[4 + i]))
             for i in range(2)]
    assert float(together) == pytest.approx(float(sum(alone)) / 2, rel=1e-5)


def test_a_dark_sky_costs_more_than_a_dark_hole_in_a_burnt_out_one():
    thermal = plane(levels(8, 5, 15))
    costs = [float(brightness_loss(plane(np.full_like(visible, 100)), thermal, plane(visible)))
             for visible in (levels(9, 195, 205), levels(9, 254, 256))]
    assert costs[0] > 2 * costs[1]
    lamp = levels(9, 60, 65)
    lamp[40:48, 40:48] = 255
    grey = lamp.copy()
    grey[40:48, 40:48] = 100
    kept = brightness_loss(plane(lamp), thermal, plane(lamp))
    # A lamp of one cell is no burnt-out area: it must stay.
    assert float(brightness_loss(plane(grey), thermal, plane(lamp)) - kept) > 0.01


def expected_glow(fused, thermal, visible):
    total = 0.0
    for side in (8, 16):
        f, t, v = (cells(x, side) for x in (fused, thermal, visible))
        for axis in (0, 1):
            df, dt, dv = (np.diff(x, axis=axis).reshape(-1) for x in (f, t, v))
            excess = [max(a - max(0, b, c, b + c) - LEVEL, min(0, b, c, b + c) - LEVEL - a, 0)
                      for a, b, c in zip(df, dt, dv, strict=True)]
            total += np.mean(excess)
    return total / 4


def test_the_glow_loss_is_its_formula():
    images = [levels(seed) for seed in (10, 11, 12)]
    wanted = expected_glow(*(x / 255 for x in images))
    assert wanted > 0.01
    assert float(glow_loss(*(plane(x) for x in images))) == pytest.approx(wanted, rel=1e-4)


def test_only_a_rim_in_an_even_sky_glows():
    rows = np.zeros((80, 1))
    roof = np.where(np.arange(96) < 40, 60, 0)
    visible = (200 - 2 * roof + rows).astype(np.uint8)
    thermal = (20 + 2 * roof + rows).astype(np.uint8)
    for fair in (visible, thermal, ((visible.astype(int) + thermal) // 2).astype(np.uint8)):
        assert float(glow_loss(plane(fair), plane(thermal), plane(visible))) < 1e-6
    # Dark far from the roof, and brighter towards it.
    rim = visible.astype(float)
    rim[:, 40:] -= np.linspace(0, 100, 56)
    found = glow_loss(plane(rim.astype(np.uint8)), plane(thermal), plane(visible))
    assert float(found) > 0.005


def grain(image, y, x):
    """Deviation of the finest details of a cell, computed pixel by pixel."""
    padded = np.pad(image, 1, 'reflect')
    fine = [image[j, i] - padded[j:j + 3, i:i + 3].mean()
            for j in range(8 * y, 8 * y + 8) for i in range(8 * x, 8 * x + 8)]
    return np.sqrt(np.mean(np.square(fine)) + 1e-8)


def test_the_noise_loss_is_its_formula_away_from_the_border():
    rng = np.random.default_rng(13)
    size = (40, 48)
    visible, thermal, fused = (0.5 + rng.normal(0, sigma * LEVEL, size) for sigma in (1, 2, 4))
    visible[:, 24:] += rng.normal(0, 30 * LEVEL, (40, 24))  # not flat
    total = 0.0
    for y in range(5):
        for x in range(6):
            there = max(grain(visible, y, x), grain(thermal, y, x))
            flat = min(max(2 - there / (3 * LEVEL), 0), 1)
            total += max(grain(fused, y, x) - there, 0) * flat
    planes = [torch.from_numpy(image).float()[None, None] for image in (fused, thermal, visible)]
    found = float(noise_gain_loss(*planes))
    assert found == pytest.approx(total / 30, rel=0.05)  # borders continue in another way
    assert float(noise_gain_loss(planes[2], *planes[1:])) < 1e-6


# Objective


class Given(torch.nn.Module):
    """A network that answers each visible image with a picture of its own."""

    def __init__(self, *answers):
        super().__init__()
        self.answers = answers
        self.asked = []

    def forward(self, visible, thermal):
        self.asked.append((visible, thermal))
        return self.answers[len(self.asked) - 1]


def street(seed):
    """Two sources that share some structure, uint8."""
    common = levels(seed).astype(int)
    visible = (common + levels(seed + 1)) // 2
    return visible.astype(np.uint8), (common // 3 + levels(seed + 2) // 2).astype(np.uint8)


def batch_of(visible, thermal, then=None):
    """A batch whose degraded images have nothing to do with the clean ones."""
    noise = plane(levels(99))
    return Batch(noise, noise, plane(visible), plane(thermal), then)


def test_the_objective_is_the_weighted_sum_of_what_the_clean_images_say():
    visible, thermal = street(20)
    fused = ((visible.astype(int) + 2 * thermal.astype(int)) // 3).astype(np.uint8)
    batch = batch_of(visible, thermal)
    network = Given(plane(fused))
    losses = PyramidObjective(network).losses(batch, 0)
    assert network.asked[0][0] is batch.visible
    assert network.asked[0][1] is batch.thermal

    w = Weights()
    each = [fusion.visual_information_fidelity(fused, x) for x in (thermal, visible)]
    ssim = np.mean([fusion.structural_similarity(fused, x) for x in (thermal, visible)])
    busy = np.hypot(fusion.spatial_frequency(thermal), fusion.spatial_frequency(visible))
    lack = max(1 - fusion.spatial_frequency(fused) / busy, 0)
    poor = max(fusion.entropy(thermal), fusion.entropy(visible)) - fusion.entropy(fused)
    scd = fusion.sum_of_correlations_of_differences(fused, thermal, visible)
    wanted = {
        'vif': w.vif * np.mean([-np.log(x + 0.1) for x in each]), 'ssim': w.ssim * (1 - ssim),
        'qabf': w.qabf * (1 - fusion.edge_preservation(fused, thermal, visible)),
        'scd': w.scd * (2 - scd), 'entropy': w.entropy * max(poor, 0), 'sf': w.sf * lack,
        'brightness': w.brightness * expected_brightness(
            fused / 255, thermal / 255, visible / 255),
        'glow': w.glow * expected_glow(fused / 255, thermal / 255, visible / 255)}
    for name, value in wanted.items():
        assert float(losses[name]) == pytest.approx(value, rel=2e-3, abs=2e-3), name
    assert losses.keys() == asdict(w).keys() - {'temporal'}


def test_flicker_counts_only_as_far_as_the_scene_stands_still():
    visible, thermal = street(30)
    fused = ((visible.astype(int) + thermal) // 2).astype(np.uint8)
    brighter = np.clip(fused.astype(int) + 20, 0, 255).astype(np.uint8)
    still = batch_of(visible, thermal)
    batch = replace(still, then=still)

    def cost(batch, later):
        network = Given(plane(fused), plane(later))
        return float(PyramidObjective(network).losses(batch, 0)['temporal'])

    assert cost(batch, fused) == 0
    step = cells(brighter / 255) - cells(fused / 255)
    assert cost(batch, brighter) == pytest.approx(Weights().temporal * step.mean(), rel=1e-3)
    lit = batch_of(np.clip(visible.astype(int) + 25, 0, 255).astype(np.uint8), thermal)
    assert cost(replace(still, then=lit), brighter) < 0.3 * cost(batch, brighter)


def trainable():
    torch.manual_seed(0)
    network = build('learned_pyramid')
    with torch.no_grad():
        for head in (network.base, *network.gain):
            head.weight.normal_(std=0.3)
    return network


@pytest.mark.parametrize('fills', [(0, 0), (1, 1), (0, 1), (1, 0), (0.5, None), (None, 0)])
def test_derivatives_are_finite_on_black_and_saturated_images(fills):
    planes = [plane(levels(40, size=(96, 96))) if fill is None else torch.full((1, 1, 96, 96), fill)
              for fill in (float(x) if x is not None else None for x in fills)]
    batch = Batch(planes[0], planes[1], planes[0], planes[1])
    batch = replace(batch, then=batch)
    network = trainable()
    losses = PyramidObjective(network).losses(batch, 0)
    assert all(loss.ndim == 0 and loss.isfinite() for loss in losses.values())
    sum(losses.values()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_a_few_steps_lower_the_objective():
    visible, thermal = street(50)
    batch = Batch(plane(visible), plane(thermal), plane(visible), plane(thermal))
    network = trainable()
    objective = PyramidObjective(network)
    optimiser = torch.optim.Adam(objective.groups()[0], 3e-3)
    costs = []
    for _ in range(12):
        optimiser.zero_grad()
        cost = sum(objective.losses(batch, 0).values())
        cost.backward()
        optimiser.step()
        costs.append(float(cost.detach()))
    assert costs[-1] < 0.9 * costs[0]


def test_the_recipe_makes_the_objective_and_scores_what_is_kept():
    recipe = load_recipe('learned_pyramid')
    assert isinstance(recipe, FusionRecipe)
    assert isinstance(recipe.objective(build('learned_pyramid')), PyramidObjective)
    poor = {'VIF': 0.4, 'Qabf': 0.5, 'SSIM': 0.6, 'SCD': 1.5, 'SF': 10.0}
    for name in poor:
        assert recipe.score({**poor, name: poor[name] * 1.1}) > recipe.score(poor), name
