# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The real pipeline over the simulator, directly and through a recording: the same images."""

import numpy as np
import pytest

from ivif_ros.bags.outputs import ImageWriter
from ivif_ros.bags.reader import BagSource
from ivif_ros.bags.replay import replay
from ivif_ros.bags.writer import BagWriter
from ivif_ros.parameters import FusionParameters, Parameters
from ivif_ros.ros.messages import camera_info_message
from ivif_ros.ros.rosbags_messages import RosbagsFactory
from ivif_ros.sources import open_source

PARAMS = Parameters(fusion=FusionParameters(device='cpu', threads=1))
SIM = ('sim:dusk,rgb_size=160x120,thermal_size=80x64,rgb_hz=10,thermal_hz=10,freeze_every_s=0,'
       'thermal_lag_s=0')


def run(source, writer=None):
    """Replay a source with a new pipeline; results in order and the summary."""
    from ivif_ros.pipeline import Pipeline

    results = []
    pipeline = Pipeline(PARAMS)
    try:
        return results, replay(source, writer, pipeline, PARAMS, on_result=results.append)
    finally:
        pipeline.close()


@pytest.fixture(scope='module')
def simulated():
    with open_source(SIM, seconds=0.6) as source:
        results, summary = run(source)
        return list(source.frames()), results, summary


def test_figures(simulated):
    frames, results, summary = simulated
    assert summary.pairs_in == sum(sensor == 'rgb' for sensor, _ in frames) == len(results)
    assert summary.pairs_fused == summary.pairs_in
    assert summary.dropped == {}
    assert {'thermal', 'registration', 'warp', 'fusion', 'end_to_end'} <= summary.latency_ms.keys()
    error = summary.registration_error
    assert error['pairs'] == summary.pairs_in
    # Two thermal pixels per RGB pixel, so RGB pixels weigh about twice as much.
    assert 1.5 < error['rgb_px']['median'] / error['thermal_px']['median'] < 2.5
    # The two pictures differ; the fused one is neither.
    assert np.abs(results[0].fused.astype(int) - results[0].pair.rgb.image).mean() > 1


def test_a_recording_gives_the_same_images_bit_for_bit(simulated, tmp_path):
    frames, results, summary = simulated
    factory = RosbagsFactory()
    with BagWriter(tmp_path / 'in') as writer:
        images = {sensor: ImageWriter(writer, factory, f'{sensor}/image_raw')
                  for sensor in ('rgb', 'thermal')}
        for sensor, frame in frames:
            writer.write(f'{sensor}/camera_info', camera_info_message(
                factory, frame.camera, frame.stamp_ns, frame.frame_id), frame.received_ns)
            images[sensor].write(frame.image, frame.stamp_ns, frame.frame_id, frame.received_ns)
    with BagSource(tmp_path / 'in') as source, BagWriter(tmp_path / 'out') as writer:
        replayed, again = run(source, writer)
    assert again.pairs_in == summary.pairs_in
    for one, two in zip(results, replayed, strict=True):
        assert one.pair.stamp_ns == two.pair.stamp_ns
        np.testing.assert_array_equal(one.fused, two.fused)
        np.testing.assert_array_equal(one.thermal_registered, two.thermal_registered)
        np.testing.assert_array_equal(one.deformation.homography, two.deformation.homography)
    # What was written is what was made: the recording is a source of fused images itself.
    with BagSource(tmp_path / 'out', rgb_topic='fused/image',
                   thermal_topic='thermal_registered/image') as source:
        written = [frame for sensor, frame in source.frames() if sensor == 'rgb']
    for result, frame in zip(replayed, written, strict=True):
        np.testing.assert_array_equal(result.fused, frame.image)
        assert frame.camera.size == (160, 120)
