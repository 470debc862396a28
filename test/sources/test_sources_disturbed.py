# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Faults that are added to a source: each of them is what was asked for, and equal each time."""

from dataclasses import replace

import numpy as np
import pytest

from ivif_ros.errors import ParameterError, SourceError
from ivif_ros.frame_source import FrameSource
from ivif_ros.sources.disturbed import Blackout, Disturbance, DisturbedSource, misalignment
from ivif_ros.types import Frame

START_NS = 1_000_000_000
SECONDS = 20
PERIOD_NS = 1e9 / 30


class Perfect(FrameSource):
    """30 Hz of both cameras without any fault."""

    def __init__(self, thermal=None):
        super().__init__()
        ramp = np.tile(np.arange(64, dtype=np.uint8) * 3, (48, 1))
        self.thermal = ramp if thermal is None else thermal

    def frames(self):
        for index in range(30 * SECONDS):
            stamp = START_NS + round(index * PERIOD_NS)
            rgb = np.full((48, 64, 3), index % 256, np.uint8)
            yield 'rgb', Frame(stamp, 'rgb_optical_frame', rgb, received_ns=stamp)
            yield 'thermal', Frame(stamp, 'thermal_optical_frame', self.thermal, received_ns=stamp)

    def describe(self):
        return 'perfect'


def frames(what, **source):
    """RGB and thermal frames, and what was left out."""
    disturbed = DisturbedSource(Perfect(**source), what)
    found = {'rgb': [], 'thermal': []}
    order = []
    for sensor, frame in disturbed.frames():
        found[sensor].append(frame)
        order.append(frame.received_ns)
    assert order == sorted(order)
    return found['rgb'], found['thermal'], disturbed.left_out.snapshot()


def stamps(some):
    return np.array([frame.stamp_ns for frame in some])


def test_without_faults_nothing_changes():
    rgb, thermal, left_out = frames(Disturbance())
    assert len(rgb) == len(thermal) == 30 * SECONDS
    assert not left_out
    assert (stamps(rgb) == stamps(thermal)).all()
    assert thermal[0].image.dtype == np.uint8


@pytest.mark.parametrize('rate', [9, 10, 12.5, 25, 30])
def test_a_slower_camera_keeps_true_stamps_and_its_mean_rate(rate):
    rgb, thermal, left_out = frames(Disturbance(thermal_rate_hz=rate))
    assert len(rgb) == 30 * SECONDS
    assert set(stamps(thermal)) <= set(stamps(rgb))
    assert abs(len(thermal) - rate * SECONDS) <= 1
    assert left_out.get('thermal.thinned', 0) == 30 * SECONDS - len(thermal)


def test_skew_and_delay_move_stamps_and_reception_apart():
    rgb, thermal, _ = frames(Disturbance(skew_ms=80, delay_ms=20))
    assert (stamps(thermal) - stamps(rgb) == 80_000_000).all()
    assert {frame.received_ns - frame.stamp_ns for frame in rgb} == {20_000_000}
    assert {frame.received_ns - frame.stamp_ns for frame in thermal} == {-60_000_000}


def test_jitter_has_the_deviation_that_was_asked_for_and_never_changes_the_order():
    rgb, thermal, _ = frames(Disturbance(jitter_ms=4, seed=2))
    for some in (rgb, thermal):
        off_ms = (stamps(some) - START_NS - np.rint(np.arange(len(some)) * PERIOD_NS)) / 1e6
        assert 3.4 < off_ms.std() < 4.4
        assert abs(off_ms).max() <= 10.001
        assert (np.diff(stamps(some)) > 0).all()
        assert all(frame.received_ns >= frame.stamp_ns for frame in some)
    assert abs(np.corrcoef(stamps(rgb) - stamps(thermal), np.arange(len(rgb)))[0, 1]) < 0.1
    wild, _, _ = frames(Disturbance(jitter_ms=300))
    assert (np.diff(stamps(wild)) > 0).all()


def test_random_losses_are_as_many_as_asked_for_and_do_not_depend_on_each_other():
    rgb, _, left_out = frames(Disturbance(drop_rgb=0.1, drop_thermal=0.3, seed=1))
    assert abs(left_out['rgb.dropped'] / (30 * SECONDS) - 0.1) < 0.04
    assert abs(left_out['thermal.dropped'] / (30 * SECONDS) - 0.3) < 0.06
    again, other, _ = frames(Disturbance(drop_rgb=0.1, seed=1))
    assert (stamps(again) == stamps(rgb)).all()
    assert len(other) == 30 * SECONDS
    different, _, _ = frames(Disturbance(drop_rgb=0.1, seed=2))
    assert set(stamps(different)) != set(stamps(rgb))


