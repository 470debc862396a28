# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`ivif replay` and `ivif up`."""

import sys
from types import SimpleNamespace

import pytest
from rosbags.rosbag2 import Reader
from synthetic_bags import RGB_TOPIC, two_cameras, write_items

from ivif_ros.cli.main import main


@pytest.fixture(scope='module')
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp('replay') / 'recording'
    assert main(['sim', '--out', str(path), '--seconds', '1', '--rgb-hz', '10', '--thermal-hz', '9',
                 '--rig', 'rgb_size=160x120', '--rig', 'thermal_size=96x72', '--lighting',
                 'day']) == 0
    return path


def replay(source, out, *words):
    return main(['replay', str(source), '--out', str(out), '--device', 'cpu', *words])


def contents(bag):
    found = {}
    with Reader(bag) as reader:
        for connection, received_ns, data in reader.messages():
            found.setdefault(connection.topic, []).append((received_ns, bytes(data)))
    return found


def test_a_recording_is_fused_on_the_topics_of_the_node(recording, tmp_path, capsys):
    assert replay(recording, tmp_path / 'out') == 0
    found = contents(tmp_path / 'out')
    assert {'/fused/image', '/fused/camera_info', '/thermal_registered/image', '/deformation',
            '/status'} <= set(found)
    assert '/detections' not in found
    assert len(found['/fused/image']) == 10
    out = capsys.readouterr().out
    assert str(recording) in out
    assert 'fused' in out
    assert 'end to end' in out


def test_a_second_replay_gives_the_same_images(recording, tmp_path):
    for name in ('first', 'second'):
        assert replay(recording, tmp_path / name) == 0
    first, second = (contents(tmp_path / name) for name in ('first', 'second'))
    for topic in ('/fused/image', '/thermal_registered/image', '/deformation'):
        assert first[topic] == second[topic], topic


def test_topics_can_be_named_and_images_compressed(recording, tmp_path):
    assert replay(recording, tmp_path / 'out', '--compress', 'jpeg', '--seconds', '0.5',
                  '--rgb-topic', '/rgb/image_raw', '--thermal-topic', '/thermal/image_raw',
                  '--method', 'pyramid') == 0
    found = contents(tmp_path / 'out')
    assert 3 <= len(found['/fused/image/compressed']) <= 6
    assert '/fused/image' not in found


@pytest.mark.parametrize(('words', 'expected'), [
    (['--rgb-topic', '/nowhere'], '/nowhere'),
    (['--detect', '--set', 'detection.weights='], 'detection.weights'),
    (['--detect', 'gone.pt'], 'gone.pt'),
    (['--calibration', 'gone.yaml'], 'gone.yaml'),
    (['--set', 'sync.tolerance_ms=-1'], 'sync.tolerance_ms'),
])
def test_impossible_options_leave_no_output(recording, tmp_path, capsys, words, expected):
    assert replay(recording, tmp_path / 'out', *words) == 2
    err = capsys.readouterr().err
    assert expected in err
    assert err.startswith('ivif: error: ')
    assert not (tmp_path / 'out').exists()


def test_unusable_recordings_and_outputs_are_named(recording, tmp_path, capsys):
    assert replay(tmp_path / 'gone', tmp_path / 'out') == 2
    assert 'gone' in capsys.readouterr().err
    (tmp_path / 'corrupt.mcap').write_bytes(b'\x89MCAP0\r\nrest')
    assert replay(tmp_path / 'corrupt.mcap', tmp_path / 'out') == 2
    assert 'corrupt' in capsys.readouterr().err
    assert replay(recording, recording) == 2
    assert 'exists already' in capsys.readouterr().err
    (tmp_path / 'file').touch()
    assert replay(recording, tmp_path / 'file' / 'out') == 2
    assert 'cannot be created' in capsys.readouterr().err


def test_a_recording_without_thermal_images_leaves_no_output(tmp_path, capsys):
    colour_only = [item for item in two_cameras(2) if item[0] == RGB_TOPIC]
    assert replay(write_items(tmp_path / 'colour', colour_only), tmp_path / 'out') == 2
    err = capsys.readouterr().err
    assert 'no topic that looks like the thermal camera' in err
    assert '--thermal-topic' in err
    assert not (tmp_path / 'out').exists()


def test_up_runs_the_node_with_ros_arguments(monkeypatch):
    seen = []
    node = SimpleNamespace(main=lambda args: seen.extend(args) or 0)
    monkeypatch.setitem(sys.modules, 'ivif_ros.nodes.ivif_node', node)
    assert main(['up', '--device', 'cpu', '-r', 'rgb/image_raw:=/front']) == 0
    assert seen == ['--ros-args', '-p', 'fusion.device:="cpu"', '-r', 'rgb/image_raw:=/front']


def test_up_without_ros_says_what_to_install(monkeypatch, capsys):
    for name in [name for name in sys.modules if name.startswith('ivif_ros.nodes')]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, 'rclpy', None)
    assert main(['up']) == 2
    err = capsys.readouterr().err
    assert 'no rclpy' in err
    assert 'source a ROS 2' in err
