# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Each degradation does what it says, measured by other means than its own code."""

import numpy as np
import pytest
import torch

from ivif_ros.training.data.config import DataConfig
from ivif_ros.training.data.degradations_shared import blur, fractal_field, noise
from ivif_ros.training.data.degradations_thermal import (
    THERMAL,
    contrast_loss,
    low_resolution,
    misalignment,
    saturation,
    stripes,
)
from ivif_ros.training.data.degradations_visible import (
    VISIBLE,
    compression,
    glare,
    haze,
    low_light,
    over_exposure,
)
from ivif_ros.training.data.degrade import Degrader

PIECES = {**VISIBLE, **THERMAL}


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def picture(height=96, width=128, moments=1):
    """Texture of all frequencies in the middle greys, the same at each moment."""
    values = np.random.default_rng(5).random((height, width), np.float32)
    y, x = np.mgrid[:height, :width]
    smooth = 0.5 + 0.25 * np.sin(x / 9) * np.cos(y / 13)
    image = torch.from_numpy((0.8 * smooth + 0.2 * values).astype(np.float32))
    return image.expand(moments, height, width).clone()


def high_frequencies(image):
    """Power above a quarter of the sampling frequency."""
    power = np.abs(np.fft.fft2(image.numpy() - image.numpy().mean())) ** 2
    fy, fx = (np.abs(np.fft.fftfreq(length)) for length in image.shape)
    return power[np.maximum(fy[:, None], fx) > 0.25].sum()


@pytest.mark.parametrize('name', PIECES)
@pytest.mark.parametrize('shape', [(1, 96, 128), (2, 41, 8), (1, 9, 33)])
def test_shape_range_and_inputs_are_kept(name, shape):
    image = torch.rand(shape, generator=rng(1))
    before = image.clone()
    for strength in (0.0, 1.0):
        result = PIECES[name](image, strength, rng())
        assert result.shape == image.shape
        assert result.dtype == torch.float32
        assert 0 <= result.min() <= result.max() <= 1
        assert not torch.equal(result, image)
    assert torch.equal(image, before)


@pytest.mark.parametrize('name', PIECES)
def test_equal_seeds_give_equal_images(name):
    first, again = (PIECES[name](picture(), 0.7, rng(3)) for _ in range(2))
    assert torch.equal(first, again)


@pytest.mark.parametrize('name', PIECES)
def test_more_strength_spoils_more(name):
    image = picture()
    errors = [np.mean([(PIECES[name](image, strength, rng(seed)) - image).square().mean().item()
                       for seed in range(12)]) for strength in (0.05, 1.0)]
    assert errors[1] > 1.2 * errors[0]


@pytest.mark.parametrize('name', [name for name in PIECES
                                  if name not in ('low_light', 'visible_noise', 'thermal_noise')])
def test_what_is_fixed_in_the_world_is_the_same_at_both_moments(name):
    first, then = PIECES[name](picture(moments=2), 0.8, rng(4))
    assert torch.allclose(first, then, atol=1e-6)


def test_noise_has_its_sigma_and_is_new_at_each_moment():
    grey = torch.full((2, 200, 200), 0.5)
    result = noise(grey, 0.4, rng()) - 0.5
    assert result.std().item() == pytest.approx(0.03, rel=0.02)
    assert abs(result.mean().item()) < 1e-3
    correlation = np.corrcoef(result[0].flatten().numpy(), result[1].flatten().numpy())[0, 1]
    assert abs(correlation) < 0.02


def test_blur_spreads_a_point_as_a_gaussian():
    point = torch.zeros(1, 41, 41)
    point[0, 20, 20] = 1
    result = blur(point, 0.5, rng())[0].double()
    assert result.sum().item() == pytest.approx(1, abs=1e-5)
    offsets = torch.arange(41.0) - 20
    variance = (result.sum(0) * offsets.square()).sum().item()
    assert variance == pytest.approx(1.5 ** 2, rel=0.03)


