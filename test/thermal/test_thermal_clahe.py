# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Adaptive equalisation with fine steps."""

import cv2
import numpy as np
import pytest

from ivif_ros.parameters import ThermalParameters
from ivif_ros.thermal import ThermalNormaliser
from ivif_ros.thermal.clahe import equalise


def textured(shape=(240, 320), seed=0):
    """Smooth random texture that fills 0..1 without gaps."""
    noise = np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 9)
    ranks = smooth.ravel().argsort().argsort().reshape(shape)
    ramp = np.linspace(0, 1, shape[1], dtype=np.float32)
    return (0.6 * ranks / ranks.size + 0.4 * ramp).astype(np.float32)


@pytest.mark.parametrize('tiles', [1, 4, 8])
@pytest.mark.parametrize('clip', [1.5, 3.0])
def test_agrees_with_opencv_where_that_is_good(tiles, clip):
    """On 8-bit input without gaps both are the same algorithm."""
    grey = np.round(textured() * 255).astype(np.uint8)
    theirs = cv2.createCLAHE(clip, (tiles, tiles)).apply(grey).astype(int)
    ours = equalise(grey.astype(np.float32) / 255, clip, tiles, 1.0).astype(int)
    assert np.abs(ours - theirs).mean() < 4
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.995


def test_fine_steps_survive():
    """A ramp of 40 counts beside hot and cold: 8 bits first would leave only few of its steps."""
    counts = np.tile(np.linspace(8000, 8040, 320), (240, 1)) + np.random.default_rng(0).uniform(
        0, 1, (240, 320))
    counts[:, :8], counts[:, -8:] = 7000, 11000
    out = ThermalNormaliser(ThermalParameters(normalisation='clahe')).apply(
        counts.astype(np.uint16), 1)
    columns = np.median(out[:, 8:-8], axis=0)
    assert len(np.unique(columns)) > 35
    assert np.ptp(columns) > 100


def test_fire_does_not_take_the_grey_levels_of_everything_else():
    """One per cent of the pixels is 6000 counts hotter than a scene of 250 counts."""
    counts = 8000 + 250 * textured()
    counts[100:124, 100:132] = 14000
    counts = cv2.GaussianBlur(counts, (0, 0), 1.5) + np.random.default_rng(1).normal(
        0, 2, counts.shape)
    counts = counts.astype(np.uint16)
    away = np.ones(counts.shape, bool)
    away[90:134, 90:142] = False
    linear = ThermalNormaliser(ThermalParameters()).apply(counts, 1)
    adaptive = ThermalNormaliser(ThermalParameters(normalisation='clahe')).apply(counts, 1)
    assert linear[away].std() < 10
    assert adaptive[away].std() > 35
    assert adaptive[105:119, 105:127].min() > adaptive[away].max() - 15


def test_noise_of_an_empty_scene_is_not_enlarged_by_closing_gaps():
    counts = np.random.default_rng(1).normal(8000, 1.5, (240, 320))
    counts[::37, ::41] = 15000  # dead pixels
    counts[5::37, 5::41] = 100
    out = ThermalNormaliser(ThermalParameters(normalisation='clahe')).apply(
        counts.astype(np.uint16), 1)
    assert out.std() < 3.0 * 1.5 * 255 / 32


def test_warm_spot_in_an_empty_scene_does_not_bring_out_its_noise():
    counts = np.random.default_rng(1).normal(8000, 1.5, (240, 320))
    counts[100:116, 100:116] += 100
    out = ThermalNormaliser(ThermalParameters(normalisation='clahe', clahe_clip=1.0)).apply(
        counts.astype(np.uint16), 1)
    # Without clipping room, noise is at most what the least span of 32 counts allows.
    assert out[120:].std() < 1.5 * 255 / 32 * 1.2


def test_no_seams_between_tiles():
    ramp = np.tile(np.linspace(0, 1, 320, dtype=np.float32), (240, 1))
    out = equalise(ramp, 3.0, 8, 10.0).astype(int)
    assert np.abs(np.diff(out, axis=0)).max() <= 1
    assert np.abs(np.diff(out, axis=1)).max() <= 8


@pytest.mark.parametrize('shape', [(1, 1), (3, 200), (200, 3), (65, 67)])
def test_small_and_odd_sizes(shape):
    values = np.random.default_rng(0).random(shape).astype(np.float32)
    out = equalise(values, 3.0, 64, 10.0)
    assert out.shape == shape
    assert out.dtype == np.uint8
