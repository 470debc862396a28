# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Writing of recordings, read back with rosbags alone."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from rosbags.highlevel import AnyReader
from rosbags.interfaces import QosDurability, QosReliability
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore
from ruamel.yaml import YAML
from synthetic_bags import STORE, image, rgb_picture, thermal_picture

from ivif_ros.bags.outputs import ImageWriter
from ivif_ros.bags.writer import BagWriter
from ivif_ros.errors import OutputError
from ivif_ros.ros.image_codec import decode_image
from ivif_ros.ros.rosbags_messages import RosbagsFactory

# Type hashes as ROS 2 Jazzy itself computes them: ros2 topic info -v, or the json of the packages.
IMAGE_HASH = 'RIHS01_d31d41a9a4c4bc8eae9be757b0beed306564f7526c88ea6a4588fb9582527d47'
LABEL_INFO = 'vision_msgs/msg/LabelInfo'


def picture(stamp_ns=1_500_000_000):
    return image(rgb_picture(3), 'bgr8', stamp_ns, 'cam')


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_what_is_written_can_be_read(tmp_path, storage):
    factory = RosbagsFactory()
    with BagWriter(tmp_path / 'out', storage=storage) as writer:
        writer.write('/rgb/image_raw', picture(), 2_000_000_000)
        writer.write('status', factory.make('ivif_ros/msg/Status', reason='because'), 2_000_000_007)
        labels = factory.make(LABEL_INFO, threshold=0.5)
        writer.write('label_info', labels, 2_000_000_010, latched=True)
        writer.write('/rgb/image_raw', picture(1_600_000_000), 2_100_000_000)
    # AnyReader takes the types from the recording itself and checks their hashes.
    with AnyReader([tmp_path / 'out']) as reader:
        messages = [(connection.topic, when, reader.deserialize(data, connection.msgtype))
                    for connection, when, data in reader.messages()]
    assert [(topic, when) for topic, when, _ in messages] == [
        ('/rgb/image_raw', 2_000_000_000), ('/status', 2_000_000_007),
        ('/label_info', 2_000_000_010), ('/rgb/image_raw', 2_100_000_000)]
    assert messages[1][2].reason == 'because'
    assert messages[2][2].threshold == 0.5
    np.testing.assert_array_equal(messages[3][2].data.reshape(48, 64, 3), rgb_picture(3))
    with Reader(tmp_path / 'out') as reader:
        assert reader.message_count == 4
        qos = {connection.topic: connection.ext.offered_qos_profiles[0]
               for connection in reader.connections}
    assert qos['/label_info'].durability is QosDurability.TRANSIENT_LOCAL
    assert qos['/status'].durability is QosDurability.VOLATILE
    assert {profile.reliability for profile in qos.values()} == {QosReliability.RELIABLE}
    assert {profile.depth for profile in qos.values()} == {1}


@pytest.mark.parametrize(('storage', 'file'), [('mcap', 'out.mcap'), ('sqlite3', 'out.db3')])
def test_metadata_for_ros2_bag_info(tmp_path, storage, file):
    with BagWriter(tmp_path / 'out', storage=storage) as writer:
        writer.write('/rgb/image_raw', picture(), 2_000_000_000)
        writer.write('/rgb/image_raw', picture(), 2_500_000_000)
    metadata = YAML(typ='safe').load((tmp_path / 'out' / 'metadata.yaml').read_text())
    info = metadata['rosbag2_bagfile_information']
    assert info['storage_identifier'] == storage
    assert info['relative_file_paths'] == [file]
    assert info['starting_time']['nanoseconds_since_epoch'] == 2_000_000_000
    assert info['duration']['nanoseconds'] == 500_000_000
    topic = info['topics_with_message_count'][0]
    assert topic['message_count'] == 2
    assert topic['topic_metadata']['type'] == 'sensor_msgs/msg/Image'
    assert topic['topic_metadata']['type_description_hash'] == IMAGE_HASH
    # Humble reads the profiles as a text of numbers, later distributions do so for version 8.
    assert info['version'] == 8
    profiles = YAML(typ='safe').load(topic['topic_metadata']['offered_qos_profiles'])
    assert (profiles[0]['reliability'], profiles[0]['durability']) == (1, 2)


