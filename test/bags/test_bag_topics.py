# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Which topics of a recording are taken for the two cameras."""

import pytest

from ivif_ros.bags.topics import COMPRESSED_TYPE, IMAGE_TYPE, ImageTopic, choose_topics
from ivif_ros.errors import SourceError


def topics(*entries):
    """Topics from 'name encoding'; names ending in /compressed are compressed images."""
    found = []
    for entry in entries:
        name, _, encoding = entry.partition(' ')
        kind = COMPRESSED_TYPE if name.endswith(('/compressed', 'Depth')) else IMAGE_TYPE
        found.append(ImageTopic(name, kind, 10, encoding))
    return found


# Each row: what a recording holds, what is to be taken as rgb and as thermal.
TABLE = {
    'our own names': (
        ['/rgb/image_raw bgr8', '/thermal/image_raw mono16'],
        '/rgb/image_raw', '/thermal/image_raw'),
    'drivers as they come': (
        ['/usb_cam/image_raw yuv422_yuy2', '/flir_boson/image_raw 16UC1'],
        '/usb_cam/image_raw', '/flir_boson/image_raw'),
    'RealSense beside a Boson': (
        ['/camera/color/image_raw rgb8', '/camera/depth/image_rect_raw 16UC1',
         '/camera/aligned_depth_to_color/image_raw 16UC1', '/camera/infra1/image_rect_raw mono8',
         '/camera/infra2/image_rect_raw mono8', '/boson/image_raw mono16'],
        '/camera/color/image_raw', '/boson/image_raw'),
    'depth is never thermal, the grey camera is': (
        ['/cam/image_raw rgb8', '/depth/image_raw 16UC1', '/lwir_left/image_raw mono8'],
        '/cam/image_raw', '/lwir_left/image_raw'),
    'visible FLIR camera beside a Seek': (
        ['/flir_camera/image_raw bayer_rggb8', '/seek/image 16UC1'],
        '/flir_camera/image_raw', '/seek/image'),
    'visible FLIR camera beside a Lepton in false colours': (
        ['/flir_camera/image_raw bayer_rggb8', '/lepton/image_raw rgb8'],
        '/flir_camera/image_raw', '/lepton/image_raw'),
    'ir stands alone': (
        ['/mirror/image_raw bgr8', '/ir/image_raw mono8'],
        '/mirror/image_raw', '/ir/image_raw'),
    'nothing but encodings': (
        ['/cam0/image_raw bgr8', '/cam1/image_raw mono16'],
        '/cam0/image_raw', '/cam1/image_raw'),
    'grey beside colour without telling names': (
        ['/cam0/image_raw bgr8', '/cam1/image_raw mono8'],
        '/cam0/image_raw', '/cam1/image_raw'),
    'temperatures': (
        ['/cam0/image_raw rgb8', '/cam1/image_raw 32FC1'],
        '/cam0/image_raw', '/cam1/image_raw'),
    'raw before compressed': (
        ['/rgb/image_raw/compressed bgr8', '/rgb/image_raw bgr8', '/thermal/image_raw mono16',
         '/thermal/image_raw/compressed mono16'],
        '/rgb/image_raw', '/thermal/image_raw'),
    'compressed only, format without encoding': (
        ['/front/image_raw/compressed', '/front_thermal/image_raw/compressed'],
        '/front/image_raw/compressed', '/front_thermal/image_raw/compressed'),
    'all bits before eight bits': (
        ['/rgb/image_raw bgr8', '/thermal/image_raw mono8', '/thermal/image16 mono16'],
        '/rgb/image_raw', '/thermal/image16'),
    'raw before rectified': (
        ['/rgb/image_rect_color bgr8', '/rgb/image_raw bgr8', '/thermal/image_raw mono16'],
        '/rgb/image_raw', '/thermal/image_raw'),
    'what all names share says nothing': (
        ['/thermal_rig/rgb/image_raw bgr8', '/thermal_rig/ir/image_raw mono16'],
        '/thermal_rig/rgb/image_raw', '/thermal_rig/ir/image_raw'),
    'our own output is no camera': (
        ['/rgb/image_raw bgr8', '/thermal/image_raw mono16', '/fused/image bgr8',
         '/thermal_registered/image mono8', '/detections/image bgr8'],
        '/rgb/image_raw', '/thermal/image_raw'),
    'lidar images are no camera': (
        ['/ouster/range_image mono16', '/ouster/signal_image mono16', '/ouster/nearir_image mono16',
         '/zed/left/image_rect_color bgra8', '/optris/thermal_image mono16'],
        '/zed/left/image_rect_color', '/optris/thermal_image'),
    'compressed depth': (
        ['/camera/rgb/image_raw/compressed bgr8', '/camera/depth/image_raw/compressedDepth 16UC1',
         '/t2/image_raw/compressed mono16'],
        '/camera/rgb/image_raw/compressed', '/t2/image_raw/compressed'),
    'topics in the root': (
        ['/rgb_image bgr8', '/thermal_image mono16'],
        '/rgb_image', '/thermal_image'),
    'grey visible camera': (
        ['/vis/image_raw mono8', '/ir/image_raw mono8'],
        '/vis/image_raw', '/ir/image_raw'),
}


