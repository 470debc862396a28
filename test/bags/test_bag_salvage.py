# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Recordings that broke off: what is intact is read, in the right order and unchanged."""

import shutil

import pytest
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from synthetic_bags import RGB_TOPIC, STORE, THERMAL_TOPIC, two_cameras, write_bag, write_bag1

from ivif_ros.bags.file import BagFile
from ivif_ros.bags.reader import image_topics
from ivif_ros.errors import SourceError

ALL = {'/rgb/camera_info', RGB_TOPIC, '/thermal/camera_info', THERMAL_TOPIC}
FRAMES = 150


def messages(path, **window):
    with BagFile(path, salvage=True) as bag:
        return [(m.topic, m.msgtype, m.received_ns, bytes(m.data))
                for m in bag.messages(ALL, **window)]


def cut(folder, share):
    """Copy of a recording whose file ends early."""
    copy = folder.with_name(f'{folder.name}_cut')
    shutil.copytree(folder, copy)
    file = next(path for path in copy.iterdir() if path.suffix in ('.mcap', '.db3'))
    file.write_bytes(file.read_bytes()[:int(file.stat().st_size * share)])
    return copy


def zstd_bag(path):
    """A recording with compressed chunks."""
    writer = Writer(path, version=8, storage_plugin=StoragePlugin.MCAP)
    writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    connections = {}
    with writer:
        for topic, received_ns, message in two_cameras(FRAMES):
            kind = message.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=STORE)
            writer.write(connections[topic], received_ns, STORE.serialize_cdr(message, kind))
    return path


@pytest.fixture(params=['mcap', 'sqlite3'])
def whole(request, tmp_path):
    return write_bag(tmp_path / 'r', FRAMES, storage=request.param)


@pytest.mark.parametrize('share', [0.3, 0.7, 0.98])
def test_a_file_that_ends_early_gives_what_is_in_it(whole, share):
    expected = messages(whole)
    found = messages(cut(whole, share))
    assert 0.5 * share * len(expected) < len(found) < len(expected)
    assert found == expected[:len(found)]


def test_an_intact_recording_is_read_as_ever(whole):
    with BagFile(whole, salvage=True) as bag:
        assert not bag.damage
        assert len(list(bag.messages(ALL))) == 4 * FRAMES


def test_without_salvage_a_damaged_recording_is_refused(whole):
    with pytest.raises(SourceError, match='truncated'):
        BagFile(cut(whole, 0.5)).close()


def test_missing_metadata_is_named_and_everything_is_read(whole):
    expected = messages(whole)
    (whole / 'metadata.yaml').unlink()
    with BagFile(whole, salvage=True) as bag:
        assert 'metadata.yaml' in bag.damage
        assert {topic.name: topic.count for topic in bag.topics()} == dict.fromkeys(ALL, FRAMES)
        assert bag.duration_ns == expected[-1][2] - expected[0][2]
        assert [topic.encoding for topic in image_topics(bag)] == ['bgr8', 'mono16']
    assert messages(whole) == expected


def test_a_part_of_a_damaged_recording(whole):
    damaged = cut(whole, 0.8)
    everything = messages(damaged)
    start, stop = everything[40][2], everything[90][2]
    assert messages(damaged, start_ns=start, stop_ns=stop) == [
        item for item in everything if start <= item[2] < stop]
    with BagFile(damaged, salvage=True) as bag:
        assert {m.topic for m in bag.messages({RGB_TOPIC})} == {RGB_TOPIC}


def test_compressed_chunks_and_one_that_is_broken(tmp_path):
    whole = zstd_bag(tmp_path / 'z')
    expected = messages(whole)
    (whole / 'metadata.yaml').unlink()
    file = whole / 'z.mcap'
    content = bytearray(file.read_bytes())
    assert messages(whole) == expected
    # Compressed chunks begin with this number.
    magic = b'\x28\xb5\x2f\xfd'
    second = content.index(magic, content.index(magic) + 4)
    content[second:second + 4] = bytes(4)
    file.write_bytes(content)
    found = messages(whole)
    assert 0 < len(found) < len(expected)
    assert found == expected[:len(found)]


@pytest.mark.parametrize('content', [b'', b'hello', b'\x89MCAP0\r\n', b'SQLite format 3\0'])
@pytest.mark.parametrize('suffix', ['.mcap', '.db3'])
def test_a_file_without_any_message_is_refused(tmp_path, content, suffix):
    path = tmp_path / f'r{suffix}'
    path.write_bytes(content)
    with pytest.raises(SourceError, match='truncated, corrupt or not a recording'):
        BagFile(path, salvage=True).close()


def test_ros_1_bags_are_not_salvaged(tmp_path):
    path = write_bag1(tmp_path / 'r.bag', 20)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(SourceError, match='truncated'):
        BagFile(path, salvage=True).close()


@pytest.mark.parametrize('kind', ['mcap', 'ros1'])
def test_stamps_are_read_without_deserialising(tmp_path, kind):
    path = (write_bag1(tmp_path / 'r.bag', 4) if kind == 'ros1'
            else write_bag(tmp_path / 'r', 4))
    with BagFile(path) as bag:
        for message in bag.messages(ALL):
            stamp = bag.deserialise(message).header.stamp
            nanoseconds = stamp.nanosec
            assert bag.stamp_ns(message) == stamp.sec * 10**9 + nanoseconds
