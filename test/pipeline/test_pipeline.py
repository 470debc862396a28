# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The stages together, on frames of the simulated rig."""

import dataclasses
import itertools

import numpy as np
import pytest

from ivif_ros.errors import CalibrationError, ImageError, ParameterError
from ivif_ros.parameters import Parameters, replace
from ivif_ros.pipeline import Pipeline
from ivif_ros.simulation import RigConfig, SimulatedRig
from ivif_ros.types import DeformationSource, Frame, FramePair, Mode

PERIOD_NS = 33_000_000


@pytest.fixture(scope='module')
def pairs():
    rig = SimulatedRig(RigConfig(rgb_size=(320, 240), thermal_size=(160, 128), lighting='dusk',
                                 freeze_every_s=0))
    frames = list(itertools.islice(rig.frames(10.0), 24))
    rgb = [frame for sensor, frame in frames if sensor == 'rgb'][:10]
    thermal = [frame for sensor, frame in frames if sensor == 'thermal'][:10]
    return [FramePair(a, b, b.stamp_ns - a.stamp_ns) for a, b in zip(rgb, thermal, strict=True)]


@pytest.fixture
def pipeline():
    pipeline = Pipeline(Parameters())
    yield pipeline
    pipeline.close()


def repeated(pair, count):
    """The same scene again and again, with noise as a real camera has it."""
    generator = np.random.default_rng(3)
    for index in range(count):
        shift = index * PERIOD_NS
        noise = generator.integers(0, 3, pair.thermal.image.shape, dtype=np.uint16)
        yield FramePair(
            dataclasses.replace(pair.rgb, stamp_ns=pair.rgb.stamp_ns + shift),
            dataclasses.replace(pair.thermal, stamp_ns=pair.thermal.stamp_ns + shift,
                                image=pair.thermal.image + noise))


def test_a_complete_pair_is_fused_on_the_rgb_grid(pipeline, pairs):
    result = pipeline.process(pairs[0])
    assert (result.mode, result.reason) == (Mode.FUSED, '')
    assert result.fused.shape == (240, 320, 3)
    assert result.fused.dtype == np.uint8
    assert result.thermal_registered.shape == (240, 320)
    assert set(result.latency_ms) >= {'thermal', 'registration', 'warp', 'fusion'}
    assert result.detections is None
    # It is neither of the inputs.
    assert np.abs(result.fused.astype(int) - pairs[0].rgb.image).mean() > 1


