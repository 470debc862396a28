# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Objectives of FusionGAN, UFGAN, MFF-GAN and the mini network do what their papers say."""

import numpy as np
import pytest
import torch
from torch import nn

from ivif_ros.fusion.networks import build
from ivif_ros.training.batch import Batch
from ivif_ros.training.discriminators import Discriminator
from ivif_ros.training.objectives.adversarial import FAKE, REAL, AdversarialObjective, block_pattern
from ivif_ros.training.objectives.distillation import DistillationObjective
from ivif_ros.training.recipes import load_recipe, mff_gan, ufgan

ADVERSARIAL = ('fusiongan', 'ufgan', 'mff_gan')


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def batch_of(n=2, side=24, degraded=False):
    visible, thermal = random(n, 1, side, side), random(n, 1, side, side, seed=1)
    if degraded:
        return Batch(visible / 3, thermal / 3, visible, thermal)
    return Batch(visible, thermal, visible, thermal)


class Fixed(nn.Module):
    """A generator with one parameter: a constant image."""

    def __init__(self, level=0.25):
        super().__init__()
        self.level = nn.Parameter(torch.tensor(level))

    def forward(self, visible, thermal, weight=None):
        return torch.zeros_like(visible) + self.level


class Mean(nn.Module):
    """A discriminator with one parameter: a multiple of the mean of each image."""

    def __init__(self, factor=2.0):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, image):
        return self.factor * image.mean((2, 3))


def simple(**changed):
    return AdversarialObjective(**{
        'network': Fixed(), 'discriminator': Mean(), 'content': {},
        'real': lambda batch: batch.clean_visible, **changed})


def labels(n, low, high):
    """Numbers of PyTorch's generator."""
    return torch.empty(n, 1).uniform_(low, high).numpy()


def test_the_discriminator_minimises_squares_to_soft_labels():
    batch = batch_of(4)
    torch.manual_seed(5)
    loss = simple().losses(batch, 0)
    torch.manual_seed(5)
    b, a = labels(4, 0.7, 1.2), labels(4, 0.0, 0.3)
    judged = 2 * batch.visible.numpy().mean((2, 3))
    expected = np.mean((judged - b) ** 2) + np.mean((0.5 - a) ** 2)
    assert loss.keys() == {'discriminator'}
    assert loss['discriminator'].item() == pytest.approx(expected, rel=1e-5)
    assert (REAL, FAKE) == ((0.7, 1.2), (0.0, 0.3))


def test_the_generator_wants_the_label_of_real_images_beside_its_content():
    batch = batch_of(4)
    objective = simple(weight=3.0, content={
        'bright': (10.0, lambda fused, batch: (fused - batch.clean_thermal).abs().mean())})
    torch.manual_seed(5)
    losses = objective.losses(batch, 1)
    torch.manual_seed(5)
    expected = 3 * np.mean((0.5 - labels(4, 0.7, 1.2)) ** 2)
    assert losses['adversarial'].item() == pytest.approx(expected, rel=1e-5)
    assert losses['bright'].item() == pytest.approx(
        10 * np.abs(0.25 - batch.thermal.numpy()).mean(), rel=1e-5)


@pytest.mark.parametrize('name', ADVERSARIAL)
def test_each_group_moves_its_own_parameters_only(name):
    torch.manual_seed(0)
    objective = load_recipe(name).objective(build(name))
    discriminator, generator = objective.groups()
    assert {id(p) for p in discriminator} == {id(p) for p in objective.discriminator.parameters()}
    assert {id(p) for p in generator} == {id(p) for p in objective.network.parameters()}
    for group, (own, other) in enumerate(((discriminator, generator), (generator, discriminator))):
        objective.zero_grad(set_to_none=True)
        losses = objective.losses(batch_of(), group)
        torch.stack(list(losses.values())).sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in own)
        assert any(p.grad.abs().sum() > 0 for p in own)
        assert all(p.grad is None for p in other)
        assert all(p.requires_grad for p in (*own, *other))


