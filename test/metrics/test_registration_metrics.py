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


def test_shapes_must_agree(images):
    with pytest.raises(ValueError, match='shapes'):
        mean_squared_error(images[0], images[1][:5])
    with pytest.raises(ValueError, match='expected the same'):
        endpoint_error(np.zeros((2, 2, 2)), np.zeros((3, 2, 2)))
