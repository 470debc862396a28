# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Recordings as streams of frames."""

import gc
import tracemalloc

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from synthetic_bags import (
    RGB_TOPIC,
    START_NS,
    STORE,
    THERMAL_TOPIC,
    camera_info,
    compressed,
    image,
    rgb_picture,
    thermal_picture,
    two_cameras,
    write_bag,
    write_bag1,
    write_items,
)

from ivif_ros.bags.file import BagFile
from ivif_ros.bags.reader import BagSource, image_topics
from ivif_ros.errors import SourceError
from ivif_ros.sources import open_source

STEP_NS = 100_000_000


def of(source, sensor):
    return [frame for kind, frame in source.frames() if kind == sensor]


def single(path, rgb, thermal):
    """Recording with one message of each camera."""
    return write_items(path, [(RGB_TOPIC if hasattr(rgb, 'encoding') else f'{RGB_TOPIC}/compressed',
                               START_NS, rgb),
                              (THERMAL_TOPIC if hasattr(thermal, 'encoding')
                               else f'{THERMAL_TOPIC}/compressed', START_NS + 1, thermal)])


def colour():
    return image(rgb_picture(0), 'bgr8', START_NS, 'rgb')


@pytest.mark.parametrize('kind', ['mcap', 'sqlite3', 'ros1'])
def test_frames_of_a_rig(tmp_path, kind):
    path = (write_bag1(tmp_path / 'r.bag', 6) if kind == 'ros1'
            else write_bag(tmp_path / 'r', 6, storage=kind))
    with BagSource(path) as source:
        frames = list(source.frames())
        again = list(source.frames())
        described = source.describe()
        assert source.duration_ns() == pytest.approx(5e9 / 30 + 2_001_000, abs=10)
    assert [sensor for sensor, _ in frames] == ['rgb', 'thermal'] * 6
    for index in range(6):
        rgb, thermal = frames[2 * index][1], frames[2 * index + 1][1]
        stamp = START_NS + round(index * 1e9 / 30)
        assert (rgb.stamp_ns, thermal.stamp_ns) == (stamp, stamp + 2_000_000)
        assert (rgb.received_ns, thermal.received_ns) == (stamp + 5_000_000, stamp + 7_000_000)
        assert (rgb.frame_id, thermal.frame_id) == ('rgb_optical_frame', 'thermal_optical_frame')
        np.testing.assert_array_equal(rgb.image, rgb_picture(index))
        np.testing.assert_array_equal(thermal.image, thermal_picture(index))
        assert thermal.image.dtype == np.uint16
    assert [frame.stamp_ns for _, frame in again] == [frame.stamp_ns for _, frame in frames]
    assert f'rgb {RGB_TOPIC} (Image bgr8, 6 messages)' in described
    assert f'thermal {THERMAL_TOPIC} (Image mono16, 6 messages)' in described
    assert source.problems.snapshot() == {}


@pytest.mark.parametrize('kind', ['rosbag2', 'ros1'])
def test_camera_info_belongs_to_the_frames_after_it(tmp_path, kind):
    path = write_bag1(tmp_path / 'r.bag', 3) if kind == 'ros1' else write_bag(tmp_path / 'r', 3)
    with open_source(path) as source:
        cameras = [frame.camera for frame in of(source, 'rgb')]
        thermal = of(source, 'thermal')[0].camera
    assert cameras[0].size == (64, 48)
    assert cameras[0].matrix[0, 0] == 60
    assert cameras[0].distortion[:2].tolist() == [0.1, -0.02]
    # The same object while nothing changes, so that nobody prepares it again.
    assert cameras[1] is cameras[0]
    assert thermal.size == (32, 24)
    assert thermal.matrix[0, 2] == 16


def test_no_camera_info_before_it_was_recorded(tmp_path):
    items = [(RGB_TOPIC, START_NS, colour()),
             ('/rgb/camera_info', START_NS + 5, camera_info(64, 48, 50.0, START_NS, 'rgb')),
             (RGB_TOPIC, START_NS + STEP_NS, colour()),
             (THERMAL_TOPIC, START_NS + 1,
              image(thermal_picture(0), 'mono16', START_NS, 'thermal'))]
    with BagSource(write_items(tmp_path / 'r', sorted(items, key=lambda item: item[1]))) as source:
        first, second = of(source, 'rgb')
    assert first.camera is None
    assert second.camera.matrix[0, 0] == 50


def test_useless_camera_info_is_counted(tmp_path):
    bad = camera_info(64, 48, 50.0, START_NS, 'rgb')
    bad.k = np.array([-1.0, 0, 3, 0, -1, 3, 0, 0, 1])
    other = camera_info(48, 48, 50.0, START_NS, 'thermal')
    items = [('/rgb/camera_info', START_NS, bad), ('/thermal/camera_info', START_NS + 1, other),
             (RGB_TOPIC, START_NS + 2, colour()),
             (THERMAL_TOPIC, START_NS + 3,
              image(thermal_picture(0), 'mono16', START_NS, 'thermal'))]
    with BagSource(write_items(tmp_path / 'r', items)) as source:
        frames = [frame for _, frame in source.frames()]
    assert [frame.camera for frame in frames] == [None, None]
    assert source.problems.snapshot() == {
        'rgb.bad_camera_info': 1, 'thermal.contradictory_camera_info': 1}


