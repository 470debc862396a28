# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Refinement by images: what it finds, and above all what it must not believe."""

import itertools

import cv2
import numpy as np
import pytest

from ivif_ros.errors import ImageError
from ivif_ros.registration import dense_map
from ivif_ros.registration.refine import expected_error, refine
from ivif_ros.registration.score import agreement
from ivif_ros.types import Deformation, DeformationSource

SIZE = 480, 360


def scene(seed, size=SIZE):
    """The same shapes in colours and in temperatures that have nothing to do with each other."""
    rng = np.random.default_rng(seed)
    width, height = size
    rgb = np.full((height, width, 3), 90, np.uint8)
    thermal = np.full((height, width), 70, np.uint8)
    for _ in range(70):
        centre = rng.integers(0, width), rng.integers(0, height)
        axes = rng.integers(6, 45), rng.integers(6, 45)
        colour, heat = rng.integers(0, 256, 3).tolist(), int(rng.integers(0, 256))
        turn = int(rng.integers(0, 180))
        if rng.random() < 0.5:
            box = cv2.boxPoints((tuple(map(float, centre)), tuple(map(float, axes)), turn))
            cv2.fillPoly(rgb, [box.astype(np.int32)], colour)
            cv2.fillPoly(thermal, [box.astype(np.int32)], heat)
        else:
            ring = tuple(map(int, centre)), tuple(map(int, axes)), turn, 0, 360
            cv2.ellipse(rgb, *ring, colour, -1)
            cv2.ellipse(thermal, *ring, heat, -1)
    noisy = rgb.astype(np.float32) + rng.normal(0, 4, rgb.shape)
    thermal = cv2.GaussianBlur(thermal, (0, 0), 1.5).astype(np.float32)
    return (np.clip(noisy, 0, 255).astype(np.uint8),
            np.clip(thermal + rng.normal(0, 3, thermal.shape), 0, 255).astype(np.uint8))


def warped(thermal, homography):
    """Thermal image whose pixel H x shows what the aligned one shows at x."""
    return cv2.warpPerspective(thermal, homography, (thermal.shape[1], thermal.shape[0]),
                               borderMode=cv2.BORDER_REFLECT_101)


def error(deformation, homography):
    truth = dense_map(Deformation(SIZE, SIZE, homography))
    inside = ((truth >= 0) & (truth <= np.array(SIZE) - 1)).all(axis=2)
    return float(np.linalg.norm(dense_map(deformation) - truth, axis=2)[inside].mean())


HOMOGRAPHIES = {
    'shift': [[1, 0, 14], [0, 1, -9], [0, 0, 1]],
    'zoom': [[1.08, 0, -22], [0, 1.08, -10], [0, 0, 1]],
    'turn': [[0.9986, -0.05, 12], [0.05, 0.9986, -14], [0, 0, 1]],
    'perspective': [[1.02, 0.03, -9], [-0.02, 0.98, 12], [3e-5, -5e-5, 1]],
}


@pytest.mark.parametrize('kind', HOMOGRAPHIES)
@pytest.mark.parametrize('inverted', [False, True])
def test_known_homographies_are_found(kind, inverted):
    homography = np.array(HOMOGRAPHIES[kind], float)
    rgb, thermal = scene(1)
    thermal = warped(255 - thermal if inverted else thermal, homography)
    result = refine(rgb, thermal, Deformation.stretch(SIZE, SIZE))
    assert result.accepted, result.reason
    assert result.accepted
    assert error(result.deformation, homography) < 2.0
    assert result.deformation.source is DeformationSource.ESTIMATED
    assert 0.3 < result.deformation.confidence <= 1
    assert result.deformation.residual_px < 6


def test_aligned_images_confirm_the_first_guess():
    rgb, thermal = scene(2)
    initial = Deformation.stretch(SIZE, SIZE)
    result = refine(rgb, thermal, initial)
    assert result.accepted
    assert error(result.deformation, np.eye(3)) < 1.0
    assert result.deformation.confidence > 0.5


