# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What `ivif replay` writes, as others read it: Foxglove's own MCAP library, and rosbags.

`ros2 bag` itself comes with ROS distributions only; test_bag_writer.py checks the metadata.yaml
that it reads.
"""

import re
from collections import Counter

import cv2
import numpy as np
import pytest
from rosbags.highlevel import AnyReader

from ivif_ros.cli.main import main

make_reader = pytest.importorskip(
    'mcap.reader', reason='mcap is among the test requirements').make_reader
DecoderFactory = pytest.importorskip(
    'mcap_ros2.decoder', reason='mcap-ros2-support is among the test requirements').DecoderFactory

SIZE = 160, 120
IMAGES = ('/fused/image', '/fused/weight', '/thermal_registered/image')
OTHERS = {'/fused/camera_info': 'sensor_msgs/msg/CameraInfo',
          '/thermal_registered/camera_info': 'sensor_msgs/msg/CameraInfo',
          '/deformation': 'ivif_ros/msg/Deformation', '/status': 'ivif_ros/msg/Status'}


@pytest.fixture(scope='module')
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp('sim') / 'recording'
    assert main(['sim', '--out', str(path), '--seconds', '0.5', '--rgb-hz', '10', '--thermal-hz',
                 '10', '--rig', f'rgb_size={SIZE[0]}x{SIZE[1]}', '--rig', 'thermal_size=96x72',
                 '--lighting', 'dusk']) == 0
    return path


@pytest.fixture(scope='module')
def replayed(recording, tmp_path_factory):
    """Replay with a kind of compression, once."""
    made = {}

    def make(compress):
        if compress not in made:
            made[compress] = tmp_path_factory.mktemp('out') / compress
            assert main(['replay', str(recording), '--out', str(made[compress]), '--device', 'cpu',
                         '--weight', '--compress', compress]) == 0
        return made[compress]
    return make


def read(bag):
    """Summary and decoded messages, by the schemas in the file and nothing else."""
    with open(bag / f'{bag.name}.mcap', 'rb') as file:
        reader = make_reader(file, validate_crcs=True, decoder_factories=[DecoderFactory()])
        header, summary = reader.get_header(), reader.get_summary()
        messages = [(item.channel.topic, item.schema, item.message, item.decoded_message)
                    for item in reader.iter_decoded_messages()]
    return header, summary, messages


def stamp_ns(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


@pytest.mark.parametrize('compress', ['none', 'zstd', 'png', 'jpeg'])
def test_mcap_profile_schemas_and_times(recording, replayed, compress):
    header, summary, messages = read(replayed(compress))
    assert header.profile == 'ros2'
    compressed = compress in ('png', 'jpeg')
    kind = 'sensor_msgs/msg/CompressedImage' if compressed else 'sensor_msgs/msg/Image'
    kinds = {**OTHERS, **{f'{topic}/compressed' if compressed else topic: kind
                          for topic in IMAGES}}
    schemas = summary.schemas
    assert {channel.topic: schemas[channel.schema_id].name
            for channel in summary.channels.values()} == kinds
    assert {schema.encoding for schema in schemas.values()} == {'ros2msg'}
    assert {channel.message_encoding for channel in summary.channels.values()} == {'cdr'}
    assert all('reliability' in channel.metadata['offered_qos_profiles']
               for channel in summary.channels.values())
    assert Counter(topic for topic, *_ in messages) == dict.fromkeys(kinds, 5)
    assert summary.statistics.message_count == len(messages)
    assert {chunk.compression for chunk in summary.chunk_indexes} == {
        'zstd' if compress == 'zstd' else ''}
    # The times are those of the recording that went in, so that both play side by side: each output
    # lies on the time at which its inputs had come, little after they were taken.
    log_times = [message.log_time for _, _, message, _ in messages]
    assert log_times == sorted(log_times)
    assert all(message.publish_time == message.log_time for _, _, message, _ in messages)
    ages_ms = [(message.log_time - stamp_ns(decoded)) / 1e6 for _, _, message, decoded in messages]
    assert min(ages_ms) > 0
    assert max(ages_ms) < 200
    with AnyReader([recording]) as reader:
        inputs = {stamp_ns(reader.deserialize(data, connection.msgtype))
                  for connection, _, data in reader.messages() if 'rgb' in connection.topic}
    assert {stamp_ns(decoded) for *_, decoded in messages} == inputs


@pytest.mark.parametrize(('compress', 'formats', 'exact'), [
    ('zstd', None, True),
    ('png', ('bgr8; png compressed bgr8', 'mono8; png compressed '), True),
    ('jpeg', ('bgr8; jpeg compressed bgr8', 'mono8; jpeg compressed '), False)])
def test_images_are_those_of_the_plain_recording(replayed, compress, formats, exact):
    def pictures(bag):
        found = {}
        for topic, _, _, message in read(bag)[2]:
            if topic.removesuffix('/compressed') not in IMAGES:
                continue
            if hasattr(message, 'format'):
                assert message.format == formats[0 if 'fused/image' in topic else 1]
                picture = cv2.imdecode(
                    np.frombuffer(message.data, np.uint8), cv2.IMREAD_UNCHANGED)
            else:
                assert (message.width, message.height) == SIZE
                picture = np.frombuffer(message.data, np.uint8).reshape(
                    message.height, message.step).reshape(message.height, message.width, -1)
            found[topic.removesuffix('/compressed'), stamp_ns(message)] = np.squeeze(picture)
        return found
    plain, small = pictures(replayed('none')), pictures(replayed(compress))
    assert plain.keys() == small.keys()
    assert len(plain) == 15
    for key in plain:
        if exact:
            np.testing.assert_array_equal(plain[key], small[key])
        else:
            assert np.abs(plain[key].astype(int) - small[key]).mean() < 6


def test_raw_thermal_images_are_compressed_without_loss(tmp_path):
    """16-bit PNG, the one form of compressed_image_transport that holds raw counts."""
    sim = ['--seconds', '0.2', '--thermal-hz', '10', '--rgb-hz', '10', '--rig', 'rgb_size=64x48',
           '--rig', 'thermal_size=48x36']
    counts = {}
    for name, words in (('plain', []), ('small', ['--jpeg'])):
        assert main(['sim', '--out', str(tmp_path / name), *sim, *words]) == 0
        counts[name] = [
            np.frombuffer(message.data, np.uint16).reshape(36, 48) if name == 'plain' else
            cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_UNCHANGED)
            for topic, _, _, message in read(tmp_path / name)[2]
            if topic.startswith('/thermal/image_raw')]
    assert counts['small'][0].dtype == np.uint16
    np.testing.assert_array_equal(counts['plain'], counts['small'])


def test_rosbags_reads_the_same(replayed):
    bag = replayed('none')
    with AnyReader([bag]) as reader:
        found = [(connection.topic, when, stamp_ns(reader.deserialize(data, connection.msgtype)))
                 for connection, when, data in reader.messages()]
    assert sorted(found) == sorted((topic, message.log_time, stamp_ns(decoded))
                                   for topic, _, message, decoded in read(bag)[2])


def test_the_weight_is_the_share_of_the_thermal_image(replayed):
    weights = [np.frombuffer(message.data, np.uint8)
               for topic, _, _, message in read(replayed('none'))[2] if topic == '/fused/weight']
    assert all(len(weight) == SIZE[0] * SIZE[1] for weight in weights)
    assert np.mean(weights) > 1
    assert np.ptp(weights[-1]) > 50


def test_sizes_are_stated(recording, tmp_path, capsys):
    assert main(['replay', str(recording), '--out', str(tmp_path / 'out'), '--device', 'cpu']) == 0
    out = capsys.readouterr().out
    with AnyReader([tmp_path / 'out']) as reader:
        sizes, times = Counter(), []
        for connection, when, data in reader.messages():
            sizes[connection.topic] += len(data)
            times.append(when)
    minutes = (max(times) - min(times)) / 60e9
    stated = {}
    for line in out[out.index('MB per minute'):].splitlines():
        cells = re.findall(r'[^\s│|]+', line)
        if cells and cells[0].startswith('/') and len(cells) == 4:
            stated[cells[0]] = cells[1:]
    assert stated.keys() == sizes.keys()
    for topic, (messages, megabytes, rate) in stated.items():
        assert int(messages) == 5
        assert float(megabytes) == pytest.approx(sizes[topic] / 1e6, abs=0.0051)
        assert float(rate) == pytest.approx(sizes[topic] / 1e6 / minutes, abs=0.051)
    assert '/fused/weight' not in stated
    on_disk = sum(file.stat().st_size for file in (tmp_path / 'out').iterdir())
    assert f'{tmp_path / "out"}: {on_disk / 1e6:.1f} MB' in out
