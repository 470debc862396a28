# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Pairs become a recording: contents, camera_info, and a truth that is true."""

import json
import math

import cv2
import numpy as np
import pytest

from ivif_ros.bags.file import BagFile
from ivif_ros.bags.importing import DESCRIPTION_TOPIC, Importer, Intrinsics, assumed_camera
from ivif_ros.bags.reader import BagSource
from ivif_ros.bags.truth_file import FORMAT, KnownSource, Truth, load_truth, truth_path
from ivif_ros.errors import CalibrationError, OutputError, SourceError
from ivif_ros.registration import Calibration, dense_map, save_calibration
from ivif_ros.sources.disturbed import Disturbance, DisturbedSource
from ivif_ros.sources.folder import START_NS, FolderSource
from ivif_ros.sources.shaping import LimitedSource
from ivif_ros.sources.simulated import SimulatedSource
from ivif_ros.types import Deformation

STEPS = '0111_1716'
SIMULATOR = 'sim:day,rgb_size=160x120,thermal_size=96x72,traffic=0,seed=3'


@pytest.fixture
def folder(tmp_path):
    """Three pairs of stills with structure."""
    rng = np.random.default_rng(0)
    for sensor, channels, size in (('rgb', 3, (96, 128)), ('thermal', 1, (72, 96))):
        (tmp_path / 'data' / sensor).mkdir(parents=True)
        for name in 'abc':
            noise = rng.integers(0, 255, (*size, channels), np.uint8)
            cv2.imwrite(str(tmp_path / 'data' / sensor / f'{name}.png'),
                        cv2.GaussianBlur(noise, (0, 0), 3))
    return tmp_path / 'data'


def imported(source, out, what=None, *, calibration=None, fov=(60.0, 60.0), storage='mcap',
             compression='none', **options):
    """Import a source; returns the summary."""
    return Importer(
        DisturbedSource(source, what or Disturbance()), Intrinsics(calibration, *fov),
        calibration=calibration, **options).write(out, storage=storage, compression=compression)


def frames(path):
    with BagSource(path) as source:
        found = {'rgb': [], 'thermal': []}
        for sensor, frame in source.frames():
            found[sensor].append(frame)
        assert not source.problems.snapshot()
    return found['rgb'], found['thermal']


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_a_folder_of_pairs_becomes_a_recording(folder, tmp_path, storage):
    done = imported(FolderSource(folder, rate_hz=5), tmp_path / 'bag', storage=storage)
    rgb, thermal = frames(tmp_path / 'bag')
    assert [frame.stamp_ns - START_NS for frame in rgb] == [0, 200_000_000, 400_000_000]
    assert [frame.stamp_ns for frame in thermal] == [frame.stamp_ns for frame in rgb]
    np.testing.assert_array_equal(rgb[1].image, cv2.imread(str(folder / 'rgb' / 'b.png')))
    np.testing.assert_array_equal(
        thermal[2].image, cv2.imread(str(folder / 'thermal' / 'c.png'), cv2.IMREAD_GRAYSCALE))
    assert done.cameras['rgb'].frames == 3
    assert done.cameras['thermal'].size == (96, 72)
    assert done.cameras['thermal'].rate_hz == pytest.approx(5)
    assert done.truth is None
    assert not truth_path(tmp_path / 'bag').exists()
    assert done.bytes > 3 * 96 * 128 * 3


def test_assumed_intrinsics_are_said_to_be_assumed(folder, tmp_path):
    imported(FolderSource(folder), tmp_path / 'bag', fov=(70.0, 50.0))
    rgb, thermal = frames(tmp_path / 'bag')
    for frame, fov in ((rgb[0], 70), (thermal[0], 50)):
        width = frame.image.shape[1]
        half = math.degrees(math.atan(width / 2 / frame.camera.matrix[0, 0]))
        assert half * 2 == pytest.approx(fov)
        assert frame.camera.matrix[0, 2] == (width - 1) / 2
    with BagFile(tmp_path / 'bag') as bag:
        said = json.loads(bag.deserialise(list(bag.messages({DESCRIPTION_TOPIC}))[-1]).data)
    assert said['camera_info'] == {'rgb': 'ASSUMED: ideal lens of 70 degrees',
                                   'thermal': 'ASSUMED: ideal lens of 50 degrees'}
    assert 'stamps made up' in said['source']