def test_definitions_are_complete_in_the_file(tmp_path):
    """Foxglove needs nested definitions too, in the schema of the MCAP."""
    factory = RosbagsFactory()
    with BagWriter(tmp_path / 'out') as writer:
        writer.write('status', factory.make('ivif_ros/msg/Status'), 5)
    data = (tmp_path / 'out' / 'out.mcap').read_bytes()
    for part in (b'ros2msg', b'MSG: ivif_ros/StageLatency', b'MSG: ivif_ros/Counter',
                 b'MSG: std_msgs/Header', b'MSG: builtin_interfaces/Time'):
        assert part in data, part


def test_raw_bytes_go_in_unchanged(tmp_path):
    cdr = bytes(STORE.serialize_cdr(picture(), 'sensor_msgs/msg/Image'))
    with BagWriter(tmp_path / 'out') as writer:
        writer.write_raw('fused/image', 'sensor_msgs/msg/Image', cdr, 77)
        writer.write_raw(
            'label_info', LABEL_INFO, memoryview(b'\x00\x01\x00\x00'), 78, latched=True)
    with Reader(tmp_path / 'out') as reader:
        messages = [(connection.topic, when, bytes(data))
                    for connection, when, data in reader.messages()]
    assert messages == [('/fused/image', 77, cdr), ('/label_info', 78, b'\x00\x01\x00\x00')]


def test_a_recording_without_messages_can_be_opened(tmp_path):
    with BagWriter(tmp_path / 'out'):
        pass
    with Reader(tmp_path / 'out') as reader:
        assert reader.message_count == 0


@pytest.mark.parametrize('make', [Path.mkdir, Path.touch])
def test_existing_output_is_refused(tmp_path, make):
    make(tmp_path / 'out')
    with pytest.raises(OutputError, match=r"'.*out' exists already: choose another name"):
        BagWriter(tmp_path / 'out')


def test_dangling_link_is_refused(tmp_path):
    (tmp_path / 'out').symlink_to(tmp_path / 'nothing')
    with pytest.raises(OutputError, match='exists already'):
        BagWriter(tmp_path / 'out')


