# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The node over real DDS: what comes out, with which stamp and frame."""

import threading

import numpy as np
import pytest

pytest.importorskip('rclpy')

from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ivif_ros.msg import Deformation, Status
from ivif_ros.nodes.ivif_node import IvifNode
from ivif_ros.ros.compressed_codec import compress
from ivif_ros.ros.message_factory import stamp_of

S = 1_000_000_000
OUTPUTS = {
    'fused/image': Image, 'fused/camera_info': CameraInfo,
    'fused/image/compressed': CompressedImage,
    'thermal_registered/image': Image, 'thermal_registered/camera_info': CameraInfo,
    'deformation': Deformation, 'status': Status}


@pytest.fixture
def rig(start, partner, cameras):
    """The node with cameras and a listener of some outputs."""
    def make(parameters=None, outputs=('fused/image', 'status'), qos=10):
        node = start(IvifNode, parameters)
        for topic in outputs:
            partner.subscribe(OUTPUTS[topic], topic)
        both = cameras(node, qos)
        both.wait()
        return node, both
    return make


def newest_status(partner, **wanted):
    """Newest status that has some values."""
    for status in reversed(partner.received['status']):
        if all(getattr(status, name) == value for name, value in wanted.items()):
            return status
    return None


def test_every_output_carries_stamp_and_frame_of_the_rgb_image(rig, partner):
    _, both = rig({'sync.pairing': 'match'}, OUTPUTS)
    for sensor in ('rgb', 'thermal'):
        both.infos[sensor].publish(both.info(sensor))
    both.keep_sending(lambda: all(partner.received[topic] for topic in OUTPUTS), 'all outputs')
    sent = {both.stamp_ns - i * both.PERIOD_NS for i in range(10_000)}
    for topic in OUTPUTS:
        header = partner.received[topic][-1].header
        assert header.frame_id == 'rgb_optical', topic
        assert stamp_of(header.stamp) in sent, topic
    fused = partner.received['fused/image'][-1]
    assert (fused.width, fused.height, fused.encoding, fused.step) == (64, 48, 'bgr8', 192)
    registered = partner.received['thermal_registered/image'][-1]
    assert (registered.width, registered.height, registered.encoding) == (64, 48, 'mono8')
    info = partner.received['fused/camera_info'][-1]
    assert (info.width, info.height, info.k[0]) == (64, 48, 60.0)
    assert partner.received['deformation'][-1].thermal_frame_id == 'thermal_optical'


def test_status_tells_mode_skew_stamps_latencies_and_totals(rig, partner):
    _, both = rig({'sync.pairing': 'match'})
    status = both.keep_sending(lambda: newest_status(partner, mode=Status.FUSED), 'a fused pair')
    assert status.skew == pytest.approx(1.0)
    assert stamp_of(status.thermal_stamp) - stamp_of(status.rgb_stamp) == 1_000_000
    assert {'sync', 'thermal', 'registration', 'warp', 'fusion', 'publish', 'total'} <= {
        item.name for item in status.latencies}
    assert status.pairs_in == status.pairs_fused + status.pairs_partial


def test_rgb_alone_goes_out_with_the_reason(rig, partner):
    _, both = rig()
    status = both.keep_sending(lambda: newest_status(partner, mode=Status.RGB_ONLY),
                               'a result without thermal', thermal=False)
    assert status.reason
    image = partner.received['fused/image'][-1]
    assert image.header.frame_id == 'rgb_optical'
    np.testing.assert_array_equal(np.frombuffer(image.data, np.uint8).reshape(48, 64, 3), both.rgb)


def test_thermal_alone_carries_its_stamp_in_the_rgb_clock_and_the_rgb_frame(rig, partner):
    _, both = rig({'sync.thermal_offset_ms': 250.0, 'sync.rgb_offset_ms': 50.0})
    skew_ns = -200_000_000
    both.keep_sending(lambda: newest_status(partner, mode=Status.FUSED), 'a fused pair',
                      skew_ns=skew_ns)
    partner.received['status'].clear()
    status = both.keep_sending(lambda: newest_status(partner, mode=Status.THERMAL_ONLY),
                               'a result without RGB', rgb=False, skew_ns=skew_ns)
    assert status.header.frame_id == 'rgb_optical'
    assert stamp_of(status.header.stamp) - stamp_of(status.thermal_stamp) == 200_000_000
    assert stamp_of(status.rgb_stamp) == 0


def test_full_fusion_returns_by_itself(rig, partner):
    _, both = rig()
    for options in ({}, {'rgb': False}, {}, {'thermal': False}, {}):
        mode = {(): Status.FUSED, ('rgb',): Status.THERMAL_ONLY, ('thermal',): Status.RGB_ONLY}
        partner.received['status'].clear()
        wanted = mode[tuple(options)]
        both.keep_sending(lambda wanted=wanted: newest_status(partner, mode=wanted),
                          f'mode {wanted}', **options)


def test_compressed_images_are_taken_where_the_parameters_say(start, partner, cameras):
    node = start(IvifNode, {'rgb_transport': 'compressed', 'thermal_transport': 'compressed'})
    for topic in ('fused/image', 'thermal_registered/image'):
        partner.subscribe(Image, topic)
    publishers = {sensor: partner.publisher(CompressedImage, f'{sensor}/image_raw/compressed')
                  for sensor in ('rgb', 'thermal')}
    partner.wait(lambda: all(p.get_subscription_count() for p in publishers.values()), 'the node')
    both = cameras(node)

    def send():
        both.stamp_ns += both.PERIOD_NS
        for sensor, kind in (('thermal', 'png'), ('rgb', 'jpeg')):
            message = CompressedImage()
            message.header = both.image(sensor).header
            message.format, data = compress(getattr(both, sensor), kind)
            message.data = data.tobytes()
            publishers[sensor].publish(message)
        return partner.received['thermal_registered/image'] and partner.received['fused/image']
    partner.wait(send, 'outputs of compressed images')
    assert partner.received['fused/image'][-1].header.frame_id == 'rgb_optical'


def test_nothing_is_converted_for_nobody(rig, partner, monkeypatch):
    made = []
    from ivif_ros.nodes import outputs
    for name in ('image_message', 'compressed_message', 'camera_info_message',
                 'deformation_message'):
        monkeypatch.setattr(outputs, name, lambda *args, name=name, **kwargs: made.append(name))
    _, both = rig(outputs=('status',))
    both.keep_sending(lambda: len(partner.received['status']) >= 3, 'three results')
    assert made == []


def test_of_a_burst_the_newest_pair_is_used_and_the_rest_counted(rig, partner, monkeypatch):
    node, both = rig({'sync.pairing': 'match'})
    both.keep_sending(lambda: newest_status(partner, mode=Status.FUSED), 'a fused pair')
    release, busy, work = threading.Event(), threading.Event(), node.work

    def slow(pair):
        busy.set()
        assert release.wait(20)
        work(pair)
    monkeypatch.setattr(node._worker, '_handle', slow)
    both.keep_sending(busy.is_set, 'a busy worker')
    both.keep_sending(lambda: node.counters.snapshot().get('pair.replaced', 0) >= 3, 'replacements')
    release.set()
    status = both.keep_sending(
        lambda: next((item for item in partner.received['status'] if any(
            counter.name == 'pair.replaced' and counter.count >= 3 for counter in item.dropped)),
            None), 'the count in the status')
    assert status.pairs_in == status.pairs_fused + status.pairs_partial