def test_jitter_of_a_frame_does_not_depend_on_what_else_is_lost():
    all_of_it, _, _ = frames(Disturbance(jitter_ms=2, seed=4))
    some, _, _ = frames(Disturbance(jitter_ms=2, seed=4, drop_rgb=0.5, rgb_rate_hz=15))
    assert set(stamps(some)) < set(stamps(all_of_it))


def test_blackouts():
    rgb, thermal, left_out = frames(Disturbance(
        blackouts=(Blackout('rgb', 2.0, 1.0), Blackout(None, 10.0, 0.5))))
    assert left_out == {'rgb.blackout': 45, 'thermal.blackout': 15}
    for some, begin, end in ((rgb, 2, 3), (rgb, 10, 10.5), (thermal, 10, 10.5)):
        seconds = (stamps(some) - START_NS) / 1e9
        assert not ((seconds >= begin) & (seconds < end)).any()
    assert ((stamps(thermal) - START_NS) / 1e9 < 3).sum() == 90


def test_counts_of_16_bits_can_be_turned_back():
    _, thermal, _ = frames(Disturbance(thermal_encoding='mono16'))
    assert thermal[0].image.dtype == np.uint16
    np.testing.assert_array_equal((thermal[0].image.astype(int) - 6829) // 4,
                                  Perfect().thermal)
    kelvin = np.full((48, 64), 25.0, np.float32)
    _, thermal, _ = frames(Disturbance(thermal_encoding='mono16'), thermal=kelvin)
    np.testing.assert_allclose(thermal[0].image * 0.04 - 273.15, 25.0, atol=0.021)


def test_8_bits_of_16_have_the_contrast_of_a_gain_control():
    counts = (7000 + np.tile(np.arange(64), (48, 1)) * 5).astype(np.uint16)
    _, thermal, _ = frames(Disturbance(thermal_encoding='mono8'), thermal=counts)
    image = thermal[0].image
    assert image.dtype == np.uint8
    assert image.max() - image.min() > 240
    assert (np.diff(image[0].astype(int)) >= 0).all()


@pytest.mark.parametrize(('size', 'strength'), [
    ((160, 120), 0.5), ((160, 120), 3.0), ((160, 120), 12.0), ((320, 256), 20.0)])
def test_a_misalignment_has_the_strength_that_was_asked_for_and_can_be_inverted(size, strength):
    field = misalignment(size, strength, seed=3)
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    pixels = np.stack([x, y], axis=-1).astype(np.float32)
    moved = np.stack(field.planes(), axis=-1)
    lengths = np.linalg.norm(moved - pixels, axis=-1)
    assert abs(lengths.mean() / strength - 1) < 0.01
    assert lengths.std() > 0.02 * strength, 'nothing but a shift'
    back = field.at(field.inverse(pixels))
    assert np.linalg.norm(back - pixels, axis=-1)[5:-5, 5:-5].mean() < 0.02
    other = np.stack(misalignment(size, strength, seed=4).planes(), axis=-1)
    assert abs(other - moved).max() > 0.1 * strength
    np.testing.assert_array_equal(
        np.stack(misalignment(size, strength, seed=3).planes(), axis=-1), moved)


def test_thermal_images_are_deformed_by_the_misalignment():
    source = DisturbedSource(Perfect(), Disturbance(misalign_px=3, seed=1))
    thermal = next(frame for sensor, frame in source.frames() if sensor == 'thermal')
    x, y = source.misalignment.planes()
    inside = (x > 1) & (x < 62) & (y > 1) & (y < 46)
    # The ramp rises by 3 per pixel.
    np.testing.assert_allclose(thermal.image[inside], 3 * x[inside], atol=0.7)


@pytest.mark.parametrize('changed', [
    {'drop_rgb': 1.5}, {'drop_thermal': -0.1}, {'jitter_ms': -1}, {'thermal_rate_hz': 0},
    {'misalign_px': -1}, {'blackouts': (Blackout('rgb', -1, 1),)}, {'skew_ms': float('nan')},
    {'blackouts': (Blackout('rgb', 1, 0),)}])
def test_impossible_faults_are_refused(changed):
    with pytest.raises(ParameterError):
        replace(Disturbance(), **changed)


def test_stamps_that_would_become_negative_are_refused():
    with pytest.raises(SourceError, match='become negative'):
        frames(Disturbance(skew_ms=-1500))


def test_thermal_images_of_several_sizes_have_no_common_misalignment():
    class Changing(Perfect):
        def frames(self):
            for index, (sensor, frame) in enumerate(super().frames()):
                small = sensor == 'thermal' and index > 10
                yield sensor, replace(frame, image=frame.image[:20]) if small else frame

    with pytest.raises(SourceError, match='images of one size'):
        list(DisturbedSource(Changing(), Disturbance(misalign_px=2)).frames())