def test_lens_grid_of_the_first_guess_is_kept():
    homography = np.array(HOMOGRAPHIES['shift'], float)
    rgb, thermal = scene(3)
    grid = np.zeros((5, 7, 2), np.float32)
    grid[1:-1, 1:-1, 0] = 3.0
    bent = Deformation(SIZE, SIZE, np.eye(3), grid)
    shown = dense_map(bent)
    # A camera with this lens: the truth is the grid after the shift.
    y, x = np.mgrid[:SIZE[1], :SIZE[0]].astype(np.float32)
    unbent = cv2.remap(thermal, x - (shown[..., 0] - x), y - (shown[..., 1] - y), cv2.INTER_LINEAR)
    result = refine(rgb, warped(unbent, np.eye(3)),
                    Deformation(SIZE, SIZE, np.linalg.inv(homography), grid))
    assert result.accepted, result.reason
    assert result.deformation.grid is not None
    apart = dense_map(result.deformation) - shown
    assert np.linalg.norm(apart, axis=2)[40:-40, 40:-40].mean() < 2.0


def test_resolutions_may_differ():
    rgb, thermal = scene(4, (960, 720))
    homography = np.array([[0.26, 0, 5], [0, 0.26, 3], [0, 0, 1.0]])
    small = cv2.warpPerspective(
        cv2.GaussianBlur(thermal, (0, 0), 2.0), homography, (256, 192), flags=cv2.INTER_LINEAR)
    result = refine(rgb, small, Deformation.stretch((960, 720), (256, 192)))
    assert result.accepted, result.reason
    truth = dense_map(Deformation((960, 720), (256, 192), homography))
    apart = np.linalg.norm(dense_map(result.deformation) - truth, axis=2)
    assert apart.mean() < 0.26 * 4


@pytest.mark.parametrize('seed', range(10, 18))
def test_images_of_different_scenes_are_not_believed(seed):
    result = refine(scene(seed)[0], scene(seed + 50)[1], Deformation.stretch(SIZE, SIZE))
    assert not result.accepted
    assert result.reason
    np.testing.assert_array_equal(result.deformation.homography, np.eye(3))


def test_swapped_pairs_of_real_images_are_not_believed(shared_data):
    folder = shared_data / 'roadscene'
    stems = sorted(path.stem for path in (folder / 'thermal').iterdir())[::23]
    believed = 0
    for one, other in itertools.pairwise(stems):
        rgb = cv2.imread(str(next((folder / 'rgb').glob(one + '.*'))))
        thermal = cv2.imread(str(next((folder / 'thermal').glob(other + '.*'))), 0)
        size = rgb.shape[1], rgb.shape[0]
        result = refine(rgb, thermal, Deformation.stretch(size, thermal.shape[::-1]))
        believed += result.accepted
    assert len(stems) >= 6
    assert believed == 0


def test_real_pairs_get_better(shared_data):
    folder = shared_data / 'roadscene'
    stems = sorted(path.stem for path in (folder / 'thermal').iterdir())[5::23]
    before, after = [], []
    for stem in stems:
        rgb = cv2.imread(str(next((folder / 'rgb').glob(stem + '.*'))))
        thermal = cv2.imread(str(next((folder / 'thermal').glob(stem + '.*'))), 0)
        size = rgb.shape[1], rgb.shape[0]
        homography = np.array([[1.03, 0.02, -9], [-0.02, 1.04, 8], [0, 2e-5, 1.0]])
        initial = Deformation.stretch(size, size)
        result = refine(rgb, warped(thermal, homography), initial)
        truth = dense_map(Deformation(size, size, homography))
        before.append(np.linalg.norm(dense_map(initial) - truth, axis=2).mean())
        after.append(np.linalg.norm(dense_map(result.deformation) - truth, axis=2).mean())
    assert np.median(after) < 0.5 * np.median(before)
    assert np.mean(np.array(after) <= np.array(before)) >= 0.85


@pytest.mark.parametrize(('thermal', 'reason'), [
    (np.full((360, 480), 255, np.uint8), 'thermal image is flat'),
    (np.zeros((360, 480), np.uint8), 'thermal image is flat'),
])
def test_flat_images(thermal, reason):
    initial = Deformation.stretch(SIZE, SIZE)
    result = refine(scene(1)[0], thermal, initial)
    assert not result.accepted
    assert reason in result.reason
    assert result.deformation is initial
    dark = refine(np.zeros((360, 480, 3), np.uint8), scene(1)[1], initial)
    assert 'RGB image is flat' in dark.reason


