# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Losses in feature space, against a critic, over time; and all of them on difficult images."""

import math

import cv2
import numpy as np
import pytest
import torch
from torch import nn
from training_pair import make_pair

from ivif_ros.training.batch import Batch
from ivif_ros.training.losses import (
    adversarial,
    brightness,
    contrastive,
    distillation,
    filters,
    focus,
    halo,
    illumination,
    pixel,
    pmgi,
    saliency,
    structural,
    style,
    temporal,
)
from ivif_ros.training.losses.features import FixedFeatures


@pytest.fixture
def pair():
    return make_pair()


def array(tensor):
    return tensor.detach().numpy()


# --- feature space


def test_fixed_features_are_the_same_in_every_process_and_blind_to_the_mean():
    image = torch.arange(32.0 * 40).view(1, 1, 32, 40).sin() / 2 + 0.5
    maps = FixedFeatures()(image)
    assert [tuple(m.shape) for m in maps] == [(1, 16, 16, 20), (1, 32, 8, 10), (1, 32, 4, 5)]
    for again, shifted, first in zip(FixedFeatures()(image), FixedFeatures()(image + 0.2), maps,
                                     strict=True):
        torch.testing.assert_close(again, first)
        torch.testing.assert_close(shifted, first, rtol=1e-3, atol=1e-3)
    assert not torch.allclose(FixedFeatures(seed=1)(image)[1], maps[1])
    assert not list(FixedFeatures().parameters())
    assert not FixedFeatures().state_dict()
    assert len(FixedFeatures()(image[..., :3, :3])) == 2


def test_fixed_features_tell_orientations_apart():
    x = torch.arange(32.0)
    stripes = (x * math.pi / 2).sin().expand(1, 1, 32, 32) / 2 + 0.5
    along, across = (FixedFeatures()(s)[0].mean((0, 2, 3)).view(2, 4, 2).sum((0, 2))
                     for s in (stripes, stripes.mT))
    assert int(along.argmax()) == 0
    assert int(across.argmax()) == 2
    assert float(along[0]) > 5 * float(along[2])


def test_content_is_place_and_style_is_texture():
    rng = np.random.default_rng(0)
    texture = torch.from_numpy(rng.random((1, 1, 48, 48)).astype(np.float32))
    moved = torch.roll(texture, (16, 16), (2, 3))
    smooth = filters.blur(texture, 2.0)
    features = FixedFeatures()
    assert float(style.content_loss(texture, texture, features)) == 0
    assert float(style.style_loss(texture, texture, features)) == 0
    # the same texture elsewhere: other content, the same style
    assert float(style.content_loss(moved, texture, features)) > 0.5 * float(
        style.content_loss(smooth, texture, features))
    assert float(style.style_loss(moved, texture, features)) < 0.05 * float(
        style.style_loss(smooth, texture, features))


def test_the_gram_matrix_is_the_mean_product_of_channels():
    feature = torch.rand(2, 3, 4, 5)
    expected = np.einsum('nchw,ndhw->ncd', feature, feature) / 20
    np.testing.assert_allclose(style.gram_matrix(feature), expected, rtol=1e-5)


def test_the_transfer_loss_adds_its_parts(pair):
    thermal, visible = (x.float() for x in pair)
    fused = (thermal + visible) / 2
    features = FixedFeatures()
    expected = (style.content_loss(fused, visible, features)
                + 3 * style.style_loss(fused, thermal, features)
                + 0.5 * pixel.total_variation(fused))
    torch.testing.assert_close(
        style.transfer_loss(fused, visible, thermal, features, 3.0, 0.5), expected)


def test_contrast_pulls_to_the_good_and_pushes_from_the_bad(pair):
    thermal, visible = (x.float() for x in pair)
    features = FixedFeatures()
    good, middle, bad = (float(contrastive.contrastive_loss(f, thermal, [visible], features))
                         for f in (thermal, (thermal + visible) / 2, visible))
    assert good == 0
    assert good < middle < bad < 1
    assert bad > 0.9
    mask = saliency.target_mask(thermal)
    composed = mask * thermal + (1 - mask) * visible
    swapped = mask * visible + (1 - mask) * thermal
    assert float(contrastive.coupled_contrastive(composed, thermal, visible, features)) < 0.5
    assert float(contrastive.coupled_contrastive(swapped, thermal, visible, features)) > 1.5


# --- adversarial


def test_adversarial_losses_by_hand():
    real, fake = torch.tensor([0.5, 2.0]), torch.tensor([-1.0, 0.2])
    assert float(adversarial.least_squares_discriminator(real, fake, b=1.0, a=0.2)) == (
        pytest.approx((0.25 + 1) / 2 + (1.44 + 0) / 2))
    assert float(adversarial.least_squares_generator(fake, 1.0)) == pytest.approx((4 + 0.64) / 2)
    assert float(adversarial.hinge_discriminator(real, fake)) == pytest.approx(0.25 + 0.6)
    assert float(adversarial.wasserstein_discriminator(real, fake)) == pytest.approx(-1.65)
    assert float(adversarial.wasserstein_generator(fake)) == pytest.approx(0.4)
    labels = adversarial.soft_labels(torch.zeros(1000), 0.7, 1.2)
    assert 0.7 <= float(labels.min()) < 0.75
    assert 1.15 < float(labels.max()) <= 1.2


