# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Track ids: who keeps one, who gets a new one, and what the detector is asked for."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest

from ivif_ros.detection import StreamDetector, load_detector, load_tracker, tracking
from ivif_ros.errors import MissingDependencyError, ParameterError
from ivif_ros.parameters import DetectionParameters
from ivif_ros.types import Detections

PERIOD_NS = 100_000_000
START_NS = 1_700_000_000_000_000_000
NAMES = {0: 'person', 1: 'bicycle', 2: 'car'}

BOTH = ('bytetrack', 'botsort')

needs_tracker = pytest.mark.skipif(
    None in (importlib.util.find_spec('lap'), importlib.util.find_spec('ultralytics')),
    reason='ultralytics or lap is not installed')


class Scripted:
    """A detector that finds what a test has written down: (x, y, score) of each person."""

    names = NAMES

    def __init__(self):
        self.people = []
        self.confidence = None
        self.calls = 0

    def detect(self, bgr):
        self.calls += 1
        rows = sorted((row for row in self.people if row[2] >= self.confidence),
                      key=lambda row: -row[2])
        boxes = np.array([(x, y, x + 40, y + 80) for x, y, _ in rows], np.float32)
        return Detections(boxes, [row[2] for row in rows], [0] * len(rows), self.names)

    def set_parameters(self, params):
        if 'unicorn' in params.classes:
            raise ParameterError("class 'unicorn' is not known")
        self.confidence = params.confidence

    def warm_up(self, size):
        self.detect(np.zeros((size[1], size[0], 3), np.uint8))

    def close(self):
        pass


def texture(shift=0):
    """A picture with corners to hold on to, moved to the right by some pixels."""
    blocks = np.random.default_rng(5).integers(0, 256, (60, 160), np.uint8)
    wide = np.kron(blocks, np.ones((8, 8), np.uint8))
    return np.repeat(wide[:, 320 - shift:960 - shift, None], 3, 2)


class Stream:
    """Shows one image after the other to a detector with a tracker."""

    def __init__(self, **values):
        self.params = DetectionParameters(**{'track': 'bytetrack', **values})
        self.inner = Scripted()
        self.detector = StreamDetector(self.inner, load_tracker(self.params), self.params)
        self.stamp_ns = START_NS
        self.image = texture()

    def show(self, *people, step_ns=PERIOD_NS):
        self.stamp_ns += step_ns
        self.inner.people = list(people)
        return self.detector.detect(self.image, self.stamp_ns)

    def ids(self, *people, **options):
        """Track id of each person, in the order of their places from left to right."""
        found = self.show(*people, **options)
        return found.track_ids[found.boxes[:, 0].argsort()].tolist()


@needs_tracker
@pytest.mark.parametrize('kind', BOTH)
def test_objects_keep_their_ids_while_they_move(kind):
    stream = Stream(track=kind)
    seen = {tuple(stream.ids((20 + 5 * index, 100, 0.9), (250, 50 + 6 * index, 0.5),
                             (560 - 6 * index, 300, 0.7))) for index in range(30)}
    assert seen == {(1, 3, 2)}


@needs_tracker
@pytest.mark.parametrize('kind', BOTH)
def test_objects_that_cross_keep_their_ids(kind):
    stream = Stream(track=kind)
    for index in range(40):
        right, left = (50 + 8 * index, 100, 0.8), (400 - 6 * index, 120, 0.8)
        found = stream.show(right, left)
    # The first is now on the right; both boxes have the same score, so they are in order.
    assert right[0] > left[0] + 80
    assert found.boxes[:, 0].tolist() == [right[0], left[0]]
    assert found.track_ids.tolist() == [1, 2]


@needs_tracker
@pytest.mark.parametrize('kind', BOTH)
def test_an_object_behind_something_for_a_moment_comes_back_as_itself(kind):
    stream = Stream(track=kind)
    other = 500, 300, 0.9
    for index in range(25):
        hidden = 12 <= index < 18
        ids = stream.ids(*() if hidden else ((20 + 6 * index, 100, 0.8),), other)
        assert ids == ([1] if hidden else [2, 1]), index


@needs_tracker
def test_an_object_that_was_gone_for_long_is_another_one():
    stream = Stream()
    assert [stream.ids((100, 100, 0.8)) for _ in range(3)] == [[1]] * 3
    for _ in range(40):
        assert stream.ids() == []
    assert stream.ids((100, 100, 0.8)) == [-1], 'no track yet: this may be a flash'
    assert stream.ids((100, 100, 0.8)) == [2]


def turns_back(stream, doubtful):
    """Ids of somebody who turns round while the detector is in doubt or sees nothing."""
    for index in range(10):
        assert stream.ids((100 + 4 * index, 100, 0.8)) == [1]
    for index in range(20):
        people = ((136 - 4 * index, 100, 0.15),) if doubtful else ()
        assert stream.ids(*people) == [], 'a low score was told'
    return [stream.ids((56 - 4 * index, 100, 0.8)) for index in (0, 1)][1]


@needs_tracker
def test_low_scores_continue_a_track_but_are_not_told():
    stream = Stream()
    assert turns_back(stream, doubtful=True) == [1]
    assert stream.inner.confidence == pytest.approx(0.1)
    assert turns_back(Stream(), doubtful=False) != [1], 'this would have gone well in any case'


@needs_tracker
def test_low_scores_start_no_track():
    stream = Stream(confidence=0.05)
    assert [stream.ids((100, 100, 0.2)) for _ in range(5)] == [[-1]] * 5
    assert stream.inner.confidence == pytest.approx(0.05)


