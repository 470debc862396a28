# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What several pairs say together, with estimators whose mistakes are known."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from ivif_ros.errors import CalibrationError, ImageError
from ivif_ros.registration.estimate import Estimate
from ivif_ros.registration.frame_picker import NamedPair, pick_pairs
from ivif_ros.registration.maps import apply_homography, corners, grid_nodes, thermal_scale
from ivif_ros.registration.rig_fit import fit_rig
from ivif_ros.registration.self_calibration import most_estimates, self_calibrate
from ivif_ros.types import Deformation, DeformationSource

RGB, THERMAL = (640, 480), (320, 256)
STRETCH = Deformation.stretch(RGB, THERMAL)
TRUTH = Deformation(RGB, THERMAL, [[0.46, -0.012, 14.0], [0.01, 0.47, 9.0], [2e-5, -3e-5, 1.0]])


def moved(deformation, rng, share):
    """A deformation whose corners were moved by about a share of the RGB width."""
    source = corners(deformation.rgb_size)
    target = source + rng.normal(0, share * deformation.rgb_size[0] / np.sqrt(2), (4, 2))
    change = cv2.getPerspectiveTransform(source.astype(np.float32), target.astype(np.float32))
    return replace(deformation, homography=deformation.homography @ change)


def pairs(count, size=(64, 48)):
    """Pairs that an estimator can tell apart by their first pixel."""
    made = []
    for index in range(count):
        rgb = np.random.default_rng(index).integers(0, 255, (48, 64, 3), np.uint8)
        rgb = cv2.resize(rgb, RGB)
        rgb[0, 0] = index
        made.append(NamedPair(f'pair {index}', rgb, np.zeros(THERMAL[::-1], np.uint8)))
    return made


def corner_share(found, truth=TRUTH):
    """Mean error of the corners as a share of the RGB diagonal."""
    points = corners(truth.rgb_size)
    apart = apply_homography(found.homography, points) - apply_homography(truth.homography, points)
    return np.linalg.norm(apart, axis=1).mean() / thermal_scale(truth) / np.hypot(*truth.rgb_size)


class Estimator:
    """Says the truth with some noise for good pairs; what the others say is up to `wrong`."""

    def __init__(self, bad=(), *, noise=0.003, wrong=None, refuses_wide=(), truth=TRUTH):
        self.bad, self.noise, self.refuses_wide = set(bad), noise, set(refuses_wide)
        self.wrong = wrong or (lambda index, initial, rng: moved(initial, rng, 0.15))
        self.truth = truth
        self.rng = np.random.default_rng(7)
        self.sources = []

    def __call__(self, rgb, thermal, initial):
        index = int(rgb[0, 0, 0])
        self.sources.append(initial.source)
        if index in self.refuses_wide and initial.source is DeformationSource.NONE:
            return Estimate(initial, False, 'too far away')
        found = (self.wrong(index, initial, self.rng) if index in self.bad
                 else moved(self.truth, self.rng, self.noise))
        return Estimate(replace(found, confidence=0.7, residual_px=1.8,
                                source=DeformationSource.ESTIMATED), True, '')


@pytest.mark.parametrize('outliers', [0.3, 0.45, 0.6])
def test_the_rig_is_found_among_wrong_estimates(outliers):
    bad = range(round(12 * outliers))
    found = self_calibrate(pairs(12), Estimator(bad))
    # With more than half of the pairs wrong the rig is right, and still nobody should trust it.
    assert found.settled == (outliers < 0.5)
    assert corner_share(found.deformation) < 0.004
    assert [verdict.agrees for verdict in found.verdicts] == [
        index not in bad for index in range(12)]
    for verdict in found.verdicts[:len(bad)]:
        assert 'px from the others' in verdict.reason
        assert verdict.distance_px > 12.8
    assert found.verdicts[-1].reason == ''
    assert found.verdicts[-1].name == 'pair 11'
    assert found.verdicts[-1].expected_px == 1.8


def test_pairs_that_say_nothing_from_nothing_help_later():
    estimator = Estimator(refuses_wide=range(3, 10))
    alone = corner_share(fit_rig([moved(TRUTH, np.random.default_rng(1), 0.01)]).deformation)
    found = self_calibrate(pairs(10), estimator)
    assert found.settled
    assert found.agreeing == 10
    assert corner_share(found.deformation) < alone


def test_a_wrong_group_that_nothing_comes_back_to_does_not_win():
    """Estimators shy away from large corrections: wrong estimates crowd around the start."""
    def shy(index, initial, rng):
        return moved(initial, rng, 0.002)
    found = self_calibrate(pairs(12), Estimator(range(7), wrong=shy))
    assert corner_share(found.deformation) < 0.004
    assert found.agreeing == 5


