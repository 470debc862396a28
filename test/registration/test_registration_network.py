# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Parts of the learned estimator by themselves: comparison, matching, robust fit, dense map."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ivif_ros.registration.correlation import local_correlation
from ivif_ros.registration.dense import DenseMap, centres
from ivif_ros.registration.maps import dense_map
from ivif_ros.registration.matching import global_matches
from ivif_ros.registration.network import COARSE, FINE, STEP, RegistrationNetwork
from ivif_ros.registration.network_estimator import NetworkEstimator, working_size
from ivif_ros.registration.robust import apply, consensus, fit_homography
from ivif_ros.registration.structure import structure
from ivif_ros.registration.weights import PATH
from ivif_ros.types import Deformation

DEVICES = ['cpu', pytest.param('cuda', marks=pytest.mark.skipif(
    not torch.cuda.is_available(), reason='no CUDA device'))]
SMALL = {'narrow': 4, 'middle': 4, 'wide': 8, 'deep': 4, 'head': 8}
HOMOGRAPHY = torch.tensor([[1.1, 0.04, -20.0], [-0.03, 0.95, 9.0], [1e-4, -5e-5, 1.0]],
                          dtype=torch.float64)


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
        assert network.similarity(rgb.coarse, thermal.coarse).shape == (
            1, rows * columns, rows * columns)
        found = network.refine(rgb, thermal)
    assert found.flow.shape == (1, 2, 6 * STEP // FINE, 5 * STEP // FINE)
    assert found.error.min() > 0
    assert found.matched.shape == found.error.shape


def test_the_default_network_is_small():
    parameters = sum(p.numel() for p in RegistrationNetwork().parameters())
    assert parameters <= 1_000_000
    assert PATH.stat().st_size <= 4_000_000


def test_global_matches_find_a_shift():
    rows, columns, shift = 6, 8, 2
    logits = torch.zeros(rows * columns, rows * columns)
    for y in range(rows):
        for x in range(columns - shift):
            logits[y * columns + x, y * columns + x + shift] = 20.0
    found = global_matches(logits, (rows, columns))
    seen = found.weight > 0.5
    assert seen.view(rows, columns)[:, :-shift].all()
    moved = (found.target - found.source)[seen]
    torch.testing.assert_close(moved, moved.new_tensor([COARSE * shift, 0.0]).expand_as(moved),
                               atol=0.01, rtol=0)


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('false_share', [0.0, 0.3, 0.6])
def test_robust_fit_survives_false_matches(device, false_share):
    rng = np.random.default_rng(0)
    source = torch.from_numpy(rng.uniform(0, [320, 240], (400, 2)))
    target = apply(HOMOGRAPHY, source) + torch.from_numpy(rng.normal(0, 0.3, (400, 2)))
    false = torch.from_numpy(rng.random(400) < false_share)
    target[false] = torch.from_numpy(rng.uniform(0, [320, 240], (int(false.sum()), 2)))
    weight = torch.ones(400, dtype=torch.float64)
    source, target, weight = (part.to(device) for part in (source, target, weight))
    start = consensus(source, target, weight, 5.0)
    assert torch.equal(start, consensus(source, target, weight, 5.0))
    found = fit_homography(source, target, weight, start, 3.0)
    corners = torch.tensor([[0.0, 0], [319, 0], [319, 239], [0, 239]], dtype=torch.float64)
    off = (apply(found.cpu(), corners) - apply(HOMOGRAPHY, corners)).norm(dim=1)
    assert off.max() < 1.5


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2 ** 32 - 1))
def test_dense_map_keeps_a_deformation(seed):
    rng = np.random.default_rng(seed)
    grid = rng.normal(0, 2, (4, 5, 2)).astype(np.float32)
    before = Deformation((160, 128), (200, 150), HOMOGRAPHY.numpy(), grid)
    dense = DenseMap.of(before, torch.device('cpu'))
    inner = (slice(2, -2), slice(2, -2))
    planes = dense.planes().numpy()
    # Between the nodes of a coarse grid lines have corners that cells of 4 pixels round.
    assert np.abs(planes - dense_map(before))[inner].max() < 1.0
    after = dense.deformation((200, 150))
    assert np.abs(dense_map(after) - planes)[inner].max() < 1.0
    assert np.abs(dense_map(after) - planes)[inner].mean() < 0.1


def test_dense_map_after_a_homography():
    first = Deformation((160, 128), (160, 128), HOMOGRAPHY.numpy())
    moved = torch.tensor([[1.0, 0.0, 3.0], [0.0, 1.0, -2.0], [0.0, 0.0, 1.0]],
                         dtype=torch.float64)
    dense = DenseMap.of(first, torch.device('cpu')).after(moved)
    points = centres((160, 128), FINE, torch.device('cpu'))
    expected = apply(HOMOGRAPHY, apply(moved, points))
    torch.testing.assert_close(dense.at(points), expected, atol=1e-3, rtol=0)


def test_fitted_map_fills_doubtful_places_from_around():
    size = (160, 128)
    points = centres(size, FINE, torch.device('cpu'))
    target = points + points.new_tensor([4.0, 0.0])
    weight = torch.ones(points.shape[:2], dtype=torch.float64)
    target[10:16, 12:20] += 50.0
    weight[10:16, 12:20] = 1e-9
    found = DenseMap.fitted(size, torch.eye(3, dtype=torch.float64), target, weight)
    assert (found.rest - found.rest.new_tensor([4.0, 0.0])).abs().max() < 0.5


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
