# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The robot's path over a recording, with a pipeline whose results can be foretold."""

from collections import Counter

import numpy as np
import pytest
from rosbags.highlevel import AnyReader
from synthetic_bags import (
    RGB_TOPIC,
    START_NS,
    THERMAL_TOPIC,
    image,
    rgb_picture,
    thermal_picture,
    two_cameras,
    write_bag,
    write_items,
)

from ivif_ros.bags.reader import BagSource
from ivif_ros.bags.replay import replay
from ivif_ros.bags.writer import BagWriter
from ivif_ros.counters import Counters
from ivif_ros.errors import ImageError, OutputError, SourceError
from ivif_ros.frame_source import FrameSource
from ivif_ros.parameters import DetectionParameters, Parameters, SyncParameters
from ivif_ros.registration import dense_map
from ivif_ros.types import Deformation, Detections, Frame, FusionResult, Mode

MS = 1_000_000
MATCH = Parameters(sync=SyncParameters(pairing='match'))


class FakePipeline:
    """Fuses by painting the low byte of the thermal image into the blue channel."""

    def __init__(self, detections=None, fail_at=()):
        self.counters = Counters()
        self.detector = None if detections is None else object()
        self.detections = detections
        self.fail_at = set(fail_at)
        self.pairs = []
        self.resets = 0

    def reset(self):
        self.resets += 1

    def process(self, pair, *, detect=False, contribution=False):
        self.pairs.append(pair)
        if len(self.pairs) in self.fail_at:
            raise ImageError('cannot be used', 'bad_value')
        mode = Mode.FUSED if pair.rgb and pair.thermal else Mode.RGB_ONLY if pair.rgb else (
            Mode.THERMAL_ONLY)
        size = (pair.rgb or pair.thermal).size
        fused = np.zeros((size[1], size[0], 3), np.uint8)
        deformation = registered = None
        if pair.rgb is not None:
            fused[...] = pair.rgb.image
        if pair.thermal is not None:
            fused[..., 0] = pair.thermal.image[0, 0] % 256
            deformation = Deformation.stretch(size, pair.thermal.size)
            registered = np.full((size[1], size[0]), 9, np.uint8)
        return FusionResult(
            pair, mode, '' if mode is Mode.FUSED else 'a camera is missing', fused, registered,
            deformation, self.detections if detect else None, {'fusion': 2.0},
            np.full((size[1], size[0]), 77, np.uint8) if contribution else None)


class Frames(FrameSource):
    """Given frames as a source."""

    def __init__(self, items, truth=None):
        super().__init__()
        self.items = items
        self.truth = truth

    def frames(self):
        yield from self.items

    def describe(self):
        return 'given frames'

    def true_map(self, rgb_stamp_ns):
        return None if self.truth is None else self.truth(rgb_stamp_ns)


def rgb_frame(stamp_ns, delay_ns=5 * MS):
    return 'rgb', Frame(stamp_ns, 'rgb', rgb_picture(0), received_ns=stamp_ns + delay_ns)


def thermal_frame(stamp_ns, delay_ns=5 * MS):
    return 'thermal', Frame(stamp_ns, 'ir', thermal_picture(0), received_ns=stamp_ns + delay_ns)


def read(path):
    """Topic -> list of receive time and message."""
    found = {}
    with AnyReader([path]) as reader:
        for connection, when, data in reader.messages():
            message = reader.deserialize(data, connection.msgtype)
            found.setdefault(connection.topic, []).append((when, message))
    return found


def stamp(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def test_pairs_outputs_and_figures(tmp_path):
    pipeline = FakePipeline()
    told = []
    with (BagSource(write_bag(tmp_path / 'in', 30)) as source,
          BagWriter(tmp_path / 'out') as writer):
        summary = replay(source, writer, pipeline, MATCH, lambda *args: told.append(args))
    stamps = [START_NS + round(index * 1e9 / 30) for index in range(30)]
    assert pipeline.resets == 1
    assert [pair.rgb.stamp_ns for pair in pipeline.pairs] == stamps
    assert [pair.thermal.stamp_ns for pair in pipeline.pairs] == [when + 2 * MS for when in stamps]
    out = read(tmp_path / 'out')
    assert {topic: len(messages) for topic, messages in out.items()} == {
        '/fused/image': 30, '/fused/camera_info': 30, '/thermal_registered/image': 30,
        '/thermal_registered/camera_info': 30, '/deformation': 30, '/status': 30}
    for topic, messages in out.items():
        assert [stamp(message) for _, message in messages] == stamps, topic
        assert {message.header.frame_id for _, message in messages} == {'rgb_optical_frame'}, topic
    received = [when for when, _ in out['/fused/image']]
    assert received == sorted(received)
    assert all(pair.received_ns <= when
               for when, pair in zip(received, pipeline.pairs, strict=True))
    # Pixel (0, 0) of thermal frame i is 7300 + i, and frame i went into fused image i.
    fused = [message.data.reshape(48, 64, 3) for _, message in out['/fused/image']]
    assert [int(picture[0, 0, 0]) for picture in fused] == [(7300 + i) % 256 for i in range(30)]
    np.testing.assert_array_equal(fused[12][..., 1:], rgb_picture(12)[..., 1:])
    info = out['/fused/camera_info'][0][1]
    assert (info.width, info.height, info.k[0]) == (64, 48, 60)
    assert out['/deformation'][0][1].thermal_frame_id == 'thermal_optical_frame'
    status = out['/status'][-1][1]
    assert (status.pairs_in, status.pairs_fused, status.pairs_partial) == (30, 30, 0)
    assert status.skew == pytest.approx(2.0)
    assert {item.name for item in status.latencies} == {'fusion', 'sync', 'publish', 'total'}
    assert (summary.pairs_in, summary.pairs_fused, summary.pairs_partial) == (30, 30, 0)
    assert summary.skew_ms == {'p50': 2.0, 'p99': 2.0}
    assert summary.latency_ms['fusion'] == {'p50': 2.0, 'p99': 2.0}
    assert {'sync', 'publish', 'end_to_end'} <= summary.latency_ms.keys()
    assert summary.dropped == {}
    assert summary.registration_error is None
    assert summary.stream_seconds == pytest.approx(29 / 30 + 0.002)
    # The progress goes up to the length of the recording; camera_info came a microsecond earlier.
    assert told[-1][0] == told[-1][1] - 1000 - 1
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)


