# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`ivif calibrate`: folders, recordings, and what cannot be calibrated."""

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from synthetic_bags import write_bag

from ivif_ros.cli.main import main
from ivif_ros.registration import Calibration, load_calibration, save_calibration
from ivif_ros.registration.estimate import Estimate
from ivif_ros.registration.maps import apply_homography, dense_map, grid_nodes, precomposed
from ivif_ros.sources.images import read_image
from ivif_ros.types import Deformation, DeformationSource

PAIRS = 6
RGB, THERMAL = (320, 240), (160, 128)


def picture(seed, size):
    """Smooth random grey picture, 0 to 1."""
    small = np.random.default_rng(seed).random((12, 15), np.float32)
    return np.clip(cv2.resize(small, size, interpolation=cv2.INTER_CUBIC), 0, 1)


@pytest.fixture(scope='module')
def scenes(tmp_path_factory):
    """Folder of pairs that differ; what they show means nothing."""
    path = tmp_path_factory.mktemp('calibrate') / 'scenes'
    for sensor in ('rgb', 'thermal'):
        (path / sensor).mkdir(parents=True)
    for index in range(PAIRS):
        grey = (250 * picture(index, RGB)).astype(np.uint8)
        thermal = (7000 + 900 * picture(100 + index, THERMAL)).astype(np.uint16)
        assert cv2.imwrite(str(path / 'rgb' / f'{index:06d}.png'), cv2.merge([grey] * 3))
        assert cv2.imwrite(str(path / 'thermal' / f'{index:06d}.png'), thermal)
    return path


@pytest.fixture(scope='module')
def drive(tmp_path_factory):
    """Pairs of the simulated rig, with the truth."""
    path = tmp_path_factory.mktemp('calibrate') / 'drive'
    assert main(['sim', '--out', str(path), '--pairs', '--seconds', '4', '--lighting', 'day',
                 '--rgb-hz', '1', '--thermal-hz', '1', '--rig', 'rgb_size=320x240', '--rig',
                 'thermal_size=160x128', '--rig', 'baseline_m=0.05']) == 0
    return path


@pytest.fixture
def knowing(monkeypatch):
    """Make the command use an estimator that knows the rig, or one that is given; and listen."""
    truth = Deformation(RGB, THERMAL, [[0.5, 0.005, 4], [-0.004, 0.52, 2], [0, 0, 1]])
    seen = []

    def say(answer=lambda rgb: truth, mistaken=lambda rgb: False):
        rng = np.random.default_rng(1)

        def estimator(rgb, thermal, initial):
            seen.append((rgb, thermal, initial))
            if np.ptp(thermal) == 0:
                return Estimate(initial, False, 'thermal image is flat')
            shift = np.eye(3)
            shift[:2, 2] = rng.normal(0, 60 if mistaken(rgb) else 0.5, 2)
            found = precomposed(answer(rgb), shift)
            return Estimate(replace(found, confidence=0.7, residual_px=1.5,
                                    source=DeformationSource.ESTIMATED), True, '')
        monkeypatch.setattr('ivif_ros.cli.calibrate.default_estimator', lambda: estimator)
        return seen
    say.truth = truth
    return say


def images(drive, sensor):
    return [read_image(file, sensor) for file in sorted((drive / sensor).iterdir())]


def truths(drive):
    """Best deformation of each pair of a drive, by the first pixels of its RGB image."""
    found = {}
    nodes = grid_nodes(RGB, 33, 25)
    for rgb, file in zip(images(drive, 'rgb'), sorted((drive / 'truth').iterdir()), strict=True):
        with np.load(file) as truth:
            there = truth['map'][np.rint(nodes[..., 1]).astype(int),
                                 np.rint(nodes[..., 0]).astype(int)]
        known = np.isfinite(there).all(axis=2)
        homography, _ = cv2.findHomography(
            np.rint(nodes)[known], there[known].astype(np.float64), cv2.RANSAC, 1.0)
        left = there - apply_homography(homography, nodes)
        found[rgb[:2].tobytes()] = Deformation(
            RGB, THERMAL, homography, np.where(known[..., None], left, 0),
            confidence_map=np.where(known, 0.8, 0.05))
    return found


def calibrate(source, out, *words):
    return main(['calibrate', str(source), '--out', str(out / 'rig.yaml'), *words])


def error_px(path, drive):
    """Median error of a calibration in RGB pixels, over the pairs of a drive."""
    found = dense_map(load_calibration(path).deformation)
    errors = []
    for file in sorted((drive / 'truth').iterdir()):
        with np.load(file) as truth:
            apart = np.linalg.norm(truth['map'] - found, axis=2)
        errors.append(np.nanmedian(apart) * RGB[0] / THERMAL[0])
    return np.median(errors)