def test_low_light_darkens_and_dark_parts_are_noisier():
    steps = torch.full((1, 200, 200), 0.9)
    steps[:, :, 100:] = 0.3
    result = low_light(steps, 0.0, rng())[0]
    # One stop: half the light.
    assert result[:, :100].mean().item() == pytest.approx((0.9 ** 2.2 / 2) ** (1 / 2.2), abs=5e-3)
    assert result[:, 100:].mean().item() == pytest.approx((0.3 ** 2.2 / 2) ** (1 / 2.2), abs=5e-3)
    assert result[:, 100:].std() > 1.2 * result[:, :100].std() > 0.001
    for half, level in ((result[:, :100], 0.9), (result[:, 100:], 0.3)):
        light = level ** 2.2 / 2
        variance = half.double().pow(2.2).var().item()
        assert variance == pytest.approx(light / 5000 + 0.0015 ** 2, rel=0.05)
    assert low_light(steps, 1.0, rng()).mean() < 0.35 * steps.mean()


def test_glare_saturates_a_spot_and_never_darkens():
    image = picture() * 0.4
    for seed in range(5):
        result = glare(image, 0.8, rng(seed))
        assert (result >= image - 1e-5).all()
        assert result.max() == 1
        assert (result < 0.9).any()


def test_over_exposure_clips_bright_parts_only():
    ramp = torch.linspace(0, 1, 101).expand(1, 5, 101)
    result = over_exposure(ramp, 1.0, rng())[0, 0]
    gain = 4 ** (1 / 2.2)
    assert torch.allclose(result, (ramp[0, 0] * gain).clamp(0, 1), atol=1e-5)
    assert (result == 1).sum() > 40


def test_haze_takes_contrast_and_pulls_towards_one_grey():
    image = picture()
    for seed in range(6):
        result = haze(image, 0.9, rng(seed))
        assert result.std() < 0.8 * image.std()
    # A pixel is a mixture of itself and the air: black and white shrink by the same factor.
    black, white = (haze(torch.full((1, 64, 64), level), 0.9, rng(2)) for level in (0.0, 1.0))
    through = white - black
    assert 0 < through.min() < 0.3
    air = (black / (1 - through))[through < 0.98]
    assert torch.allclose(air, air.mean().expand_as(air), atol=1e-3)
    assert 0.45 <= air.mean() <= 0.95


def test_clouds_reach_from_0_to_1_and_are_smooth():
    field = fractal_field(80, 120, rng()).numpy()
    assert field.min() == 0
    assert field.max() == 1
    assert np.abs(np.diff(field, axis=1)).max() < 0.2


def test_compression_makes_blocks():
    ramp = torch.linspace(0.2, 0.6, 128).expand(1, 64, 128) + 0.02 * torch.rand(
        (1, 64, 128), generator=rng())
    result = compression(ramp.contiguous(), 1.0, rng())[0].numpy()
    steps = np.abs(np.diff(result, axis=1)).mean(0)
    assert steps[7::8].mean() > 2 * np.delete(steps, np.s_[7::8]).mean()


def test_low_resolution_kills_high_frequencies_and_keeps_the_place():
    image = picture()
    result = low_resolution(image, 0.5, rng())
    assert high_frequencies(result[0]) < 0.05 * high_frequencies(image[0])
    # A shift of half a pixel would change this ramp by 0.0034.
    ramp = torch.linspace(0.1, 0.9, 120).expand(1, 96, 120).contiguous()
    moved = low_resolution(ramp, 1.0, rng())
    assert torch.allclose(moved[..., 8:-8], ramp[..., 8:-8], atol=2.5e-3)


def test_stripes_are_constant_along_one_direction():
    image = torch.full((1, 60, 80), 0.5)
    seen = set()
    for seed in range(12):
        offset = stripes(image, 1.0, rng(seed))[0] - 0.5
        along = [offset.std(dim=axis).max().item() < 1e-6 for axis in (0, 1)]
        assert sum(along) == 1
        assert offset.std().item() == pytest.approx(0.05, rel=0.35)
        seen.add(along[0])
    assert seen == {True, False}