def test_one_camera_info_for_two_cameras_is_nobodys(tmp_path):
    items = [('/camera_info', START_NS, camera_info(64, 48, 50.0, START_NS, 'rgb')),
             ('/rgb_image', START_NS + 2, colour()),
             ('/thermal_image', START_NS + 3,
              image(thermal_picture(0), 'mono16', START_NS, 'thermal'))]
    with BagSource(write_items(tmp_path / 'r', items)) as source:
        assert [frame.camera for _, frame in source.frames()] == [None, None]
    assert source.problems.snapshot() == {'pair.shared_camera_info': 1}


@pytest.mark.parametrize('encoding', ['mono16', '16UC1'])
def test_big_endian_and_padded_rows(tmp_path, encoding):
    counts = thermal_picture(7)
    message = image(counts, encoding, START_NS, 'thermal', big_endian=True, padding=6)
    with BagSource(single(tmp_path / 'r', colour(), message)) as source:
        frame = of(source, 'thermal')[0]
    np.testing.assert_array_equal(frame.image, counts)
    assert frame.image.dtype == np.uint16


def test_compressed_images(tmp_path):
    counts = thermal_picture(7)
    path = single(tmp_path / 'r',
                  compressed(rgb_picture(0), '.jpg', 'bgr8; jpeg compressed bgr8', START_NS, 'rgb'),
                  compressed(counts, '.png', 'mono16; png compressed ', START_NS, 'thermal'))
    with BagSource(path) as source:
        assert source.rgb.name == f'{RGB_TOPIC}/compressed'
        rgb, thermal = of(source, 'rgb')[0], of(source, 'thermal')[0]
    np.testing.assert_array_equal(thermal.image, counts)
    assert np.abs(rgb.image.astype(int) - rgb_picture(0)).mean() < 10


def test_encoding_of_compressed_images_from_the_png_header(tmp_path):
    items = [('/a/compressed', 1, compressed(thermal_picture(0), '.png', 'png', 1, 'a')),
             ('/b/compressed', 2, compressed(rgb_picture(0), '.png', 'png', 1, 'b')),
             ('/c/compressed', 3, compressed(rgb_picture(0)[..., 0], '.png', 'png', 1, 'c')),
             ('/d/compressed', 4, compressed(rgb_picture(0), '.jpg', 'jpeg', 1, 'd')),
             ('/e/compressed', 5, compressed(rgb_picture(0), '.jpg', 'rgb8; jpeg compressed bgr8',
                                             1, 'e'))]
    with BagFile(write_items(tmp_path / 'r', items)) as bag:
        found = {topic.name[1]: topic.encoding for topic in image_topics(bag)}
    assert found == {'a': 'mono16', 'b': 'bgr8', 'c': 'mono8', 'd': '', 'e': 'rgb8'}


def test_sizes_may_change(tmp_path):
    items = [(RGB_TOPIC, START_NS + index * STEP_NS,
              image(rgb_picture(0, size), 'bgr8', START_NS + index * STEP_NS, 'rgb'))
             for index, size in enumerate([(64, 48), (32, 20), (64, 48)])]
    items.insert(1, (THERMAL_TOPIC, START_NS + 1,
                     image(thermal_picture(0), 'mono16', START_NS, 'thermal')))
    with BagSource(write_items(tmp_path / 'r', items)) as source:
        assert [frame.size for frame in of(source, 'rgb')] == [(64, 48), (32, 20), (64, 48)]


def test_bad_images_are_counted_and_left_out(tmp_path):
    good = image(thermal_picture(0), 'mono16', START_NS, 'thermal')
    unknown = image(thermal_picture(0), 'mono12', START_NS, 'thermal')
    short = image(thermal_picture(0), 'mono16', START_NS, 'thermal')
    short.data = short.data[:-10]
    narrow = image(thermal_picture(0), 'mono16', START_NS, 'thermal')
    narrow.step = 3
    empty = image(thermal_picture(0), 'mono16', START_NS, 'thermal')
    empty.height = 0
    items = [(RGB_TOPIC, START_NS, colour())] + [
        (THERMAL_TOPIC, START_NS + index, message)
        for index, message in enumerate([good, unknown, short, narrow, empty, good], 1)]
    with BagSource(write_items(tmp_path / 'r', items)) as source:
        assert len(of(source, 'thermal')) == 2
    assert source.problems.snapshot() == {
        'thermal.bad_encoding': 1, 'thermal.bad_step': 1, 'thermal.empty': 1,
        'thermal.short_data': 1}


