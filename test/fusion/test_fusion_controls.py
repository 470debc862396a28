# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Operator's controls: emphasis, priors, colour map, and which camera the image relies on."""

import cv2
import numpy as np
import pytest
import torch

from ivif_ros.errors import ImageError, ParameterError
from ivif_ros.fusion import FusionEngine
from ivif_ros.fusion.colour_map import ColourMap
from ivif_ros.fusion.controls import Controls
from ivif_ros.parameters import FusionParameters
from ivif_ros.parameters.groups import COLOUR_MAPS

METHODS = ['average', 'learned_pyramid', 'maximum', 'pyramid']


def grey(image):
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float64)


def flat_colour(height, width, bgr):
    return np.full((height, width, 3), bgr, np.uint8)


@pytest.fixture
def control(device):
    """Function that fuses NumPy arrays with some controls."""
    def call(rgb, thermal, weight=None, **params):
        engine = FusionEngine(FusionParameters(
            **{'method': 'pyramid', 'device': device, **params}))
        tensors = [None if x is None else torch.from_numpy(np.ascontiguousarray(x)).to(device)
                   for x in (rgb, thermal, weight)]
        return engine.fuse(*tensors).cpu().numpy()
    return call


@pytest.fixture
def share(device):
    """Function that measures the share of the thermal image in a fused one."""
    def call(rgb, thermal, weight=None, fused=None, method='pyramid'):
        engine = FusionEngine(FusionParameters(method=method, device=device))
        rgb, thermal, weight, fused = [
            None if x is None else torch.from_numpy(np.ascontiguousarray(x)).to(device)
            for x in (rgb, thermal, weight, fused)]
        if fused is None:
            fused = engine.fuse(rgb, thermal, weight)
        return engine.contribution(rgb, thermal, fused, weight).cpu().numpy()
    return call


@pytest.mark.parametrize('method', METHODS)
def test_contrast_of_targets_rises_with_the_emphasis(control, scene, method):
    around = cv2.dilate(scene.people.astype(np.uint8), np.ones((25, 25))) > 0
    around &= scene.thermal < 80
    contrasts = []
    for emphasis in (0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0):
        fused = grey(control(scene.rgb, scene.thermal, method=method, emphasis=emphasis))
        contrasts.append(fused[scene.people].mean() - fused[around].mean())
    assert (np.diff(contrasts) > 0).all(), contrasts
    assert contrasts[3] - contrasts[0] > 15
    assert contrasts[-1] - contrasts[3] > 15


@pytest.mark.parametrize('method', METHODS)
def test_no_emphasis_leaves_the_brightness_of_the_rgb_image(control, scene, method):
    def change(**controls):
        fused = grey(control(scene.rgb, scene.thermal, method=method, **controls))
        return np.abs(cv2.blur(fused - grey(scene.rgb), (33, 33))).mean()
    assert change(emphasis=0.0) < 0.4 * change()


def test_no_emphasis_keeps_the_details_of_both(control):
    """The RGB image has vertical stripes, the thermal one horizontal ones on a warm half."""
    y, x = np.mgrid[:192, :256]
    rgb = cv2.merge([(100 + 20 * np.sign(np.sin(x * np.pi / 4))).astype(np.uint8)] * 3)
    thermal = (60 + 120 * (x > 127) + 20 * np.sign(np.sin(y * np.pi / 4))).astype(np.uint8)
    fused = grey(control(rgb, thermal, emphasis=0.0))
    inside = fused[32:160, 168:232]
    assert inside.mean(axis=0).std() > 8, 'stripes of the RGB image'
    assert inside.mean(axis=1).std() > 4, 'stripes of the thermal image'
    assert abs(inside.mean() - 100) < 8, 'brightness of the RGB image'


def test_no_dark_ring_where_brightness_is_taken_back(control):
    rgb = flat_colour(240, 320, 60)
    thermal = np.full((240, 320), 10, np.uint8)
    cv2.circle(thermal, (160, 120), 25, 230, -1)
    for method in METHODS[1:]:
        before = grey(control(rgb, thermal, method=method))
        after = grey(control(rgb, thermal, method=method, emphasis=0.0))
        assert after.min() >= min(60, before.min()) - 0.1 * 60


def test_full_emphasis_leaves_no_halo(control):
    """Away from a warm disc everything is equally dark, however near."""
    rgb = flat_colour(240, 320, 120)
    thermal = np.full((240, 320), 60, np.uint8)
    cv2.circle(thermal, (160, 120), 25, 230, -1)
    fused = grey(control(rgb, thermal, method='maximum', emphasis=1.0))
    y, x = np.mgrid[:240, :320]
    distance = np.hypot(x - 160, y - 120)
    assert np.ptp(fused[distance > 29]) <= 1
    assert fused[distance < 21].min() > 230
    assert 90 < fused[distance > 29].mean() < 110


