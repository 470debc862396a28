# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The deformation over time, with an estimator that says what the test wants it to say."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from ivif_ros.counters import Counters
from ivif_ros.errors import CalibrationError
from ivif_ros.parameters import RegistrationParameters
from ivif_ros.registration import Calibration, DeformationTracker, rescaled
from ivif_ros.registration.estimate import Estimate
from ivif_ros.types import CameraModel, Deformation, DeformationSource

RGB, THERMAL = (64, 48), (32, 24)
IMAGES = np.zeros((48, 64, 3), np.uint8), np.zeros((24, 32), np.uint8)
MS = 1_000_000
PARAMS = RegistrationParameters(
    period_ms=500.0, apply_after_ms=200.0, smoothing_s=2.0, min_confidence=0.3)


def shifted(x, confidence=0.9):
    """A deformation whose thermal pixel is x thermal pixels to the right of the stretched one."""
    stretch = Deformation.stretch(RGB, THERMAL)
    homography = np.array(stretch.homography)
    homography[0, 2] += x
    return replace(stretch, homography=homography, confidence=confidence, residual_px=1.0)


def shift_of(deformation):
    stretch = rescaled(Deformation.stretch(RGB, THERMAL), deformation.rgb_size,
                       deformation.thermal_size)
    return float(deformation.homography[0, 2] - stretch.homography[0, 2])