def test_intrinsics_of_a_calibration_file(folder, tmp_path):
    camera = assumed_camera((256, 192), 80)
    calibration = Calibration(rgb=camera)
    imported(FolderSource(folder), tmp_path / 'bag', calibration=calibration)
    rgb, thermal = frames(tmp_path / 'bag')
    np.testing.assert_allclose(rgb[0].camera.matrix, camera.scaled_to((128, 96)).matrix)
    np.testing.assert_allclose(thermal[0].camera.matrix, assumed_camera((96, 72), 60).matrix)
    with pytest.raises(CalibrationError, match='one of another camera'):
        imported(FolderSource(folder), tmp_path / 'other',
                 calibration=Calibration(rgb=assumed_camera((640, 360), 80)))
    assert not (tmp_path / 'other').exists()


def test_equal_settings_give_equal_recordings(folder, tmp_path):
    what = Disturbance(seed=7, jitter_ms=3, misalign_px=4, drop_rgb=0.3, thermal_encoding='mono16')
    for name in ('one', 'two'):
        imported(FolderSource(folder), tmp_path / name, what, aligned=True)
    contents = []
    for name in ('one', 'two'):
        with BagFile(tmp_path / name) as bag:
            contents.append([(m.topic, m.received_ns, bytes(m.data)) for m in bag.messages(
                {topic.name for topic in bag.topics()})])
    assert contents[0] == contents[1]
    texts = [truth_path(tmp_path / name).read_text() for name in ('one', 'two')]
    assert texts[0] == texts[1]


def test_the_truth_about_real_videos_leads_to_the_same_content(shared_data, tmp_path):
    """Sampled at the true map, the deformed thermal image equals the one before."""
    videos = [shared_data / 'm3svd' / sensor / f'{STEPS}.mp4' for sensor in ('rgb', 'thermal')]
    source = LimitedSource(FolderSource(videos[0], thermal=videos[1]), 0.2)
    done = imported(source, tmp_path / 'bag', Disturbance(seed=3, misalign_px=9, skew_ms=40),
                    aligned=True, thermal_offset_ms=-40.0)
    assert done.truth == truth_path(tmp_path / 'bag')
    assert done.cameras['rgb'].rate_hz == pytest.approx(30, rel=1e-6)
    rgb, thermal = frames(tmp_path / 'bag')
    assert [a.stamp_ns - b.stamp_ns for a, b in zip(thermal, rgb, strict=True)] == [40_000_000] * 6
    truth = load_truth(done.truth)
    assert truth.thermal_offset_ms == -40.0
    with KnownSource(BagSource(tmp_path / 'bag'), truth) as known:
        place = known.true_map(rgb[0].stamp_ns)
        assert known.true_map(rgb[1].stamp_ns) is place
        assert len(list(known.frames())) == 12
    original = next(frame.image for sensor, frame in FolderSource(
        videos[0], thermal=videos[1]).frames() if sensor == 'thermal')
    inside = ((place >= 0) & (place <= (639, 479))).all(axis=-1)
    assert inside.mean() > 0.9

    def difference(at):
        found = cv2.remap(thermal[0].image, at[..., 0], at[..., 1], cv2.INTER_LINEAR)
        return np.abs(found.astype(int) - original)[inside].mean()

    x, y = np.meshgrid(np.arange(640, dtype=np.float32), np.arange(480, dtype=np.float32))
    assert difference(place) < 1.0 < 0.2 * difference(np.stack([x, y], axis=-1))
    off = np.linalg.norm(place - np.stack([x, y], axis=-1), axis=-1)
    assert off.mean() == pytest.approx(9, rel=0.05)


def test_the_truth_about_the_simulator_is_its_own(tmp_path):
    source = LimitedSource(SimulatedSource.from_text(SIMULATOR), 0.15)
    done = imported(source, tmp_path / 'bag', Disturbance(misalign_px=2, seed=5),
                    simulator=SIMULATOR)
    rgb, _ = frames(tmp_path / 'bag')
    truth = load_truth(done.truth)
    with KnownSource(BagSource(tmp_path / 'bag'), truth) as known:
        place = known.true_map(rgb[2].stamp_ns)
    before = source.true_map(rgb[2].stamp_ns)
    there = np.isfinite(before).all(axis=-1)
    assert there.mean() > 0.3
    np.testing.assert_array_equal(np.isfinite(place).all(axis=-1), there)
    back = truth.misalignment.at(place)
    assert np.linalg.norm(back - before, axis=-1)[there].mean() < 0.02
    assert np.linalg.norm(place - before, axis=-1)[there].mean() > 1.0