def test_the_gradient_penalty_wants_a_slope_of_one():
    torch.manual_seed(0)
    real, fake = torch.rand(3, 1, 8, 8), torch.rand(3, 1, 8, 8)
    direction = torch.randn(8, 8)
    direction /= direction.norm()
    for slope in (0.0, 1.0, 2.5):
        found = adversarial.gradient_penalty(
            lambda x, slope=slope: slope * (x * direction).sum((1, 2, 3)), real, fake)
        assert float(found) == pytest.approx((slope - 1) ** 2, abs=1e-4)


def test_the_gradient_penalty_of_a_constant_critic_has_a_derivative():
    critic = nn.Linear(4, 1, bias=False)
    nn.init.zeros_(critic.weight)
    penalty = adversarial.gradient_penalty(critic, torch.rand(3, 4), torch.rand(3, 4))
    penalty.backward()
    assert float(penalty.detach()) == pytest.approx(1, abs=1e-4)
    assert torch.isfinite(critic.weight.grad).all()


def test_the_gradient_penalty_trains_the_discriminator():
    critic = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Conv2d(4, 1, 3))
    fake = torch.rand(2, 1, 8, 8, requires_grad=True)
    adversarial.gradient_penalty(critic, torch.rand(2, 1, 8, 8), fake).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all()
               for p in list(critic.parameters())[:3])
    assert fake.grad is None


# --- temporal, distillation, halo


def test_change_that_a_source_shows_is_explained(pair):
    thermal, visible = pair
    moved = torch.roll(thermal, 2, 3)
    for weight in (0.0, 0.4, 1.0):
        fused, later = (weight * t + (1 - weight) * visible for t in (thermal, moved))
        assert float(temporal.unexplained_change(
            fused, later, (thermal, moved), (visible, visible))) == pytest.approx(0, abs=1e-12)


def test_a_fused_image_may_stay_when_its_sources_change(pair):
    thermal, visible = pair
    for change in (0.1, -0.1):
        sources = (thermal, thermal + change), (visible, visible + change)
        assert float(temporal.unexplained_change(visible, visible, *sources)) == 0
        assert float(temporal.unexplained_change(visible, visible + 0.5 * change, *sources)) == 0
        assert float(temporal.unexplained_change(
            visible, visible - change, *sources)) == pytest.approx(0.1)


def test_flicker_of_a_still_scene_counts_fully(pair):
    thermal, visible = pair
    fused = torch.maximum(thermal, visible)
    still = (thermal, thermal), (visible, visible)
    assert float(temporal.unexplained_change(fused, fused + 0.04, *still)) == pytest.approx(0.04)
    assert float(temporal.unexplained_change(fused, fused - 0.04, *still)) == pytest.approx(0.04)
    assert float(temporal.unexplained_change(fused, fused + 0.04, *still, margin=0.03)) == (
        pytest.approx(0.01))


def test_gain_and_window_widen_what_is_explained(pair):
    thermal, visible = pair
    moved = torch.roll(thermal, 1, 3)
    fused, later = 1.5 * thermal, 1.5 * moved
    sources = (thermal, moved), (visible, visible)
    assert float(temporal.unexplained_change(fused, later, *sources)) > 1e-3
    assert float(temporal.unexplained_change(fused, later, *sources, gain=1.5)) < 1e-9
    late = torch.roll(later, 1, 3)
    narrow, wide = (float(temporal.unexplained_change(fused, late, *sources, gain=1.5, window=w))
                    for w in (1, 3))
    assert wide < 0.3 * narrow


def test_the_temporal_term_judges_by_the_clean_images(pair):
    thermal, visible = pair
    noise = torch.full_like(thermal, 0.1)
    still = Batch(visible + noise, thermal + noise, visible, thermal,
                  then=Batch(visible - noise, thermal - noise, visible, thermal))
    term = temporal.TemporalConsistency()
    fused = torch.maximum(thermal, visible)
    assert float(term(fused + noise, fused, still)) == pytest.approx(0.1)
    assert float(term(fused, fused, still)) == 0
    with pytest.raises(ValueError, match='later moment'):
        term(fused, fused, still.then)


def test_distillation_is_distance_to_the_teacher(pair):
    thermal, visible = pair
    teacher = torch.maximum(thermal, visible).requires_grad_()
    assert float(distillation.distillation(teacher.detach(), teacher)) == 0
    fused = visible.clone().requires_grad_()
    loss = distillation.distillation(fused, teacher, 2.0)
    torch.testing.assert_close(
        loss, pixel.intensity_of(visible, teacher) + 2 * pixel.gradient_of(visible, teacher, 1))
    loss.backward()
    assert teacher.grad is None
    assert fused.grad.abs().sum() > 0