class Script:
    """Answers with the next of a list of shifts; None is a rejection, an exception is raised."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def __call__(self, rgb, thermal, initial):
        self.asked.append(initial)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            return Estimate(initial, False, 'fog')
        found = answer if isinstance(answer, Deformation) else shifted(answer)
        return Estimate(found, True, '')


def tracker_of(*answers, params=PARAMS, calibration=None, **more):
    script = Script(*answers)
    counters = Counters()
    return script, counters, DeformationTracker(
        params, calibration, counters=counters, estimator=script, **more)


def play(tracker, times_ms):
    return [tracker.update(t * MS, *IMAGES) for t in times_ms]


CALIBRATED = Calibration(deformation=shifted(1.0))


def test_an_estimate_takes_effect_at_its_stamp_and_not_before():
    script, counters, tracker = tracker_of(0.5)
    shown = play(tracker, [0, 100, 199, 200, 300])
    assert [d.source.name for d in shown] == ['NONE', 'NONE', 'NONE', 'ESTIMATED', 'ESTIMATED']
    assert shift_of(shown[3]) == pytest.approx(0.5)
    assert shown[3] is shown[4]
    assert len(script.asked) == 1
    assert counters.snapshot() == {'registration.accepted': 1}


def test_refinements_start_once_per_period_of_the_stream():
    script, _, tracker = tracker_of(0.0)
    play(tracker, range(0, 2000, 100))
    assert len(script.asked) == 4


def test_without_delay_the_first_pair_already_profits():
    _, _, tracker = tracker_of(0.5, params=replace(PARAMS, apply_after_ms=0.0))
    assert shift_of(play(tracker, [0])[0]) == pytest.approx(0.5)


def test_thread_and_calling_thread_give_the_same_deformations():
    answers = [0.0, 0.4, None, 0.2, 0.1]
    _, _, offline = tracker_of(*answers)
    reference = play(offline, range(0, 3000, 50))
    with ThreadPoolExecutor(1) as pool:
        _, counters, live = tracker_of(*answers, executor=pool)
        shown = []
        for t in range(0, 3000, 50):
            if live._pending is not None:
                live._pending.future.exception(timeout=10)
            shown.append(live.update(t * MS, *IMAGES))
    assert 'registration.late' not in counters.snapshot()
    for one, other in zip(reference, shown, strict=True):
        np.testing.assert_array_equal(one.homography, other.homography)
        assert one.source is other.source


def test_late_results_are_counted_and_used_when_they_come():
    release = threading.Event()

    def slow(rgb, thermal, initial):
        assert release.wait(10)
        return Estimate(shifted(0.5), True, '')

    counters = Counters()
    with ThreadPoolExecutor(1) as pool:
        tracker = DeformationTracker(PARAMS, executor=pool, counters=counters, estimator=slow)
        assert [d.source for d in play(tracker, [0, 250, 300])] == [DeformationSource.NONE] * 3
        assert counters.snapshot() == {'registration.late': 1}
        release.set()
        tracker._pending.future.result(timeout=10)
        assert play(tracker, [350])[0].source is DeformationSource.ESTIMATED


def test_images_are_copied_for_the_background():
    seen = []

    def estimator(rgb, thermal, initial):
        seen.append((rgb, thermal))
        return Estimate(initial, False, 'no')

    rgb, thermal = IMAGES[0].copy(), IMAGES[1].copy()
    DeformationTracker(PARAMS, estimator=estimator).update(0, rgb, thermal)
    rgb[:], thermal[:] = 9, 9
    assert not seen[0][0].any()
    assert not seen[0][1].any()


def test_estimates_are_averaged_then_smoothed():
    _, _, tracker = tracker_of(0.0, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6)
    shown = [shift_of(d) for d in play(tracker, [250, 500, 750, 1000, 1250, 1500, 1750, 2000])]
    # 0, then the mean of (0, 0.6), then a third of the way, ...
    assert shown[1] == pytest.approx(0.0)
    assert shown[3] == pytest.approx(0.3, abs=1e-5)
    assert shown[5] == pytest.approx(0.4, abs=1e-5)
    later = [shift_of(d) for d in play(tracker, range(2100, 4000, 100))]
    assert all(b >= a - 1e-6 for a, b in itertools.pairwise(later))
    step = 1 - np.exp(-0.5 / 2.0)
    # After the running mean the share is that of the time constant.
    steps = sorted({round(0.6 - v, 6) for v in later}, reverse=True)
    assert steps[-1] / steps[-2] == pytest.approx(1 - step, abs=1e-3)


def test_no_smoothing_follows_at_once():
    _, _, tracker = tracker_of(0.0, 0.5, params=replace(PARAMS, smoothing_s=0.0))
    assert shift_of(play(tracker, [0, 250, 500, 750])[-1]) == pytest.approx(0.5)


def test_rejections_keep_the_last_good_and_say_so():
    _, counters, tracker = tracker_of(0.5, None, 0.5)
    shown = play(tracker, [0, 250, 500, 750, 1000, 1250])
    assert [d.source.name for d in shown] == [
        'NONE', 'ESTIMATED', 'ESTIMATED', 'LAST_GOOD', 'LAST_GOOD', 'ESTIMATED']
    assert shift_of(shown[3]) == pytest.approx(0.5)
    assert counters.snapshot()['registration.rejected'] == 1
    _, _, tracker = tracker_of(0.5, None)
    play(tracker, [0, 250, 500, 750])
    assert tracker.reason == 'fog'


def test_low_confidence_changes_nothing():
    _, counters, tracker = tracker_of(shifted(0.5, confidence=0.2))
    shown = play(tracker, [0, 250])
    assert shown[1].source is DeformationSource.NONE
    assert '0.20' in tracker.reason or 'no calibration' in tracker.reason
    assert counters.snapshot() == {'registration.rejected': 1}


def test_one_estimate_does_not_leave_a_calibration_far_behind():
    _, counters, tracker = tracker_of(9.0, 1.1, 1.1, calibration=CALIBRATED)
    shown = play(tracker, [0, 250, 500, 750])
    assert shown[0].source is DeformationSource.CALIBRATION
    assert shift_of(shown[1]) == pytest.approx(1.0)
    assert shift_of(shown[3]) == pytest.approx(1.1, abs=0.06)
    assert counters.snapshot() == {'registration.accepted': 1, 'registration.outlier': 1}


def test_a_knocked_camera_is_followed_when_estimates_agree():
    script, counters, tracker = tracker_of(6.0, calibration=CALIBRATED)
    shown = play(tracker, range(0, 2000, 50))
    assert shift_of(shown[-1]) == pytest.approx(6.0, abs=1e-4)
    assert counters.snapshot()['registration.outlier'] == 2
    # Three estimates, 500 ms apart, the last in effect 200 ms after it started.
    first = next(k for k, d in enumerate(shown) if shift_of(d) > 3)
    assert first * 50 == 1200
    assert script.asked[0].source is DeformationSource.CALIBRATION


def test_wild_estimates_that_disagree_are_never_followed():
    wild = [6.0, -7.0, 11.0, -3.0, 8.0, -11.0, 5.0, -5.0]
    _, _, tracker = tracker_of(*wild, calibration=CALIBRATED)
    shown = play(tracker, range(0, 4000, 50))
    assert {round(shift_of(d), 6) for d in shown} == {1.0}


def test_a_lost_tracker_tries_the_first_guess_again():
    script, _, tracker = tracker_of(0.5, None)
    play(tracker, range(0, 5000, 100))
    sources = [initial.source for initial in script.asked]
    assert sources[:2] == [DeformationSource.NONE, DeformationSource.ESTIMATED]
    assert DeformationSource.LAST_GOOD in sources
    assert DeformationSource.NONE in sources[3:]


def test_a_jump_back_resets_timing_and_keeps_geometry():
    script, counters, tracker = tracker_of(0.5)
    play(tracker, [5000, 5250])
    shown = play(tracker, [0, 100])
    assert shift_of(shown[0]) == pytest.approx(0.5)
    assert counters.snapshot()['registration.clock_jump'] == 1
    assert len(script.asked) == 2
    assert play(tracker, [200])[0].source is DeformationSource.ESTIMATED


def test_other_image_sizes():
    _, _, tracker = tracker_of(0.5)
    play(tracker, [0, 250])
    shown = tracker.current(300 * MS, (128, 96), (64, 48))
    assert shown.rgb_size == (128, 96)
    assert shift_of(shown) == pytest.approx(1.0)


def test_modes():
    for mode, source in (('none', DeformationSource.NONE),
                         ('calibrated', DeformationSource.CALIBRATION)):
        script, _, tracker = tracker_of(
            0.5, params=replace(PARAMS, mode=mode), calibration=CALIBRATED)
        shown = play(tracker, [0, 250, 500])
        assert {d.source for d in shown} == {source}
        assert script.asked == []
    assert shift_of(shown[0]) == pytest.approx(1.0)
    tracker.set_parameters(PARAMS)
    assert [d.source.name for d in play(tracker, [1000, 1250])] == ['CALIBRATION', 'ESTIMATED']
    tracker.set_parameters(replace(PARAMS, mode='none'))
    off = play(tracker, [1500])[0]
    assert off.source is DeformationSource.NONE
    assert shift_of(off) == pytest.approx(0.0)


def test_working_distance_changes_at_run_time():
    camera = CameraModel(64, 48, [[50, 0, 31.5], [0, 50, 23.5], [0, 0, 1]])
    matrix = np.eye(4)
    matrix[0, 3] = 0.1
    tracker = DeformationTracker(
        replace(PARAMS, mode='calibrated', working_distance_m=5.0),
        Calibration(camera, camera, matrix))
    near = tracker.current(0, RGB, RGB)
    tracker.set_parameters(replace(PARAMS, mode='calibrated', working_distance_m=10.0))
    far = tracker.current(1, RGB, RGB)
    # f b / Z = 50 * 0.1 / 5 and / 10.
    assert near.homography[0, 2] / near.homography[2, 2] == pytest.approx(1.0 + 0.0, abs=1e-6)
    assert far.homography[0, 2] / far.homography[2, 2] == pytest.approx(0.5, abs=1e-6)


def test_recalibrate_and_save():
    _, _, tracker = tracker_of(0.5)
    with pytest.raises(CalibrationError, match='no deformation'):
        tracker.estimated_calibration()
    play(tracker, [0, 250])
    saved = tracker.estimated_calibration()
    assert shift_of(saved.deformation) == pytest.approx(0.5)
    tracker.recalibrate()
    assert tracker.current(300 * MS, RGB, THERMAL).source is DeformationSource.NONE
    _, _, again = tracker_of(None, calibration=saved)
    shown = again.current(0, RGB, THERMAL)
    assert shown.source is DeformationSource.CALIBRATION
    assert shift_of(shown) == pytest.approx(0.5)


def test_calibration_that_arrives_later():
    _, _, tracker = tracker_of(None)
    assert tracker.current(0, RGB, THERMAL).source is DeformationSource.NONE
    tracker.set_calibration(CALIBRATED)
    assert tracker.current(1, RGB, THERMAL).source is DeformationSource.CALIBRATION


def test_a_calibration_of_other_cameras_does_not_stop_the_stream():
    camera = CameraModel(64, 48, [[50, 0, 31.5], [0, 50, 23.5], [0, 0, 1]])
    matrix = np.eye(4)
    matrix[0, 3] = 5000.0
    _, counters, tracker = tracker_of(None, calibration=Calibration(camera, camera, matrix))
    assert play(tracker, [0])[0].source is DeformationSource.NONE
    assert 'does not see' in tracker.reason
    assert counters.snapshot() == {'registration.bad_calibration': 1}


def test_a_failing_estimator_is_counted():
    _, counters, tracker = tracker_of(CalibrationError('singular'))
    play(tracker, [0, 250])
    assert counters.snapshot() == {'registration.failed': 1}
    _, _, broken = tracker_of(TypeError('a defect'))
    with pytest.raises(TypeError):
        play(broken, [0, 250])
