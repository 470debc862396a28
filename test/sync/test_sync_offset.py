# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The time offset between two cameras, from motion: pictures in motion, the simulator, videos."""

import cv2
import moving_streams as ms
import numpy as np
import pytest

from ivif_ros.simulation import RigConfig, SimulatedRig
from ivif_ros.sync import OffsetEstimator
from ivif_ros.sync.motion import MotionMeter
from ivif_ros.sync.track import MIN_STEP_NS, WINDOW_NS, MotionTrack

SMALL = {'rgb_size': (160, 120), 'thermal_size': (160, 128), 'freeze_every_s': 0.0}


@pytest.fixture(scope='module')
def shaken():
    return ms.stream(ms.World(), 8.0)


@pytest.fixture(scope='module')
def rig():
    return SimulatedRig(RigConfig(seed=1, lighting='dusk', **SMALL))


@pytest.fixture(scope='module')
def drive(rig):
    """A drive down a street: true seconds, sensor, image."""
    rig.scene.assets.paint_people()
    events = [(i / 30, 'rgb') for i in range(315)] + [(0.011 + i / 30, 'thermal')
                                                      for i in range(315)]
    return [(t, sensor, getattr(rig, f'render_{sensor}')(t)) for t, sensor in sorted(events)]


def final(events, lag_ms=0.0, **options):
    estimator = OffsetEstimator(**options)
    found = ms.estimates(estimator, ms.stamped(events, lag_ms))
    return found[-1]


@pytest.mark.parametrize('lag_ms', [-250, -80, 0, 40, 80, 250])
def test_simulated_rig_within_10_ms_after_10_s(drive, lag_ms):
    """Baseline 10 cm, other fields of view, no calibration."""
    found = final(drive, lag_ms)
    assert found.known, found.reason
    assert abs(found.offset_ms + lag_ms) <= 10.0
    assert found.std_ms < 15.0


def test_thermal_camera_of_9_hz(rig, drive):
    slow = [(0.02 + i / 9, 'thermal', rig.render_thermal(0.02 + i / 9)) for i in range(94)]
    events = sorted([e for e in drive if e[1] == 'rgb'] + slow, key=lambda e: e[0])
    found = final(events, 80)
    assert found.known, found.reason
    assert abs(found.offset_ms + 80) <= 3 * found.std_ms < 45.0


def test_shutter_events_do_not_count_as_motion(drive):
    held, events = None, []
    for t, sensor, image in drive:
        if sensor == 'thermal':
            closed = 3.0 < t < 3.4 or 6.0 < t < 6.5
            held = image if held is None or not closed else held
            image = held
        events.append((t, sensor, image))
    found = final(events, 80)
    assert found.known, found.reason
    assert abs(found.offset_ms + 80) <= 3 * found.std_ms < 45.0


def test_a_slow_camera_whose_driver_repeats_images(shaken):
    repeated, newest, events = 0, None, []
    for t, sensor, image in shaken:
        if sensor == 'thermal':
            newest = image if repeated % 3 == 0 else newest
            repeated, image = repeated + 1, newest
        events.append((t, sensor, image))
    found = final(events, 80)
    assert found.known, found.reason
    assert abs(found.offset_ms + 80) <= 5.0


def test_nothing_moves():
    found = final(ms.stream(ms.World(ms.still), 7.0))
    assert not found.known
    assert 'no motion' in found.reason


def test_a_vibration_fits_several_offsets():
    found = final(ms.stream(ms.World(ms.periodic), 7.0), 80)
    assert not found.known
    assert 'several' in found.reason


def test_a_frozen_thermal_camera_gives_no_offset(shaken):
    first = next(image for _, sensor, image in shaken if sensor == 'thermal')
    found = final([(t, sensor, image if sensor == 'rgb' else first) for t, sensor, image in shaken])
    assert not found.known
    assert 'thermal' in found.reason


@pytest.mark.xfail(reason='motions of one kind can agree for seconds by chance, see docs/'
                   'time_offset.md', strict=False)
def test_motion_of_other_cameras_gives_no_offset(shaken):
    """Two cameras that are not on one rig."""
    other = ms.World(lambda t: ms.shaky(t + 100.0))
    events = sorted([e for e in shaken if e[1] == 'rgb']
                    + [e for e in ms.stream(other, 8.0) if e[1] == 'thermal'], key=lambda e: e[0])
    assert not final(events).known


def test_an_expected_offset_moves_the_range(shaken):
    frames = ms.stamped(shaken, 5000.0)
    near, far = OffsetEstimator(-4900.0), OffsetEstimator()
    assert ms.estimates(near, frames)[-1].offset_ms == pytest.approx(-5000.0, abs=5.0)
    assert not any(found.known for found in ms.estimates(far, frames))