def test_a_deformation_of_the_calibration_is_the_truth(folder, tmp_path):
    homography = Deformation.stretch((128, 96), (96, 72)).homography.copy()
    homography[0, 2] += 5
    calibration = Calibration(deformation=Deformation((128, 96), (96, 72), homography))
    done = imported(FolderSource(folder), tmp_path / 'bag', calibration=calibration)
    with KnownSource(BagSource(tmp_path / 'bag'), load_truth(done.truth)) as known:
        np.testing.assert_allclose(
            known.true_map(0), dense_map(calibration.deformation), atol=1e-4)


@pytest.mark.parametrize(('compression', 'suffix'), [('jpeg', b'\xff\xd8'), ('png', b'\x89PNG')])
def test_compressed_images(folder, tmp_path, compression, suffix):
    done = imported(FolderSource(folder), tmp_path / 'bag', compression=compression)
    assert done.cameras['rgb'].topic == '/rgb/image_raw/compressed'
    with BagFile(tmp_path / 'bag') as bag:
        data = bag.deserialise(next(bag.messages({done.cameras['rgb'].topic}))).data
    assert bytes(data[:len(suffix)]) == suffix
    rgb, thermal = frames(tmp_path / 'bag')
    assert len(rgb) == len(thermal) == 3


def test_nothing_left_to_import(folder, tmp_path):
    with pytest.raises(SourceError, match='no frame left'):
        imported(FolderSource(folder), tmp_path / 'bag', Disturbance(drop_rgb=1, drop_thermal=1))
    assert not (tmp_path / 'bag').exists()


def test_a_recording_that_exists_is_kept(folder, tmp_path):
    (tmp_path / 'bag').write_text('mine')
    with pytest.raises(OutputError, match='exists already'):
        imported(FolderSource(folder), tmp_path / 'bag')
    assert (tmp_path / 'bag').read_text() == 'mine'


def test_what_was_written_before_a_failure_keeps_its_truth(folder, tmp_path):
    class Breaking(FolderSource):
        def frames(self):
            for number, item in enumerate(super().frames()):
                if number == 4:
                    raise SourceError('the disk is gone')
                yield item

    with pytest.raises(SourceError, match='the disk is gone'):
        imported(Breaking(folder), tmp_path / 'bag', Disturbance(misalign_px=2), aligned=True)
    rgb, thermal = frames(tmp_path / 'bag')
    assert len(rgb) == len(thermal) == 2
    assert load_truth(truth_path(tmp_path / 'bag')).misalignment is not None


def test_a_truth_file_comes_back_as_it_was(tmp_path):
    rng = np.random.default_rng(1)
    grid = rng.normal(0, 2, (3, 4, 2)).astype(np.float32)
    known = Truth(-80.5, Deformation((64, 48), (32, 24), np.eye(3) + 0.001, grid))
    known.save(tmp_path / 't.json')
    again = load_truth(tmp_path / 't.json')
    assert again.thermal_offset_ms == -80.5
    assert again.misalignment is None
    np.testing.assert_array_equal(again.deformation.homography, known.deformation.homography)
    np.testing.assert_array_equal(again.deformation.grid, grid)


def test_a_calibration_file_is_a_truth_file(tmp_path):
    measured = Deformation.stretch((64, 48), (32, 24))
    save_calibration(tmp_path / 'rig.yaml', Calibration(deformation=measured))
    np.testing.assert_allclose(
        load_truth(tmp_path / 'rig.yaml').deformation.homography, measured.homography)
    save_calibration(tmp_path / 'bare.yaml', Calibration(rgb=assumed_camera((64, 48), 60)))
    with pytest.raises(SourceError, match="'deformation' or a 'simulator'"):
        load_truth(tmp_path / 'bare.yaml')


@pytest.mark.parametrize(('text', 'expected'), [
    ('{', 'damaged'), ('[]', 'not in the format'), ('{"format": "other"}', 'not in the format'),
    (json.dumps({'format': FORMAT}), 'damaged'),
    (json.dumps({'format': FORMAT, 'deformation': None, 'simulator': None, 'misalignment': None,
                 'thermal_offset_ms': None}), "'deformation' or a 'simulator'"),
    (json.dumps({'format': FORMAT, 'deformation': None, 'simulator': 'sim',
                 'thermal_offset_ms': None, 'misalignment': {
                     'size': [4, 4], 'homography': [[1]], 'bend': [[1]]}}), 'misalignment')])
def test_damaged_truth_files_are_named(tmp_path, text, expected):
    (tmp_path / 'truth.json').write_text(text)
    with pytest.raises(SourceError, match=expected) as caught:
        load_truth(tmp_path / 'truth.json')
    assert 'truth.json' in str(caught.value)


def test_a_missing_truth_file_is_named(tmp_path):
    with pytest.raises(SourceError, match='cannot be read'):
        load_truth(tmp_path / 'gone.json')
