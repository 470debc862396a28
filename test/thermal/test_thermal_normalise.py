# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Thermal images to 8 bits: levels, smoothing, odd values."""

import math

import cv2
import numpy as np
import pytest

from ivif_ros.errors import ImageError, ParameterError
from ivif_ros.parameters import ThermalParameters
from ivif_ros.thermal import ThermalNormaliser

S = 1_000_000_000


def scene(seed=0, shape=(60, 80), low=7000, high=8200, noise=3.0):
    """16-bit counts: a ramp, a few warm blobs and noise."""
    generator = np.random.default_rng(seed)
    ramp = np.linspace(low, high, shape[1])[None, :] + generator.normal(0, noise, shape)
    return ramp.astype(np.uint16)


def normalise(image, stamp_ns=S, **params):
    return ThermalNormaliser(ThermalParameters(**params)).apply(image, stamp_ns)


def reference(image, low, high):
    """The mapping by plain Python arithmetic."""
    out = np.empty(image.shape, np.uint8)
    for index, value in np.ndenumerate(image):
        share = (float(value) - low) / (high - low)
        out[index] = math.floor(min(max(share, 0.0), 1.0) * 255 + 0.5)
    return out


@pytest.mark.parametrize('kind', ['uint16', 'uint8', 'float32'])
def test_percentile_against_plain_arithmetic(kind):
    image = scene()
    if kind == 'uint8':
        image = (image - 7000) // 8
    image = image.astype(kind)
    normaliser = ThermalNormaliser(ThermalParameters(percentile_low=2.0, percentile_high=97.0))
    out = normaliser.apply(image, S)
    ordered = sorted(image.ravel().tolist())
    low = ordered[int(0.02 * (len(ordered) - 1))]
    high = ordered[math.ceil(0.97 * (len(ordered) - 1))]
    assert normaliser.levels == pytest.approx((low, high))
    assert out.dtype == np.uint8
    assert np.abs(out.astype(int) - reference(image, low, high)).max() <= 1
    assert (out != reference(image, low, high)).mean() < 0.01


def test_subsample_of_large_images_gives_the_levels_of_all_pixels():
    image = scene(shape=(480, 640))
    normaliser = ThermalNormaliser(ThermalParameters())
    normaliser.apply(image, S)
    assert normaliser.levels == pytest.approx(np.percentile(image, (0.5, 99.8)), abs=6)


def test_warm_is_bright_and_black_hot_is_inverted():
    image = scene()
    out = normalise(image)
    assert out[:, -5:].mean() > 230
    assert out[:, :5].mean() < 25
    assert np.array_equal(normalise(image, invert=True), 255 - out)


@pytest.mark.parametrize('image', [
    np.full((20, 30), 0, np.uint16), np.full((20, 30), 65535, np.uint16),
    np.full((20, 30), 8000, np.uint16), np.full((20, 30), 0, np.uint8),
    np.full((20, 30), 255, np.uint8), np.full((20, 30), 21.5, np.float32),
    np.full((20, 30), 1e20, np.float32), np.full((1, 1), 300, np.uint16)])
@pytest.mark.parametrize('mode', ['percentile', 'clahe'])
def test_all_equal_becomes_mid_grey(image, mode):
    out = normalise(image, normalisation=mode)
    assert out.shape == image.shape
    assert np.ptp(out) == 0
    assert 120 <= out[0, 0] <= 135


@pytest.mark.parametrize(('kind', 'offset', 'sigma'), [
    ('uint16', 8000, 1.5), ('uint8', 90, 1.0), ('float32', 20, 0.05)])
def test_noise_of_an_empty_scene_is_not_stretched(kind, offset, sigma):
    noise = np.random.default_rng(1).normal(offset, sigma, (100, 100)).astype(kind)
    assert normalise(noise).std() < 15


def test_least_span_is_kept_around_the_middle():
    image = np.tile(np.arange(8000, 8010, dtype=np.uint16), (10, 1))
    out = normalise(image, min_span=100.0, percentile_low=0.0, percentile_high=100.0)
    assert np.abs(out.astype(int) - reference(image, 8004.5 - 50, 8004.5 + 50)).max() <= 1


