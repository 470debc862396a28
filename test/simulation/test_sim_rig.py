# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Frames, stamps, shutter events, noise and determinism of the simulated rig."""

from collections.abc import Callable
from itertools import islice, pairwise

import numpy as np
import pytest

from ivif_ros.errors import ParameterError
from ivif_ros.simulation import RigConfig, SimulatedRig
from ivif_ros.simulation.assets import paint_assets
from ivif_ros.simulation.rig import RGB_FRAME_ID, START_STAMP_NS, THERMAL_FRAME_ID
from ivif_ros.types import Frame

Rigs = Callable[..., SimulatedRig]
SMALL = {'rgb_size': (96, 72), 'thermal_size': (64, 48), 'traffic': 0.0}


def by_sensor(rig: SimulatedRig, seconds: float) -> dict[str, list[Frame]]:
    out: dict[str, list[Frame]] = {'rgb': [], 'thermal': []}
    last = 0
    for sensor, frame in rig.frames(seconds):
        assert frame.received_ns >= last
        last = frame.received_ns
        out[sensor].append(frame)
    return out


def test_rates_stamps_offset_and_jitter(rigs: Rigs) -> None:
    rig = rigs(
        **SMALL,
        rgb_hz=20.0,
        thermal_hz=9.0,
        thermal_lag_s=0.03,
        jitter_s=0.004,
        thermal_phase_s=0.02,
    )
    frames = by_sensor(rig, 4.0)
    assert len(frames['rgb']) == 80
    assert len(frames['thermal']) == 36
    for sensor, rate, phase, offset in (('rgb', 20, 0.0, 0.0), ('thermal', 9, 0.02, 0.03)):
        stamps = np.array([f.stamp_ns for f in frames[sensor]])
        truth = np.arange(len(stamps)) / rate + phase
        noise = (stamps - START_STAMP_NS) / 1e9 - truth
        assert (np.diff(stamps) > 0).all()
        assert noise.mean() == pytest.approx(offset, abs=0.003)
        assert 0.002 < noise.std() < 0.006
        assert np.abs(noise - offset).max() <= 0.0100001
        got = [rig.capture_time_s(sensor, int(s)) for s in stamps]
        np.testing.assert_allclose(got, truth, atol=1e-9)
        received = (np.array([f.received_ns for f in frames[sensor]]) - START_STAMP_NS) / 1e9
        assert (received - truth > 0.01).all()
        assert (received - truth < 0.05).all()


def test_frames_carry_ids_cameras_and_types(rigs: Rigs) -> None:
    rig = rigs(**SMALL)
    frames = dict(islice(rig.frames(10.0), 4))
    rgb, thermal = frames['rgb'], frames['thermal']
    assert (rgb.frame_id, thermal.frame_id) == (RGB_FRAME_ID, THERMAL_FRAME_ID)
    assert rgb.camera is rig.rgb_camera
    assert thermal.camera is rig.thermal_camera
    assert rgb.image.shape == (72, 96, 3)
    assert rgb.image.dtype == np.uint8
    assert thermal.image.shape == (48, 64)
    assert thermal.image.dtype == np.uint16
    assert rgb.size == rig.rgb_camera.size
    assert thermal.size == rig.thermal_camera.size


def test_frame_content_is_that_of_its_capture_time(rigs: Rigs) -> None:
    rig = rigs(**SMALL)
    for sensor, frame in islice(rig.frames(10.0, start_stamp_ns=5_000_000_000), 6):
        t = rig.capture_time_s(sensor, frame.stamp_ns, 5_000_000_000)
        again = rig.render_rgb(t) if sensor == 'rgb' else rig.render_thermal(t)
        np.testing.assert_array_equal(frame.image, again)


def test_shutter_repeats_the_same_image_for_half_a_second(rigs: Rigs) -> None:
    rig = rigs(**SMALL, rgb_hz=0.5, thermal_hz=10.0, freeze_every_s=3.0, freeze_length_s=0.5)
    images = [f.image for f in by_sensor(rig, 9.0)['thermal']]
    same = np.array([np.array_equal(a, b) for a, b in pairwise(images)])
    closed = np.array([rig.shutter_closed(k / 10) for k in range(1, len(images))])
    np.testing.assert_array_equal(same, closed)
    runs = np.diff(np.flatnonzero(np.diff(np.concatenate([[0], same.astype(int), [0]]))))[::2]
    assert len(runs) == 3
    assert all(4 <= run <= 6 for run in runs)


