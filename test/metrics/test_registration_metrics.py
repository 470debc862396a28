# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Registration metrics against plain loops and hand-computed values."""

import math

import numpy as np
import pytest

from ivif_ros.metrics.registration import (
    endpoint_error,
    mean_squared_error,
    mutual_information,
    normalised_cross_correlation,
)


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    first = rng.integers(0, 256, (20, 30)).astype(np.uint8)
    return first, np.clip(first * 0.5 + rng.normal(60, 20, first.shape), 0, 255).astype(np.uint8)


def test_mean_squared_error(images):
    total = sum((int(a) - int(b)) ** 2 for a, b in zip(images[0].flat, images[1].flat, strict=True))
    assert mean_squared_error(*images) == pytest.approx(total / images[0].size)
    # 0 - 255 must not wrap around in uint8.
    assert mean_squared_error(np.zeros((2, 2), np.uint8), np.full((2, 2), 255, np.uint8)) == 65025


def test_only_valid_pixels_count(images):
    valid = np.zeros(images[0].shape, bool)
    valid[:5] = True
    for metric in (mean_squared_error, normalised_cross_correlation, mutual_information):
        assert metric(*images, valid) == pytest.approx(metric(images[0][:5], images[1][:5]))
        assert math.isnan(metric(*images, np.zeros_like(valid)))


def test_normalised_cross_correlation(images):
    expected = np.corrcoef(images[0].ravel(), images[1].ravel())[0, 1]
    assert normalised_cross_correlation(*images) == pytest.approx(expected)
    assert normalised_cross_correlation(images[0], 255 - images[0]) == pytest.approx(-1)
    assert normalised_cross_correlation(images[0], np.full_like(images[0], 9)) == 0


def test_mutual_information(images):
    bins = 16
    count = {}
    for a, b in zip(images[0].flat, images[1].flat, strict=True):
        key = int(a) // 16, int(b) // 16
        count[key] = count.get(key, 0) + 1
    n = images[0].size
    expected = 0.0
    for (a, b), c in count.items():
        pa = sum(v for (i, _), v in count.items() if i == a) / n
        pb = sum(v for (_, j), v in count.items() if j == b) / n
        expected += c / n * math.log2(c / n / (pa * pb))
    assert mutual_information(*images, bins=bins) == pytest.approx(expected)


def test_mutual_information_of_an_image_with_itself_is_its_entropy():
    image = np.repeat(np.array([[0, 100, 200, 250]], np.uint8), 4, axis=0)
    assert mutual_information(image, image) == pytest.approx(2.0)
    assert mutual_information(image, 255 - image) == pytest.approx(2.0)
    assert mutual_information(image, np.full_like(image, 3)) == pytest.approx(0.0)


def test_endpoint_error():
    truth = np.zeros((2, 2, 2), np.float32)
    estimate = np.array([[[3, 4], [0, 0]], [[0, 1], [9, 12]]], np.float32)
    error = endpoint_error(estimate, truth)
    assert error.mean == pytest.approx((5 + 0 + 1 + 15) / 4)
    assert error.median == pytest.approx(3.0)
    assert error.pixels == 4
    truth[1, 1] = np.nan
    valid = np.array([[True, False], [True, True]])
    error = endpoint_error(estimate, truth, valid)
    assert error.mean == pytest.approx(3.0)
    assert error.pixels == 2
    empty = endpoint_error(estimate, truth, np.zeros((2, 2), bool))
    assert math.isnan(empty.mean)
    assert empty.pixels == 0


def test_figures_agree_with_other_libraries(images):
    skimage = pytest.importorskip('skimage.metrics')
    a, b = images
    assert mean_squared_error(a, b) == pytest.approx(skimage.mean_squared_error(a, b), rel=1e-12)
    # Normalised: (H(a) + H(b)) / H(a, b), of as many bins as there are levels.
    entropies = [mutual_information(x, x, bins=256) for x in images]
    shared = mutual_information(a, b, bins=256)
    expected = skimage.normalized_mutual_information(a, b, bins=256)
    bins = [np.unique(x, return_inverse=True)[1].max() + 1 for x in images]
    assert min(bins) > 100
    # The bins of scikit-image span the levels that appear, so that levels may share one.
    assert sum(entropies) / (sum(entropies) - shared) == pytest.approx(expected, rel=0.02)


def test_a_batch_gives_what_its_pairs_give(images):
    first = np.stack([images[0], images[1], np.full_like(images[0], 7)])
    second = first[::-1].copy()
    valid = np.random.default_rng(1).random(first.shape) < 0.5
    valid[1] = False
    for metric in (mean_squared_error, normalised_cross_correlation, mutual_information):
        for mask in (None, valid):
            found = metric(first, second, mask)
            assert found.shape == (3,)
            assert found == pytest.approx([
                metric(first[i], second[i], None if mask is None else mask[i])
                for i in range(3)], nan_ok=True)


def test_images_need_not_be_bytes_and_may_be_unknown_where_they_do_not_count(images):
    warm = images[0].astype(np.float32) / 10 + 273
    warm[3] = np.nan
    valid = np.isfinite(warm)
    expected = np.corrcoef(warm[valid], images[1][valid])[0, 1]
    assert normalised_cross_correlation(warm, images[1], valid) == pytest.approx(expected)
    difference = warm[valid].astype(float) - images[1][valid]
    assert mean_squared_error(warm, images[1], valid) == pytest.approx(np.mean(difference ** 2))
    assert mutual_information(warm - 273, images[1], valid) >= 0


def test_shapes_must_agree(images):
    with pytest.raises(ValueError, match='the mask has shape'):
        mean_squared_error(*images, np.ones((3, 3), bool))
    with pytest.raises(ValueError, match='shapes'):
        mean_squared_error(images[0], images[1][:5])
    with pytest.raises(ValueError, match='expected the same'):
        endpoint_error(np.zeros((2, 2, 2)), np.zeros((3, 2, 2)))