def test_contrast_loss_flattens_keeps_warm_bright_and_has_8_bit_steps():
    image = picture()
    result = contrast_loss(image, 1.0, rng())
    assert result.std().item() == pytest.approx(0.25 * image.std().item(), rel=0.03)
    assert np.corrcoef(image.flatten().numpy(), result.flatten().numpy())[0, 1] > 0.99
    levels = result.numpy() * 255
    assert np.abs(levels - levels.round()).max() < 1e-4


def test_saturation_clips_a_share_of_the_warmest():
    image = torch.linspace(0, 1, 10000).reshape(1, 100, 100)
    result = saturation(image, 0.5, rng())
    assert (result == 1).float().mean().item() == pytest.approx(0.16, abs=0.01)
    assert (result >= image).all()
    dark = saturation(image * 0.1, 1.0, rng())
    assert torch.allclose(dark, image * 0.2, atol=1e-6)


def test_misalignment_moves_by_no_more_than_it_says():
    # Two ramps: values are coordinates, so that the result shows where each pixel came from.
    height, width = 120, 160
    x = torch.arange(float(width)).expand(1, height, width) / 200
    y = torch.arange(float(height))[:, None].expand(1, height, width) / 200
    for strength, low, high in ((0.0, 0.2, 0.4), (1.0, 0.8, 4.5)):
        for seed in range(5):
            dx = (misalignment(x.contiguous(), strength, rng(seed)) - x)[0] * 200
            dy = (misalignment(y.contiguous(), strength, rng(seed)) - y)[0] * 200
            far = torch.hypot(dx, dy)[8:-8, 8:-8]
            assert low < far.mean().item() < high
            assert far.max().item() < high
            assert torch.diff(dx[8:-8, 8:-8]).abs().max() < 0.2


def certain(name, **more):
    """Only this degradation, always."""
    names = [*PIECES, 'dead']
    return DataConfig(**{**dict.fromkeys(names, 0.0), name: 1.0, **more})


@pytest.mark.parametrize('name', [*PIECES, 'dead'])
def test_a_probability_of_1_reaches_its_image_and_only_that(name):
    visible, thermal = picture(), picture().flip(2)
    result = Degrader(certain(name)).apply(visible, thermal, np.random.default_rng(1), rng())
    assert torch.equal(result.visible, visible) == (name not in VISIBLE)
    assert torch.equal(result.thermal, thermal) == (name in VISIBLE)
    assert torch.equal(result.clean_visible, visible)
    assert torch.equal(result.clean_thermal, thermal) == (name != 'dead')


def test_a_dead_camera_is_black_for_the_judge_too():
    result = Degrader(certain('dead')).apply(picture(), picture(), np.random.default_rng(1), rng())
    assert result.thermal.max() == 0
    assert result.clean_thermal.max() == 0


def test_at_most_two_degradations_meet_and_each_has_its_chance():
    everything = Degrader(DataConfig(**dict.fromkeys(PIECES, 1.0)))
    chance = np.random.default_rng(0)
    counts = dict.fromkeys(THERMAL, 0)
    for _ in range(700):
        drawn = everything.draw(THERMAL, chance)
        assert len(drawn) == 2
        assert sorted(drawn, key=list(THERMAL).index) == drawn
        for name in drawn:
            counts[name] += 1
    assert all(150 < count < 250 for count in counts.values()), counts
    rare = Degrader(DataConfig(low_light=0.2, degradation=0.5))
    found = sum('low_light' in rare.draw(['low_light'], chance) for _ in range(2000))
    assert 150 < found < 250


def test_no_degradation_leaves_all_as_it_is():
    visible, thermal = picture(), picture() * 0.5
    degrader = Degrader(DataConfig(degradation=0.0))
    for seed in range(20):
        result = degrader.apply(visible, thermal, np.random.default_rng(seed), rng())
        assert result.visible is result.clean_visible is visible
        assert result.thermal is result.clean_thermal is thermal
