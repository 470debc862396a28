# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What people expect of the default method: never worse than both inputs where it is obvious."""

import cv2
import numpy as np
import pytest

from ivif_ros.metrics.fusion import edge_preservation, evaluate
from ivif_ros.metrics.registration import normalised_cross_correlation


def grey(image):
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)


def gradient(image):
    image = image.astype(np.float32)
    return np.hypot(cv2.Sobel(image, cv2.CV_32F, 1, 0), cv2.Sobel(image, cv2.CV_32F, 0, 1))


def psnr(a, b):
    return 10 * np.log10(255 ** 2 / max(1e-9, np.mean((a.astype(float) - b) ** 2)))


def darkened(rgb):
    noise = np.random.default_rng(1).normal(0, 2, rgb.shape)
    return np.clip(rgb * 0.03 + noise, 0, 255).astype(np.uint8)


def check_dark(run, rgb, thermal):
    fused = grey(run(darkened(rgb), thermal))
    assert normalised_cross_correlation(gradient(fused), gradient(thermal)) > 0.9
    assert fused.std() > 0.9 * thermal.std()
    return edge_preservation(fused, thermal, thermal)


def test_dark_rgb_keeps_the_structure_of_the_thermal_image(run, real_pair):
    kept = check_dark(run, *real_pair)
    mean = run(darkened(real_pair[0]), real_pair[1], method='average')
    assert kept > edge_preservation(grey(mean), real_pair[1], real_pair[1]) + 0.2
    assert kept > 0.65


def test_dark_synthetic_scene(run, scene):
    check_dark(run, scene.rgb, scene.thermal)


def test_glare_shows_what_the_thermal_image_sees(run, scene):
    rgb = scene.rgb.astype(np.float32)
    y, x = np.ogrid[:240, :320]
    distance = np.hypot(y - 160, x - 160)
    rgb = np.clip(rgb + 420 * np.exp(-(distance / 60) ** 2)[..., None], 0, 255).astype(np.uint8)
    inside = distance < 35
    assert grey(rgb)[inside].min() == 255, 'the blob must hide everything'
    fused, thermal = grey(run(rgb, scene.thermal)), scene.thermal
    assert normalised_cross_correlation(fused, thermal, inside) > 0.8
    # The RGB image and the maximum show no difference at all.
    person, around = inside & scene.people, inside & (thermal < 80)
    assert fused[person].mean() - fused[around].mean() > 50
    assert not run(rgb, thermal, method='maximum')[inside].std()


@pytest.mark.parametrize('noise', [0, 3, 6])
def test_cold_scene_leaves_the_rgb_image(run, scene, noise):
    flat = 90 + np.random.default_rng(2).normal(0, noise, scene.thermal.shape)
    flat = np.clip(flat.round(), 0, 255).astype(np.uint8)
    assert psnr(run(scene.rgb, flat), scene.rgb) > 38
    night = (scene.rgb * 0.3).astype(np.uint8)
    assert psnr(run(night, flat), night) > 33


@pytest.mark.parametrize('noise', [3, 6])
def test_cold_scene_leaves_a_real_rgb_image(run, real_pair, noise):
    flat = 90 + np.random.default_rng(2).normal(0, noise, real_pair[1].shape)
    assert psnr(run(real_pair[0], np.clip(flat.round(), 0, 255).astype(np.uint8)),
                real_pair[0]) > 33


def test_equal_inputs_come_back(run, real_pair):
    image = grey(real_pair[0])
    fused = run(cv2.merge([image] * 3), image)
    assert np.abs(fused.astype(int) - image[..., None]).max() <= 1


def test_thermal_noise_is_damped(run, scene):
    clean = cv2.GaussianBlur(scene.thermal, (0, 0), 2)
    noisy = clean + np.random.default_rng(3).normal(0, 5, clean.shape)
    noisy = np.clip(noisy.round(), 0, 255).astype(np.uint8)
    change = grey(run(scene.rgb, noisy)).astype(float) - grey(run(scene.rgb, clean))
    assert change.std() < 0.7 * (noisy.astype(float) - clean).std()


