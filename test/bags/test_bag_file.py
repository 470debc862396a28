# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Opening of recordings, good and damaged ones."""

import shutil

import numpy as np
import pytest
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from synthetic_bags import (
    RGB_TOPIC,
    START_NS,
    STORE,
    THERMAL_TOPIC,
    rgb_picture,
    thermal_picture,
    two_cameras,
    write_bag,
    write_bag1,
    write_items,
)

from ivif_ros.bags.file import BagFile
from ivif_ros.bags.reader import BagSource
from ivif_ros.errors import SourceError

ALL = ['/rgb/camera_info', RGB_TOPIC, '/thermal/camera_info', THERMAL_TOPIC]


@pytest.fixture(params=['mcap', 'sqlite3', 'mcap file', 'sqlite3 file', 'ros1'])
def recording(request, tmp_path):
    kind, _, single = request.param.partition(' ')
    if kind == 'ros1':
        return write_bag1(tmp_path / 'r.bag', 5)
    folder = write_bag(tmp_path / 'r', 5, storage=kind)
    return next(folder.glob('r.*')) if single else folder


def test_contents(recording):
    with BagFile(recording) as bag:
        assert [topic.name for topic in bag.topics()] == ALL
        assert all(topic.count == 5 for topic in bag.topics())
        assert {topic.msgtype for topic in bag.topics()} == {
            'sensor_msgs/msg/CameraInfo', 'sensor_msgs/msg/Image'}
        # The first message is the camera_info, a microsecond before the image.
        assert bag.start_ns == START_NS + 5_000_000 - 1000
        # Four periods of 30 Hz, the skew and the microsecond.
        assert abs(bag.duration_ns - (4e9 / 30 + 2_000_000 + 1000)) < 10
        messages = list(bag.messages({RGB_TOPIC, THERMAL_TOPIC}))
        assert [message.topic for message in messages] == [RGB_TOPIC, THERMAL_TOPIC] * 5
        times = [message.received_ns for message in messages]
        assert times == sorted(times)
        image = bag.deserialise(messages[4])
        assert image.header.stamp.sec * 10**9 + image.header.stamp.nanosec == times[4] - 5_000_000
        np.testing.assert_array_equal(image.data.reshape(48, 64, 3), rgb_picture(2))


def test_two_passes_at_once(recording):
    with BagFile(recording) as bag:
        first, second = bag.messages({RGB_TOPIC}), bag.messages({RGB_TOPIC})
        pairs = list(zip(first, second, strict=True))
    assert len(pairs) == 5
    assert all(a.received_ns == b.received_ns and bytes(a.data) == bytes(b.data) for a, b in pairs)


def test_nothing_to_read(recording):
    with BagFile(recording) as bag:
        assert list(bag.messages({'/other'})) == []


def test_split_recording(tmp_path):
    """A recording in two files, as 'ros2 bag record -b' makes it."""
    first = write_bag(tmp_path / 'first', 3)
    items = [(topic, when + 10**9, message) for topic, when, message in two_cameras(3)]
    second = write_items(tmp_path / 'second', items)
    shutil.copy(second / 'second.mcap', first)
    text = (first / 'metadata.yaml').read_text()
    text = text.replace('  - first.mcap\n', '  - first.mcap\n  - second.mcap\n')
    (first / 'metadata.yaml').write_text(text)
    with BagFile(first) as bag:
        times = [message.received_ns for message in bag.messages({RGB_TOPIC})]
    assert len(times) == 6
    assert times == sorted(times)


@pytest.mark.parametrize(('mode', 'plugin'), [
    (CompressionMode.MESSAGE, StoragePlugin.MCAP), (CompressionMode.MESSAGE, StoragePlugin.SQLITE3),
    (CompressionMode.FILE, StoragePlugin.SQLITE3), (CompressionMode.STORAGE, StoragePlugin.MCAP)])
def test_compressed_recordings(tmp_path, mode, plugin):
    writer = Writer(tmp_path / 'r', version=8, storage_plugin=plugin)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection(RGB_TOPIC, 'sensor_msgs/msg/Image', typestore=STORE)
        for topic, when, message in two_cameras(3, infos=False):
            if topic == RGB_TOPIC:
                writer.write(connection, when, STORE.serialize_cdr(message, message.__msgtype__))
    with BagFile(tmp_path / 'r') as bag:
        images = [bag.deserialise(message) for message in bag.messages({RGB_TOPIC})]
    assert len(images) == 3
    np.testing.assert_array_equal(images[2].data.reshape(48, 64, 3), rgb_picture(2))