@pytest.mark.parametrize('initial', [None, TRUTH])
def test_an_estimator_that_confirms_everything_confirms_nothing(initial):
    found = self_calibrate(
        pairs(10), Estimator(range(10), wrong=lambda index, start, rng: start), initial=initial)
    assert not found.settled
    assert 'stays wherever it is started' in found.reason


def test_nothing_is_settled_where_everything_is_wrong():
    found = self_calibrate(pairs(12), Estimator(range(12)))
    assert not found.settled
    assert 'agree' in found.reason


def test_a_first_guess_that_holds_is_enough():
    estimator = Estimator()
    found = self_calibrate(pairs(6), estimator, initial=moved(
        TRUTH, np.random.default_rng(3), 0.005))
    assert found.settled
    assert DeformationSource.NONE not in estimator.sources
    assert corner_share(found.deformation) < 0.004


def test_a_wrong_first_guess_is_left():
    wrong = replace(STRETCH, homography=STRETCH.homography @ [[1, 0, 90], [0, 1, -60], [0, 0, 1]])

    class Near(Estimator):
        def __call__(self, rgb, thermal, initial):
            far = corner_share(initial) > 0.08 and initial.source is not DeformationSource.NONE
            return (Estimate(initial, False, 'out of reach') if far
                    else super().__call__(rgb, thermal, initial))
    found = self_calibrate(pairs(6), Near(), initial=wrong)
    assert found.settled
    assert corner_share(found.deformation) < 0.004


def test_other_fields_of_view_are_searched_too():
    truth = replace(TRUTH, homography=TRUTH.homography @ np.diag([0.62, 0.62, 1]) + [
        [0, 0, 55], [0, 0, 40], [0, 0, 0]])

    class Narrow(Estimator):
        def __call__(self, rgb, thermal, initial):
            ratio = thermal_scale(initial) / thermal_scale(truth)
            return (super().__call__(rgb, thermal, initial) if 0.85 < ratio < 1.18
                    else Estimate(initial, False, 'nothing alike'))
    found = self_calibrate(pairs(6), Narrow(truth=truth))
    assert found.settled
    assert corner_share(found.deformation, truth) < 0.004


def test_the_expected_error_is_the_error():
    ratios = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        fit = fit_rig([replace(moved(TRUTH, rng, 0.02), confidence=0.4) for _ in range(8)])
        true = corner_share(fit.deformation) * np.hypot(*RGB)
        ratios.append(fit.corner_error_px / true)
    assert 0.6 < np.median(ratios) < 2.0


def lens(strength):
    """Displacement of a lens on nodes of an image, thermal pixels."""
    nodes = grid_nodes(RGB, 33, 25)
    radial = (nodes - np.array(RGB) / 2) / RGB[0]
    return strength * radial * (radial ** 2).sum(axis=2, keepdims=True)


def test_what_all_pairs_show_beside_the_homography_is_kept():
    rng = np.random.default_rng(0)
    estimates = []
    for _ in range(10):
        # Each scene has an object of its own that stands nearer than the rest.
        grid = lens(60.0)
        row, column = rng.integers(3, 20), rng.integers(3, 28)
        grid[row:row + 4, column:column + 4] += rng.normal(0, 6, 2)
        estimates.append(replace(moved(TRUTH, rng, 0.001), grid=grid, confidence=0.8,
                                 confidence_map=np.full((6, 8), 0.8)))
    fit = fit_rig(estimates).deformation
    nodes = grid_nodes(RGB, 17, 13)
    truth = apply_homography(TRUTH.homography, nodes) + lens(60.0)[::2, ::2]
    found = apply_homography(fit.homography, nodes) + fit.grid
    error = np.linalg.norm(found - truth, axis=2)
    without = np.linalg.norm(apply_homography(fit.homography, nodes) - truth, axis=2)
    assert error.mean() < 0.35 * without.mean()
    assert error.max() < 1.5


def test_parallax_of_single_scenes_is_not_kept():
    rng = np.random.default_rng(0)
    estimates = []
    for _ in range(10):
        grid = np.zeros((25, 33, 2))
        row, column = rng.integers(3, 20), rng.integers(3, 28)
        grid[row:row + 5, column:column + 5] += rng.normal(0, 6, 2)
        estimates.append(replace(TRUTH, grid=grid, confidence=0.8))
    fit = fit_rig(estimates).deformation
    assert fit.grid is None or np.abs(fit.grid).max() < 0.5
    assert fit.confidence_map.shape == (13, 17)
    assert 0 < fit.confidence < 1