def test_a_clock_that_is_set_begins_anew(shaken):
    estimator = OffsetEstimator()
    ms.estimates(estimator, ms.stamped(shaken, 80))
    assert estimator.estimate.known
    again = [(sensor, frame.stamp_ns - 3_600_000 * ms.MS, frame.image)
             for sensor, frame in ms.stamped(shaken, 40)]
    estimator.add(*again[0])
    assert not estimator.estimate.known
    assert estimator.estimate.reason
    for item in again[1:]:
        estimator.add(*item)
    assert estimator.estimate.offset_ms == pytest.approx(-40.0, abs=5.0)


def test_results_do_not_depend_on_anything_but_the_calls(shaken):
    frames = ms.stamped(shaken, 40)
    first, second = (ms.estimates(OffsetEstimator(), frames) for _ in range(2))
    assert [repr(found) for found in first] == [repr(found) for found in second]


def test_frames_without_stamps_are_passed_over(shaken):
    estimator = OffsetEstimator()
    assert not any(estimator.add(sensor, 0, image) for _, sensor, image in shaken[:100])
    assert not estimator.estimate.known


@pytest.mark.parametrize('name', ['0117_1605', '1230_1202'])
def test_real_videos(shared_data, name):
    """Frame i of both videos belongs together, as exactly as they were recorded."""
    events = []
    for sensor in ('rgb', 'thermal'):
        capture = cv2.VideoCapture(str(shared_data / 'm3svd' / sensor / f'{name}.mp4'))
        hz = capture.get(cv2.CAP_PROP_FPS)
        for i in range(300):
            read, image = capture.read()
            if not read:
                break
            events.append((i / hz, sensor, image if sensor == 'rgb' else image[..., 0].copy()))
        capture.release()
    events.sort(key=lambda event: event[:2])
    estimator = OffsetEstimator()
    known = [found for found in ms.estimates(estimator, ms.stamped(events, 80)) if found.known]
    assert known
    # The frame period is 33 and 45 ms, and nobody knows where in it each camera exposed.
    assert abs(known[-1].offset_ms + 80) <= 35.0
    assert known[-1].std_ms >= 10.0


# Parts

@pytest.mark.parametrize('dtype', ['uint8', 'uint16', 'float32', 'colour'])
def test_displacement_of_any_kind_of_image(dtype):
    world = ms.World()
    pictures = [world.view(0.0, (320, 240), 480), None]
    matrix = np.array([[1, 0, -4.0], [0, 1, 2.0]])
    pictures[1] = cv2.warpAffine(pictures[0], matrix, (320, 240), borderMode=cv2.BORDER_REFLECT,
                                 flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
    if dtype == 'colour':
        pictures = [np.repeat(p.clip(0, 255).astype(np.uint8)[..., None], 3, 2) for p in pictures]
    else:
        pictures = [(p.clip(0, 255) * (50 if dtype == 'uint16' else 1)).astype(dtype)
                    for p in pictures]
    meter = MotionMeter()
    assert not meter.update(pictures[0]).any()
    assert meter.update(pictures[0]) is None
    step = meter.update(pictures[1])
    # Four of 320 pixels to the right are 1.8 of 144, two of 240 up are 0.9 of 108.
    assert np.median(step[0]) == pytest.approx(1.8, abs=0.3)
    assert np.median(step[1]) == pytest.approx(-0.9, abs=0.2)


def test_pixels_that_are_not_finite_do_no_harm():
    image = ms.World().view(0.0, (320, 240), 480)
    image[40:60, 50:90] = np.nan
    meter = MotionMeter()
    meter.update(image)
    assert np.isfinite(meter.update(np.roll(image, 2, 1))).all()
    assert np.isfinite(meter.update(np.full_like(image, np.inf))).all()


def test_a_track_keeps_its_window_in_constant_memory():
    track = MotionTrack(2)
    for i in range(4000):
        track.add(i * MIN_STEP_NS, np.array([1.0, -2.0], np.float32))
    assert WINDOW_NS * 0.9 <= track.newest_ns - track.oldest_ns <= WINDOW_NS * 1.15
    motion, known = track.sample(track.newest_ns - WINDOW_NS // 2, 50_000_000, 100)
    assert known.all()
    np.testing.assert_allclose(motion[:, 0], 1e9 / MIN_STEP_NS, rtol=1e-3)
    np.testing.assert_allclose(motion[:, 1], -2e9 / MIN_STEP_NS, rtol=1e-3)


def test_a_gap_in_a_track_is_not_known():
    track = MotionTrack(1)
    for ms_ in (0, 100, 200, 900, 1000, 1100):
        track.add(ms_ * ms.MS, np.ones(1, np.float32))
    _, known = track.sample(0, 50 * ms.MS, 22)
    # The step next to the gap may be left out as well.
    assert known[:3].all()
    assert not known[4:18].any()
    assert known[18:].all()