def test_the_same_pairs_give_the_same_images(pairs):
    def run():
        pipeline = Pipeline(Parameters())
        try:
            return [pipeline.process(pair).fused for pair in pairs]
        finally:
            pipeline.close()

    for one, other in zip(run(), run(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_results_are_not_overwritten_by_later_pairs(pipeline, pairs):
    results = [pipeline.process(pair) for pair in pairs[:3]]
    copies = [(result.fused.copy(), result.thermal_registered.copy()) for result in results]
    for pair in pairs[3:]:
        pipeline.process(pair)
    for result, (fused, registered) in zip(results, copies, strict=True):
        np.testing.assert_array_equal(result.fused, fused)
        np.testing.assert_array_equal(result.thermal_registered, registered)


def test_a_missing_thermal_frame_gives_the_rgb_image(pipeline, pairs):
    pipeline.process(pairs[0])
    result = pipeline.process(FramePair(pairs[1].rgb, None))
    assert result.mode is Mode.RGB_ONLY
    assert 'thermal' in result.reason
    np.testing.assert_array_equal(result.fused, pairs[1].rgb.image)
    assert result.thermal_registered is None
    assert pipeline.process(pairs[2]).mode is Mode.FUSED


def test_a_missing_rgb_frame_keeps_the_rgb_grid(pipeline, pairs):
    alone = pipeline.process(FramePair(None, pairs[0].thermal))
    assert alone.mode is Mode.THERMAL_ONLY
    assert alone.fused.shape == (128, 160, 3)
    pipeline.process(pairs[1])
    result = pipeline.process(FramePair(None, pairs[2].thermal))
    assert result.mode is Mode.THERMAL_ONLY
    assert 'rgb' in result.reason
    assert result.fused.shape == (240, 320, 3)


def test_a_black_rgb_image_gives_thermal_and_full_fusion_returns(pipeline, pairs):
    stream = list(repeated(pairs[0], 30))
    modes = []
    for index, pair in enumerate(stream):
        if 5 <= index < 15:
            black = dataclasses.replace(pair.rgb, image=np.zeros_like(pair.rgb.image))
            pair = FramePair(black, pair.thermal)
        modes.append(pipeline.process(pair).mode)
    assert modes[4] is Mode.FUSED
    assert modes[14] is Mode.THERMAL_ONLY
    assert modes[-1] is Mode.FUSED


def test_a_frozen_thermal_camera_is_left_out_and_returns(pipeline, pairs):
    modes = []
    for index, pair in enumerate(repeated(pairs[0], 60)):
        if 5 <= index < 40:
            still = dataclasses.replace(pairs[0].thermal, stamp_ns=pair.thermal.stamp_ns)
            pair = FramePair(pair.rgb, still)
        modes.append(pipeline.process(pair).mode)
    assert modes[4] is Mode.FUSED
    assert modes[39] is Mode.RGB_ONLY
    assert modes[-1] is Mode.FUSED


def test_sizes_may_change_while_it_runs(pipeline, pairs):
    pipeline.process(pairs[0])
    rgb = Frame(pairs[1].rgb.stamp_ns, 'rgb', pairs[1].rgb.image[:201, :303].copy())
    thermal = Frame(pairs[1].thermal.stamp_ns, 'thermal', pairs[1].thermal.image[:101, :77].copy())
    assert pipeline.process(FramePair(rgb, thermal)).fused.shape == (201, 303, 3)


def test_nan_only_is_counted_and_the_output_goes_on(pipeline, pairs):
    nothing = Frame(pairs[0].thermal.stamp_ns, 'thermal', np.full((128, 160), np.nan, np.float32))
    result = pipeline.process(FramePair(pairs[0].rgb, nothing))
    assert result.mode is Mode.RGB_ONLY
    assert 'finite' in result.reason
    assert pipeline.counters.snapshot() == {'thermal.not_finite': 1}
    with pytest.raises(ImageError, match='finite'):
        pipeline.process(FramePair(None, nothing))
    assert pipeline.process(pairs[1]).mode is Mode.FUSED


def test_a_still_takes_nothing_from_other_pairs(pipeline, pairs):
    first = pipeline.process_still(pairs[5].rgb, pairs[5].thermal)
    for pair in pairs:
        pipeline.process(pair)
    again = pipeline.process_still(pairs[5].rgb, pairs[5].thermal)
    np.testing.assert_array_equal(first.fused, again.fused)
    np.testing.assert_array_equal(first.deformation.homography, again.deformation.homography)


def test_intrinsics_of_the_frames_are_used_unless_told_not_to(pairs):
    def source(use):
        params = replace(Parameters(), {'registration.use_camera_info': use,
                                        'registration.mode': 'calibrated'})
        pipeline = Pipeline(params)
        try:
            return pipeline.process(pairs[0]).deformation.source
        finally:
            pipeline.close()

    assert source(True) is DeformationSource.CALIBRATION
    assert source(False) is DeformationSource.NONE


def test_parameters_change_at_run_time_or_not_at_all(pipeline, pairs):
    before = pipeline.process(pairs[0]).fused
    pipeline.set_parameters(replace(pipeline.params, {'fusion.method': 'average'}))
    assert np.abs(pipeline.process(pairs[0]).fused.astype(int) - before).mean() > 0.5
    with pytest.raises(ParameterError, match="'avarage'"):
        pipeline.set_parameters(replace(pipeline.params, {'fusion.method': 'avarage'}))
    assert pipeline.params.fusion.method == 'average'


def test_errors_of_the_configuration_come_at_the_start():
    with pytest.raises(CalibrationError, match=r'nowhere\.yaml'):
        Pipeline(replace(Parameters(), {'registration.calibration': 'nowhere.yaml'}))
    with pytest.raises(ParameterError, match='tpu'):
        Pipeline(replace(Parameters(), {'fusion.device': 'tpu'}))


def test_detection_without_weights_detects_nothing(pairs):
    pipeline = Pipeline(replace(Parameters(), {'detection.weights': ''}))
    assert pipeline.load_detector() is None
    assert pipeline.process(pairs[0], detect=True).detections is None
