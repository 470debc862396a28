# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`ivif replay` on recordings that are broken or do not fit, on a full disk, and interrupted.

One line says what is wrong; what was written until then is kept and opens.
"""

import os
import re
import resource
import signal
import sqlite3

import pytest
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from synthetic_bags import (
    RGB_TOPIC,
    START_NS,
    STORE,
    THERMAL_TOPIC,
    image,
    thermal_picture,
    two_cameras,
    write_bag,
    write_items,
)

from ivif_ros.bags.writer import BagWriter
from ivif_ros.cli.main import main

MS = 1_000_000
S = 1_000 * MS


@pytest.fixture
def run(tmp_path, capsys):
    """Replay into `out`; returns the exit code and the one line that was said about it."""
    def replay(source, *words):
        code = main(['replay', str(source), '--out', str(tmp_path / 'out'), '--device', 'cpu',
                     '--method', 'average', '--set', 'registration.mode=none', *words])
        line, = capsys.readouterr().err.splitlines()
        return code, line
    return replay


def fused(bag):
    """Stamps in seconds after the start of all fused images, read from the first to the last."""
    with Reader(bag) as reader:
        assert reader.message_count == sum(1 for _ in reader.messages())
        messages = [STORE.deserialize_cdr(data, connection.msgtype)
                    for connection, _, data in reader.messages()
                    if connection.topic == '/fused/image']
    stamps = [message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
              for message in messages]
    return [(stamp - START_NS) / 1e9 for stamp in stamps]


@pytest.mark.parametrize(('storage', 'file'), [('mcap', 'in.mcap'), ('sqlite3', 'in.db3')])
@pytest.mark.parametrize('share', [0.3, 0.9])
def test_truncated(run, tmp_path, storage, file, share):
    bag = write_bag(tmp_path / 'in', 60, storage=storage)
    os.truncate(bag / file, int((bag / file).stat().st_size * share))
    code, line = run(bag)
    assert code == 2
    assert line.startswith(f"ivif: error: recording '{bag}' is truncated, corrupt or not a")
    if storage == 'mcap':
        assert "'mcap recover'" in line
        # Without its end the file has no index, so that nothing was begun.
        assert not (tmp_path / 'out').exists()


def test_damaged_in_the_middle(run, tmp_path):
    """The first half can be read: its results are kept."""
    bag = write_bag(tmp_path / 'in', 300)
    with open(bag / 'in.mcap', 'r+b') as file:
        # A chunk in the middle loses the length of a record.
        file.seek(int((bag / 'in.mcap').stat().st_size * 0.7))
        file.write(b'\xff' * 40_000)
    code, line = run(bag)
    assert code == 2
    assert 'is truncated, corrupt or not a recording' in line
    kept = fused(tmp_path / 'out')
    assert f"; '{tmp_path / 'out'}' holds the {len(kept)} results before" in line
    assert 30 < len(kept) < 300
    assert kept == pytest.approx([index / 30 for index in range(len(kept))])


def test_table_of_sqlite_damaged(run, tmp_path):
    bag = write_bag(tmp_path / 'in', 60, storage='sqlite3')
    with sqlite3.connect(bag / 'in.db3') as database:
        database.execute('DROP TABLE messages')
    code, line = run(bag)
    assert code == 2
    assert 'missing tables' in line
    assert not (tmp_path / 'out').exists()


def test_missing_metadata(run, tmp_path):
    bag = write_bag(tmp_path / 'in', 5)
    (bag / 'metadata.yaml').unlink()
    code, line = run(bag)
    assert code == 2
    assert line == (
        f"ivif: error: recording '{bag}' has no metadata.yaml, it was not closed properly: run "
        f"'ros2 bag reindex {bag}', or give the file itself: '{bag / 'in.mcap'}'")
    assert not (tmp_path / 'out').exists()
    assert main(['replay', str(bag / 'in.mcap'), '--out', str(tmp_path / 'out'), '--device', 'cpu',
                 '--method', 'average', '--set', 'registration.mode=none']) == 0
    assert len(fused(tmp_path / 'out')) == 5


@pytest.mark.parametrize('words', [(), ('--thermal-topic', THERMAL_TOPIC)])
def test_unknown_message_type(run, tmp_path, words):
    """The thermal camera has a message type of its own."""
    bag = tmp_path / 'in'
    with Writer(bag, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = {
            RGB_TOPIC: writer.add_connection(RGB_TOPIC, 'sensor_msgs/msg/Image', typestore=STORE),
            THERMAL_TOPIC: writer.add_connection(
                THERMAL_TOPIC, 'their_msgs/msg/Thermal', msgdef='uint16[] counts\n',
                rihs01='RIHS01_' + '0' * 64)}
        for topic, when, message in two_cameras(3, infos=False):
            writer.write(connections[topic], when, STORE.serialize_cdr(message, message.__msgtype__)
                         if topic == RGB_TOPIC else b'\0\1\0\0\0\0\0\0')
    code, line = run(bag, *words)
    assert code == 2
    assert 'messages of a type that is not known here cannot be read: ' in line
    assert f'{THERMAL_TOPIC} (their_msgs/msg/Thermal)' in line
    assert not (tmp_path / 'out').exists()


def test_unknown_message_types_beside_the_cameras_do_not_matter(tmp_path):
    bag = tmp_path / 'in'
    with Writer(bag, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        other = writer.add_connection('/other', 'their_msgs/msg/Thing', msgdef='uint8 x\n',
                                      rihs01='RIHS01_' + '0' * 64)
        connections = {topic: writer.add_connection(topic, 'sensor_msgs/msg/Image', typestore=STORE)
                       for topic in (RGB_TOPIC, THERMAL_TOPIC)}
        for topic, when, message in two_cameras(3, infos=False):
            writer.write(other, when, b'\0\1\0\0\7')
            writer.write(connections[topic], when, STORE.serialize_cdr(
                message, message.__msgtype__))
    assert main(['replay', str(bag), '--out', str(tmp_path / 'out'), '--device', 'cpu',
                 '--method', 'average', '--set', 'registration.mode=none']) == 0
    assert len(fused(tmp_path / 'out')) == 3


@pytest.mark.parametrize(('shift_ns', 'words'), [
    (100 * S, r'98\.\d+ s after them'), (-30 * S, r'28\.\d+ s before them')])
def test_no_overlap_in_time(run, tmp_path, shift_ns, words):
    """Clocks that nobody set: frames come side by side, and their stamps are far apart."""
    items = two_cameras(40, hz=20, skew_ns=shift_ns)
    items = sorted(((topic, when if topic.startswith('/rgb') else when - shift_ns, message)
                    for topic, when, message in items), key=lambda item: item[1])
    bag = write_items(tmp_path / 'in', items)
    code, line = run(bag)
    assert code == 2
    assert 'has no pair of both cameras: the cameras do not overlap in time: ' in line
    assert re.search(words, line)
    assert 'sync.thermal_offset_ms' in line
    kept = fused(tmp_path / 'out')
    assert f"'{tmp_path / 'out'}' holds {len(kept)} results of one camera" in line
    assert len(kept) >= 40


def test_recorded_one_after_the_other(run, tmp_path):
    items = [item for item in two_cameras(10) if item[0].startswith('/rgb')]
    items += [(topic, when + 5 * S, message)
              for topic, when, message in two_cameras(10, skew_ns=5 * S, delay_ns=5 * MS - 5 * S)
              if topic.startswith('/thermal')]
    code, line = run(write_items(tmp_path / 'in', items))
    assert code == 2
    assert 'do not overlap in time' in line
    assert '4.700 s after them' in line


def test_no_usable_image_of_one_camera(run, tmp_path):
    items = [(topic, when, image(thermal_picture(0), 'mono12', START_NS, 'thermal')
              if topic == THERMAL_TOPIC else message) for topic, when, message in two_cameras(5)]
    code, line = run(write_items(tmp_path / 'in', items), '--thermal-topic', THERMAL_TOPIC)
    assert code == 2
    assert 'not one thermal image can be used (thermal.bad_encoding 5)' in line
    assert len(fused(tmp_path / 'out')) == 5


def test_file_that_may_not_grow(run, tmp_path):
    bag = write_bag(tmp_path / 'in', 600)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_500_000, before[1]))
    try:
        code, line = run(bag)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert code == 2
    kept, = re.findall(r"out' cannot be written: File too large; (\d+) messages before that are",
                       line)
    stamps = fused(tmp_path / 'out')
    assert 100 < len(stamps) < 600
    assert stamps == pytest.approx([index / 30 for index in range(len(stamps))])
    with Reader(tmp_path / 'out') as reader:
        assert reader.message_count == int(kept)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_interrupted(run, tmp_path, monkeypatch, number):
    """The signal comes while a message is half written, as far as Python is concerned."""
    bag = write_bag(tmp_path / 'in', 60)
    original = BagWriter.write_raw

    def interrupted(writer, topic, *args, **kwargs):
        if len(writer.sizes) > 3 and writer.sizes['/fused/image'].messages == 20:
            os.kill(os.getpid(), number)
        original(writer, topic, *args, **kwargs)
    monkeypatch.setattr(BagWriter, 'write_raw', interrupted)
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    # One signal: the others would come while the first is dealt with.
    kill, sent = os.kill, []
    monkeypatch.setattr(os, 'kill', lambda *to: sent.append(to) or (len(sent) == 1 and kill(*to)))
    code, line = run(bag)
    assert code == 130
    kept = fused(tmp_path / 'out')
    assert line == f"ivif: interrupted: '{tmp_path / 'out'}' holds the {len(kept)} results before"
    assert 20 <= len(kept) <= 22
    assert handlers == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))


def test_a_second_signal_ends_it_at_once():
    from ivif_ros.cli.interruption import Interruption

    with Interruption() as interruption:
        assert not interruption.requested
        interruption.check()
        os.kill(os.getpid(), signal.SIGINT)
        assert interruption.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interruption.check()