def test_output_below_a_file(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(OutputError, match=r"'.*out' cannot be created: Not a directory"):
        BagWriter(tmp_path / 'file' / 'out')


@pytest.mark.skipif(os.geteuid() == 0, reason='root may write anywhere')
def test_unwritable_folder(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match='cannot be created: Permission denied'):
            BagWriter(tmp_path / 'out')
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize('suffix', ['.mcap', '.db3'])
def test_name_of_a_file(tmp_path, suffix):
    with pytest.raises(OutputError, match='recording is a folder: leave out'):
        BagWriter(tmp_path / f'out{suffix}')


def test_unknown_type(tmp_path):
    with (BagWriter(tmp_path / 'out') as writer,
          pytest.raises(OutputError, match="their_msgs/msg/Thing of '/x' is not known")):
        writer.write_raw('x', 'their_msgs/msg/Thing', b'\x00\x01\x00\x00', 1)


def test_type_that_the_store_lacks(tmp_path):
    writer = BagWriter(tmp_path / 'out', typestore=get_typestore(Stores.ROS2_HUMBLE))
    with pytest.raises(OutputError, match='ivif_ros/msg/Status'):
        writer.write('status', RosbagsFactory().make('ivif_ros/msg/Status'), 1)


def test_values_that_do_not_fit(tmp_path):
    message = picture()
    message.height = -1
    with (BagWriter(tmp_path / 'out') as writer,
          pytest.raises(OutputError, match="sensor_msgs/msg/Image on 'x' cannot be serialised")):
        writer.write('x', message, 1)


def test_an_error_in_the_block_keeps_what_was_written(tmp_path):
    def interrupted():
        with BagWriter(tmp_path / 'out') as writer:
            writer.write('/rgb/image_raw', picture(), 5)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with Reader(tmp_path / 'out') as reader:
        assert reader.message_count == 1


def test_writing_after_closing(tmp_path):
    writer = BagWriter(tmp_path / 'out')
    writer.close()
    writer.close()
    with pytest.raises(OutputError, match='closed already'):
        writer.write('/rgb/image_raw', picture(), 5)


@pytest.mark.skipif(not Path('/dev/full').exists(), reason='needs /dev/full')
def test_full_disk(tmp_path):
    writer = BagWriter(tmp_path / 'out')
    # The file on a full disk: every write that reaches the system fails with ENOSPC.
    writer._writer.storage.bio.close()
    writer._writer.storage.bio = open('/dev/full', 'wb')  # noqa: SIM115
    full = os.strerror(errno.ENOSPC)

    def write_much():
        for index in range(400):
            writer.write('/rgb/image_raw', picture(), index)

    with pytest.raises(OutputError, match=f'out. cannot be written: {full}; 0 messages before'):
        write_much()
    with pytest.raises(OutputError, match='closed already'):
        writer.write('/rgb/image_raw', picture(), 5)
    writer.close()


def test_sizes_of_the_topics(tmp_path):
    with BagWriter(tmp_path / 'out') as writer:
        assert (writer.sizes, writer.span_ns) == ({}, None)
        for received_ns in (7, 5):
            writer.write('image', picture(), received_ns)
        writer.write_raw('/status', 'ivif_ros/msg/Status', bytes(30), 9)
    with Reader(tmp_path / 'out') as reader:
        found = {}
        for connection, _, data in reader.messages():
            found.setdefault(connection.topic, []).append(len(data))
    assert {topic: (size.messages, size.size) for topic, size in writer.sizes.items()} == {
        topic: (len(sizes), sum(sizes)) for topic, sizes in found.items()}
    assert writer.span_ns == (5, 9)
    assert writer.disk_bytes() == sum(
        file.stat().st_size for file in (tmp_path / 'out').rglob('*'))


def test_compression_of_the_file_loses_nothing(tmp_path):
    for name, zstd in (('plain', False), ('small', True)):
        with BagWriter(tmp_path / name, zstd=zstd) as writer:
            for index in range(50):
                writer.write('/rgb/image_raw', picture(index), index)
    plain, small = (tmp_path / name / f'{name}.mcap' for name in ('plain', 'small'))
    assert small.stat().st_size < plain.stat().st_size / 4
    with Reader(tmp_path / 'plain') as one, Reader(tmp_path / 'small') as two:
        for (_, when, data), (_, then, other) in zip(one.messages(), two.messages(), strict=True):
            assert (when, bytes(data)) == (then, bytes(other))


@pytest.mark.parametrize(('compression', 'array', 'topic', 'image_format', 'exact'), [
    ('none', rgb_picture(1), '/a', None, True),
    ('none', thermal_picture(1), '/a', None, True),
    ('none', thermal_picture(1).astype(np.float32), '/a', None, True),
    ('png', rgb_picture(1), '/a/compressed', 'bgr8; png compressed bgr8', True),
    ('jpeg', rgb_picture(1), '/a/compressed', 'bgr8; jpeg compressed bgr8', False),
    ('webp', rgb_picture(1), '/a/compressed', 'bgr8; webp compressed bgr8', False),
    ('jpeg', thermal_picture(1), '/a/compressed', 'mono16; png compressed ', True),
    ('jpeg', thermal_picture(1).astype(np.float32), '/a', None, True),
])
def test_compression_of_images(tmp_path, compression, array, topic, image_format, exact):
    with BagWriter(tmp_path / 'out') as writer:
        images = ImageWriter(writer, RosbagsFactory(), 'a', compression=compression, quality=95)
        images.write(array, 1_700_000_000_123_456_789, 'cam', 9)
    with AnyReader([tmp_path / 'out']) as reader:
        connection, when, data = next(reader.messages())
        message = reader.deserialize(data, connection.msgtype)
    assert (connection.topic, when) == (topic, 9)
    assert getattr(message, 'format', None) == image_format
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (1_700_000_000, 123_456_789)
    decoded = decode_image(message, 'rgb' if array.ndim == 3 else 'thermal')
    assert decoded.dtype == array.dtype
    if exact:
        np.testing.assert_array_equal(decoded, array)
    else:
        assert np.abs(decoded.astype(int) - array).mean() < 5