def test_full_emphasis_shows_no_border_of_the_thermal_image(control):
    rgb, thermal = flat_colour(480, 640, 120), np.full((480, 640), 60, np.uint8)
    thermal[230:250, 310:330] = 230
    weight = np.zeros((480, 640), np.float32)
    weight[80:400, 120:520] = 1
    fused = grey(control(rgb, thermal, weight, method='maximum', emphasis=1.0))
    assert fused[240, 270] < 110
    assert fused[240, 0] == 120
    assert np.abs(np.diff(fused[240, :300])).max() <= 1


def test_noise_of_a_scene_of_one_temperature_is_no_target(control):
    rgb = flat_colour(240, 320, 120)
    noise = np.random.default_rng(4).normal(0, 4, (240, 320))
    thermal = np.clip(100 + noise, 0, 255).astype(np.uint8)
    fused = grey(control(rgb, thermal, method='maximum', emphasis=1.0))
    assert fused.mean() < 110
    assert fused.max() < 140


@pytest.mark.parametrize(('name', 'level'), [('overexposure_prior', 255), ('low_light_prior', 3)])
def test_priors_show_the_thermal_image_where_rgb_is_blind(control, scene, name, level):
    rgb = scene.rgb // 2 + 64  # neither dark nor saturated
    rgb[60:220, 100:220] = level
    inside = np.s_[84:196, 124:196]
    outside = np.s_[:, :60]
    for method in METHODS:
        before = grey(control(rgb, scene.thermal, method=method))
        half, full = (grey(control(rgb, scene.thermal, method=method, **{name: strength}))
                      for strength in (0.5, 1.0))
        distances = [np.abs(x[inside] - scene.thermal[inside]).mean() for x in (before, half, full)]
        assert distances[2] < 1
        assert distances[1] <= 0.5 * distances[0] + 5  # the method may go beyond white
        np.testing.assert_array_equal(full[outside], before[outside])


@pytest.mark.parametrize('method', METHODS)
def test_neutral_controls_are_not_applied(scene, method, monkeypatch):
    engine = FusionEngine(FusionParameters(method=method, device='cpu'))
    tensors = [torch.from_numpy(scene.rgb), torch.from_numpy(scene.thermal)]
    before = engine.fuse(*tensors)
    plane = torch.zeros(4, 4)
    assert Controls(FusionParameters()).apply(plane, plane, plane, None, None) is plane
    engine.set_parameters(FusionParameters(
        method=method, device='cpu', emphasis=1.0, low_light_prior=1.0, colour_map='jet'))
    assert not torch.equal(engine.fuse(*tensors), before)
    engine.set_parameters(FusionParameters(method=method, device='cpu', colour_map='jet',
                                           colour_map_blend=0.0))
    assert torch.equal(engine.fuse(*tensors), before)


@pytest.mark.parametrize('controls', [
    {'emphasis': 0.0}, {'emphasis': 1.0}, {'low_light_prior': 1.0}, {'overexposure_prior': 1.0},
    {'colour_map': 'inferno', 'colour_map_blend': 1.0}])
def test_nothing_changes_where_no_thermal_image_is(control, scene, controls):
    weight = np.ones(scene.thermal.shape, np.float32)
    weight[:, 200:] = 0
    rgb = (scene.rgb * 0.2).astype(np.uint8)
    rgb[:80] = 255
    fused = control(rgb, scene.thermal, weight, **controls)
    np.testing.assert_array_equal(fused[:, 200:], rgb[:, 200:])
    assert (fused[:, :160] != control(rgb, scene.thermal, weight)[:, :160]).mean() > 0.02


@pytest.mark.parametrize('controls', [
    {'emphasis': 0.0}, {'emphasis': 1.0}, {'low_light_prior': 1.0, 'overexposure_prior': 1.0},
    {'colour_map': 'jet'}])
@pytest.mark.parametrize('size', [(1, 1), (3, 50), (37, 41), (479, 641)])
def test_any_size(control, share, controls, size):
    rng = np.random.default_rng(5)
    rgb = rng.integers(0, 256, (*size, 3), np.uint8)
    thermal = rng.integers(0, 256, size, np.uint8)
    for weight in (None, np.ones(size, np.float32), np.zeros(size, np.float32)):
        assert control(rgb, thermal, weight, **controls).shape == rgb.shape
    assert share(rgb, thermal).shape == size


def test_inputs_and_earlier_results_stay_as_they_are(scene):
    engine = FusionEngine(FusionParameters(
        device='cpu', emphasis=0.0, low_light_prior=0.5, colour_map='hot'))
    rgb, thermal = torch.from_numpy(scene.rgb.copy()), torch.from_numpy(scene.thermal.copy())
    first = engine.fuse(rgb, thermal)
    kept = first.clone()
    engine.contribution(rgb, thermal, first)
    engine.fuse(rgb.flip(1), thermal)
    assert torch.equal(first, kept)
    np.testing.assert_array_equal(rgb.numpy(), scene.rgb)
    np.testing.assert_array_equal(thermal.numpy(), scene.thermal)


