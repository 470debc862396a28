# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Frozen cameras."""

import numpy as np
import pytest

from ivif_ros.parameters import ThermalParameters
from ivif_ros.thermal import FreezeDetector, FreezeState

MS = 1_000_000
START = 1000 * MS


def image(seed, kind='uint16'):
    return np.random.default_rng(seed).integers(0, 250, (48, 64)).astype(kind)


def detector(freeze_ms=500.0):
    return FreezeDetector(ThermalParameters(freeze_ms=freeze_ms))


def test_new_images_are_not_repeated():
    watch = detector()
    for k in range(20):
        stamp = START + k * 33 * MS
        assert watch.update(image(k), stamp) == FreezeState(False, False, stamp)


def test_frozen_after_the_time_and_free_with_the_next_image():
    watch = detector()
    states = [watch.update(image(0), START + k * 100 * MS) for k in range(8)]
    assert [state.repeated for state in states] == [False] + [True] * 7
    assert [state.frozen for state in states] == [False] * 5 + [True] * 3
    assert {state.since_ns for state in states} == {START}
    assert watch.update(image(1), START + 900 * MS) == FreezeState(False, False, START + 900 * MS)


def test_driver_that_repeats_a_slow_camera_is_not_frozen():
    watch = detector()
    states = [watch.update(image(k // 4), START + k * 33 * MS) for k in range(60)]
    assert [state.repeated for state in states] == [k % 4 != 0 for k in range(60)]
    assert not any(state.frozen for state in states)


def test_one_pixel_anywhere_is_a_new_image():
    watch = detector()
    first = image(0)
    watch.update(first, START)
    for k, pixel in enumerate([(0, 0), (3, 5), (47, 63)]):
        other = first.copy()
        other[pixel] += 1
        assert not watch.update(other, START + (2 * k + 1) * MS).repeated
        assert not watch.update(first, START + (2 * k + 2) * MS).repeated


def test_buffer_that_the_driver_reuses():
    watch = detector()
    buffer = image(0)
    watch.update(buffer, START)
    buffer[:] = image(1)
    assert not watch.update(buffer, START + MS).repeated
    assert watch.update(buffer, START + 2 * MS).repeated


@pytest.mark.parametrize('kind', ['uint8', 'uint16', 'float32'])
def test_views_and_nan(kind):
    watch = detector()
    whole = image(0, kind)
    if kind == 'float32':
        whole[10, 10] = np.nan
    watch.update(whole[:, :50], START)
    assert watch.update(whole[:, :50].copy(), START + MS).repeated
    assert not watch.update(whole[:, :40], START + 2 * MS).repeated
    other = np.zeros((48, 40), 'uint8' if kind == 'uint16' else 'uint16')
    assert not watch.update(other, START + 3 * MS).repeated


def test_held_frame_says_nothing_new():
    watch = detector(freeze_ms=100.0)
    state = watch.update(image(0), START)
    assert watch.update(image(0), START) is state
    assert watch.update(image(0), START + 50 * MS) == FreezeState(True, False, START)
    assert watch.update(image(0), START + 50 * MS) == FreezeState(True, False, START)


def test_jump_back_starts_anew():
    watch = detector(freeze_ms=100.0)
    watch.update(image(0), START)
    assert watch.update(image(0), START + 200 * MS).frozen
    assert watch.update(image(0), START - 900 * MS) == FreezeState(False, False, START - 900 * MS)


def test_camera_without_stamps():
    watch = detector()
    states = [watch.update(image(0), 0) for _ in range(20)]
    assert states[14].repeated
    assert not states[14].frozen  # 14 steps of a thirtieth of a second
    assert states[16].frozen


def test_reset_and_new_parameters():
    watch = detector()
    watch.update(image(0), START)
    watch.set_parameters(ThermalParameters(freeze_ms=10.0))
    assert watch.update(image(0), START + 20 * MS).frozen
    watch.reset()
    assert not watch.update(image(0), START + 40 * MS).repeated
