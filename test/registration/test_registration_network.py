# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Parts of the learned estimator by themselves: comparison, matching, robust fit, dense map."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ivif_ros.registration.correlation import local_correlation, shift_products
from ivif_ros.registration.dense import DenseMap, centres
from ivif_ros.registration.maps import dense_map
from ivif_ros.registration.matching import Similarity
from ivif_ros.registration.network import COARSE, FINE, STEP, RegistrationNetwork
from ivif_ros.registration.network_estimator import NetworkEstimator
from ivif_ros.registration.robust import HomographySystem, apply, consensus, fit_homography
from ivif_ros.registration.structure import edge_directions, structure
from ivif_ros.registration.voting import vote_anywhere, vote_nearby
from ivif_ros.registration.weights import PATH
from ivif_ros.registration.working_pair import EdgeVotes, WorkingPair, working_size
from ivif_ros.types import Deformation

DEVICES = ['cpu', pytest.param('cuda', marks=pytest.mark.skipif(
    not torch.cuda.is_available(), reason='no CUDA device'))]
SMALL = {'narrow': 4, 'middle': 4, 'wide': 8, 'deep': 4, 'head': 8}
HOMOGRAPHY = np.array([[1.1, 0.04, -20.0], [-0.03, 0.95, 9.0], [1e-4, -5e-5, 1.0]])


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize(('width', 'reach'), [(7, 2), (16, 1), (20, 3), (48, 2)])
def test_local_correlation_compares_with_the_surroundings(device, width, reach):
    torch.manual_seed(0)
    first, second = torch.rand(2, 2, 5, 9, width, device=device)
    found = local_correlation(first, second, reach)
    side = 2 * reach + 1
    assert found.shape == (2, side * side, 9, width)
    padded = torch.nn.functional.pad(second, (reach,) * 4)
    for dy in range(side):
        for dx in range(side):
            expected = (first * padded[:, :, dy:dy + 9, dx:dx + width]).sum(1)
            torch.testing.assert_close(found[:, dy * side + dx], expected)


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize(('cell', 'reach'), [(1, 3), (2, 3), (2, 2)])
def test_shift_products_are_correlations_averaged_over_cells(device, cell, reach):
    torch.manual_seed(0)
    first, second = torch.rand(2, 1, 2, 12, 20, device=device)
    expected = torch.nn.functional.avg_pool2d(local_correlation(first, second, reach), cell)
    torch.testing.assert_close(shift_products(first, second, reach, cell), expected)


def test_directions_of_edges_are_as_strong_as_those_around():
    torch.manual_seed(0)
    image = torch.nn.functional.avg_pool2d(torch.rand(1, 1, 96, 128), 5, 1, 2)
    for edges in edge_directions(structure(image)):
        assert edges.square().sum(1).mean() == pytest.approx(1.0, abs=0.2)


