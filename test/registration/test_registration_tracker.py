# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The deformation over time, with an estimator that says what the test wants it to say."""

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
    period_ms=200.0, apply_after_ms=100.0, smoothing_s=5.0, min_confidence=0.3)
PX = 0.05
"""Thermal pixels per pixel of an image 640 wide."""


def shifted(x, confidence=0.9):
    """A deformation that lies x pixels of an image 640 wide to the right of the stretched one."""
    stretch = Deformation.stretch(RGB, THERMAL)
    homography = np.array(stretch.homography)
    homography[0, 2] += x * PX
    return replace(stretch, homography=homography, confidence=confidence, residual_px=0.1)


def shift_of(deformation):
    """The same of any deformation, mean over the image."""
    stretch = rescaled(Deformation.stretch(RGB, THERMAL), deformation.rgb_size,
                       deformation.thermal_size)
    grid = 0.0 if deformation.grid is None else float(deformation.grid[..., 0].mean())
    unit = PX * deformation.thermal_size[0] / THERMAL[0]
    return float(deformation.homography[0, 2] - stretch.homography[0, 2] + grid) / unit


class Script:
    """Answers with the next of a list of shifts; None is a rejection, an exception is raised."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def __call__(self, rgb, thermal, initial):
        self.asked.append(initial)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            answer = answer(initial)
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            return Estimate(initial, False, 'fog')
        found = answer if isinstance(answer, Deformation) else shifted(answer)
        return Estimate(replace(found, source=DeformationSource.ESTIMATED), True, '')


def tracker_of(*answers, params=PARAMS, calibration=None, **more):
    script = Script(*answers)
    counters = Counters()
    return script, counters, DeformationTracker(
        params, calibration, counters=counters, estimator=script, **more)


def play(tracker, times_ms):
    return [tracker.update(t * MS, *IMAGES) for t in times_ms]


CALIBRATED = Calibration(deformation=shifted(2.0))


def test_an_estimate_takes_effect_at_its_stamp_and_not_before():
    script, counters, tracker = tracker_of(5.0)
    shown = play(tracker, [0, 50, 99, 100, 150])
    assert [d.source.name for d in shown] == ['NONE', 'NONE', 'NONE', 'ESTIMATED', 'ESTIMATED']
    assert shift_of(shown[3]) == pytest.approx(5.0, abs=1e-3)
    assert len(script.asked) == 1
    assert counters.snapshot() == {'registration.accepted': 1}


def test_arrays_keep_their_identity_while_the_map_does_not_change():
    _, _, tracker = tracker_of(5.0)
    one, other = play(tracker, [0, 100, 150])[1:]
    assert one.homography is other.homography
    assert one.grid is other.grid


def test_estimates_start_once_per_period_of_the_stream():
    script, _, tracker = tracker_of(0.0)
    play(tracker, range(0, 1000, 50))
    assert len(script.asked) == 5


def test_without_delay_the_first_pair_already_profits():
    _, _, tracker = tracker_of(5.0, params=replace(PARAMS, apply_after_ms=0.0))
    assert shift_of(play(tracker, [0])[0]) == pytest.approx(5.0, abs=1e-3)


def test_thread_and_calling_thread_give_the_same_deformations():
    answers = [0.0, 4.0, None, 2.0, 1.0, 30.0, -40.0, 3.0]
    _, _, offline = tracker_of(*answers)
    reference = play(offline, range(0, 2500, 50))
    with ThreadPoolExecutor(1) as pool:
        _, counters, live = tracker_of(*answers, executor=pool)
        shown = []
        for t in range(0, 2500, 50):
            if live._pending is not None:
                live._pending.future.exception(timeout=10)
            shown.append(live.update(t * MS, *IMAGES))
    assert 'registration.late' not in counters.snapshot()
    for one, other in zip(reference, shown, strict=True):
        np.testing.assert_array_equal(one.homography, other.homography)
        assert (one.grid is None) == (other.grid is None)
        if one.grid is not None:
            np.testing.assert_array_equal(one.grid, other.grid)
        assert (one.source, one.confidence) == (other.source, other.confidence)


def test_late_results_are_counted_and_used_when_they_come():
    release = threading.Event()

    def slow(rgb, thermal, initial):
        assert release.wait(10)
        return Estimate(shifted(5.0), True, '')

    counters = Counters()
    with ThreadPoolExecutor(1) as pool:
        tracker = DeformationTracker(PARAMS, executor=pool, counters=counters, estimator=slow)
        assert [d.source for d in play(tracker, [0, 150, 300])] == [DeformationSource.NONE] * 3
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


def test_the_estimator_starts_at_the_rig_and_not_at_the_parallax():
    script, _, tracker = tracker_of(0.0, 0.0, 6.0, 6.0)
    play(tracker, range(0, 800, 50))
    assert shift_of(script.asked[3]) < 2.5


def test_one_bad_estimate_changes_nothing():
    answers = [3.0] * 10 + [40.0] + [3.0] * 5
    _, counters, tracker = tracker_of(*answers)
    shown = play(tracker, range(0, 3000, 50))
    after = [shift_of(d) for d in shown[3:]]
    np.testing.assert_allclose(after, 3.0, atol=1e-3)
    assert counters.snapshot()['registration.outlier'] == 1


@pytest.mark.parametrize('knock_px', [5.0, 12.0, 60.0])
def test_a_knocked_camera_is_followed_within_two_seconds(knock_px):
    rng = np.random.default_rng(4)
    before = [shifted(rng.normal(0, 0.7), 0.8) for _ in range(15)]
    after = [shifted(knock_px + rng.normal(0, 0.7), 0.8) for _ in range(20)]
    _, _, tracker = tracker_of(*before, *after)
    # The knock happens at 3 s.
    shown = play(tracker, range(0, 5000, 50))
    assert abs(shift_of(shown[59])) < 1.0
    settled = [shift_of(d) for d in shown[80:]]
    assert max(abs(np.array(settled) - knock_px)) < 1.5
    assert shown[-1].source is DeformationSource.ESTIMATED


def test_slow_drift_is_followed_smoothly():
    rng = np.random.default_rng(5)
    # A mount that bends by 10 px in 40 s.
    answers = [shifted(0.05 * k + rng.normal(0, 0.5), 0.8) for k in range(200)]
    _, counters, tracker = tracker_of(*answers)
    shown = np.array([shift_of(d) for d in play(tracker, range(0, 40000, 200))])
    error = shown[25:] - 0.05 * np.arange(25, 200)
    assert np.abs(error).max() < 2.0
    assert np.abs(np.diff(shown[25:])).max() < 1.5
    assert 'registration.outlier' not in counters.snapshot()


def test_wild_estimates_that_disagree_are_never_followed():
    wild = [60.0, -70.0, 110.0, -30.0, 80.0, -110.0, 50.0, -50.0]
    _, _, tracker = tracker_of(*wild, calibration=CALIBRATED)
    shown = play(tracker, range(0, 1600, 50))
    assert {round(shift_of(d), 4) for d in shown} == {2.0}
    assert {d.source for d in shown} == {DeformationSource.CALIBRATION}


def test_rejections_keep_the_last_good_and_say_so():
    _, counters, tracker = tracker_of(5.0, None, 5.0)
    shown = play(tracker, [0, 100, 200, 300, 400, 500])
    assert [d.source.name for d in shown] == [
        'NONE', 'ESTIMATED', 'ESTIMATED', 'LAST_GOOD', 'LAST_GOOD', 'ESTIMATED']
    assert shift_of(shown[3]) == pytest.approx(5.0, abs=1e-3)
    assert counters.snapshot()['registration.rejected'] == 1
    _, _, tracker = tracker_of(5.0, None)
    play(tracker, [0, 100, 200, 300])
    assert tracker.reason == 'fog'


def test_low_confidence_changes_nothing():
    _, counters, tracker = tracker_of(shifted(5.0, confidence=0.2))
    shown = play(tracker, [0, 100])
    assert shown[1].source is DeformationSource.NONE
    assert 'no calibration' in tracker.reason
    assert counters.snapshot() == {'registration.rejected': 1}


def test_confidence_fades_while_nothing_confirms_the_rig():
    _, _, tracker = tracker_of(5.0, None)
    shown = play(tracker, [0, 100, *range(1000, 60000, 1000)])
    confidence = [d.confidence for d in shown[1:]]
    assert confidence == sorted(confidence, reverse=True)
    assert confidence[0] == pytest.approx(0.9, abs=0.01)
    assert confidence[-1] < 0.5
    residual = [d.residual_px for d in shown[1:]]
    assert residual == sorted(residual)
    # The geometry itself stays.
    assert shift_of(shown[-1]) == pytest.approx(5.0, abs=1e-3)


def test_a_lost_tracker_starts_from_nothing_now_and_then():
    script, _, tracker = tracker_of(5.0, None)
    play(tracker, range(0, 2000, 50))
    sources = [initial.source for initial in script.asked]
    assert sources[:2] == [DeformationSource.NONE, DeformationSource.ESTIMATED]
    assert DeformationSource.LAST_GOOD in sources[5:]
    assert DeformationSource.NONE in sources[5:]


def test_a_jump_back_resets_timing_and_keeps_geometry():
    script, counters, tracker = tracker_of(5.0)
    play(tracker, [5000, 5100])
    shown = play(tracker, [0, 50])
    assert shift_of(shown[0]) == pytest.approx(5.0, abs=1e-3)
    assert counters.snapshot()['registration.clock_jump'] == 1
    assert len(script.asked) == 2
    assert play(tracker, [100])[0].source is DeformationSource.ESTIMATED


def test_other_image_sizes():
    _, _, tracker = tracker_of(5.0)
    play(tracker, [0, 100])
    shown = tracker.current(150 * MS, (128, 96), (64, 48))
    assert shown.rgb_size == (128, 96)
    assert shift_of(shown) == pytest.approx(5.0, abs=1e-3)


def test_modes():
    for mode, source in (('none', DeformationSource.NONE),
                         ('calibrated', DeformationSource.CALIBRATION)):
        script, _, tracker = tracker_of(
            5.0, params=replace(PARAMS, mode=mode), calibration=CALIBRATED)
        shown = play(tracker, [0, 100, 200])
        assert {d.source for d in shown} == {source}
        assert script.asked == []
    assert shift_of(shown[0]) == pytest.approx(2.0, abs=1e-3)
    tracker.set_parameters(PARAMS)
    assert [d.source.name for d in play(tracker, [1000, 1100])] == ['CALIBRATION', 'ESTIMATED']
    tracker.set_parameters(replace(PARAMS, mode='none'))
    off = play(tracker, [1500])[0]
    assert off.source is DeformationSource.NONE
    assert shift_of(off) == pytest.approx(0.0)


def test_working_distance_changes_at_run_time():
    camera = CameraModel(64, 48, [[50, 0, 31.5], [0, 50, 23.5], [0, 0, 1]])
    matrix = np.eye(4)
    matrix[0, 3] = 0.1
    script = Script(None)
    tracker = DeformationTracker(
        replace(PARAMS, mode='calibrated', working_distance_m=5.0),
        Calibration(camera, camera, matrix), estimator=script)
    near = tracker.current(0, RGB, RGB)
    tracker.set_parameters(replace(PARAMS, mode='calibrated', working_distance_m=10.0))
    far = tracker.current(1, RGB, RGB)
    # f b / Z = 50 * 0.1 / 5 and / 10.
    assert near.homography[0, 2] / near.homography[2, 2] == pytest.approx(1.0 + 0.0, abs=1e-6)
    assert far.homography[0, 2] / far.homography[2, 2] == pytest.approx(0.5, abs=1e-6)


def test_recalibrate_and_save():
    _, _, tracker = tracker_of(5.0)
    with pytest.raises(CalibrationError, match='no deformation'):
        tracker.estimated_calibration()
    play(tracker, [0, 100])
    saved = tracker.estimated_calibration()
    assert shift_of(saved.deformation) == pytest.approx(5.0, abs=1e-3)
    tracker.recalibrate()
    assert tracker.current(150 * MS, RGB, THERMAL).source is DeformationSource.NONE
    _, _, again = tracker_of(None, calibration=saved)
    shown = again.current(0, RGB, THERMAL)
    assert shown.source is DeformationSource.CALIBRATION
    assert shift_of(shown) == pytest.approx(5.0, abs=1e-3)


def test_calibration_that_arrives_later():
    _, _, tracker = tracker_of(None)
    assert tracker.current(0, RGB, THERMAL).source is DeformationSource.NONE
    tracker.set_calibration(CALIBRATED)
    assert tracker.current(1, RGB, THERMAL).source is DeformationSource.CALIBRATION


def test_a_calibrated_rig_stays_while_images_differ_by_parallax():
    script, counters, tracker = tracker_of(*[6.0] * 5, None, calibration=CALIBRATED)
    shown = play(tracker, range(0, 8000, 50))
    # While estimates come, they hold; the calibration is where each of them starts.
    assert shown[19].source is DeformationSource.ESTIMATED
    assert shift_of(shown[19]) == pytest.approx(6.0, abs=0.5)
    assert {round(shift_of(initial), 3) for initial in script.asked[:6]} == {2.0}
    # Then their parallax fades, and the calibration is what is left.
    assert shown[25].source is DeformationSource.LAST_GOOD
    assert shown[-1].source is DeformationSource.CALIBRATION
    assert shift_of(shown[-1]) == pytest.approx(2.0, abs=1e-3)
    assert 'registration.bad_calibration' not in counters.snapshot()


def test_images_that_agree_refute_a_wrong_calibration():
    def sees(initial):
        # Near a wrong guess nothing is found; from nothing it is.
        return 40.0 if initial.source is DeformationSource.NONE or shift_of(initial) > 30 else None
    _, counters, tracker = tracker_of(sees, calibration=CALIBRATED)
    shown = play(tracker, range(0, 4000, 50))
    assert shift_of(shown[-1]) == pytest.approx(40.0, abs=0.01)
    assert shown[-1].source is DeformationSource.ESTIMATED
    assert counters.snapshot()['registration.bad_calibration'] == 1
    assert 'from the calibration' in tracker.reason
    # Another calibration is believed at first.
    tracker.set_calibration(Calibration(deformation=shifted(39.0)))
    assert shift_of(tracker.current(4000 * MS, RGB, THERMAL)) == pytest.approx(39.0, abs=1e-3)
    assert tracker.reason == ''


def test_many_estimates_refute_a_calibration_that_is_a_little_wrong():
    _, counters, tracker = tracker_of(12.0, calibration=CALIBRATED)
    play(tracker, range(0, 9000, 100))
    assert 'registration.bad_calibration' not in counters.snapshot()
    play(tracker, range(9000, 12000, 100))
    assert counters.snapshot()['registration.bad_calibration'] == 1


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
    play(tracker, [0, 100])
    assert counters.snapshot() == {'registration.failed': 1}
    _, _, broken = tracker_of(TypeError('a defect'))
    with pytest.raises(TypeError):
        play(broken, [0, 100])