def test_missing_recording(tmp_path):
    with pytest.raises(SourceError, match=r"'.*nowhere' is not there"):
        BagFile(tmp_path / 'nowhere')


@pytest.mark.parametrize(('storage', 'suffix'), [('mcap', 'mcap'), ('sqlite3', 'db3')])
def test_missing_metadata_names_the_way_out(tmp_path, storage, suffix):
    folder = write_bag(tmp_path / 'r', 2, storage=storage)
    (folder / 'metadata.yaml').unlink()
    with pytest.raises(SourceError) as error:
        BagFile(folder)
    assert 'has no metadata.yaml' in str(error.value)
    assert f'ros2 bag reindex {folder}' in str(error.value)
    assert f"'{folder / f'r.{suffix}'}'" in str(error.value)
    with BagFile(folder / f'r.{suffix}') as bag:
        assert len(bag.topics()) == 4


def test_folder_without_any_recording(tmp_path):
    with pytest.raises(SourceError, match='not a recording: it has no metadata'):
        BagFile(tmp_path)


@pytest.mark.parametrize('text', ['', '][', 'a: 1', 'rosbag2_bagfile_information: 3'])
def test_rubbish_metadata(tmp_path, text):
    folder = write_bag(tmp_path / 'r', 2)
    (folder / 'metadata.yaml').write_text(text)
    with pytest.raises(SourceError, match='truncated, corrupt or not a recording'):
        BagFile(folder)


def test_missing_storage_file(tmp_path):
    folder = write_bag(tmp_path / 'r', 2)
    (folder / 'r.mcap').unlink()
    with pytest.raises(SourceError, match=r'r\.mcap'):
        BagFile(folder)


@pytest.mark.parametrize('kind', ['mcap', 'db3', 'bag'])
@pytest.mark.parametrize('share', [0.0, 0.001, 0.3, 0.9])
def test_truncated_files(tmp_path, kind, share):
    """Whatever is cut off: one SourceError, at opening or while reading, and no other exception."""
    if kind == 'bag':
        file = write_bag1(tmp_path / 'r.bag', 200)
    else:
        folder = write_bag(tmp_path / 'r', 200, storage='mcap' if kind == 'mcap' else 'sqlite3')
        file = folder / f'r.{kind}'
    data = file.read_bytes()
    file.write_bytes(data[:int(len(data) * share)])
    with pytest.raises(SourceError) as error, BagFile(file) as bag:
        list(bag.messages({RGB_TOPIC}))
    assert str(file) in str(error.value)
    assert 'truncated' in str(error.value)


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_flipped_bytes_never_raise_anything_else(tmp_path, storage):
    """Damage anywhere in the file: frames, counted problems or one SourceError."""
    folder = write_bag(tmp_path / 'r', 20, storage=storage,
                       rgb=lambda index: rgb_picture(0, (24, 8)),
                       thermal=lambda index: thermal_picture(0, (16, 16)))
    file = next(folder.glob('r.*'))
    data = file.read_bytes()
    rng = np.random.default_rng(3)
    refused = counted = 0
    for _ in range(60):
        damaged = bytearray(data)
        for place in rng.integers(0, len(data), 40):
            damaged[place] ^= int(rng.integers(1, 256))
        file.write_bytes(damaged)
        try:
            with BagSource(folder, rgb_topic=RGB_TOPIC, thermal_topic=THERMAL_TOPIC) as source:
                for _, frame in source.frames():
                    assert frame.image.size
                counted += bool(source.problems.snapshot())
        except SourceError:
            refused += 1
    assert refused > 0
    assert counted > 0


def test_deserialise_says_what_is_wrong(tmp_path):
    with BagFile(write_bag(tmp_path / 'r', 1)) as bag:
        message = next(bag.messages({RGB_TOPIC}))
        short = type(message)(message.topic, message.msgtype, 0, bytes(message.data)[:40])
        with pytest.raises(SourceError, match='sensor_msgs/msg/Image'):
            bag.deserialise(short)
        unknown = type(message)(message.topic, 'their_msgs/msg/Thing', 0, message.data)
        with pytest.raises(SourceError, match='their_msgs/msg/Thing'):
            bag.deserialise(unknown)
