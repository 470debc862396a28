# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Fusion metrics against hand-computed cases and the published evaluators."""

import json
import math

import cv2
import numpy as np
import pytest

from ivif_ros.errors import ImageError
from ivif_ros.metrics import fusion as metrics

# The evaluators give equal gradients a ratio of the gradient itself instead of 1, which is worth at
# most this much; everything else agrees to the five decimals of the reference.
QABF_TOLERANCE = 5e-4


@pytest.mark.parametrize('row', ['average', 'maximum', 'thermal'])
def test_agrees_with_published_evaluators(shared_data, row):
    reference = json.loads((shared_data / 'metric_reference.json').read_text())
    compared = 0
    for pair, rows in list(reference.items())[::3]:
        folder, stem = pair.split('/')
        rgb_path, thermal_path = (
            next((shared_data / folder / kind).glob(f'{stem}.*')) for kind in ('rgb', 'thermal'))
        # The reference decoded JPEG straight to grey; lossless files go the same way through BGR.
        if rgb_path.suffix == '.jpg':
            visible = cv2.imread(str(rgb_path), cv2.IMREAD_GRAYSCALE)
        else:
            visible = cv2.cvtColor(cv2.imread(str(rgb_path)), cv2.COLOR_BGR2GRAY)
        thermal = cv2.imread(str(thermal_path), cv2.IMREAD_GRAYSCALE)
        mean = np.round((thermal.astype(np.float64) + visible) / 2).astype(np.uint8)
        fused = {'average': mean, 'maximum': np.maximum(thermal, visible), 'thermal': thermal}[row]
        found = metrics.evaluate(fused, thermal, visible)
        for name, expected in rows[row].items():
            if expected is None:  # SCD of an input with itself is not defined
                continue
            tolerance = QABF_TOLERANCE if name == 'Qabf' else 2e-5
            assert found[name] == pytest.approx(expected, abs=tolerance), (pair, name)
            compared += 1
    assert compared > 20


def test_entropy_of_known_histograms():
    assert metrics.entropy(np.full((4, 4), 9, np.uint8)) == 0
    assert metrics.entropy(np.arange(256, dtype=np.uint8).reshape(16, 16)) == pytest.approx(8)
    quarter = np.array([[0, 0], [0, 255]], np.uint8)
    expected = -(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25))
    assert metrics.entropy(quarter) == pytest.approx(expected)


def test_frequency_and_gradient_of_a_ramp():
    ramp = np.tile(np.arange(0, 30, 3, dtype=np.uint8), (5, 1))
    assert metrics.spatial_frequency(ramp) == pytest.approx(3)
    assert metrics.average_gradient(ramp) == pytest.approx(3 / math.sqrt(2))


def test_mutual_information_counts_shared_levels():
    a = np.array([[0, 0], [1, 1]], np.uint8)
    b = np.array([[0, 1], [0, 1]], np.uint8)
    assert metrics.mutual_information(a, a * 7) == pytest.approx(math.log(2))
    assert metrics.mutual_information(a, b) == pytest.approx(0)


def test_an_image_compared_with_itself_is_perfect():
    image = np.random.default_rng(0).integers(0, 256, (80, 96)).astype(np.uint8)
    assert metrics.structural_similarity(image, image) == pytest.approx(1)
    assert metrics.visual_information_fidelity(image, image) == pytest.approx(1, abs=1e-6)
    # The sigmoids of Xydeas and Petrovic stop short of 1 at equal strength and orientation.
    most = 0.9994 / (1 + math.exp(-15 * 0.5)) * 0.9879 / (1 + math.exp(-22 * 0.2))
    assert metrics.edge_preservation(image, image, image) == pytest.approx(most)


def test_ssim_against_a_loop():
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 256, (2, 12, 11)).astype(np.uint8)
    values = []
    for y in range(6):
        for x in range(5):
            p, q = (i[y:y + 7, x:x + 7].astype(float).ravel() for i in (a, b))
            cov = np.cov(p, q)
            c1, c2 = 2.55 ** 2, 7.65 ** 2
            values.append((2 * p.mean() * q.mean() + c1) * (2 * cov[0, 1] + c2)
                          / ((p.mean() ** 2 + q.mean() ** 2 + c1) * (cov[0, 0] + cov[1, 1] + c2)))
    assert metrics.structural_similarity(a, b) == pytest.approx(np.mean(values))


def test_flat_images_give_numbers():
    flat = np.full((80, 80), 128, np.uint8)
    assert all(math.isfinite(v) for v in metrics.evaluate(flat, flat, flat).values())


@pytest.mark.parametrize('bad', [
    np.zeros((80, 81), np.uint8), np.zeros((80, 80, 3), np.uint8), np.zeros((80, 80), np.float32)])
def test_rejects_what_does_not_fit(bad):
    good = np.zeros((80, 80), np.uint8)
    with pytest.raises(ImageError, match='visible image is'):
        metrics.evaluate(good, good, bad)


def test_rejects_images_smaller_than_the_windows():
    small = np.zeros((40, 40), np.uint8)
    with pytest.raises(ImageError, match='too small'):
        metrics.evaluate(small, small, small)