def test_structure_does_not_know_polarity():
    torch.manual_seed(0)
    image = torch.rand(1, 1, 32, 48)
    plain, inverted = structure(image), structure(1 - image)
    torch.testing.assert_close(plain[:, 1:], inverted[:, 1:], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(plain[:, :1], -inverted[:, :1], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize('level', [0.0, 0.5, 1.0])
def test_structure_of_a_flat_image_is_nothing(level):
    found = structure(torch.full((1, 1, 32, 48), level))
    assert torch.isfinite(found).all()
    assert found.abs().max() < 0.3


@pytest.mark.parametrize('device', DEVICES)
def test_shapes_of_the_network(device):
    network = RegistrationNetwork(**SMALL).eval().to(device)
    image = torch.rand(1, 1, 6 * STEP, 5 * STEP, device=device)
    with torch.inference_mode():
        rgb, thermal = network.encode(image, 'rgb'), network.encode(image, 'thermal')
        rows, columns = 6 * STEP // COARSE, 5 * STEP // COARSE
        logits = network.similarity(rgb.coarse.flatten(2), thermal.coarse.flatten(2))
        assert logits.shape == (1, rows * columns, rows * columns)
        found = network.refine(rgb, thermal)
    assert found.flow.shape == (1, 2, 6 * STEP // FINE, 5 * STEP // FINE)
    assert found.error.min() > 0
    assert found.matched.shape == found.error.shape


def test_the_default_network_is_small():
    parameters = sum(p.numel() for p in RegistrationNetwork().parameters())
    assert parameters <= 1_000_000
    assert PATH.stat().st_size <= 4_000_000


def shifted_cells(shift, rows=6, columns=8):
    """Similarity of images whose cells are all different and seen farther to the right."""
    own = torch.eye(rows * columns).view(1, -1, rows, columns)
    return Similarity(RegistrationNetwork(**SMALL), own, own.roll(shift, dims=3))


def test_matches_find_a_shift():
    with torch.inference_mode():
        found = shifted_cells(2).matches()
    assert len(found.source) == 6 * 8 // 2
    seen = found.source[:, 0] < COARSE * 6
    assert (found.weight[seen] > 0.4).all()
    np.testing.assert_allclose((found.target - found.source)[seen],
                               np.tile([COARSE * 2.0, 0.0], (seen.sum(), 1)), atol=0.01)
    moved = np.array([[1.0, 0, 2 * COARSE], [0, 1, 0], [0, 0, 1]])
    assert found.agreement(moved, 5.0) == pytest.approx(found.weight[seen].sum(), rel=0.05)
    assert found.agreement(np.eye(3), 5.0) < 0.2 * found.weight.sum()


def test_cells_vote_for_a_shift_anywhere():
    with torch.inference_mode():
        found = vote_anywhere(shifted_cells(2, 15, 20), np.eye(3), (2.5, 1.5, 1.0))
    expected = [[15.0 * COARSE, 7.0 * COARSE]]
    np.testing.assert_allclose(apply(found, np.array([[13.0 * COARSE, 7.0 * COARSE]])), expected,
                               atol=1.0)


def test_cells_vote_for_a_homography_and_a_bend_around_outliers():
    rows, columns, cell, reach = 15, 20, 16.0, 3
    points = centres((320, 240), 16)
    true = np.array([[1.01, 0.01, -2.0], [-0.01, 0.99, 2.0], [0, 0, 1.0]])
    bend = np.dstack([1.5 * np.sin(points[..., 1] / 60), np.zeros((rows, columns))])
    shift = (apply(true, points) + bend - points) / 2
    steps = np.arange(-reach, reach + 1)
    apart = ((steps - shift[..., :1, None]) ** 2 + (steps[:, None] - shift[..., 1:, None]) ** 2)
    likelihood = np.exp(-2 * apart)
    likelihood[::4, ::3] = 1.0
    likelihood[1::5, 1::4] = np.roll(likelihood[1::5, 1::4], 2, axis=-1)
    likelihood /= likelihood.sum((2, 3), keepdims=True)
    likelihood = likelihood.transpose(2, 3, 0, 1).astype(np.float32)
    found = vote_nearby(likelihood, points, 2.0, (2.0, 1.5, 1.0))
    assert np.linalg.norm(apply(found.homography, points) - apply(true, points), axis=-1
                          ).mean() < 1.0
    assert not found.rest.any()
    found = vote_nearby(likelihood, points, 2.0, (2.0, 1.5, 1.0, 1.0), smoothness=32 / cell)
    moved = apply(found.homography, points) + found.rest
    assert np.linalg.norm(moved - points - 2 * shift, axis=-1).mean() < 0.5


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('fine', [False, True])
def test_edges_vote_an_image_back_onto_itself(device, fine):
    rng = np.random.default_rng(0)
    grey = cv2.GaussianBlur(rng.integers(0, 255, (240, 320), np.uint8), (0, 0), 3)
    grey = cv2.normalize(grey, None, 0, 255, cv2.NORM_MINMAX)
    off = Deformation((320, 240), (320, 240), np.array([[1, 0, 4.0], [0, 1, -3.0], [0, 0, 1]]))
    pair = WorkingPair(cv2.merge([grey] * 3), grey, off, torch.device(device))
    votes = EdgeVotes(pair, pair.first, fine)
    for _ in range(3):
        votes.vote(4, 40.0, (1.5, 1.0, 1.0), 40.0)
    apart = votes.state.at(centres((320, 240), FINE)) - centres((320, 240), FINE)
    step = 2 if fine else 4
    assert np.linalg.norm(apart, axis=-1)[3:-3, 3:-3].mean() < 0.3 * step


@pytest.mark.parametrize('false_share', [0.0, 0.3, 0.6])
def test_robust_fit_survives_false_matches(false_share):
    rng = np.random.default_rng(0)
    source = rng.uniform(0, [320, 240], (400, 2))
    target = apply(HOMOGRAPHY, source) + rng.normal(0, 0.3, (400, 2))
    false = rng.random(400) < false_share
    target[false] = rng.uniform(0, [320, 240], (int(false.sum()), 2))
    weight = np.ones(400)
    start = consensus(source, target, weight, 5.0)
    np.testing.assert_array_equal(start, consensus(source, target, weight, 5.0))
    found = fit_homography(source, target, weight, start, 3.0)
    corners = np.array([[0.0, 0], [319, 0], [319, 239], [0, 239]])
    assert np.linalg.norm(apply(found, corners) - apply(HOMOGRAPHY, corners), axis=1).max() < 1.5


def test_homography_of_exact_points_is_exact():
    source = np.random.default_rng(0).uniform(0, [320, 240], (50, 2))
    found = HomographySystem(source, 0.0).solve(apply(HOMOGRAPHY, source), np.ones(50))
    np.testing.assert_allclose(found, HOMOGRAPHY, atol=1e-4)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2 ** 32 - 1))
def test_dense_map_keeps_a_deformation(seed):
    rng = np.random.default_rng(seed)
    grid = rng.normal(0, 2, (4, 5, 2)).astype(np.float32)
    before = Deformation((160, 128), (200, 150), HOMOGRAPHY, grid)
    dense = DenseMap.of(before)
    inner = (slice(2, -2), slice(2, -2))
    planes = (dense.lattice(200, 150) + 1) * (100, 75) - 0.5
    # Between the nodes of a coarse grid lines have corners that cells of 4 pixels round.
    assert np.abs(planes - dense_map(before))[inner].max() < 1.0
    after = dense.deformation((200, 150))
    assert np.abs(dense_map(after) - planes)[inner].max() < 1.0
    assert np.abs(dense_map(after) - planes)[inner].mean() < 0.1


def test_dense_maps_one_after_the_other():
    first = DenseMap.of(Deformation((160, 128), (160, 128), HOMOGRAPHY))
    moved = np.array([[1.0, 0.0, 3.0], [0.0, 1.0, -2.0], [0.0, 0.0, 1.0]])
    points = centres((160, 128), FINE)
    expected = apply(HOMOGRAPHY, apply(moved, points))
    np.testing.assert_allclose(first.after(moved).at(points), expected, atol=1e-3)
    shift = DenseMap.identity((160, 128)).after(moved)
    np.testing.assert_allclose(first.following(shift).at(points), expected, atol=1e-3)


def test_fitted_map_fills_doubtful_places_from_around():
    size = (160, 128)
    target = np.add(centres(size, FINE), (4.0, 0.0))
    weight = np.ones(target.shape[:2])
    target[10:16, 12:20] += 50.0
    weight[10:16, 12:20] = 1e-9
    found = DenseMap.fitted(size, np.eye(3), target, weight)
    assert np.abs(found.rest - (4.0, 0.0)).max() < 0.5


@pytest.mark.parametrize('size', [(640, 480), (1920, 1080), (480, 640), (64, 64), (4000, 300)])
def test_working_images_keep_shape_and_cost(size):
    width, height = working_size(size)
    assert width % STEP == 0
    assert height % STEP == 0
    assert width * height <= 2 * 320 * 240


def test_an_untrained_network_is_refused_or_doubts_itself():
    torch.manual_seed(0)
    estimator = NetworkEstimator(network=RegistrationNetwork(**SMALL))
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 255, (96, 128, 3), np.uint8)
    thermal = rng.integers(0, 255, (96, 128), np.uint8)
    found = estimator(rgb, thermal, Deformation.stretch((128, 96), (128, 96)))
    assert not found.accepted or found.deformation.confidence < 0.9
    assert found.accepted or found.reason
