# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`ivif inspect`: what is printed, as text and as JSON, and the exit code."""

import json

import cv2
import pytest
import yaml
from synthetic_bags import THERMAL_TOPIC, two_cameras, write_bag, write_items

from ivif_ros.cli.main import main
from ivif_ros.parameters.yaml_file import load_parameters


def run(capsys, *words):
    code = main(['inspect', *map(str, words)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_everything_about_a_good_recording_fits_on_a_page(tmp_path, capsys):
    path = write_bag(tmp_path / 'r', 60)
    code, out, _ = run(capsys, path, '--quick')
    assert code == 0
    for said in ('looked at: all of it, 240 messages', '/thermal/image_raw', '30.00 Hz',
                 '5.0 ms, 99 %: 5.0 ms', 'raw 13-bit counts', 'rgb_optical_frame',
                 'of 60 RGB frames 60 fused', 'the default parameters fit',
                 f'ivif replay {path} --out fused'):
        assert said in out
    assert len(out.splitlines()) < 60


def test_the_parameters_can_be_pasted(tmp_path, capsys):
    path = write_items(tmp_path / 'r', two_cameras(60, hz=10, skew_ns=38_000_000))
    code, out, _ = run(capsys, path, '--quick')
    assert code == 0
    begin = out.index('/**:')
    text = out[begin:out.index('next:')]
    (tmp_path / 'found.yaml').write_text(text)
    values = load_parameters(tmp_path / 'found.yaml')
    assert values['sync.tolerance_ms'] >= 38
    assert yaml.safe_load(text)['/**']['ros__parameters']['sync']
    assert f"--set sync.tolerance_ms={values['sync.tolerance_ms']}" in out


def test_json_holds_the_same(tmp_path, capsys):
    path = write_bag(tmp_path / 'r', 30, infos=False)
    code, out, _ = run(capsys, path, '--quick', '--json')
    assert code == 0
    found = json.loads(out)
    assert found['cameras']['thermal']['timing']['rate_hz'] == pytest.approx(30)
    assert found['cameras']['rgb']['camera_info']['fov_deg'] is None
    assert found['pairing']['advised']['fused'] == 30
    assert found['looked']['complete'] is True
    assert found['alignment'] is None
    assert found['parameters'] == {}
    assert {item['severe'] for item in found['cautions']} <= {False}
    assert 'NaN' not in out


def test_alignment_with_a_picture(shared_data, tmp_path, capsys):
    data = shared_data / 'm3svd'
    words = ['import', '--out', str(tmp_path / 'bag'), '--seconds', '0.4', '--misalign', '8',
             '--thermal-encoding', 'mono16', '--compress', 'jpeg']
    for sensor in ('rgb', 'thermal'):
        words += [f'--{sensor}', str(data / sensor / '1230_1202.mp4')]
    assert main(words) == 0
    capsys.readouterr()
    picture = tmp_path / 'overlay.png'
    code, out, _ = run(capsys, tmp_path / 'bag', '--picture', picture)
    assert code == 0
    assert "made by 'ivif import'" in out
    assert 'how sure' in out
    assert '(ASSUMED: ideal' in out
    assert 'rgb_transport: compressed' in out
    assert 'thermal_transport:=compressed' in out
    assert cv2.imread(str(picture)).shape[1] > 1000


def test_a_recording_without_a_thermal_camera(tmp_path, capsys):
    path = write_items(tmp_path / 'r', [
        item for item in two_cameras(20) if item[0] != THERMAL_TOPIC])
    code, out, _ = run(capsys, path, '--quick')
    assert code == 1
    assert 'PROBLEM' in out
    assert '/rgb/image_raw (Image bgr8, 20 messages)' in out
    assert '--thermal-topic' in out
    assert 'next:' not in out
    code, out, _ = run(capsys, path, '--quick', '--json')
    assert json.loads(out)['choice_problem']


def test_damaged_recordings_say_how_they_are_rescued(tmp_path, capsys):
    path = write_bag(tmp_path / 'r', 30)
    (path / 'metadata.yaml').unlink()
    code, out, _ = run(capsys, path, '--quick')
    assert code == 0
    assert 'no metadata.yaml' in out
    assert f'ros2 bag reindex {path}' in out
    file = path / 'r.mcap'
    file.write_bytes(file.read_bytes()[:-3000])
    code, out, _ = run(capsys, file, '--quick')
    assert code == 0
    assert f'mcap recover {file}' in out


@pytest.mark.parametrize(('words', 'expected'), [
    (['gone'], 'is not there'),
    (['{bag}', '--seconds', '0'], '--seconds is 0'),
    (['{bag}', '--quick', '--picture', 'x.png'], '--quick'),
    (['{bag}', '--picture', 'no/such/x.png'], 'is no folder'),
])
def test_what_cannot_be_done_is_said(tmp_path, capsys, words, expected):
    bag = write_bag(tmp_path / 'r', 5)
    code, _, err = run(capsys, *(word.format(bag=bag) for word in words))
    assert code == 2
    assert expected in err


def test_topics_can_be_named(tmp_path, capsys):
    path = write_bag(tmp_path / 'r', 20, rgb_topic='/one/image', thermal_topic='/two/image')
    code, out, _ = run(capsys, path, '--quick', '--rgb-topic', '/one/image', '--thermal-topic',
                       '/two/image')
    assert code == 0
    assert 'rgb_image:=/one/image thermal_image:=/two/image' in out
    code, out, _ = run(capsys, path, '--quick', '--rgb-topic', '/nowhere')
    assert code == 1
    assert "no image topic '/nowhere'" in out.replace('\n', ' ')