def test_no_shutter_event_when_switched_off(rigs: Rigs) -> None:
    rig = rigs(**SMALL, freeze_every_s=0.0)
    assert not any(rig.shutter_closed(k / 7) for k in range(2000))


def test_same_seed_same_bits_other_seed_other_street() -> None:
    first = SimulatedRig(RigConfig(seed=3, **SMALL))
    paint_assets.cache_clear()
    second, other = (SimulatedRig(RigConfig(seed=seed, **SMALL)) for seed in (3, 4))
    first.render_rgb(8.0)
    np.testing.assert_array_equal(first.render_rgb(2.5), second.render_rgb(2.5))
    np.testing.assert_array_equal(first.render_thermal(2.5), second.render_thermal(2.5))
    assert np.abs(first.render_rgb(2.5).astype(int) - other.render_rgb(2.5)).mean() > 3


def test_counts_are_14_bit_and_mean_degrees(rigs: Rigs) -> None:
    rig = rigs(lighting='night')
    counts = rig.render_thermal(4.0)
    assert counts.max() < 1 << 14
    celsius = counts * rig.config.celsius_per_count + rig.config.celsius_offset
    light = rig.scene.light
    width = celsius.shape[1]
    road = celsius[-20:, width // 2 - 20 : width // 2 + 20]
    assert road.mean() == pytest.approx(light.ground_c, abs=2.5)
    assert light.sky_zenith_c - 3 < celsius.min() < light.ground_c - 4
    assert celsius.max() > light.cloth_c


def test_very_hot_scene_saturates_at_the_14_bit_limit(rigs: Rigs) -> None:
    rig = rigs(**SMALL)
    counts = rig._thermal_sensor.expose(np.full((48, 64), 900.0, np.float32), 0.0)
    assert (counts == 16383).all()
    counts = rig._thermal_sensor.expose(np.full((48, 64), -300.0, np.float32), 0.0)
    assert (counts == 0).all()


def test_thermal_noise_is_as_configured_and_columns_keep_their_pattern(rigs: Rigs) -> None:
    rig = rigs(
        **{**SMALL, 'thermal_size': (320, 256)},
        netd_k=0.1,
        ego_speed_mps=0.0,
        celsius_per_count=0.02,
    )
    flat = np.full((256, 320), 20.0, np.float32)
    stack = np.stack([rig._thermal_sensor.expose(flat, k / 30) for k in range(12)]) * 0.02
    assert np.median(stack.std(0)) == pytest.approx(0.1, rel=0.2)
    columns = stack.mean((0, 1))
    assert 0.05 < (columns - np.convolve(columns, np.ones(9) / 9, 'same'))[8:-8].std() < 0.2


def test_static_rig_shows_a_static_street(rigs: Rigs) -> None:
    rig = rigs(traffic=0.0, ego_speed_mps=0.0, lighting='day', rgb_size=(320, 240))
    difference = rig.render_rgb(1.0).astype(int) - rig.render_rgb(21.0)
    assert np.abs(difference).mean() < 6
    moving = rigs(traffic=0.0, ego_speed_mps=5.0, lighting='day', rgb_size=(320, 240))
    assert np.abs(moving.render_rgb(1.0).astype(int) - moving.render_rgb(21.0)).mean() > 12


@pytest.mark.parametrize(
    ('settings', 'word'),
    [
        ({'lighting': 'noon'}, 'lighting'),
        ({'seed': -1}, 'seed'),
        ({'rgb_hz': 0.0}, 'rgb_hz'),
        ({'rgb_size': (8, 8)}, 'rgb_size'),
        ({'thermal_fov_deg': 170.0}, 'thermal_fov_deg'),
        ({'freeze_every_s': 1.0, 'freeze_length_s': 0.5}, 'freeze_every_s'),
        ({'rgb_distortion': (0.1,)}, 'rgb_distortion'),
        ({'celsius_per_count': 0.01}, '14 bits'),
        ({'jitter_s': float('nan')}, 'jitter_s'),
    ],
)
def test_impossible_settings_are_named(settings: dict[str, object], word: str) -> None:
    with pytest.raises(ParameterError, match=word):
        RigConfig(**settings)  # type: ignore[arg-type]