def test_halos_are_what_lies_outside_both_sources(pair):
    thermal, visible = pair
    low, high = halo.local_envelope(thermal, visible, 3)
    t, v = array(thermal)[0, 0], array(visible)[0, 0]
    kernel = np.ones((3, 3), np.uint8)
    np.testing.assert_array_equal(array(high)[0, 0], cv2.dilate(np.maximum(t, v), kernel))
    np.testing.assert_array_equal(array(low)[0, 0], cv2.erode(np.minimum(t, v), kernel))
    for inside in (thermal, visible, (thermal + visible) / 2, torch.maximum(thermal, visible)):
        assert float(halo.halo_loss(inside, thermal, visible)) == 0
    assert float(halo.halo_loss(high + 0.1, thermal, visible, 3)) == pytest.approx(0.1)
    assert float(halo.halo_loss(low - 0.1, thermal, visible, 3, 0.04)) == pytest.approx(0.06)
    sharpened = visible + 2 * (visible - filters.blur(visible, 1.0))
    assert float(halo.halo_loss(sharpened, thermal, visible)) > 1e-3
    with pytest.raises(ValueError, match='odd'):
        halo.halo_loss(visible, thermal, visible, 4)


# --- all

LOSSES = {
    'intensity_max': pixel.intensity_max, 'intensity_average': pixel.intensity_average,
    'intensity_weighted': pixel.intensity_weighted, 'gradient_max': pixel.gradient_max,
    'gradient_joint': pixel.gradient_joint, 'high_frequency': pixel.high_frequency,
    'gradient_of': lambda f, t, v: pixel.gradient_of(f, v),
    'total_variation': lambda f, t, v: pixel.total_variation(f),
    'ssim': structural.ssim_loss,
    'ms_ssim': lambda f, t, v: structural.ms_ssim_loss(f, t, v, scales=2),
    'saliency': saliency.saliency_intensity, 'target': saliency.target_intensity,
    'illumination': illumination.illumination_intensity, 'pmgi': pmgi.proportional_loss,
    'focus': lambda f, t, v: focus.focus_gradient(f, t, v, focus.focus_decision(t, v)),
    'content': lambda f, t, v: style.content_loss(f, v, FixedFeatures()),
    'style': lambda f, t, v: style.style_loss(f, v, FixedFeatures()),
    'contrastive': lambda f, t, v: contrastive.coupled_contrastive(f, t, v, FixedFeatures()),
    'distillation': lambda f, t, v: distillation.distillation(f, v),
    'halo': halo.halo_loss, 'brightness': brightness.brightness_loss,
    'temporal': lambda f, t, v: temporal.unexplained_change(f, f * 0.5, (t, v), (v, t))}


@pytest.mark.parametrize('name', LOSSES)
def test_losses_and_derivatives_are_finite_on_any_image(name, pair):
    thermal, visible = (x.float() for x in pair)
    black, white = torch.zeros_like(thermal), torch.ones_like(thermal)
    for t, v in ((thermal, visible), (black, black), (white, white), (thermal, black),
                 (white, visible)):
        for f in (thermal, black, white, (t + v) / 2):
            fused = f.clone().requires_grad_()
            loss = LOSSES[name](fused, t, v)
            assert loss.ndim == 0
            assert float(loss.detach()) >= -1e-6
            loss.backward()
            assert torch.isfinite(loss)
            assert torch.isfinite(fused.grad).all()


@pytest.mark.parametrize('name', LOSSES)
def test_losses_work_in_bfloat16_autocast(name, pair):
    thermal, visible = (x.float() for x in pair)
    fused = (0.4 * thermal + 0.6 * visible)
    exact = float(LOSSES[name](fused, thermal, visible))
    rounded = [x.bfloat16() for x in (fused, thermal, visible)]
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert float(LOSSES[name](fused, thermal, visible)) == pytest.approx(exact, rel=1e-4)
        close = float(LOSSES[name](*rounded))
    assert close == pytest.approx(exact, rel=0.1, abs=0.01)


@pytest.mark.parametrize('name', [
    'intensity_weighted', 'gradient_of', 'gradient_joint', 'ssim', 'ms_ssim', 'target', 'pmgi',
    'focus', 'halo', 'total_variation', 'gradient_max'])
def test_derivatives_are_those_of_finite_differences(name, pair):
    thermal, visible = (x[:1] for x in pair)
    noise = torch.from_numpy(np.random.default_rng(9).normal(0, 0.05, thermal.shape))
    fused = (0.4 * thermal + 0.6 * visible + noise).requires_grad_()
    assert torch.autograd.gradcheck(  # times pixels: derivatives are about 1
        lambda f: LOSSES[name](f, thermal, visible) * f.numel(), fused, fast_mode=True,
        eps=1e-7, atol=1e-4, rtol=1e-4)