@needs_tracker
def test_boxes_and_scores_are_those_of_the_detector():
    stream = Stream(confidence=0.4)
    for index in range(5):
        people = [(100 + 7 * index, 100, 0.9), (300, 100 + 3 * index, 0.3), (400, 20, 0.5)]
        found = stream.show(*people)
    assert found.boxes.tolist() == [[128, 100, 168, 180], [400, 20, 440, 100]]
    assert found.scores.tolist() == pytest.approx([0.9, 0.5])
    assert found.class_ids.tolist() == [0, 0]
    assert found.names is NAMES
    assert found.track_ids.tolist() == [1, 2]


@needs_tracker
def test_a_box_without_a_side_is_told_without_an_id():
    stream = Stream()
    stream.inner.detect = lambda bgr: Detections(
        [[10, 10, 50, 10], [100, 10, 140, 90]], [0.9, 0.8], [0, 0], NAMES)
    for _ in range(3):
        assert stream.show().track_ids.tolist() == [-1, 1]


@needs_tracker
@pytest.mark.parametrize('kind', BOTH)
def test_a_new_stream_has_new_ids(kind):
    people = (100, 100, 0.9), (300, 100, 0.8)
    stream = Stream(track=kind)
    for _ in range(3):
        assert stream.ids(*people) == [1, 2]
    stream.detector.reset()
    assert stream.ids(*people) == [3, 4]
    # A bag starts again.
    assert stream.ids(*people, step_ns=-40 * PERIOD_NS) == [5, 6]
    # Nobody listened for a minute.
    assert stream.ids(*people, step_ns=600 * PERIOD_NS) == [7, 8]
    # The RGB camera appears: the image has another size from now on.
    stream.image = np.zeros((240, 320, 3), np.uint8)
    assert stream.ids(*people) == [9, 10]
    # An image out of order, and pauses of a detector that is slow, are still the same stream.
    assert stream.ids(*people, step_ns=-PERIOD_NS // 2) == [9, 10]
    assert stream.ids(*people, step_ns=15 * PERIOD_NS) == [9, 10]


@needs_tracker
def test_a_long_period_is_no_pause():
    stream = Stream(period_ms=5000.0)
    for _ in range(3):
        assert stream.ids((100, 100, 0.9), step_ns=5_100_000_000) == [1]


@needs_tracker
def test_botsort_follows_the_camera():
    """The camera swings: every box jumps, and the picture tells that it was the camera."""
    def swing(kind):
        stream = Stream(track=kind)
        found = []
        for index in range(12):
            shift = 0 if index < 6 else 60
            stream.image = texture(shift)
            found.append(stream.ids((100 + shift, 100, 0.9), (400 + shift, 200, 0.8)))
        return found

    assert swing('botsort') == [[1, 2]] * 12
    assert swing('bytetrack')[-1] != [1, 2]


@needs_tracker
def test_parameters_change_and_the_ids_stay():
    stream = Stream()
    people = (100, 100, 0.9), (300, 100, 0.5)
    assert stream.ids(*people) == [1, 2]
    stream.detector.set_parameters(replace(stream.params, confidence=0.6))
    assert stream.ids(*people) == [1]
    stream.detector.set_parameters(stream.params)
    assert stream.ids(*people) == [1, 2]
    with pytest.raises(ParameterError, match='unicorn'):
        stream.detector.set_parameters(replace(stream.params, confidence=0.6, classes=['unicorn']))
    assert stream.ids(*people) == [1, 2]


@needs_tracker
def test_warming_up_makes_no_tracks():
    stream = Stream()
    stream.inner.people = [(100, 100, 0.9)]
    stream.detector.warm_up((640, 480))
    assert stream.inner.calls == 1
    assert stream.ids() == []
    assert stream.ids((100, 100, 0.9)) == [-1], 'the warm-up was the first image'


@needs_tracker
def test_a_real_detector_finds_the_same_with_ids(untrained):
    noise = np.random.default_rng(3).integers(0, 256, (120, 200, 3), np.uint8)
    params = DetectionParameters(weights=str(untrained), confidence=0.0, track='botsort')
    detector = load_detector(params, 'cpu')
    # Random weights are sure of nothing: the threshold is in the middle of what they say.
    params = replace(params, confidence=float(np.median(detector.detect(noise).scores)))
    detector.set_parameters(params)
    expected = detector.detect(noise)
    stream = StreamDetector(detector, load_tracker(params), params)
    found = stream.detect(noise, START_NS)
    assert len(expected) > 1
    np.testing.assert_array_equal(found.boxes, expected.boxes)
    np.testing.assert_array_equal(found.scores, expected.scores)
    np.testing.assert_array_equal(found.class_ids, expected.class_ids)
    assert found.track_ids.shape == (len(expected),)
    stream.close()


def test_nothing_is_tracked_where_nobody_asks():
    params = DetectionParameters(track='off')
    assert load_tracker(params) is None
    inner = Scripted()
    detector = StreamDetector(inner, None, params)
    inner.people = [(10, 10, 0.9), (100, 10, 0.2)]
    found = detector.detect(texture(), START_NS)
    assert inner.confidence == params.confidence
    assert len(found) == 1
    assert found.track_ids is None
    detector.reset()


@pytest.mark.parametrize('package', ['lap', 'ultralytics'])
def test_a_missing_package_is_named_before_ultralytics_installs_it(monkeypatch, package):
    def find(name):
        return None if name == package else object()
    monkeypatch.setattr(tracking.importlib.util, 'find_spec', find)
    with pytest.raises(MissingDependencyError, match=f'pip install {package} .*detection.track'):
        load_tracker(DetectionParameters(track='bytetrack'))