def test_damaged_messages_are_counted_and_left_out(tmp_path):
    with Writer(tmp_path / 'r', version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = {}
        for index, (topic, when, message) in enumerate(two_cameras(3)):
            kind = message.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=STORE)
            data = bytes(STORE.serialize_cdr(message, kind))
            # The second message of each topic ends in the middle of its header.
            writer.write(connections[topic], when, data[:18] if 4 <= index < 8 else data)
    with BagSource(tmp_path / 'r') as source:
        assert [sensor for sensor, _ in source.frames()] == ['rgb', 'thermal'] * 2
    assert source.problems.snapshot() == {'rgb.bad_message': 2, 'thermal.bad_message': 2}


def test_unknown_types_on_other_topics_do_not_matter(tmp_path):
    with Writer(tmp_path / 'r', version=8, storage_plugin=StoragePlugin.SQLITE3) as writer:
        strange = writer.add_connection(
            '/lidar', 'their_msgs/msg/Scan', msgdef='nonsense [[ that nobody can parse',
            rihs01='RIHS01_' + '0' * 64)
        writer.write(strange, START_NS, b'\x00\x01\x00\x00abcd')
        connections = {}
        for topic, when, message in two_cameras(2):
            kind = message.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=STORE)
            writer.write(connections[topic], when, STORE.serialize_cdr(message, kind))
    with BagSource(tmp_path / 'r') as source:
        assert len(list(source.frames())) == 4


def test_recordings_without_definitions(tmp_path):
    """Humble writes sqlite3 without message definitions: an old schema of the tables."""
    import sqlite3

    folder = write_bag(tmp_path / 'r', 2, storage='sqlite3')
    with sqlite3.connect(folder / 'r.db3') as database:
        database.execute('DROP TABLE message_definitions')
        database.execute('DROP TABLE schema')
        database.execute('DROP TABLE metadata')
        database.execute('ALTER TABLE topics DROP COLUMN type_description_hash')
    database.close()
    text = (folder / 'metadata.yaml').read_text()
    lines = [line for line in text.splitlines()
             if 'type_description_hash' not in line and 'RIHS01' not in line
             and 'custom_data' not in line and 'ros_distro' not in line]
    (folder / 'metadata.yaml').write_text('\n'.join(lines).replace('version: 8', 'version: 5'))
    with BagSource(folder) as source:
        np.testing.assert_array_equal(of(source, 'rgb')[1].image, rgb_picture(1))


def test_named_topics(tmp_path):
    items = two_cameras(2, infos=False, rgb_topic='/left/image_raw')
    items += two_cameras(
        2, infos=False, rgb_topic='/right/image_raw', thermal_topic='/ir/image_raw')
    path = write_items(tmp_path / 'r', sorted(items, key=lambda item: item[1]))
    with pytest.raises(SourceError, match='may be the rgb camera'):
        BagSource(path)
    with open_source(path, rgb_topic='/right/image_raw', thermal_topic='ir/image_raw') as source:
        assert (source.rgb.name, source.thermal.name) == ('/right/image_raw', '/ir/image_raw')
        assert len(list(source.frames())) == 4


def test_no_thermal_topic(tmp_path):
    items = [item for item in two_cameras(2) if item[0] == RGB_TOPIC]
    with pytest.raises(SourceError) as error:
        open_source(write_items(tmp_path / 'r', items))
    assert 'no topic that looks like the thermal camera' in str(error.value)
    assert f'{RGB_TOPIC} (Image bgr8, 2 messages)' in str(error.value)


def test_no_images_at_all(tmp_path):
    items = [item for item in two_cameras(2) if item[0].endswith('info')]
    with pytest.raises(SourceError, match='no image topic'):
        open_source(write_items(tmp_path / 'r', items))


def test_truncated_while_reading_keeps_what_came_before(tmp_path):
    folder = write_bag(tmp_path / 'r', 300)
    data = bytearray((folder / 'r.mcap').read_bytes())
    # Index and end stay; the messages of the second half are overwritten.
    data[len(data) // 2:len(data) * 3 // 4] = bytes(len(data) * 3 // 4 - len(data) // 2)
    (folder / 'r.mcap').write_bytes(data)
    frames = []
    source = BagSource(folder)
    with pytest.raises(SourceError, match=r'truncated, corrupt.* messages before that could be'):
        frames.extend(sensor for sensor, _ in source.frames())
    assert len(frames) > 50


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_memory_stays_flat(tmp_path, storage):
    """500 frames of each camera, 9.6 MB in total: reading holds a small part of them at a time."""
    shape = (80, 64)
    path = write_bag(tmp_path / 'r', 500, storage=storage, infos=False,
                     rgb=lambda index: rgb_picture(index, shape),
                     thermal=lambda index: thermal_picture(index, (40, 32)))
    with BagSource(path) as source:
        next(iter(source.frames()))
        gc.collect()
        tracemalloc.start()
        total = 0
        for _, frame in source.frames():
            total += frame.image.nbytes
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert total == 500 * (80 * 64 * 3 + 40 * 32 * 2)
    # A chunk of MCAP is 1 MiB, and it is there twice while it is taken apart.
    assert peak < 4_000_000
