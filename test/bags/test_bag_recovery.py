# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Files that cannot grow: what reached the disk is kept and opens, with rosbags and with mcap."""

import contextlib
import resource
import subprocess

import numpy as np
import pytest
from rosbags.rosbag2 import Reader
from synthetic_bags import image, rgb_picture

from ivif_ros.bags import recovery
from ivif_ros.bags.writer import BagWriter
from ivif_ros.errors import OutputError
from ivif_ros.ros.rosbags_messages import RosbagsFactory


def noise(index):
    """What does not compress."""
    return np.random.default_rng(index).integers(0, 256, (48, 64, 3), np.uint8)


@contextlib.contextmanager
def file_size_limit(limit):
    """No file may grow beyond this many bytes, as under a quota."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of three megabytes."""
    folder = tmp_path / 'disk'
    folder.mkdir()
    try:
        subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', folder], check=True,
                       capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip('a file system cannot be mounted here')
    yield folder
    subprocess.run(['umount', folder], check=True)


def fill(path, **options):
    """Write until it fails; returns what was handed over and what the error says."""
    written = []
    with pytest.raises(OutputError) as failure:
        write_until_it_fails(path, written, **options)
    return written, str(failure.value)


def write_until_it_fails(path, written, *, storage='mcap', zstd=False):
    factory = RosbagsFactory()
    with BagWriter(path, storage=storage, zstd=zstd) as writer:
        for index in range(2000):
            message = image((noise if zstd else rgb_picture)(index), 'bgr8', index, 'cam')
            writer.write('/rgb/image_raw', message, 1000 + index)
            written.append(('/rgb/image_raw', 1000 + index))
            if index % 10 == 0:
                writer.write('status', factory.make('ivif_ros/msg/Status', reason=str(index)),
                             1000 + index)
                written.append(('/status', 1000 + index))


def contents(path):
    with Reader(path) as reader:
        return [(connection.topic, when, bytes(data))
                for connection, when, data in reader.messages()]


def check(path, written, error):
    """Nearly all that was written is there, in both ways to open it."""
    found = contents(path)
    key = [(topic, when) for topic, when, _ in found]
    assert sorted(key) == sorted(written[:len(key)])
    assert f'; {len(found)} messages before that are kept in it' in error
    # From the folder with its metadata, and from the file by its own index.
    assert contents(path / f'{path.name}.mcap') == found
    with Reader(path) as reader:
        assert reader.message_count == len(found)
        assert {c.topic: c.msgtype for c in reader.connections}.items() <= {
            '/rgb/image_raw': 'sensor_msgs/msg/Image', '/status': 'ivif_ros/msg/Status'}.items()
    return len(found)


@pytest.mark.parametrize('zstd', [False, True])
@pytest.mark.parametrize('limit', [1_200_000, 3_500_000, 3_700_001])
def test_file_that_may_not_grow(tmp_path, limit, zstd):
    with file_size_limit(limit):
        written, error = fill(tmp_path / 'out', zstd=zstd)
    assert 'cannot be written: File too large' in error
    kept = check(tmp_path / 'out', written, error)
    # At most the chunk in memory, the one that did not fit and one for the index are missing.
    assert kept >= len(written) - 3 * 2**20 // 9216 - 3
    assert kept > 0 or limit < 2**21


def test_full_disk(small_disk):
    written, error = fill(small_disk / 'out')
    assert 'cannot be written: No space left on device' in error
    assert check(small_disk / 'out', written, error) > 50


def test_disk_that_is_full_to_the_last_byte(small_disk):
    """Another program takes what is left, so that chunks must go for the index to fit."""
    writer = BagWriter(small_disk / 'out')
    for index in range(250):
        writer.write('/rgb/image_raw', image(rgb_picture(index), 'bgr8', 1, 'cam'), index)
    with contextlib.suppress(OSError), open(small_disk / 'other', 'wb', 0) as other:
        while True:
            other.write(bytes(4096))
    with pytest.raises(OutputError) as failure:
        writer.close()
    assert 'cannot be completed: No space left on device' in str(failure.value)
    found = contents(small_disk / 'out')
    assert 100 < len(found) < 250
    assert [when for _, when, _ in found] == list(range(len(found)))


def test_mcap_reads_it_by_its_index(tmp_path):
    reader = pytest.importorskip('mcap.reader', reason='mcap is among the test requirements')
    with file_size_limit(3_500_000):
        written, _ = fill(tmp_path / 'out')
    with open(tmp_path / 'out' / 'out.mcap', 'rb') as file:
        recording = reader.make_reader(file, validate_crcs=True)
        summary = recording.get_summary()
        found = [(channel.topic, message.log_time)
                 for _, channel, message in recording.iter_messages()]
    assert len(found) == summary.statistics.message_count > 200
    assert sorted(found) == sorted(written[:len(found)])
    assert summary.statistics.message_start_time == 1000
    assert summary.statistics.message_end_time == found[-1][1]
    assert {schema.name: schema.encoding for schema in summary.schemas.values()} == {
        'sensor_msgs/msg/Image': 'ros2msg', 'ivif_ros/msg/Status': 'ros2msg'}


def test_a_process_that_was_killed(tmp_path):
    """The end was never written: the chunks that are there get their index."""
    writer = BagWriter(tmp_path / 'out')
    for index in range(300):
        writer.write('/rgb/image_raw', image(rgb_picture(index), 'bgr8', 1, 'cam'), index)
    writer._writer.abort()
    kept = recovery.complete(tmp_path / 'out', {})
    assert [when for _, when, _ in contents(tmp_path / 'out')] == list(range(kept))
    assert kept > 200


@pytest.mark.parametrize('content', [b'', b'\x89MCAP0\r\n', b'something else entirely'])
def test_what_is_no_recording(tmp_path, content):
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'out.mcap').write_bytes(content)
    with pytest.raises(OSError, match=r"'.*out\.mcap' is (empty|not an MCAP file)"):
        recovery.complete(tmp_path / 'out', {})


def test_sqlite_is_all_or_nothing(tmp_path):
    with file_size_limit(1_000_000):
        _, error = fill(tmp_path / 'out', storage='sqlite3')
    assert error.endswith('nothing in it can be read')
