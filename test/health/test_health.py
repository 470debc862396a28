# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Trust in the cameras and the mode that follows."""

import cv2
import numpy as np
import pytest

from ivif_ros.errors import ImageError
from ivif_ros.health import CameraHealth
from ivif_ros.parameters import HealthParameters, ThermalParameters
from ivif_ros.thermal import FreezeState, ThermalNormaliser
from ivif_ros.types import Mode

RNG = np.random.default_rng(0)
GOOD_RGB = np.clip(RNG.normal(110, 40, (24, 32, 3)), 0, 245).astype(np.uint8).repeat(
    10, axis=0).repeat(10, axis=1)
GOOD_THERMAL = RNG.integers(0, 256, (24, 32), np.uint8).repeat(10, axis=0).repeat(10, axis=1)
FROZEN = FreezeState(True, True, 0)
REPEATED = FreezeState(True, False, 0)


def dark(level=4):
    return RNG.integers(0, level + 1, GOOD_RGB.shape, np.uint8)


def glare(share):
    image = GOOD_RGB.copy()
    image[:, :round(share * image.shape[1])] = 255
    return image


def judged(rgb, thermal, freeze=None, **params):
    state = CameraHealth(HealthParameters(**params)).update(rgb, thermal, freeze)
    return state.mode, state.reason, state.rgb_ok, state.thermal_ok


@pytest.mark.parametrize(('rgb', 'thermal', 'freeze', 'expected'), [
    (GOOD_RGB, GOOD_THERMAL, None, (Mode.FUSED, '', True, True)),
    (GOOD_RGB, GOOD_THERMAL, REPEATED, (Mode.FUSED, '', True, True)),
    (None, GOOD_THERMAL, None, (Mode.THERMAL_ONLY, 'rgb missing', False, True)),
    (GOOD_RGB, None, None, (Mode.RGB_ONLY, 'thermal missing', True, False)),
    (dark(), GOOD_THERMAL, None, (Mode.THERMAL_ONLY, 'rgb dark', False, True)),
    (glare(0.8), GOOD_THERMAL, None, (Mode.THERMAL_ONLY, 'rgb blinded', False, True)),
    (np.full_like(GOOD_RGB, 128), GOOD_THERMAL, None,
     (Mode.THERMAL_ONLY, 'rgb flat', False, True)),
    (GOOD_RGB, GOOD_THERMAL, FROZEN, (Mode.RGB_ONLY, 'thermal frozen', True, False)),
    (GOOD_RGB, np.full_like(GOOD_THERMAL, 128), None,
     (Mode.RGB_ONLY, 'thermal flat', True, False)),
    (dark(), None, None, (Mode.RGB_ONLY, 'rgb dark; thermal missing', False, False)),
    (None, GOOD_THERMAL, FROZEN,
     (Mode.THERMAL_ONLY, 'rgb missing; thermal frozen', False, False)),
    (dark(1), GOOD_THERMAL, FROZEN,
     (Mode.THERMAL_ONLY, 'rgb dark; thermal frozen; thermal is the better one', False, False)),
    (dark(10), GOOD_THERMAL, FROZEN,
     (Mode.RGB_ONLY, 'rgb dark; thermal frozen; rgb is the better one', False, False)),
    (glare(0.7), np.full_like(GOOD_THERMAL, 128), None,
     (Mode.RGB_ONLY, 'rgb blinded; thermal flat; rgb is the better one', False, False))])
def test_verdicts(rgb, thermal, freeze, expected):
    assert judged(rgb, thermal, freeze) == expected