def test_the_generator_hears_of_the_discriminator():
    """With no content, all that moves the generator has come through the discriminator."""
    objective = simple()
    torch.manual_seed(5)
    objective.losses(batch_of(), 1)['adversarial'].backward()
    torch.manual_seed(5)
    c = labels(2, 0.7, 1.2)
    # d/dx mean (2 x - c)^2 at x = 0.25.
    assert objective.network.level.grad.item() == pytest.approx(np.mean(4 * (0.5 - c)), rel=1e-5)


def test_a_checkerboard_on_even_surfaces_costs_its_variance():
    class Board(Fixed):
        def forward(self, visible, thermal, weight=None):
            fused = (visible + thermal) / 2 + super().forward(visible, thermal)
            board = torch.zeros_like(fused)
            board[..., ::2, ::2] = 0.1
            return fused + board

    batch = batch_of()
    # One pixel of four is 0.1 above the others: the variance is 0.1^2 * 1/4 * 3/4.
    assert block_pattern(Board(), batch.visible).item() == pytest.approx(0.001875, rel=1e-3)
    assert block_pattern(Fixed(), batch.visible).item() == pytest.approx(0, abs=1e-9)
    losses = simple(network=Board(), even=1000.0).losses(batch, 1)
    assert losses['even'].item() == pytest.approx(1.875, rel=1e-3)


@pytest.mark.parametrize('size', [(1, 1), (2, 5), (33, 17), (96, 96)])
def test_the_discriminator_takes_any_size(size):
    torch.manual_seed(0)
    discriminator = Discriminator()
    images = random(3, 1, *size)
    judged = discriminator(images)
    assert judged.shape == (3, 1)
    # No statistics over the batch: each image is judged for itself.
    assert torch.allclose(judged[1:2], discriminator(images[1:2]), atol=1e-6)


def test_a_discriminator_learns_to_tell_flat_from_textured_images():
    torch.manual_seed(0)
    objective = AdversarialObjective(
        Fixed(), Discriminator(), {}, real=lambda batch: batch.clean_visible)
    optimiser = torch.optim.Adam(objective.groups()[0], 3e-3)
    for _ in range(40):
        optimiser.zero_grad()
        objective.losses(batch_of(4, 16), 0)['discriminator'].backward()
        optimiser.step()
    real = objective.discriminator(random(4, 1, 24, 24, seed=7))
    flat = objective.discriminator(torch.full((4, 1, 24, 24), 0.25))
    assert real.min() > 0.5
    assert flat.max() < 0.4


def sobel(image):
    """Sobel gradient of (H, W) by loops, borders repeated, over 4."""
    padded = np.pad(image, 1, 'edge')
    gx, gy = np.zeros_like(image), np.zeros_like(image)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            window = padded[y:y + 3, x:x + 3]
            gx[y, x] = (window[:, 2] - window[:, 0]) @ [1, 2, 1] / 4
            gy[y, x] = [1, 2, 1] @ (window[2] - window[0]) / 4
    return gx, gy


def test_fusiongan_keeps_thermal_intensity_and_visible_gradient():
    recipe = load_recipe('fusiongan')
    objective = recipe.objective(Fixed())
    batch = batch_of(1, 9)
    losses = objective.losses(batch, 1)
    visible, thermal = (plane[0, 0].double().numpy()
                        for plane in (batch.visible, batch.thermal))
    gx, gy = sobel(visible)
    assert losses['intensity'].item() == pytest.approx(
        400 * np.mean((0.25 - thermal) ** 2), rel=1e-4)
    # The fused image is constant: its gradient is 0.
    assert losses['gradient'].item() == pytest.approx(400 * np.mean(gx ** 2 + gy ** 2), rel=1e-4)


def sharpness(image):
    """|I - lowpass(I)| by loops: Gaussian of one pixel, seven taps, borders repeated."""
    taps = np.exp(-np.arange(-3, 4) ** 2 / 2)
    taps /= taps.sum()
    padded = np.pad(image, 3, 'edge')
    found = np.zeros_like(image)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            found[y, x] = abs(image[y, x] - taps @ padded[y:y + 7, x:x + 7] @ taps)
    return found


