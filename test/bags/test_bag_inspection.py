# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A look at a recording finds what was put into it, and says what it did not find."""

import math
import struct
from dataclasses import replace

import numpy as np
import pytest
from moving_streams import World, stamped, stream
from synthetic_bags import (
    RGB_TOPIC,
    START_NS,
    THERMAL_TOPIC,
    image,
    rgb_picture,
    thermal_picture,
    two_cameras,
    write_bag,
    write_bag1,
    write_items,
)

from ivif_ros.bags.advice import advise
from ivif_ros.bags.importing import Importer, Intrinsics
from ivif_ros.bags.inspection import inspect_bag
from ivif_ros.bags.inspection_images import look_at_colour, look_at_thermal, thinned
from ivif_ros.bags.inspection_pairs import align, combined_offset, forecast
from ivif_ros.bags.inspection_timing import TimingMeter
from ivif_ros.bags.truth import end_point_error
from ivif_ros.bags.truth_file import KnownSource, load_truth
from ivif_ros.errors import SourceError
from ivif_ros.parameters import Parameters, SyncParameters, from_dict
from ivif_ros.registration import Estimate, dense_map
from ivif_ros.registration.estimate import default_estimator
from ivif_ros.sources.disturbed import Disturbance, DisturbedSource
from ivif_ros.sources.folder import FolderSource
from ivif_ros.sources.shaping import LimitedSource
from ivif_ros.types import Deformation

NAN = float('nan')