@pytest.mark.parametrize('brightness', [0.1, 0.5, 1.0])
def test_warm_people_stand_out(run, scene, brightness):
    rgb = (scene.rgb * brightness).astype(np.uint8)
    around = cv2.dilate(scene.people.astype(np.uint8), np.ones((25, 25))) > 0
    around &= scene.thermal < 80
    fused = grey(run(rgb, scene.thermal)).astype(float)
    before = grey(rgb)[scene.people].mean() - grey(rgb)[around].mean()
    after = fused[scene.people].mean() - fused[around].mean()
    assert after > 50
    assert after > before + 40


def test_warm_person_in_front_of_lights_is_not_a_black_figure(run):
    """The contrast of the silhouette is higher in the RGB image, but the person is what matters."""
    person = cv2.ellipse(np.zeros((240, 320), np.uint8), (160, 120), (14, 40), 0, 0, 360, 1, -1) > 0
    rgb = np.where(person, 10, 210).astype(np.uint8)
    thermal = cv2.GaussianBlur(np.where(person, 120, 20).astype(np.uint8), (0, 0), 1)
    fused = grey(run(cv2.merge([rgb] * 3), thermal))
    assert fused[cv2.erode(person.astype(np.uint8), np.ones((7, 7))) > 0].mean() > 50


def test_no_dark_halo_around_a_warm_person_at_night(run):
    rgb = np.full((240, 320, 3), 30, np.uint8)
    thermal = np.full((240, 320), 5, np.uint8)
    cv2.ellipse(thermal, (160, 120), (12, 34), 0, 0, 360, 230, -1)
    fused = grey(run(rgb, cv2.GaussianBlur(thermal, (0, 0), 1.2)))
    far = fused[:, :40].mean()
    # The last pixels before the edge belong to the edge itself.
    ring = cv2.dilate((thermal > 100).astype(np.uint8), np.ones((21, 21))) > 0
    ring &= cv2.dilate((thermal > 100).astype(np.uint8), np.ones((9, 9))) == 0
    assert fused[ring].min() > far - 12


def test_flat_inputs_stay_flat(run):
    """No cells, tents or borders from the pyramid."""
    for luma, temperature in ((0, 255), (255, 0), (128, 128), (20, 200)):
        fused = run(np.full((100, 140, 3), luma, np.uint8),
                    np.full((100, 140), temperature, np.uint8))
        assert np.ptp(fused) <= 1


def test_brightness_does_not_pump_when_a_person_walks_in(run, scene):
    background = np.full((240, 320), 60, np.uint8)
    levels = []
    for x in range(-20, 200, 5):
        thermal = background.copy()
        cv2.ellipse(thermal, (x, 160), (10, 30), 0, 0, 360, 220, -1)
        levels.append(float(grey(run(scene.rgb // 3, thermal))[:, 260:].mean()))
    assert np.ptp(levels) < 4
    assert np.abs(np.diff(levels)).max() < 1


def test_quality_on_real_night_pairs(run, shared_data):
    floors = {'EN': 5.5, 'SF': 7.5, 'SCD': 1.8, 'VIF': 0.5, 'Qabf': 0.62, 'SSIM': 0.75}
    rows = []
    for stem in ('00036N', '00886N', '01254N'):
        rgb = cv2.imread(str(shared_data / 'msrs' / 'rgb' / f'{stem}.webp'))
        thermal = cv2.imread(str(shared_data / 'msrs' / 'thermal' / f'{stem}.webp'),
                             cv2.IMREAD_GRAYSCALE)
        rows.append(evaluate(grey(run(rgb, thermal)), thermal, grey(rgb)))
    means = {name: float(np.mean([row[name] for row in rows])) for name in floors}
    assert all(means[name] >= floor for name, floor in floors.items()), means
