# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`ivif import`: what the options mean, what is printed, and what is refused."""

import cv2
import numpy as np
import pytest

from ivif_ros.bags.reader import BagSource
from ivif_ros.bags.truth_file import load_truth, truth_path
from ivif_ros.cli.main import main


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Six pairs of stills, and the same as a pair of videos."""
    folder = tmp_path_factory.mktemp('import')
    rng = np.random.default_rng(1)
    for sensor in ('rgb', 'thermal'):
        (folder / 'stills' / sensor).mkdir(parents=True)
        film = cv2.VideoWriter(str(folder / f'{sensor}.avi'), cv2.VideoWriter.fourcc(*'MJPG'), 20,
                               (64, 48))
        for index in range(6):
            noise = rng.integers(0, 255, (48, 64, 3), np.uint8)
            picture = cv2.GaussianBlur(noise, (0, 0), 3)
            film.write(picture)
            cv2.imwrite(str(folder / 'stills' / sensor / f'{index}.png'),
                        picture if sensor == 'rgb' else picture[..., 0])
        film.release()
    return folder


def run(out, *words):
    return main(['import', '--out', str(out), *map(str, words)])


def stamps(bag):
    """Milliseconds since the first second, by camera."""
    with BagSource(bag) as source:
        found = {'rgb': [], 'thermal': []}
        for sensor, frame in source.frames():
            found[sensor].append(round(frame.stamp_ns / 1e6) - 1000)
    return found


def test_a_folder(data, tmp_path, capsys):
    assert run(tmp_path / 'bag', data / 'stills', '--rate', '20') == 0
    out = capsys.readouterr().out
    assert '6 pairs of stills at 20 Hz' in out
    assert '/rgb/camera_info: ASSUMED: ideal lens of 60 degrees' in out
    assert 'truth about the alignment is not known' in out
    assert stamps(tmp_path / 'bag') == {'rgb': [0, 50, 100, 150, 200, 250],
                                        'thermal': [0, 50, 100, 150, 200, 250]}


def test_a_pair_of_videos_with_faults(data, tmp_path, capsys):
    assert run(tmp_path / 'bag', '--rgb', data / 'rgb.avi', '--thermal', data / 'thermal.avi',
               '--skew-ms', '30', '--misalign', '2', '--blackout', 'rgb=0.1+0.06', '--seed', '4',
               '--thermal-encoding', 'mono16', '--storage', 'sqlite3') == 0
    out = capsys.readouterr().out
    for said in ('1 pairs of videos at 20 Hz', 'rgb.blackout 2', 'stamps are 30 ms late',
                 'displaced by 2 px on average, seed 4', 'temperatures are made up',
                 'lying on each other pixel by pixel', str(truth_path(tmp_path / 'bag'))):
        assert said in out
    assert stamps(tmp_path / 'bag') == {'rgb': [0, 50, 200, 250],
                                        'thermal': [30, 80, 130, 180, 230, 280]}
    truth = load_truth(truth_path(tmp_path / 'bag'))
    assert truth.thermal_offset_ms == -30
    assert truth.misalignment.size == (64, 48)
    assert (tmp_path / 'bag' / 'bag.db3').exists()


def test_losses_per_camera(data, tmp_path, capsys):
    assert run(tmp_path / 'bag', data / 'stills', '--drop', 'thermal=1') == 0
    captured = capsys.readouterr()
    assert 'left out on purpose: thermal.dropped 6' in captured.out
    assert 'nothing was written on /thermal/image_raw' in captured.err
    assert run(tmp_path / 'slow', data / 'stills', '--thermal-rate', '5', '--rgb-rate', '50') == 0
    captured = capsys.readouterr()
    assert 'thermal.thinned 3' in captured.out
    assert 'no more than 50 Hz on /rgb/image_raw' in captured.err


def test_a_recording_can_be_imported_again(data, tmp_path, capsys):
    assert run(tmp_path / 'one', data / 'stills', '--compress', 'png') == 0
    assert run(tmp_path / 'two', tmp_path / 'one', '--skew-ms', '10', '--misalign', '3') == 0
    out = capsys.readouterr().out
    assert '/rgb/camera_info: as the source has them' in out
    # Nobody said that the pairs of a recording were aligned.
    assert not truth_path(tmp_path / 'two').exists()
    assert run(tmp_path / 'three', tmp_path / 'one', '--misalign', '3', '--aligned') == 0
    assert load_truth(truth_path(tmp_path / 'three')).thermal_offset_ms is None


def test_the_simulator(tmp_path, capsys):
    text = 'sim:day,rgb_size=96x72,thermal_size=64x48,traffic=0,thermal_lag_s=0.05,freeze_every_s=0'
    assert run(tmp_path / 'bag', text, '--seconds', '0.2', '--skew-ms', '10') == 0
    truth = load_truth(truth_path(tmp_path / 'bag'))
    assert truth.simulator == text
    assert truth.thermal_offset_ms == pytest.approx(-60)
    assert '/thermal/camera_info: as the source has them' in capsys.readouterr().out


@pytest.mark.parametrize(('words', 'expected'), [
    ([], 'name the images once'),
    (['{data}/stills', '--rgb', '{data}/rgb.avi', '--thermal', '{data}/thermal.avi'], 'once'),
    (['--rgb', '{data}/rgb.avi'], 'name the images once'),
    (['--rgb', '{data}/rgb.avi', '--thermal', '{data}/gone.avi'], 'gone.avi'),
    (['--rgb', '{data}/rgb.avi', '--thermal', '{data}/stills/thermal/0.png'], 'a video and an'),
    (['{data}/nowhere'], 'nowhere'),
    (['sim'], '--seconds'),
    (['{data}/stills', '--drop', '1.5'], 'drop-rgb is 1.5'),
    (['{data}/stills', '--drop', 'nose=0.1'], "'nose'"),
    (['{data}/stills', '--drop', 'rgb=much'], '--drop'),
    (['{data}/stills', '--blackout', 'rgb=3'], '--blackout'),
    (['{data}/stills', '--skew-ms', '-2000'], 'become negative'),
    (['{data}/stills', '--quality', '0'], '--quality'),
    (['{data}/stills', '--fov-deg', '0'], 'field of view'),
    (['{data}/stills', '--calibration', 'gone.yaml'], 'gone.yaml'),
    (['{data}/stills', '--misalign', '-3'], 'misalign-px is -3'),
    (['{data}/stills', '--rate', '0'], 'rate_hz is 0'),
])
def test_impossible_options_leave_no_output(data, tmp_path, capsys, words, expected):
    assert run(tmp_path / 'bag', *(word.format(data=data) for word in words)) == 2
    assert expected in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_output_that_exists_is_refused(data, tmp_path, capsys):
    (tmp_path / 'bag').mkdir()
    assert run(tmp_path / 'bag', data / 'stills') == 2
    assert 'exists already' in capsys.readouterr().err