def test_equal_runs_give_equal_recordings(tmp_path):
    recording = write_bag(tmp_path / 'in', 20, thermal_every=3)
    seen = []
    for name in ('a', 'b'):
        with BagSource(recording) as source, BagWriter(tmp_path / name) as writer:
            replay(source, writer, FakePipeline(), Parameters())
        seen.append([(topic, when, bytes(message.data)) for topic, messages in read(
            tmp_path / name).items() for when, message in messages if topic.endswith('image')])
    assert seen[0] == seen[1]
    assert len(seen[0]) >= 40


def test_slow_thermal_camera_is_held(tmp_path):
    pipeline = FakePipeline()
    with BagSource(write_bag(tmp_path / 'in', 30, thermal_every=3)) as source:
        summary = replay(source, None, pipeline, Parameters())
    assert summary.pairs_fused == 30
    assert Counter(pair.held for pair in pipeline.pairs) == {True: 20, False: 10}


def test_waits_end_when_they_are_due_not_with_the_next_frame(tmp_path):
    """One thermal frame is missing and then nothing comes for 300 ms: 40 ms is the longest wait."""
    items = [frame for index in range(4) for frame in (
        rgb_frame(START_NS + index * 33 * MS), thermal_frame(START_NS + index * 33 * MS))]
    lonely = START_NS + 4 * 33 * MS
    items += [rgb_frame(lonely), rgb_frame(lonely + 300 * MS), thermal_frame(lonely + 300 * MS)]
    with BagWriter(tmp_path / 'out') as writer:
        summary = replay(Frames(items), writer, FakePipeline(), MATCH)
    waits = {stamp(message): when - stamp(message) - 5 * MS
             for when, message in read(tmp_path / 'out')['/fused/image']}
    assert 0 < waits.pop(lonely) <= 40 * MS
    assert set(waits.values()) == {0}
    assert (summary.pairs_in, summary.pairs_fused, summary.pairs_partial) == (6, 5, 1)
    assert summary.modes == {'fused': 5, 'rgb_only': 1, 'thermal_only': 0}
    assert 20 < summary.latency_ms['sync']['p99'] <= 40


def test_thermal_alone_keeps_the_rgb_frame(tmp_path):
    """The RGB camera dies: thermal results carry the RGB frame and their own time."""
    items = [rgb_frame(START_NS), thermal_frame(START_NS)]
    items += [thermal_frame(START_NS + index * 100 * MS) for index in range(1, 11)]
    with BagWriter(tmp_path / 'out') as writer:
        summary = replay(Frames(items), writer, FakePipeline(), MATCH)
    out = read(tmp_path / 'out')['/fused/image']
    assert summary.modes['thermal_only'] >= 8
    assert {message.header.frame_id for _, message in out} == {'rgb'}
    assert stamp(out[-1][1]) == START_NS + 1000 * MS


def test_losses_of_reader_matcher_and_pipeline_are_counted(tmp_path):
    items = two_cameras(10)
    broken = [index for index, item in enumerate(items) if item[0] == THERMAL_TOPIC][4]
    topic, when, _ = items[broken]
    items[broken] = (topic, when, image(thermal_picture(4), 'mono12', START_NS, 'thermal'))
    # The first RGB frame comes a second time.
    first = next(item for item in items if item[0] == RGB_TOPIC)
    items.append((RGB_TOPIC, first[1] + 1, first[2]))
    items.sort(key=lambda item: item[1])
    with (BagSource(write_items(tmp_path / 'in', items)) as source,
          BagWriter(tmp_path / 'out') as writer):
        pipeline = FakePipeline(fail_at={3})
        summary = replay(source, writer, pipeline, MATCH)
        again = replay(source, None, pipeline, MATCH)
    assert summary.dropped == {'pair.bad_value': 1, 'rgb.duplicate': 1, 'thermal.bad_encoding': 1}
    # Ten RGB frames, one pair that failed, one without thermal image.
    assert (summary.pairs_in, summary.pairs_fused, summary.pairs_partial) == (9, 8, 1)
    last = read(tmp_path / 'out')['/status'][-1][1]
    assert {item.name: item.count for item in last.dropped} == summary.dropped
    # A second run with the same objects counts anew.
    assert again.dropped == {'rgb.duplicate': 1, 'thermal.bad_encoding': 1}