def test_mff_gan_follows_the_sharper_source():
    objective = load_recipe('mff_gan').objective(Fixed())
    batch = batch_of(1, 11)
    visible, thermal = (plane[0, 0].double().numpy()
                        for plane in (batch.visible, batch.thermal))
    sharper = sharpness(visible) > sharpness(thermal)
    assert 0.2 < sharper.mean() < 0.8
    losses = objective.losses(batch, 1)
    source = np.where(sharper, visible, thermal)
    assert losses['intensity'].item() == pytest.approx(
        40 * np.mean((0.25 - source) ** 2), rel=1e-4)
    strength = [np.hypot(*sobel(image)) for image in (visible, thermal)]
    assert losses['gradient'].item() == pytest.approx(
        200 * np.mean(np.where(sharper, *strength) ** 2), rel=1e-3)


def test_the_discriminator_of_mff_gan_compares_joint_gradients():
    seen = []

    class Watcher(Mean):
        def forward(self, image):
            seen.append(image)
            return super().forward(image)

    objective = mff_gan.objective(Fixed())
    objective.discriminator = Watcher()
    batch = batch_of(1, 10)
    objective.losses(batch, 0)
    real, fused = (image[0, 0].numpy() for image in seen)
    strength = [np.hypot(*sobel(plane[0, 0].double().numpy()))
                for plane in (batch.visible, batch.thermal)]
    np.testing.assert_allclose(real, np.maximum(*strength), atol=1e-5)
    np.testing.assert_allclose(fused, 0, atol=1e-5)


def test_style_of_ufgan_is_that_of_the_visible_image_and_content_that_of_the_thermal_one():
    transfer = ufgan.Transfer()
    batch = batch_of(1, 32)
    flat = torch.full_like(batch.visible, 0.5)
    assert transfer(batch.thermal, batch) < transfer(flat, batch)
    # Where both sources are one image, its own content and style leave total variation alone.
    same = Batch(batch.visible, batch.visible, batch.visible, batch.visible)
    image = batch.visible[0, 0].numpy()
    variation = np.abs(np.diff(image, axis=0)).mean() + np.abs(np.diff(image, axis=1)).mean()
    assert transfer(batch.visible, same).item() == pytest.approx(0.2 * variation, rel=1e-4)
    # A texture that is shifted keeps its style, not its content.
    other = Batch(batch.visible, batch.visible, batch.visible, batch.thermal)
    assert transfer(batch.visible, other) > transfer(batch.visible, same)


def test_the_student_is_judged_by_the_teachers_view_of_the_clean_images():
    kept = torch.empty(1, 1, 24, 24)

    def teacher(visible, thermal, weight):
        assert not torch.is_grad_enabled()
        return torch.maximum(visible, thermal, out=kept)  # holds until the next call

    objective = DistillationObjective(
        Fixed(), teacher, weight=10.0, terms={'dark': (2.0, lambda fused, _: fused.mean())},
        gradient_weight=0.0)
    batch = batch_of(3, degraded=True)
    brighter = np.maximum(batch.clean_visible.numpy(), batch.clean_thermal.numpy())
    np.testing.assert_array_equal(objective.taught(batch).numpy(), brighter)
    losses = objective.losses(batch, 0)
    assert losses['teacher'].item() == pytest.approx(10 * np.abs(0.25 - brighter).mean(), rel=1e-5)
    assert losses['dark'].item() == pytest.approx(0.5)
    torch.stack(list(losses.values())).sum().backward()
    assert objective.network.level.grad.isfinite()


def test_the_mini_network_comes_nearer_to_its_teacher():
    recipe = load_recipe('mini')
    torch.manual_seed(0)
    objective = recipe.objective(build('mini'))
    assert isinstance(objective, DistillationObjective)
    visible, thermal = (nn.functional.interpolate(
        random(2, 1, 12, 12, seed=seed), (96, 96), mode='bilinear') for seed in (0, 1))
    batch = Batch(visible, thermal, visible, thermal)
    optimiser = torch.optim.Adam(objective.groups()[0], recipe.learning_rate)
    found = []
    for _ in range(25):
        optimiser.zero_grad()
        losses = objective.losses(batch, 0)
        found.append(losses['teacher'].item())
        torch.stack(list(losses.values())).sum().backward()
        optimiser.step()
    assert found[-1] < 0.9 * found[0]