def test_what_is_merely_dark_or_glaring_stays_in_the_fusion():
    night = dark()
    night[100:130, 100:130] = 90  # a lamp
    assert judged(night, GOOD_THERMAL)[0] is Mode.FUSED
    assert judged(GOOD_RGB // 6, GOOD_THERMAL)[0] is Mode.FUSED
    assert judged(glare(0.5), GOOD_THERMAL)[0] is Mode.FUSED


def test_noise_is_no_contrast():
    normaliser = ThermalNormaliser(ThermalParameters())
    empty = (8000 + RNG.normal(0, 1.2, (480, 640))).astype(np.uint16)
    assert judged(GOOD_RGB, normaliser.apply(empty, 1))[1] == 'thermal flat'
    empty[200:260, 300:330] += 25  # one degree warmer: a person far away
    assert judged(GOOD_RGB, normaliser.apply(empty, 2))[1] == ''


def test_thresholds_are_parameters():
    assert judged(dark(4), GOOD_THERMAL, dark_level=3.0, flat_level=0.0)[1] == ''
    assert judged(GOOD_RGB // 6, GOOD_THERMAL, dark_level=60.0)[1] == 'rgb dark'
    assert judged(glare(0.8), GOOD_THERMAL, glare_share=0.9)[1] == ''
    white = np.full_like(GOOD_RGB, 255)
    assert judged(white, GOOD_THERMAL, glare_share=1.0, flat_level=0.0)[1] == ''
    assert judged(GOOD_RGB, GOOD_THERMAL // 16, flat_level=20.0)[1] == 'thermal flat'


def test_trust_comes_back_after_some_good_frames():
    health = CameraHealth(HealthParameters(recover_frames=3))
    sequence = [GOOD_RGB, dark(), GOOD_RGB, GOOD_RGB, dark(), GOOD_RGB, GOOD_RGB, GOOD_RGB]
    states = [health.update(image, GOOD_THERMAL) for image in sequence]
    assert [state.mode for state in states] == [Mode.FUSED] + [Mode.THERMAL_ONLY] * 6 + [Mode.FUSED]
    assert [state.reason for state in states[1:4]] == [
        'rgb dark', 'rgb dark, recovering', 'rgb dark, recovering']
    assert states[-1].reason == ''


def test_thermal_comes_back_after_the_shutter():
    health = CameraHealth(HealthParameters(recover_frames=2))
    states = [health.update(GOOD_RGB, GOOD_THERMAL, freeze)
              for freeze in (None, FROZEN, None, None)]
    assert [state.mode for state in states] == [
        Mode.FUSED, Mode.RGB_ONLY, Mode.RGB_ONLY, Mode.FUSED]


def test_missing_images_cost_no_trust():
    """Thermal at every third pair, as a slow camera gives without hold."""
    health = CameraHealth(HealthParameters())
    modes = [health.update(GOOD_RGB, GOOD_THERMAL if k % 3 == 0 else None).mode for k in range(9)]
    assert modes == [Mode.FUSED, Mode.RGB_ONLY, Mode.RGB_ONLY] * 3


def test_choice_between_two_bad_ones_does_not_flicker():
    health = CameraHealth(HealthParameters())
    modes = {health.update(dark(2 + 6 * (k % 2)), GOOD_THERMAL, FROZEN).mode for k in range(8)}
    assert len(modes) == 1


def test_reset_trusts_again():
    health = CameraHealth(HealthParameters())
    health.update(dark(), GOOD_THERMAL)
    health.reset()
    assert health.update(GOOD_RGB, GOOD_THERMAL).mode is Mode.FUSED


def test_wrong_input_is_refused():
    health = CameraHealth(HealthParameters())
    with pytest.raises(ValueError, match='at least one'):
        health.update(None, None)
    with pytest.raises(ImageError, match='RGB image'):
        health.update(GOOD_THERMAL, None)
    with pytest.raises(ImageError, match='ThermalNormaliser'):
        health.update(None, GOOD_THERMAL.astype(np.uint16))


@pytest.mark.parametrize('shape', [(1, 1), (3, 500), (500, 3), (1080, 1920)])
def test_any_size(shape):
    image = np.linspace(0, 255, shape[0] * shape[1]).reshape(shape).astype(np.uint8)
    judged(np.dstack([image] * 3), image)


@pytest.mark.parametrize('folder', ['msrs', 'roadscene', 'm3svd_stills'])
def test_real_pairs_are_trusted(shared_data, folder):
    """Day, dusk and night: no real pair may lose a camera."""
    files = sorted((shared_data / folder / 'rgb').iterdir())[::6]
    assert files
    for file in files:
        thermal_file = next((shared_data / folder / 'thermal').glob(file.stem + '.*'))
        thermal = cv2.imread(str(thermal_file), cv2.IMREAD_GRAYSCALE)
        normalised = ThermalNormaliser(ThermalParameters()).apply(thermal, 1)
        assert judged(cv2.imread(str(file)), normalised)[1] == '', file