def test_warm_parts_take_the_colours_of_the_map_and_cold_ones_keep_theirs(control):
    rgb = flat_colour(64, 64, (90, 110, 70))
    thermal = np.full((64, 64), 40, np.uint8)
    thermal[24:40, 24:40] = 200
    plain = control(rgb, thermal, method='maximum')
    colour = cv2.applyColorMap(np.array([[200]], np.uint8), cv2.COLORMAP_INFERNO)[0, 0]
    for blend in (1.0, 0.5):
        fused = control(rgb, thermal, method='maximum', colour_map='inferno',
                        colour_map_blend=blend)
        np.testing.assert_array_equal(fused[:16], plain[:16])
        wanted = plain[30, 30] * (1 - blend) + colour * blend
        assert np.abs(fused[26:38, 26:38] - wanted).max() <= 1


def test_opacity_rises_with_the_temperature(device):
    """Against the formula, pixel by pixel in plain Python."""
    thermal = np.add.outer(np.arange(32), np.arange(32)).astype(np.uint8) * 4
    sample = thermal[::4, ::4] / 255
    mean, unit = sample.mean(), sample.std() + 0.02
    planes = torch.full((3, 32, 32), 100.0, device=device)
    seen = torch.full((32, 32), 0.5, device=device)
    engine = FusionEngine(FusionParameters(device=device, method='average'))
    ColourMap('jet', 0.8, engine.device).apply(
        planes, torch.from_numpy(thermal).to(device), seen, engine._arena)
    planes = planes.cpu().numpy()
    for i in range(0, 32, 5):
        for j in range(0, 32, 7):
            t = min(1, max(0, (thermal[i, j] / 255 - mean) / unit / 2.5))
            opacity = 0.5 * 0.8 * t * t * (3 - 2 * t)
            colour = cv2.applyColorMap(thermal[i:i + 1, j:j + 1], cv2.COLORMAP_JET)[0, 0]
            assert np.allclose(planes[:, i, j], 100 + opacity * (colour - 100.0), atol=0.01)


def test_every_colour_map_exists(device):
    for name in COLOUR_MAPS[1:]:
        ColourMap(name, 1.0, torch.device(device))
    with pytest.raises(ParameterError, match='rainbow2'):
        ColourMap('rainbow2', 1.0, torch.device(device))


def test_a_colour_map_that_does_not_exist_changes_nothing(scene):
    engine = FusionEngine(FusionParameters(device='cpu', method='maximum'))
    tensors = [torch.from_numpy(scene.rgb), torch.from_numpy(scene.thermal)]
    before = engine.fuse(*tensors)
    with pytest.raises(ParameterError, match='spam'):
        engine.set_parameters(FusionParameters(
            device='cpu', method='average', emphasis=1.0, colour_map='spam'))
    assert engine.method == 'maximum'
    assert torch.equal(engine.fuse(*tensors), before)


@pytest.mark.parametrize('part', [0.0, 0.25, 0.5, 1.0])
def test_share_of_a_mix_is_its_proportion(share, scene, part):
    luma = grey(scene.rgb)
    fused = cv2.merge([np.round(luma + part * (scene.thermal - luma)).astype(np.uint8)] * 3)
    assert np.abs(share(scene.rgb, scene.thermal, fused=fused) / 255 - part).max() < 0.06


def test_share_against_least_squares_in_one_cell(share):
    """Cells that are all alike: the share is that of one cell, by hand."""
    rng = np.random.default_rng(6)
    v, t, f = (np.kron(np.tile(rng.integers(40, 200, (4, 4)), (24, 24)), np.ones((2, 2)))
               for _ in range(3))
    f = np.clip(np.round(v + 0.3 * (t - v) + 0.1 * (f - f.mean())), 0, 255)
    got = share(cv2.merge([v.astype(np.uint8)] * 3), t.astype(np.uint8),
                fused=cv2.merge([f.astype(np.uint8)] * 3))
    a, b = ((x[:8, :8] - v[:8, :8]) / 255 for x in (f, t))
    gain = 100
    top = gain * ((a - a.mean()) * (b - b.mean())).mean() + a.mean() * b.mean()
    bottom = gain * ((b - b.mean()) ** 2).mean() + b.mean() ** 2
    assert abs(got[96, 96] / 255 - top / bottom) < 0.01


def test_share_says_which_camera_was_used(share, scene):
    weight = np.ones(scene.thermal.shape, np.float32)
    weight[:, 280:] = 0
    got = share((scene.rgb * 0.02).astype(np.uint8), scene.thermal, weight)
    assert not got[:, 280:].any()
    assert got[scene.people & (weight > 0)].mean() > 200
    glare = scene.rgb.copy()
    glare[100:] = 255
    assert share(glare, scene.thermal)[140:].mean() > share(scene.rgb, scene.thermal)[140:].mean()


def test_equal_images_have_no_share_to_tell(share, scene):
    got = share(cv2.merge([scene.thermal] * 3), scene.thermal)
    assert np.abs(got.astype(int) - 128).max() <= 3


def test_share_wants_images_of_one_size(scene):
    engine = FusionEngine(FusionParameters(device='cpu'))
    rgb, thermal = torch.from_numpy(scene.rgb), torch.from_numpy(scene.thermal)
    with pytest.raises(ImageError, match='240'):
        engine.contribution(rgb, thermal, rgb[:100])
