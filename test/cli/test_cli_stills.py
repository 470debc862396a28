# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`ivif fuse` and `ivif register` on files."""

import dataclasses

import cv2
import numpy as np
import pytest

from ivif_ros.cli.main import main
from ivif_ros.types import DeformationSource

CALIBRATION = """
rgb:
  image_width: 160
  image_height: 120
  camera_matrix: {rows: 3, cols: 3, data: [200, 0, 79.5, 0, 200, 59.5, 0, 0, 1]}
  distortion_model: plumb_bob
  distortion_coefficients: {rows: 1, cols: 5, data: [0, 0, 0, 0, 0]}
thermal:
  image_width: 80
  image_height: 64
  camera_matrix: {rows: 3, cols: 3, data: [90, 0, 41, 0, 90, 30, 0, 0, 1]}
  distortion_model: plumb_bob
  distortion_coefficients: {rows: 1, cols: 5, data: [0, 0, 0, 0, 0]}
"""


def scene(width, height, seed=0):
    """Smooth random grey picture, 0 to 1."""
    small = np.random.default_rng(seed).random((height // 8 + 2, width // 8 + 2), np.float32)
    picture = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(picture, 0, 1)


def save(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)
    return path


def rgb_image(width=160, height=120, seed=0):
    grey = (40 + 170 * scene(width, height, seed)).astype(np.uint8)
    return cv2.merge([grey, np.roll(grey, 3, 0), np.roll(grey, 5, 1)])


def thermal_image(width=80, height=60, seed=0):
    return (7000 + 900 * scene(width, height, seed)).astype(np.uint16)


@pytest.fixture
def folders(tmp_path):
    for name in ('a', 'b'):
        save(tmp_path / 'rgb' / f'{name}.png', rgb_image(seed=ord(name)))
        save(tmp_path / 'thermal' / f'{name}.tiff', thermal_image(seed=ord(name)))
    return tmp_path


def run(command, folder, *words, rgb='rgb', thermal='thermal', out='out'):
    return main([command, '--rgb', str(folder / rgb), '--thermal', str(folder / thermal), '--out',
                 str(folder / out), '--device', 'cpu', *words])


def read(path):
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert image is not None, path
    return image


def test_folders_of_matching_names_are_fused(folders, capsys):
    assert run('fuse', folders, '--no-register') == 0
    assert sorted(path.name for path in (folders / 'out').iterdir()) == ['a.png', 'b.png']
    fused = read(folders / 'out' / 'a.png')
    assert fused.shape == (120, 160, 3)
    assert fused.dtype == np.uint8
    assert np.ptp(fused) > 30
    assert not (fused == read(folders / 'rgb' / 'a.png')).all()
    out, err = capsys.readouterr()
    assert '2 of 2 pairs fused (learned_pyramid, cpu)' in out
    assert 'registration' in out
    assert err == ''


def test_two_files_to_a_file_or_into_a_folder(folders):
    assert run('fuse', folders, '--no-register', rgb='rgb/a.png', thermal='thermal/b.tiff',
               out='new/c.jpg') == 0
    assert read(folders / 'new' / 'c.jpg').shape == (120, 160, 3)
    assert run('fuse', folders, '--no-register', rgb='rgb/a.png', thermal='thermal/b.tiff',
               out='some.where') == 0
    assert read(folders / 'some.where' / 'a.png').shape == (120, 160, 3)


def test_results_do_not_depend_on_the_other_pairs(folders):
    assert run('fuse', folders) == 0
    assert run('fuse', folders, rgb='rgb/b.png', thermal='thermal/b.tiff', out='alone.png') == 0
    np.testing.assert_array_equal(read(folders / 'alone.png'), read(folders / 'out' / 'b.png'))


def test_a_stretched_thermal_image_has_the_map_of_a_stretch(folders):
    assert run('register', folders, '--set', 'registration.mode=none') == 0
    assert sorted(path.name for path in (folders / 'out').iterdir()) == [
        'a.npz', 'a.png', 'b.npz', 'b.png']
    with np.load(folders / 'out' / 'a.npz') as file:
        assert sorted(file) == ['confidence', 'confidence_map', 'map']
        mapped, confidence, trust = file['map'], file['confidence'], file['confidence_map']
    assert mapped.dtype == np.float32
    assert mapped.shape == (120, 160, 2)
    x, y = np.meshgrid(np.arange(160), np.arange(120))
    np.testing.assert_allclose(mapped[..., 0], (x + 0.5) * 0.5 - 0.5, atol=1e-3)
    np.testing.assert_allclose(mapped[..., 1], (y + 0.5) * 0.5 - 0.5, atol=1e-3)
    assert confidence.dtype == np.float32
    assert confidence.shape == ()
    assert 0 <= confidence <= 1
    assert trust.dtype == np.float32
    assert trust.shape == (120, 160)
    assert (trust == confidence).all(), 'the trust in the whole holds everywhere'
    registered = read(folders / 'out' / 'a.png')
    assert registered.shape == (120, 160)
    assert registered.dtype == np.uint8
    # 16-bit counts were normalised, and the picture is the thermal image at twice the size.
    expected = cv2.resize(thermal_image(seed=ord('a')).astype(np.float32), (160, 120))
    assert np.corrcoef(registered[4:-4, 4:-4].ravel(), expected[4:-4, 4:-4].ravel())[0, 1] > 0.999
    assert np.ptp(registered) > 150


def test_pictures_to_check_by_eye_are_written_where_asked_for(folders, capsys):
    assert run('register', folders, '--set', 'registration.mode=none', '--pictures') == 0
    assert sorted(path.name for path in (folders / 'out').iterdir()) == [
        f'{stem}{end}' for stem in 'ab' for end in ('.npz', '.png', '_overlay.jpg')]
    sheet = read(folders / 'out' / 'a_overlay.jpg').astype(int)
    # Stretched is what it was before, and stretched is what it is: both columns are the same.
    gap = (sheet.shape[1] - 2 * 640) // 3
    left, right = (sheet[40:500, x:x + 640] for x in (gap, 640 + 2 * gap))
    assert np.ptp(left) > 150
    assert np.abs(left - right).mean() < 3
    out = capsys.readouterr().out
    for stem in 'ab':
        assert f"{stem}: not estimated: registration.mode is 'none'" in out
    assert 'unknown' in out


def test_why_a_deformation_is_not_estimated_is_said_for_that_pair(folders, capsys, monkeypatch):
    from ivif_ros import pipeline
    from ivif_ros.registration import Estimate

    def estimator(rgb, thermal, initial):
        good = (rgb == rgb_image(seed=ord('b'))).all()
        found = dataclasses.replace(
            initial, source=DeformationSource.ESTIMATED, confidence=0.75, residual_px=0.5,
            confidence_map=np.array([[0.0, 1.0], [0.0, 1.0]]))
        return Estimate(found, True, '') if good else Estimate(initial, False, 'too foggy')
    monkeypatch.setattr(pipeline, 'default_estimator', lambda device: estimator)
    assert run('register', folders) == 0
    out = capsys.readouterr().out
    assert 'a: not estimated: too foggy' in out
    assert 'b: not estimated' not in out
    assert '1 of them' in out
    assert '0.75' in out
    with np.load(folders / 'out' / 'b.npz') as file:
        assert file['confidence'] == np.float32(0.75)
        np.testing.assert_allclose(file['confidence_map'][7], np.arange(160) / 159, atol=1e-5)


def test_a_calibration_file_gives_the_map(tmp_path):
    save(tmp_path / 'rgb.png', rgb_image())
    save(tmp_path / 'thermal.png', thermal_image(80, 64))
    (tmp_path / 'rig.yaml').write_text(CALIBRATION)
    assert run('register', tmp_path, '--calibration', str(tmp_path / 'rig.yaml'), '--set',
               'registration.mode=calibrated', rgb='rgb.png', thermal='thermal.png') == 0
    with np.load(tmp_path / 'out' / 'rgb.npz') as file:
        mapped = file['map']
    x, y = np.meshgrid(np.arange(160), np.arange(120))
    np.testing.assert_allclose(mapped[..., 0], (x - 79.5) / 200 * 90 + 41, atol=0.01)
    np.testing.assert_allclose(mapped[..., 1], (y - 59.5) / 200 * 90 + 30, atol=0.01)


def test_images_without_partner_are_named_and_left_out(folders, capsys):
    save(folders / 'rgb' / 'alone.jpg', rgb_image())
    (folders / 'rgb' / 'notes.txt').write_text('no image')
    assert run('fuse', folders, '--no-register') == 0
    err = capsys.readouterr().err
    assert 'alone.jpg' in err
    assert 'notes' not in err
    assert not (folders / 'out' / 'alone.png').exists()


def test_an_unreadable_file_does_not_stop_the_others(folders, capsys):
    (folders / 'thermal' / 'a.tiff').write_bytes(b'not an image')
    assert run('register', folders) == 1
    assert sorted(path.name for path in (folders / 'out').iterdir()) == ['b.npz', 'b.png']
    out, err = capsys.readouterr()
    assert 'a.tiff' in err
    assert '1 of 2 pairs written' in out


def test_nothing_but_unreadable_files_is_a_failure(folders):
    for name in ('a', 'b'):
        (folders / 'rgb' / f'{name}.png').write_bytes(b'')
    assert run('fuse', folders) == 2


@pytest.mark.parametrize(('words', 'expected'), [
    ({'rgb': 'nowhere'}, 'nowhere'),
    ({'rgb': 'rgb/a.png'}, 'expected two of a kind'),
    ({'rgb': 'other'}, 'no image of'),
    ({'rgb': 'twice'}, 'same name before the suffix'),
    ({'out': 'rgb/a.png/below'}, 'below'),
])
def test_impossible_paths_are_named(folders, capsys, words, expected):
    save(folders / 'other' / 'z.png', rgb_image())
    save(folders / 'twice' / 'a.png', rgb_image())
    save(folders / 'twice' / 'a.jpg', rgb_image())
    assert run('fuse', folders, **words) == 2
    err = capsys.readouterr().err
    assert expected in err
    assert err.startswith('ivif: error: ')
    assert err.count('\n') == 1


def test_inputs_are_not_overwritten(folders, capsys):
    before = (folders / 'rgb' / 'a.png').read_bytes()
    assert run('fuse', folders, '--no-register', out='rgb') == 2
    assert 'would overwrite an input' in capsys.readouterr().err
    assert (folders / 'rgb' / 'a.png').read_bytes() == before


def test_images_of_other_proportions_need_registration(folders, capsys):
    save(folders / 'thermal' / 'a.tiff', thermal_image(80, 64))
    assert run('fuse', folders, '--no-register') == 1
    err = capsys.readouterr().err
    assert '160x120' in err
    assert '80x64' in err
    assert not (folders / 'out' / 'a.png').exists()
    assert run('fuse', folders) == 0


@pytest.mark.parametrize(('words', 'expected'), [
    (['--method', 'magic'], 'magic'),
    (['--calibration', 'gone.yaml'], 'gone.yaml'),
    (['--set', 'fusion.methd=pyramid'], "did you mean 'fusion.method'"),
])
def test_impossible_options_are_said(folders, capsys, words, expected):
    assert run('fuse', folders, *words) == 2
    assert expected in capsys.readouterr().err
    assert not (folders / 'out').exists()


@pytest.mark.parametrize('image', [
    (thermal_image() - 6900).astype(np.uint8) // 4, thermal_image(),
    thermal_image().astype(np.float32) / 100 - 50, np.full((60, 80), 7000, np.uint16)])
def test_every_kind_of_thermal_image_is_taken(tmp_path, image):
    save(tmp_path / 'rgb.png', rgb_image())
    save(tmp_path / 'thermal.tiff', image)
    assert run('fuse', tmp_path, rgb='rgb.png', thermal='thermal.tiff', out='fused.png') == 0
    assert read(tmp_path / 'fused.png').shape == (120, 160, 3)


def test_thermal_images_of_nan_are_refused(tmp_path, capsys):
    save(tmp_path / 'rgb.png', rgb_image())
    save(tmp_path / 'thermal.tiff', np.full((60, 80), np.nan, np.float32))
    assert run('fuse', tmp_path, rgb='rgb.png', thermal='thermal.tiff', out='fused.png') == 2
    assert 'rgb: ' in capsys.readouterr().err
    assert not (tmp_path / 'fused.png').exists()


def test_real_pairs_of_different_cameras(shared_data, tmp_path, capsys):
    source = shared_data / 'roadscene_raw'
    for sensor in ('rgb', 'thermal'):
        for path in sorted((source / sensor).iterdir())[:2]:
            (tmp_path / sensor).mkdir(exist_ok=True)
            (tmp_path / sensor / path.name).symlink_to(path)
    assert run('fuse', tmp_path) == 0
    assert run('register', tmp_path, out='registered') == 0
    for path in sorted((tmp_path / 'rgb').iterdir()):
        size = read(path).shape[:2]
        assert read(tmp_path / 'out' / f'{path.stem}.png').shape == (*size, 3)
        assert read(tmp_path / 'registered' / f'{path.stem}.png').shape == size
        with np.load(tmp_path / 'registered' / f'{path.stem}.npz') as file:
            assert file['map'].shape == (*size, 2)
            assert np.isfinite(file['map']).all()