def test_places_count_where_they_are_known():
    """One pair knows the left half, the other the right; together they know the rig."""
    rng = np.random.default_rng(2)
    left, right = np.full((6, 8), 0.02), np.full((6, 8), 0.02)
    left[:, :4], right[:, 4:] = 0.9, 0.9
    nodes = grid_nodes(RGB, 9, 7).reshape(-1, 2)

    def right_only_in(known):
        inside = nodes[:, 0] < 310 if known is left else nodes[:, 0] > 330
        target = apply_homography(TRUTH.homography, nodes)
        target[~inside] += rng.normal(0, 8, (int((~inside).sum()), 2))
        weights = np.where(inside, 1.0, 0.0)
        repeated = np.repeat(np.arange(len(nodes)), np.where(weights > 0, 9, 1))
        homography, _ = cv2.findHomography(nodes[repeated], target[repeated], 0)
        return replace(TRUTH, homography=homography, confidence=0.8, confidence_map=known)
    estimates = [right_only_in(left), right_only_in(right)]
    together = corner_share(fit_rig(estimates).deformation)
    assert together < 0.7 * min(corner_share(estimate) for estimate in estimates)


def test_too_few_pairs_are_said_to_be_too_few():
    with pytest.raises(CalibrationError, match='no pair'):
        self_calibrate([], Estimator())
    one = self_calibrate(pairs(1), Estimator())
    assert not one.settled
    assert 'only 1 pair' in one.reason
    assert corner_share(one.deformation) < 0.01
    assert not self_calibrate(pairs(2), Estimator()).settled


def test_pairs_that_cannot_be_used_say_why():
    class Failing(Estimator):
        def __call__(self, rgb, thermal, initial):
            if rgb[0, 0, 0] == 0:
                raise ImageError('lens cap')
            return super().__call__(rgb, thermal, initial)
    given = pairs(5)
    given.append(NamedPair('small', np.zeros((20, 30, 3), np.uint8), given[0].thermal))
    found = self_calibrate(given, Failing())
    assert found.settled
    assert 'lens cap' in found.verdicts[0].reason
    assert '30x20' in found.verdicts[5].reason
    assert '640x480' in found.verdicts[5].reason
    assert found.agreeing == 4


def test_nothing_found_keeps_the_first_guess():
    refusing = Estimator(refuses_wide=range(4))
    found = self_calibrate(pairs(4), refusing)
    assert not found.settled
    assert 'too far away' in found.reason
    np.testing.assert_array_equal(found.deformation.homography, STRETCH.homography)
    assert np.isnan(found.corner_error_px)
    assert found.agreeing == 0


def test_a_first_guess_of_other_cameras_is_refused():
    with pytest.raises(CalibrationError, match='first guess'):
        self_calibrate(pairs(4), Estimator(), initial=Deformation.stretch((800, 600), THERMAL))


def test_progress_never_passes_what_was_announced():
    for bad, initial in ((range(8), None), (range(8), STRETCH), ((), None)):
        seen = []
        self_calibrate(pairs(8), Estimator(bad), initial=initial, progress=seen.append)
        assert seen == list(range(1, len(seen) + 1))
        assert 8 * 3 <= len(seen) <= most_estimates(8)


def picture(seed, noise=0.0, size=(160, 120)):
    rng = np.random.default_rng(seed)
    grey = cv2.resize(rng.random((9, 12), np.float32) * 200, size, interpolation=cv2.INTER_CUBIC)
    grey = grey + np.random.default_rng(int(noise * 1000) + seed).normal(0, noise, grey.shape)
    return np.clip(grey, 0, 255).astype(np.uint8)


def named(name, seed, noise=0.0):
    return NamedPair(name, cv2.merge([picture(seed, noise)] * 3), picture(seed + 100, noise))


def test_a_standing_camera_gives_one_pair():
    picked = pick_pairs((named(str(i), 1, noise=4 + i / 100) for i in range(20)), 5)
    assert [pair.name for pair in picked] == ['0']


def test_blank_images_are_all_alike():
    blank = (NamedPair(str(i), np.full((48, 64, 3), 90 + i, np.uint8),
                       np.full((48, 64), i, np.uint8)) for i in range(9))
    assert len(pick_pairs(blank, 5)) == 1


def test_the_most_different_pairs_are_kept_in_their_order():
    def drive():
        for index in range(12):
            yield named(f'stop {index}', 50, noise=3 + index / 100)
        for index in range(4):
            yield named(f'drive {index}', 60 + index)
        for index in range(12):
            yield named(f'end {index}', 70, noise=3 + index / 100)
    assert [pair.name for pair in pick_pairs(drive(), 6)] == [
        'stop 0', 'drive 0', 'drive 1', 'drive 2', 'drive 3', 'end 0']
    assert len(pick_pairs(drive(), 3)) == 3


def test_newcomers_replace_what_is_nearly_alike():
    def slide(seed, share):
        first, other = picture(seed), picture(seed + 7)
        grey = cv2.addWeighted(first, 1 - share, other, share, 0)
        return NamedPair(f'{seed} {share}', cv2.merge([grey] * 3), grey)
    stream = [slide(1, 0.0), slide(1, 0.3), slide(1, 0.35), slide(3, 0.0), slide(5, 0.0)]
    picked = [pair.name for pair in pick_pairs(stream, 3)]
    assert picked == ['1 0.0', '3 0.0', '5 0.0']