def test_two_runs_write_the_same_file(scenes, tmp_path, knowing):
    texts = []
    for _ in range(2):
        knowing()
        assert calibrate(scenes, tmp_path) == 0
        texts.append((tmp_path / 'rig.yaml').read_bytes())
    assert texts[0] == texts[1]


def test_two_folders(scenes, tmp_path, knowing, capsys):
    knowing()
    assert main(['calibrate', '--rgb', str(scenes / 'rgb'), '--thermal', str(scenes / 'thermal'),
                 '--out', str(tmp_path / 'rig.yaml')]) == 0
    saved = load_calibration(tmp_path / 'rig.yaml').deformation
    np.testing.assert_allclose(dense_map(saved), dense_map(knowing.truth), atol=0.5)
    assert '000000' in capsys.readouterr().out


def test_a_recording_is_paired_as_the_robot_would(scenes, tmp_path, knowing, capsys):
    rgb, thermal = images(scenes, 'rgb'), images(scenes, 'thermal')
    bag = write_bag(tmp_path / 'bag', 4 * PAIRS, hz=10.0, infos=False, thermal_every=2,
                    rgb=lambda i: rgb[i // 4], thermal=lambda i: thermal[i // 4])
    seen = knowing()
    assert calibrate(bag, tmp_path, '--pairs', '4') == 0
    out = capsys.readouterr().out
    # Of 24 RGB frames 12 have a thermal partner of their own; 6 of them differ, 4 are wanted.
    assert 'picked from 12' in out
    assert 'of 4 pairs agree' in out
    assert '0.00 s' in out
    assert len({image.tobytes() for image, _, _ in seen}) == 4
    for _, image, _ in seen:
        assert image.dtype == np.uint8
        assert np.ptp(image) > 100


def test_camera_info_is_the_first_guess(scenes, tmp_path, knowing):
    rgb, thermal = images(scenes, 'rgb'), images(scenes, 'thermal')
    bag = write_bag(tmp_path / 'bag', PAIRS, hz=10.0,
                    rgb=lambda i: rgb[i], thermal=lambda i: thermal[i])
    # The camera_info of these bags, focal lengths of 60 and 32 px, say what the estimator sees.
    scale = 32 / 60
    there = Deformation(RGB, THERMAL, [[scale, 0, 80 - 160 * scale], [0, scale, 64 - 120 * scale],
                                       [0, 0, 1]])
    seen = knowing(lambda rgb: there)
    assert calibrate(bag, tmp_path) == 0
    assert all(initial.source is DeformationSource.CALIBRATION for _, _, initial in seen)
    seen.clear()
    assert calibrate(bag, tmp_path, '--set', 'registration.use_camera_info=false') == 0
    assert any(initial.source is DeformationSource.NONE for _, _, initial in seen)


def test_a_swapped_pair_is_found_and_left_out(scenes, tmp_path, knowing, capsys):
    odd = read_image(scenes / 'rgb' / '000002.png', 'rgb')
    knowing(mistaken=lambda rgb: bool((rgb == odd).all()))
    assert calibrate(scenes, tmp_path) == 0
    assert f'{PAIRS - 1} of {PAIRS} pairs agree' in capsys.readouterr().out
    saved = load_calibration(tmp_path / 'rig.yaml').deformation
    np.testing.assert_allclose(dense_map(saved), dense_map(knowing.truth), atol=0.5)


def refused(source, out, capsys, *words):
    """Error of a run that must not write anything."""
    code = calibrate(source, out, '--overlay', str(out / 'look.png'), *words)
    captured = capsys.readouterr()
    assert code == 2
    assert not (out / 'rig.yaml').exists()
    assert not (out / 'look.png').exists()
    errors = [line for line in captured.err.splitlines() if line.startswith('ivif: error: ')]
    assert len(errors) == 1
    return errors[0]


def copied(scenes, path, thermal):
    """The pairs with other thermal images: (index, files) -> image."""
    shutil.copytree(scenes / 'rgb', path / 'rgb')
    (path / 'thermal').mkdir()
    files = sorted((scenes / 'thermal').iterdir())
    for index, file in enumerate(files):
        assert cv2.imwrite(str(path / 'thermal' / file.name), thermal(index, files))
    return path


def test_blank_thermal_images_say_nothing(scenes, tmp_path, knowing, capsys):
    knowing()
    folder = copied(scenes, tmp_path / 'blank',
                    lambda index, files: np.full(THERMAL[::-1], 7000 + index, np.uint16))
    error = refused(folder, tmp_path, capsys)
    assert 'nothing is written' in error
    assert 'flat' in error


def test_no_overlap_gives_nothing_that_repeats(scenes, tmp_path, knowing, capsys):
    knowing(mistaken=lambda rgb: True)
    error = refused(scenes, tmp_path, capsys)
    assert 'nothing is written' in error
    assert f'of {PAIRS} pairs agree' in error


def test_a_standing_camera_is_one_pair(scenes, tmp_path, knowing, capsys):
    knowing()
    folder = tmp_path / 'standing'
    for sensor in ('rgb', 'thermal'):
        (folder / sensor).mkdir(parents=True)
        for index in range(5):
            shutil.copy(scenes / sensor / '000001.png', folder / sensor / f'{index}.png')
    error = refused(folder, tmp_path, capsys)
    assert 'only 1 pair' in error
    assert calibrate(folder, tmp_path, '--force') == 0
    assert 'only 1 pair' in capsys.readouterr().err
    assert load_calibration(tmp_path / 'rig.yaml').deformation is not None


def other_cameras(path: Path) -> Path:
    save_calibration(path, Calibration(deformation=Deformation.stretch((1280, 720), THERMAL)))
    return path


def test_a_calibration_of_other_cameras_is_refused(scenes, tmp_path, knowing, capsys):
    knowing()
    error = refused(scenes, tmp_path, capsys, '--calibration',
                    str(other_cameras(tmp_path / 'other.yaml')))
    assert '1280x720' in error
    assert '320x240' in error


def test_an_earlier_result_fits_a_camera_of_twice_the_size(scenes, tmp_path, knowing):
    seen = knowing()
    twice = Deformation.stretch((640, 480), RGB).homography
    save_calibration(tmp_path / 'big.yaml', Calibration(deformation=Deformation(
        (640, 480), THERMAL, knowing.truth.homography @ twice)))
    assert calibrate(scenes, tmp_path, '--calibration', str(tmp_path / 'big.yaml')) == 0
    assert all(initial.rgb_size == RGB for _, _, initial in seen)
    assert all(initial.source is DeformationSource.CALIBRATION for _, _, initial in seen)


@pytest.mark.parametrize(('words', 'part'), [
    (['{scenes}', '--rgb', '{scenes}/rgb', '--thermal', '{scenes}/thermal'], 'once'),
    ([], 'once'),
    (['--rgb', '{scenes}/rgb'], 'once'),
    (['{scenes}', '--pairs', '2'], '--pairs'),
    (['nowhere'], 'nowhere'),
    (['{scenes}', '--calibration', 'gone.yaml'], 'gone.yaml'),
    (['{scenes}', '--overlay', 'no/folder/look.png'], 'no/folder'),
])
def test_impossible_arguments(scenes, tmp_path, capsys, words, part):
    words = [word.format(scenes=scenes) for word in words]
    assert main(['calibrate', *words, '--out', str(tmp_path / 'rig.yaml')]) == 2
    assert part in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_recording_without_pairs_says_what_it_had(tmp_path, capsys):
    bag = write_bag(tmp_path / 'bag', 10, hz=10.0, skew_ns=45_000_000)
    error = refused(bag, tmp_path, capsys, '--set', 'sync.tolerance_ms=5.0', '--set',
                    'sync.pairing=match')
    assert '20 frames and no pair of both cameras' in error


def test_a_drive_becomes_a_calibration(drive, tmp_path, knowing, capsys):
    known = truths(drive)
    assert len(known) == 4
    knowing(lambda rgb: known[rgb[:2].tobytes()])
    assert calibrate(drive, tmp_path, '--overlay', str(tmp_path / 'look.png')) == 0
    assert error_px(tmp_path / 'rig.yaml', drive) < 1.5
    out, err = capsys.readouterr()
    assert err == ''
    assert '4 of 4 pairs agree' in out
    assert '000003' in out
    assert 'thermal sees 0.8' in out
    assert 'expected error' in out
    assert cv2.imread(str(tmp_path / 'look.png')).shape[1] > 640
    # What is known of the cameras stays in the file.
    assert calibrate(drive, tmp_path, '--calibration', str(drive / 'calibration.yaml')) == 0
    assert error_px(tmp_path / 'rig.yaml', drive) < 1.5
    kept = load_calibration(tmp_path / 'rig.yaml')
    assert kept.has_cameras
    assert kept.thermal_from_rgb is not None
