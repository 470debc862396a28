# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`ivif sim`: recordings and folders of the simulated rig."""

import json

import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import Reader

from ivif_ros.cli.main import main
from ivif_ros.registration import load_calibration

SMALL = ['--rig', 'rgb_size=96x72', '--rig', 'thermal_size=64x48', '--seed', '3']


def sim(out, *words):
    return main(['sim', '--out', str(out), *SMALL, *words])


def contents(bag):
    """Topic -> received times and bytes."""
    found = {}
    with Reader(bag) as reader:
        for connection, received_ns, data in reader.messages():
            found.setdefault(connection.topic, []).append((received_ns, bytes(data)))
    return found


def test_a_recording_has_both_cameras_at_their_rates(tmp_path, capsys):
    words = ['--seconds', '1', '--rgb-hz', '20', '--thermal-hz', '9', '--lighting', 'day']
    assert sim(tmp_path / 'first', *words) == 0
    assert '20 RGB and 9 thermal frames' in capsys.readouterr().out
    found = contents(tmp_path / 'first')
    assert {topic: len(messages) for topic, messages in found.items()} == {
        '/rgb/image_raw': 20, '/rgb/camera_info': 20, '/thermal/image_raw': 9,
        '/thermal/camera_info': 9}
    assert len(found['/thermal/image_raw'][0][1]) > 64 * 48 * 2
    assert sim(tmp_path / 'second', *words) == 0
    assert contents(tmp_path / 'second') == found, 'equal settings gave other messages'


def test_compressed_recordings(tmp_path):
    assert sim(tmp_path / 'bag', '--seconds', '0.1', '--jpeg') == 0
    found = contents(tmp_path / 'bag')
    assert set(found) == {'/rgb/image_raw/compressed', '/rgb/camera_info',
                          '/thermal/image_raw/compressed', '/thermal/camera_info'}
    assert b'\x89PNG' in found['/thermal/image_raw/compressed'][0][1][:200]


def test_a_folder_has_pairs_with_the_truth(tmp_path):
    out = tmp_path / 'pairs'
    assert sim(out, '--pairs', '--seconds', '0.5', '--thermal-hz', '4', '--rig', 'traffic=2') == 0
    assert sorted(path.name for path in (out / 'rgb').iterdir()) == ['000000.png', '000001.png']
    rgb = cv2.imread(str(out / 'rgb' / '000001.png'), cv2.IMREAD_UNCHANGED)
    thermal = cv2.imread(str(out / 'thermal' / '000001.png'), cv2.IMREAD_UNCHANGED)
    assert rgb.shape == (72, 96, 3)
    assert (thermal.shape, thermal.dtype) == ((48, 64), np.uint16)
    settings = json.loads((out / 'simulation.json').read_text())
    assert settings['config']['seed'] == 3
    assert settings['config']['traffic'] == 2
    with np.load(out / 'truth' / '000001.npz') as truth:
        mapped = truth['map']
        assert truth['boxes'].shape == (len(truth['class_ids']), 4)
        assert len(truth['visibility']) == len(truth['class_ids'])
    assert (mapped.shape, mapped.dtype) == ((72, 96, 2), np.float32)
    assert np.isfinite(mapped).all(-1).mean() > 0.3
    # The calibration is that of the map: what is far away lies where infinity is projected to.
    calibration = load_calibration(out / 'calibration.yaml')
    rays = cv2.undistortPoints(np.array([[[48.0, 10.0]]]), calibration.rgb.matrix,
                               calibration.rgb.distortion)[0, 0]
    far = np.array([*rays, 1.0]) * 2000
    expected, _ = cv2.projectPoints(
        far[None], cv2.Rodrigues(calibration.thermal_from_rgb[:3, :3])[0],
        calibration.thermal_from_rgb[:3, 3], calibration.thermal.matrix,
        calibration.thermal.distortion)
    np.testing.assert_allclose(mapped[10, 48], expected[0, 0], atol=1.0)


@pytest.mark.parametrize(('words', 'expected'), [
    (['--seconds', '0'], '--seconds is 0'),
    (['--seconds', 'inf'], '--seconds is inf'),
    (['--rig', 'warp=9'], 'warp'),
    (['--rig', 'traffic=9'], 'traffic is 9'),
    (['--rig', 'rgb_size=big'], 'rgb_size=big'),
])
def test_impossible_settings_are_said(tmp_path, capsys, words, expected):
    assert sim(tmp_path / 'out', *words) == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('words', [[], ['--pairs']])
def test_output_that_exists_or_cannot_be_made_is_refused(tmp_path, capsys, words):
    (tmp_path / 'file').write_text('mine')
    assert sim(tmp_path / 'file', '--seconds', '0.1', *words) == 2
    assert 'exists already' in capsys.readouterr().err
    assert (tmp_path / 'file').read_text() == 'mine'
    assert sim(tmp_path / 'file' / 'below', '--seconds', '0.1', *words) == 2
    assert 'below' in capsys.readouterr().err