def header(stamp_ns, content=b''):
    """A serialised message whose payload is some bytes."""
    return b'\0\1\0\0' + struct.pack('<iI', stamp_ns // 10**9, stamp_ns % 10**9) + content


def metered(stamps, received=None, contents=None):
    meter = TimingMeter()
    meter.new_window()
    for index, stamp in enumerate(stamps):
        meter.add(stamp, stamp if received is None else received[index],
                  header(stamp, contents[index] if contents else bytes([index])))
    return meter


# Time

def test_timing_of_a_camera_with_gaps_jitter_and_repetitions():
    rng = np.random.default_rng(0)
    stamps = START_NS + np.rint(np.arange(100) * 1e8 + rng.normal(0, 2e6, 100)).astype(np.int64)
    kept = np.delete(stamps, [20, 50, 51]).tolist()
    contents = [bytes([index]) for index in range(len(kept))]
    contents[10] = contents[9]
    timing = metered(kept, [stamp + 15_000_000 for stamp in kept], contents).timing()
    assert timing.messages == 97
    assert timing.rate_hz == pytest.approx(10, rel=0.01)
    # Two stamps with a deviation of 2 ms each.
    assert timing.jitter_ms == pytest.approx(2 * math.sqrt(2), rel=0.2)
    assert (timing.gaps, timing.missing) == (2, 3)
    assert timing.largest_gap_ms == pytest.approx(300, abs=10)
    assert timing.repeated == 1
    assert timing.latency_ms == pytest.approx(15)
    assert timing.bytes == 13
    assert (timing.first_stamp_ns, timing.last_stamp_ns) == (kept[0], kept[-1])


def test_timing_of_bad_clocks():
    stamps = [1_000_000_000, 1_100_000_000, 1_100_000_000, 900_000_000, 1_200_000_000]
    timing = metered(stamps).timing()
    assert (timing.backwards, timing.equal_stamps, timing.zero_stamps) == (1, 1, 0)
    unstamped = metered([0, 0, 0]).timing()
    assert unstamped.zero_stamps == 3
    assert math.isnan(unstamped.rate_hz)
    assert unstamped.first_stamp_ns == 0
    nothing = metered([]).timing()
    assert nothing.messages == 0
    assert math.isnan(nothing.latency_ms)


def test_time_between_parts_is_no_gap():
    meter = TimingMeter()
    for start in (0, 10**12):
        meter.new_window()
        for index in range(5):
            meter.add(START_NS + start + index * 10**8, 0, header(0, bytes([index])))
    timing = meter.timing()
    assert (timing.gaps, timing.repeated, timing.messages) == (0, 0, 10)
    assert timing.rate_hz == pytest.approx(10)


# Values

def look(values, **options):
    return look_at_thermal([thinned(values)], (values.shape[1], values.shape[0]), **options)


@pytest.mark.parametrize(('values', 'radiometric', 'scale', 'words'), [
    (np.linspace(29_000, 31_500, 3000), 'likely', 0.01, 'temperatures, 0.01 K per count'),
    (np.linspace(7000, 7900, 900), 'possible', 0.04, 'raw 13-bit counts, or temperatures of 0.04'),
    (np.linspace(2900, 3100, 200), 'possible', 0.1, '12-bit counts, or temperatures of 0.1'),
    (np.arange(256), 'no', 0, '8 bits in 16'),
    (6829 + 4 * np.arange(256), 'no', 0, '8-bit levels converted to 16 bits (all values are 4 '),
    (np.linspace(0, 65535, 65536), 'no', 0, 'stretched by a gain control'),
    (np.linspace(14_000, 16_000, 2000), 'unknown', 0, 'raw 14-bit counts')])
def test_16_bit_values_tell_what_they_are(values, radiometric, scale, words):
    found = look(np.resize(np.rint(values).astype(np.uint16), (300, 400)))
    assert (found.radiometric, found.celsius_scale) == (radiometric, scale)
    assert words in found.words
    assert found.maximum <= values.max()


@pytest.mark.parametrize(('values', 'radiometric', 'scale', 'words'), [
    ((15, 40), 'likely', 0, 'degrees Celsius'), ((288, 310), 'likely', 1, 'kelvin'),
    ((0, 1), 'no', 0, '0..1'), ((4e4, 5e4), 'unknown', 0, 'unknown unit')])
def test_float_values_tell_what_they_are(values, radiometric, scale, words):
    degrees = np.linspace(*values, 120_000, dtype=np.float32).reshape(300, 400)
    degrees[0, ::2] = np.nan
    found = look(degrees)
    assert (found.radiometric, found.celsius_scale) == (radiometric, scale)
    assert words in found.words
    assert 0 < found.not_finite < 0.01


def test_other_thermal_images():
    ramp = np.tile(np.arange(200, dtype=np.uint8), (100, 1))
    assert look(ramp).radiometric == 'no'
    assert 'palette' in look(ramp, coloured=True).words
    assert look(np.full((40, 50), np.nan, np.float32)).words == 'not one finite pixel'
    even = look(np.full((40, 50), 7300, np.uint16))
    assert (even.minimum, even.maximum) == (7300, 7300)


def test_colour_images():
    picture = np.zeros((100, 120, 3), np.uint8)
    picture[50:] = 255
    found = look_at_colour([thinned(picture)], (120, 100))
    assert found.colourless
    assert found.dark == found.saturated == pytest.approx(0.5, abs=0.02)
    picture[:, 60:, 2] = 99
    assert not look_at_colour([thinned(picture)], (120, 100)).colourless


# Clocks and pairs

def test_parts_that_agree_give_an_offset_and_parts_that_do_not_give_none():
    said = [(-80.0, 8.0, 0.9, ''), (NAN, NAN, 0.0, 'no motion'), (-84.0, 8.0, 1.0, '')]
    found = combined_offset(said, -70.0)
    assert found.offset_ms == -82.0
    assert (found.agreeing, found.parts, found.clocks_ms) == (2, 3, -70.0)
    assert found.std_ms == pytest.approx(8 / math.sqrt(2))
    found = combined_offset([(-80.0, 8.0, 0.9, ''), (100.0, 8.0, 0.9, '')], NAN)
    assert not found.known
    assert 'disagree: -80 ms, +100 ms' in found.reason
    found = combined_offset([(NAN, NAN, 0.0, 'no motion')] * 2, NAN)
    assert found.reason == 'no motion'


def test_forecast_of_pairs():
    rgb = [START_NS + index * 33_333_333 for index in range(90)]
    thermal = [stamp + 50_000_000 for stamp in rgb[::3]]
    meters = {'rgb': metered(rgb), 'thermal': metered(thermal, [s - 50_000_000 for s in thermal])}
    right = forecast(meters, SyncParameters(thermal_offset_ms=-50.0))
    assert (right.rgb_frames, right.fused, right.held, right.rgb_only) == (90, 30, 60, 0)
    assert right.fused_share == 1.0
    # Fresh pairs have no skew, held ones are one or two RGB periods old.
    assert right.skew_ms == pytest.approx(33.3, abs=0.1)
    wrong = forecast(meters, SyncParameters(pairing='match'))
    assert wrong.held == 0
    assert wrong.skew_ms == pytest.approx(16.7, abs=0.1)
    alone = forecast(meters, SyncParameters(pairing='match', tolerance_ms=1.0))
    assert (alone.fused, alone.rgb_only) == (0, 90)
    assert sum(alone.lost.values()) + alone.thermal_only == 30
    assert math.isnan(alone.skew_ms)


def test_most_estimates_win():
    pairs = [(np.zeros((48, 64, 3), np.uint8), np.zeros((48, 64), np.uint8))] * 4
    shifts = iter([2.0, 2.2, 30.0, None])

    def estimator(rgb, thermal, start):
        shift = next(shifts)
        homography = np.eye(3)
        homography[0, 2] = shift or 0.0
        return Estimate(Deformation(start.rgb_size, start.thermal_size, homography,
                                    confidence=0.5, residual_px=1.0), shift is not None, 'flat')

    found = align(pairs, estimator, None)
    assert (found.pairs, found.accepted, found.agreeing) == (4, 3, 2)
    assert found.shift_px == pytest.approx(2.1, abs=0.15)
    assert found.chosen in (0, 1)
    assert found.misaligned
    assert not replace(found, expected_error_px=1.5).misaligned

    def refuses(rgb, thermal, start):
        return Estimate(start, False, 'too dark')

    assert align(pairs, refuses, None).words == 'too dark'
    assert align([], refuses, None).deformation is None


# Recordings

@pytest.mark.parametrize('kind', ['mcap', 'sqlite3', 'ros1'])
def test_a_good_recording_needs_nothing(tmp_path, kind):
    path = (write_bag1(tmp_path / 'r.bag', 60) if kind == 'ros1'
            else write_bag(tmp_path / 'r', 60, storage=kind))
    seen = inspect_bag(path)
    assert (seen.damage, seen.choice_problem, seen.looked.broke_off) == ('', '', '')
    assert seen.looked.complete
    assert seen.looked.messages == 240
    rgb, thermal = seen.cameras['rgb'], seen.cameras['thermal']
    assert (rgb.topic.name, thermal.topic.name) == (RGB_TOPIC, THERMAL_TOPIC)
    assert rgb.timing.rate_hz == pytest.approx(30, rel=1e-6)
    assert thermal.timing.latency_ms == pytest.approx(5)
    assert rgb.frame_ids == ('rgb_optical_frame',)
    assert rgb.look.size == (64, 48)
    assert thermal.look.dtype == 'uint16'
    assert rgb.info.fov_deg == pytest.approx(56, abs=0.2)
    assert seen.overlap_s == pytest.approx(59 / 30 - 0.002)
    advice = advise(seen)
    assert advice.parameters == {}
    assert advice.as_is.fused == 60
    assert not [item for item in advice.cautions if item.severe]


def test_motion_in_both_streams_shows_the_offset(tmp_path):
    items = []
    for sensor, frame in stamped(stream(World(), 8, thermal_hz=9.0), lag_ms=80.0):
        encoding = 'bgr8' if sensor == 'rgb' else 'mono16'
        items.append((f'/{sensor}/image_raw', frame.received_ns, image(
            frame.image, encoding, frame.stamp_ns, f'{sensor}_optical_frame')))
    seen = inspect_bag(write_items(tmp_path / 'bag', items))
    assert seen.offset.offset_ms == pytest.approx(-80, abs=15)
    assert seen.offset.confidence > 0.9
    advice = advise(seen)
    assert advice.parameters['sync.thermal_offset_ms'] == round(seen.offset.offset_ms, 1)
    from_dict(Parameters, advice.parameters)


def test_the_alignment_of_a_real_scene_is_that_of_the_import(shared_data, tmp_path):
    videos = [shared_data / 'm3svd' / sensor / '0111_1716.mp4' for sensor in ('rgb', 'thermal')]
    done = Importer(
        DisturbedSource(LimitedSource(FolderSource(videos[0], thermal=videos[1]), 1.0),
                        Disturbance(misalign_px=10, seed=2)),
        Intrinsics(None, 60, 60), aligned=True).write(tmp_path / 'bag')
    seen = inspect_bag(tmp_path / 'bag', motion=False, estimator=default_estimator())
    found = seen.alignment
    assert 2 * found.agreeing > found.pairs
    truth = KnownSource(FolderSource(videos[0], thermal=videos[1]),
                        load_truth(done.truth)).true_map(0)
    before = Deformation.stretch((640, 480), (640, 480))
    left, there = (end_point_error(dense_map(one), truth, (640, 480)).rgb_px.mean
                   for one in (before, found.deformation))
    assert left == pytest.approx(10, rel=0.1)
    assert there < 0.6 * left
    assert any('not aligned' in item.what for item in advise(seen).cautions)


def test_a_long_recording_is_sampled(tmp_path):
    path = write_bag(tmp_path / 'r', 600, hz=5.0)
    seen = inspect_bag(path, seconds=40, motion=False)
    looked = seen.looked
    assert not looked.complete
    assert looked.parts == 4
    assert looked.seconds == pytest.approx(40, abs=1)
    assert looked.of_seconds == pytest.approx(120, abs=1)
    assert 700 < looked.messages < 900
    for camera in seen.cameras.values():
        assert camera.timing.gaps == 0
        assert camera.timing.rate_hz == pytest.approx(5)
    # The first and the last part reach to the ends.
    assert seen.overlap_s == pytest.approx(599 / 5, abs=0.5)
    assert inspect_bag(path, seconds=None, motion=False).looked.messages == 2400


def altered(items, topic, change):
    for name, _, message in items:
        if name == topic:
            change(message)
    return items


def shift_stamp(seconds):
    def change(message):
        message.header.stamp.sec += seconds
    return change


@pytest.mark.parametrize(('items', 'expected', 'severe'), [
    (lambda: altered(two_cameras(60), THERMAL_TOPIC, shift_stamp(5000)), 'no time in common', True),
    (lambda: altered(two_cameras(60), RGB_TOPIC, lambda m: setattr(m, 'encoding', 'strange')),
     'cannot be decoded', True),
    (lambda: two_cameras(60, infos=False), 'there is none', False),
    (lambda: [item for index, item in enumerate(two_cameras(60, infos=False))
              if index not in (41, 43, 45)], 'images missing', False),
    (lambda: two_cameras(60, thermal=lambda i: thermal_picture(i // 4)), 'repeat the one', False),
    (lambda: two_cameras(60, rgb=lambda i: rgb_picture(i) * 0), 'dark', False),
    (lambda: two_cameras(60, thermal=lambda i: np.full((24, 32), 7300 + i % 2, np.uint16)),
     'counts of contrast', False),
    (lambda: two_cameras(60, delay_ns=3_000_000_000), 'received 3.00 s after', False),
])
def test_what_is_wrong_is_said_with_what_to_do(tmp_path, items, expected, severe):
    seen = inspect_bag(write_items(tmp_path / 'r', items()))
    cautions = advise(seen).cautions
    found = [item for item in cautions if expected in item.what]
    assert found, cautions
    assert found[0].severe == severe
    assert found[0].remedy
    assert [item.severe for item in cautions] == sorted(
        (item.severe for item in cautions), reverse=True)


def test_unstamped_images(tmp_path):
    def unstamp(message):
        message.header.stamp.sec = message.header.stamp.nanosec = 0

    seen = inspect_bag(write_items(
        tmp_path / 'r', altered(two_cameras(30), THERMAL_TOPIC, unstamp)))
    assert seen.cameras['thermal'].timing.zero_stamps == 30
    assert math.isnan(seen.overlap_s)
    assert any(item.severe and 'no stamp' in item.what for item in advise(seen).cautions)


def test_clocks_that_differ_by_seconds_are_bridged(tmp_path):
    items = altered(two_cameras(60), THERMAL_TOPIC, shift_stamp(3))
    advice = advise(inspect_bag(write_items(tmp_path / 'r', items)))
    assert advice.parameters['sync.thermal_offset_ms'] == pytest.approx(-3002, abs=3)
    assert advice.as_is.fused == 0
    assert advice.advised.fused == 60


def test_a_slow_camera_and_far_partners_change_the_parameters(tmp_path):
    slow = two_cameras(90, thermal_every=6)
    advice = advise(inspect_bag(write_items(tmp_path / 'slow', slow)))
    assert advice.parameters['sync.max_age_ms'] >= 200
    apart = two_cameras(60, hz=10, skew_ns=38_000_000)
    advice = advise(inspect_bag(write_items(tmp_path / 'apart', apart)))
    assert 38 <= advice.parameters['sync.tolerance_ms'] < 50
    # Without it each RGB frame takes the thermal frame before.
    assert (advice.as_is.skew_ms, advice.advised.skew_ms) == (62.0, 38.0)
    assert advice.advised.fused == 60
    from_dict(Parameters, advice.parameters)


def test_recordings_without_a_thermal_camera_or_any_image(tmp_path):
    items = [item for item in two_cameras(20) if item[0] != THERMAL_TOPIC]
    seen = inspect_bag(write_items(tmp_path / 'rgb', items))
    assert 'no topic that looks like the thermal camera' in seen.choice_problem
    assert not seen.cameras
    assert advise(seen).cautions[0].severe
    items = [item for item in two_cameras(20) if item[0].endswith('camera_info')]
    seen = inspect_bag(write_items(tmp_path / 'none', items))
    assert 'no image topic' in seen.choice_problem
    assert len(seen.topics) == 2


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_a_truncated_recording_is_looked_at_as_far_as_it_goes(tmp_path, storage):
    path = write_bag(tmp_path / 'r', 300, storage=storage)
    file = next(item for item in path.iterdir() if item.suffix in ('.mcap', '.db3'))
    file.write_bytes(file.read_bytes()[:file.stat().st_size * 2 // 3])
    seen = inspect_bag(path, motion=False)
    assert 'truncated' in seen.damage
    assert 100 < seen.cameras['rgb'].timing.messages < 300
    assert advise(seen).advised.fused > 100


def test_a_recording_that_is_broken_in_the_middle_is_read_before_and_behind(tmp_path):
    path = write_bag(tmp_path / 'r', 450)
    file = next(path.glob('*.mcap'))
    with file.open('r+b') as content:
        content.seek(file.stat().st_size // 2)
        content.write(b'\xff' * 100_000)
    seen = inspect_bag(path, motion=False)
    assert seen.looked.broke_off
    assert not seen.looked.complete
    timing = seen.cameras['rgb'].timing
    assert 150 < timing.messages < 420
    assert timing.first_stamp_ns == START_NS
    assert timing.last_stamp_ns - START_NS == pytest.approx(449e9 / 30, abs=10)
    # The time between both parts is no gap of the camera.
    assert timing.gaps == 0
    assert any('cannot be read' in item.what for item in advise(seen).cautions)


def test_what_is_no_recording_is_refused(tmp_path):
    (tmp_path / 'r.mcap').write_bytes(b'hello')
    with pytest.raises(SourceError, match='not a recording'):
        inspect_bag(tmp_path / 'r.mcap')
    with pytest.raises(SourceError, match='is not there'):
        inspect_bag(tmp_path / 'gone')