def test_noise_is_not_believed():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (360, 480)).astype(np.uint8)
    assert not refine(scene(1)[0], noise, Deformation.stretch(SIZE, SIZE)).accepted


@pytest.mark.parametrize('size', [(1, 1), (8, 6), (63, 63), (300, 64), (64, 300), (2000, 70)])
def test_odd_sizes_do_no_harm(size):
    rgb, thermal = scene(5)
    small = cv2.resize(thermal, size, interpolation=cv2.INTER_AREA)
    result = refine(rgb, small, Deformation.stretch(SIZE, size))
    assert np.isfinite(dense_map(result.deformation)).all()
    tiny = refine(cv2.resize(rgb, size), thermal, Deformation.stretch(size, SIZE))
    assert np.isfinite(dense_map(tiny.deformation)).all()


def test_wrong_size_and_wrong_kind():
    rgb, thermal = scene(1)
    result = refine(rgb, thermal, Deformation.stretch((64, 64), (64, 64)))
    assert not result.accepted
    assert '64' in result.reason
    with pytest.raises(ImageError):
        refine(rgb.astype(np.float64), thermal, Deformation.stretch(SIZE, SIZE))


def test_the_same_images_give_the_same_answer():
    rgb, thermal = scene(6)
    thermal = warped(thermal, np.array(HOMOGRAPHIES['zoom'], float))
    one, two = (refine(rgb, thermal, Deformation.stretch(SIZE, SIZE)) for _ in range(2))
    np.testing.assert_array_equal(one.deformation.homography, two.deformation.homography)


def test_agreement_is_the_local_squared_correlation():
    rng = np.random.default_rng(1)
    image = cv2.GaussianBlur(rng.uniform(0, 255, (96, 128)).astype(np.float32), (0, 0), 1.5)
    image = np.clip(4 * (image - image.mean()) + 127, 0, 255).astype(np.uint8)
    other = np.clip(200.0 - 0.6 * image + rng.normal(0, 8, image.shape), 0, 255).astype(np.uint8)
    colour = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    same = Deformation.stretch((128, 96), (128, 96))
    score, overlap = agreement(colour, other, same)
    assert overlap == 1.0
    offsets = np.arange(-10, 11)
    kernel = np.exp(-(offsets[:, None] ** 2 + offsets ** 2) / (2 * 2.5 ** 2))
    kernel /= kernel.sum()
    values = []
    for y in range(10, 86, 5):
        for x in range(10, 118, 5):
            a = image[y - 10:y + 11, x - 10:x + 11].astype(float)
            b = other[y - 10:y + 11, x - 10:x + 11].astype(float)
            ma, mb = (kernel * a).sum(), (kernel * b).sum()
            va, vb = (kernel * (a - ma) ** 2).sum(), (kernel * (b - mb) ** 2).sum()
            values.append((kernel * (a - ma) * (b - mb)).sum() ** 2 / ((va + 4) * (vb + 4)))
    assert score == pytest.approx(np.mean(values), abs=0.03)
    shifted = Deformation((128, 96), (128, 96), [[1, 0, 4], [0, 1, 0], [0, 0, 1]])
    assert agreement(colour, other, shifted)[0] < 0.6 * score
    away = Deformation((128, 96), (128, 96), [[1, 0, 400], [0, 1, 0], [0, 0, 1]])
    assert agreement(colour, other, away) == (0.0, 0.0)


def test_more_evidence_means_less_expected_error():
    usual = expected_error(0.4, 0.15, 1.5, 10.0)
    assert expected_error(0.4, 0.3, 1.5, 10.0) < usual
    assert expected_error(0.6, 0.15, 1.5, 10.0) < usual
    assert expected_error(0.4, 0.15, 1.0, 10.0) > usual
    assert expected_error(0.4, 0.15, 1.5, 60.0) > usual