def test_levels_follow_exponentially_in_the_time_of_the_stamps():
    params = ThermalParameters(smoothing_s=0.5, percentile_low=0.0, percentile_high=100.0)
    first, second = scene(noise=0.0), scene(high=9000, noise=0.0)
    for steps in (3, 15, 30):
        normaliser = ThermalNormaliser(params)
        normaliser.apply(first, S)
        assert normaliser.levels == (7000.0, 8200.0)
        for step in range(steps):
            normaliser.apply(second, S + (step + 1) * (S // steps))
        expected = 8200 + 800 * (1 - math.exp(-1 / 0.5))
        assert normaliser.levels == pytest.approx((7000.0, expected), abs=0.01)


def test_no_smoothing_follows_at_once():
    normaliser = ThermalNormaliser(ThermalParameters(
        smoothing_s=0.0, percentile_low=0.0, percentile_high=100.0))
    normaliser.apply(scene(noise=0.0), S)
    normaliser.apply(scene(high=9000, noise=0.0), S + 1)
    assert normaliser.levels == (7000.0, 9000.0)


def test_held_frame_changes_nothing():
    normaliser = ThermalNormaliser(ThermalParameters())
    normaliser.apply(scene(), S)
    image = scene(high=9000)
    first = normaliser.apply(image, 2 * S)
    levels = normaliser.levels
    assert np.array_equal(normaliser.apply(image, 2 * S), first)
    assert normaliser.levels == levels


@pytest.mark.parametrize(('image', 'stamp'), [
    (scene(high=9000), S // 2),  # the bag starts again
    (scene(low=3000, high=4000), S + 1),  # the camera has corrected its offset
    (scene(high=9000).astype(np.float32), S + 1)])  # another kind of image
def test_levels_are_adopted_at_once_where_the_old_ones_mean_nothing(image, stamp):
    normaliser = ThermalNormaliser(ThermalParameters())
    normaliser.apply(scene(), S)
    out = normaliser.apply(image, stamp)
    assert np.array_equal(out, normalise(image))


def test_hot_object_does_not_make_the_background_pump():
    background = scene(shape=(120, 160))
    hot = background.copy()
    hot[40:60, 40:60] = 14000
    images = [background] * 10 + [hot] * 40 + [background] * 40
    away = np.ones(background.shape, bool)
    away[40:60, 40:60] = False

    def largest_step(smoothing_s):
        normaliser = ThermalNormaliser(ThermalParameters(smoothing_s=smoothing_s))
        means = [normaliser.apply(image, S + k * S // 30)[away].mean()
                 for k, image in enumerate(images)]
        return np.abs(np.diff(means)).max()

    assert largest_step(0.0) > 80
    assert largest_step(0.5) < 40
    assert largest_step(2.0) < 15


def test_camera_without_stamps_is_followed_too():
    normaliser = ThermalNormaliser(ThermalParameters(percentile_low=0.0, percentile_high=100.0))
    normaliser.apply(scene(noise=0.0), 0)
    for _ in range(90):
        normaliser.apply(scene(high=9000, noise=0.0), 0)
    assert normaliser.levels == pytest.approx((7000, 9000), abs=5)


@pytest.mark.parametrize('mode', ['percentile', 'clahe', 'fixed'])
@pytest.mark.parametrize('invert', [False, True])
def test_not_finite_pixels_are_black_and_move_nothing(mode, invert):
    clean = (scene() / 100).astype(np.float32)
    broken = clean.copy()
    broken[3, 4], broken[5, 6], broken[7, 8] = math.nan, math.inf, -math.inf
    params = ThermalParameters(normalisation=mode, invert=invert, range_min=70.0, range_max=80.0)
    normaliser = ThermalNormaliser(params)
    out = normaliser.apply(broken, S)
    assert normaliser.not_finite == 3
    assert [out[3, 4], out[5, 6], out[7, 8]] == [0, 0, 0]
    good = np.isfinite(broken)
    whole = ThermalNormaliser(params).apply(clean, S)
    assert np.abs(out[good].astype(int) - whole[good]).max() <= (5 if mode == 'clahe' else 1)
    normaliser.apply(clean, 2 * S)
    assert normaliser.not_finite == 0


def test_one_finite_pixel_is_enough():
    image = np.full((300, 400), math.nan, np.float32)
    image[151, 201] = 20.0
    out = normalise(image)
    assert out[151, 201] in (127, 128)
    assert out.sum() == out[151, 201]


@pytest.mark.parametrize('mode', ['percentile', 'clahe', 'fixed'])
def test_no_finite_pixel_is_an_error(mode):
    with pytest.raises(ImageError, match='no finite pixel') as caught:
        normalise(np.full((4, 5), math.nan, np.float32), normalisation=mode)
    assert caught.value.reason == 'not_finite'


def test_huge_floats():
    image = np.array([[-3e38, 0.0, 3e38]], np.float32)
    assert normalise(image, percentile_low=0.0, percentile_high=100.0)[0].tolist() in (
        [0, 127, 255], [0, 128, 255])


def test_fixed_range_in_counts_and_in_degrees():
    counts = np.array([[0, 7000, 7500, 8000, 65535]], np.uint16)
    out = normalise(counts, normalisation='fixed', range_min=7000.0, range_max=8000.0)
    assert out[0].tolist() == [0, 0, 128, 255, 255]
    # 0.04 K per count: 7000 counts are 6.85, 8000 counts 46.85 degrees Celsius.
    out = normalise(counts, normalisation='fixed', range_min=6.85, range_max=46.85,
                    celsius_scale=0.04)
    assert out[0].tolist() == [0, 0, 128, 255, 255]
    kelvin = np.array([[273.15, 298.15, 323.15]], np.float32)
    out = normalise(kelvin, normalisation='fixed', range_min=0.0, range_max=50.0, celsius_scale=1.0)
    assert out[0].tolist() == [0, 128, 255]
    celsius = np.array([[-5.0, 25.0, 50.0]], np.float32)
    out = normalise(celsius, normalisation='fixed', range_min=0.0, range_max=50.0)
    assert out[0].tolist() == [0, 128, 255]


@pytest.mark.parametrize(('params', 'name'), [
    ({'range_min': 5.0, 'range_max': 5.0}, 'range_max'),
    ({'percentile_low': 50.0, 'percentile_high': 50.0}, 'percentile_high')])
def test_parameters_without_span_are_refused(params, name):
    normaliser = ThermalNormaliser(ThermalParameters())
    with pytest.raises(ParameterError, match=name):
        normaliser.set_parameters(ThermalParameters(**params))
    normaliser.apply(scene(), S)


@pytest.mark.parametrize(('image', 'reason'), [
    (np.zeros((4, 5, 3), np.uint8), 'bad_shape'), (np.zeros((4, 5)), 'bad_dtype'),
    (np.zeros((0, 5), np.uint16), 'empty'), (np.zeros(5, np.uint16), 'bad_shape')])
def test_other_images_are_refused(image, reason):
    with pytest.raises(ImageError) as caught:
        normalise(image)
    assert caught.value.reason == reason


@pytest.mark.parametrize('mode', ['percentile', 'clahe'])
@pytest.mark.parametrize('kind', ['uint8', 'uint16', 'float32'])
def test_views_and_ownership(mode, kind):
    whole = (scene(shape=(64, 90)) // 40).astype(kind)
    for view in (whole[:, :80], whole[::-1, ::2], whole.T):
        before = view.copy()
        normaliser = ThermalNormaliser(ThermalParameters(normalisation=mode))
        out = normaliser.apply(view, S)
        assert np.array_equal(out, normalise(np.ascontiguousarray(view), normalisation=mode))
        assert np.array_equal(view, before)
        again = normaliser.apply(view, S)
        assert out.flags.owndata or out.base is not None
        assert not np.shares_memory(out, again)
        assert not np.shares_memory(out, whole)


def test_real_images_survive_the_way_through_14_bits(shared_data):
    files = sorted((shared_data / 'msrs' / 'thermal').glob('*.webp'))[::40]
    assert files
    generator = np.random.default_rng(2)
    for file in files:
        grey = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
        counts = (7300 + 6.0 * grey + generator.normal(0, 2, grey.shape)).astype(np.uint16)
        out = normalise(counts)
        assert np.corrcoef(out.ravel(), grey.ravel())[0, 1] > 0.98
        assert out.std() >= 0.9 * grey.std()