@pytest.mark.parametrize('name', TABLE)
def test_table(name):
    entries, rgb, thermal = TABLE[name]
    for order in (entries, entries[::-1]):
        chosen = choose_topics(topics(*order), 'bag')
        assert (chosen[0].name, chosen[1].name) == (rgb, thermal)


def test_two_thermal_cameras_are_ambiguous():
    entries = topics('/rgb/image_raw bgr8', '/thermal_left/image_raw mono16',
                     '/thermal_right/image_raw mono16')
    with pytest.raises(SourceError) as error:
        choose_topics(entries, "recording 'x'")
    message = str(error.value)
    assert "recording 'x' has 2 topics that may be the thermal camera" in message
    assert '/thermal_left/image_raw (Image mono16, 10 messages)' in message
    assert '/thermal_right/image_raw' in message
    assert '--thermal-topic' in message
    assert '/rgb/image_raw' not in message
    chosen = choose_topics(entries, 'x', thermal='/thermal_right/image_raw')
    assert [topic.name for topic in chosen] == ['/rgb/image_raw', '/thermal_right/image_raw']


def test_stereo_colour_is_ambiguous():
    entries = topics('/left/image_raw bgr8', '/right/image_raw bgr8', '/thermal/image_raw mono16')
    with pytest.raises(SourceError, match=r'2 topics that may be the rgb camera.*--rgb-topic'):
        choose_topics(entries, 'x')
    assert choose_topics(entries, 'x', rgb='left/image_raw')[0].name == '/left/image_raw'


def test_no_thermal_lists_what_there_is():
    entries = topics('/camera/color/image_raw rgb8', '/camera/depth/image_raw 16UC1')
    with pytest.raises(SourceError) as error:
        choose_topics(entries, "recording 'x'")
    message = str(error.value)
    assert 'no topic that looks like the thermal camera' in message
    assert '/camera/color/image_raw (Image rgb8, 10 messages)' in message
    assert '/camera/depth/image_raw (Image 16UC1, 10 messages)' in message


def test_no_colour_camera():
    with pytest.raises(SourceError, match='looks like the rgb camera'):
        choose_topics(topics('/thermal/image_raw mono16', '/depth/image_raw 16UC1'), 'x')


def test_no_images_at_all():
    with pytest.raises(SourceError, match='no image topic'):
        choose_topics([], 'x')


def test_named_topics_win_over_everything():
    entries = topics('/thermal/image_raw mono16', '/rgb/image_raw bgr8', '/depth/image_raw 16UC1')
    chosen = choose_topics(entries, 'x', rgb='/thermal/image_raw', thermal='/depth/image_raw')
    assert [topic.name for topic in chosen] == ['/thermal/image_raw', '/depth/image_raw']


def test_a_named_rgb_topic_is_not_guessed_as_thermal():
    entries = topics('/a/image_raw mono16', '/b/image_raw mono16')
    chosen = choose_topics(entries, 'x', rgb='/a/image_raw')
    assert chosen[1].name == '/b/image_raw'


def test_the_name_of_the_raw_image_finds_its_compressed_form():
    entries = topics('/rgb/image_raw/compressed bgr8', '/thermal/image_raw mono16')
    chosen = choose_topics(entries, 'x', rgb='/rgb/image_raw')
    assert chosen[0].name == '/rgb/image_raw/compressed'


def test_a_wrong_name_lists_the_right_ones():
    entries = topics('/rgb/image_raw bgr8', '/thermal/image_raw mono16')
    with pytest.raises(SourceError, match=r"no image topic '/ir' for the thermal camera.*mono16"):
        choose_topics(entries, 'x', thermal='ir')


def test_topics_without_messages_do_not_count():
    empty = ImageTopic('/lepton/image_raw', IMAGE_TYPE, 0)
    entries = [empty, *topics('/rgb/image_raw bgr8', '/thermal/image_raw mono16')]
    assert choose_topics(entries, 'x')[1].name == '/thermal/image_raw'
    with pytest.raises(SourceError, match="no message on '/lepton/image_raw'"):
        choose_topics(entries, 'x', thermal='/lepton/image_raw')


@pytest.mark.parametrize(('name', 'info'), [
    ('/rgb/image_raw', '/rgb/camera_info'), ('/rgb/image_raw/compressed', '/rgb/camera_info'),
    ('/image', '/camera_info'), ('/a/b/image', '/a/b/camera_info')])
def test_camera_info_is_the_sibling(name, info):
    assert topics(name)[0].camera_info == info