def test_error_against_the_truth():
    """The fake pipeline stretches, the truth lies 1.5 thermal pixels beside it."""
    stretch = dense_map(Deformation.stretch((64, 48), (32, 24)))
    items = [frame for index in range(5) for frame in (
        rgb_frame(START_NS + index * 100 * MS), thermal_frame(START_NS + index * 100 * MS))]
    asked = []

    def truth(stamp_ns):
        asked.append(stamp_ns)
        return stretch + np.float32([1.5, 0])

    summary = replay(Frames(items, truth), None, FakePipeline(), MATCH)
    error = summary.registration_error
    assert asked == [START_NS + index * 100 * MS for index in range(5)]
    assert error['pairs'] == 5
    assert error['thermal_px']['mean'] == pytest.approx(1.5, abs=1e-5)
    # Two RGB pixels per thermal pixel.
    assert error['rgb_px']['median'] == pytest.approx(3.0, abs=1e-4)


@pytest.mark.parametrize('enabled', [True, False])
def test_detections(tmp_path, enabled):
    found = Detections(np.array([[8, 10, 28, 40]]), np.array([0.75]), np.array([1]),
                       {0: 'car', 1: 'person'})
    params = Parameters(sync=MATCH.sync, detection=DetectionParameters(enabled=enabled))
    with (BagSource(write_bag(tmp_path / 'in', 3)) as source,
          BagWriter(tmp_path / 'out') as writer):
        replay(source, writer, FakePipeline(found), params)
    out = read(tmp_path / 'out')
    if not enabled:
        assert not {'/detections', '/label_info'} & out.keys()
        return
    assert len(out['/label_info']) == 1
    names = {item.class_id: item.class_name for item in out['/label_info'][0][1].class_map}
    assert names == {0: 'car', 1: 'person'}
    box = out['/detections'][1][1].detections[0].bbox
    assert (box.center.position.x, box.center.position.y, box.size_x) == (18, 25, 20)
    thermal = out['/detections_thermal'][1][1]
    assert thermal.header.frame_id == 'thermal_optical_frame'
    # Half the size in thermal pixels.
    assert thermal.detections[0].bbox.size_x == pytest.approx(10, abs=0.6)


def test_compressed_outputs(tmp_path):
    with (BagSource(write_bag(tmp_path / 'in', 2)) as source,
          BagWriter(tmp_path / 'out') as writer):
        replay(source, writer, FakePipeline(), MATCH, compression='jpeg')
    out = read(tmp_path / 'out')
    assert '/fused/image' not in out
    assert [message.format for _, message in out['/fused/image/compressed']] == [
        'bgr8; jpeg compressed bgr8'] * 2
    assert len(out['/thermal_registered/image/compressed']) == 2


def test_every_result_is_handed_out():
    items = [rgb_frame(START_NS), thermal_frame(START_NS), rgb_frame(START_NS + 100 * MS),
             thermal_frame(START_NS + 100 * MS)]
    results = []
    replay(Frames(items), None, FakePipeline(), MATCH, on_result=results.append)
    assert [result.pair.stamp_ns for result in results] == [START_NS, START_NS + 100 * MS]


def test_empty_source():
    summary = replay(Frames([]), None, FakePipeline(), MATCH)
    assert (summary.pairs_in, summary.stream_seconds) == (0, 0.0)


class BreaksOff(Frames):
    """Cannot be read to its end."""

    def frames(self):
        yield from self.items
        raise SourceError('the rest is gone')


def test_what_was_fused_before_a_failure_is_kept(tmp_path):
    items = [frame for index in range(5) for frame in (
        rgb_frame(START_NS + index * 100 * MS), thermal_frame(START_NS + index * 100 * MS))]

    def run():
        with BagWriter(tmp_path / 'out') as writer:
            replay(BreaksOff(items), writer, FakePipeline(), MATCH)

    with pytest.raises(SourceError, match='the rest is gone'):
        run()
    assert len(read(tmp_path / 'out')['/fused/image']) >= 4


def test_closed_output():
    items = [rgb_frame(START_NS), thermal_frame(START_NS)]

    class Closed:
        def write(self, *args, **kwargs):
            raise OutputError('disk is full')

    with pytest.raises(OutputError, match='disk is full'):
        replay(Frames(items), Closed(), FakePipeline(), MATCH)
