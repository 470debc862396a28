# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Figures and pictures of a recording that was made by hand."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from ivif_ros.bags.writer import BagWriter
from ivif_ros.demo.report import Found, RunFiles, make_pictures, summarise
from ivif_ros.ros.messages import (
    deformation_message,
    detections_message,
    image_message,
    label_info_message,
)
from ivif_ros.ros.rosbags_messages import RosbagsFactory
from ivif_ros.types import Deformation, Detections

T0_NS = 1_700_000_000_000_000_000
STEP_NS = 100_000_000
HEIGHT, WIDTH = 48, 64


def status(factory, index, mode=0, reason='', skew=0.0, dropped=0, thermal=True):
    stamp = T0_NS + index * STEP_NS
    zero = factory.make('builtin_interfaces/msg/Time')
    now = factory.header(stamp, 'rgb').stamp
    return factory.make(
        'ivif_ros/msg/Status', header=factory.header(stamp, 'rgb'), mode=mode, reason=reason,
        rgb_stamp=now, thermal_stamp=now if thermal else zero, skew=skew, confidence=0.5,
        latencies=[factory.make('ivif_ros/msg/StageLatency', name='fusion', latency=10.0 + index)],
        dropped=[factory.make('ivif_ros/msg/Counter', name='pair.replaced', count=dropped),
                 factory.make('ivif_ros/msg/Counter', name='rgb.clock_jump', count=1)])


@pytest.fixture
def files(tmp_path):
    """Eight pairs, the third of which has no thermal image; truth and boxes for some."""
    factory = RosbagsFactory()
    found = RunFiles(tmp_path / 'bag', tmp_path / 'samples')
    found.samples.mkdir()
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    shift = np.array([[0.5, 0, 2], [0, 0.5, 0], [0, 0, 1]])
    with BagWriter(found.bag) as bag:
        bag.write('label_info', label_info_message(factory, {0: 'person'}, T0_NS), T0_NS,
                  latched=True)
        for index in range(8):
            stamp = T0_NS + index * STEP_NS
            bag.write('status', status(
                factory, index, mode=int(index == 2), reason='thermal missing' * (index == 2),
                skew=-4.0 + index, dropped=index, thermal=index != 2), stamp)
            bag.write('fused/image', image_message(
                factory, np.full((HEIGHT, WIDTH, 3), 20 * index, np.uint8), 'bgr8', stamp, 'rgb'),
                stamp + (30 + index) * 1_000_000)
            if index == 2:
                continue
            bag.write('thermal_registered/image', image_message(
                factory, np.full((HEIGHT, WIDTH), 200, np.uint8), 'mono8', stamp, 'rgb'), stamp)
            bag.write('deformation', deformation_message(
                factory, Deformation((WIDTH, HEIGHT), (32, 24), shift), stamp, 'rgb', 'thermal'),
                stamp)
        boxes = Detections(np.array([[8, 8, 40, 40]]), np.array([0.9]), np.array([0]),
                           {0: 'person'})
        bag.write('detections', detections_message(factory, boxes, T0_NS + STEP_NS, 'rgb'), T0_NS)
    # The truth lies 1 px left of and 0 px below what was estimated, at half the scale.
    truth = np.stack([x / 2 + 1, y / 2], -1)
    for index in (0, 1, 2, 5):
        np.savez(found.samples / f'{T0_NS + index * STEP_NS}.npz',
                 rgb=np.full((HEIGHT, WIDTH, 3), 90, np.uint8), true_map=truth,
                 thermal=np.arange(32 * 24, dtype=np.uint16).reshape(24, 32))
    return found


def test_figures_by_hand(files):
    summary = summarise(files)
    assert (summary.pairs_in, summary.pairs_fused, summary.pairs_partial) == (8, 7, 1)
    assert summary.modes == {'fused': 7, 'rgb_only': 1, 'thermal_only': 0}
    # The newest status holds the counts since the start; a jump of the clock loses nothing.
    assert summary.dropped == {'pair.replaced': 7}
    assert summary.events == {'rgb.clock_jump': 1}
    # Absolute values of -4 -3 0... without the incomplete pair: 4 3 1 0 1 2 3.
    assert summary.skew_ms['p50'] == 2
    assert summary.latency_ms['fusion'] == pytest.approx({'p50': 13.5, 'p99': 16.93})
    assert summary.latency_ms['end_to_end'] == pytest.approx({'p50': 33.5, 'p99': 36.93})
    assert summary.stream_seconds == pytest.approx(0.7)
    assert summary.fps == pytest.approx(8 / 0.7)
    # No deformation belongs to sample 2, so three pairs have a truth.
    assert summary.registration_error['pairs'] == 3
    assert summary.registration_error['thermal_px']['mean'] == pytest.approx(1, abs=1e-5)
    assert summary.registration_error['rgb_px']['median'] == pytest.approx(2, abs=1e-4)


def test_video_and_sheet(files, tmp_path):
    found = make_pictures(files, tmp_path / 'v.mp4', tmp_path / 's.png', 'by hand')
    assert found == Found(1, {'person': 1})
    assert str(found) == 'objects in 1 images: 1 person'
    video = cv2.VideoCapture(str(tmp_path / 'v.mp4'))
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(10)
    frames = []
    while (item := video.read())[0]:
        frames.append(item[1])
    assert len(frames) == 8
    # The box was found in frame 1 and stays for 0.25 s: frames 1 to 3, not 0 and not 4.
    boxed = [np.ptp(frame.astype(int), axis=(0, 1)).max() > 60 for frame in frames]
    assert boxed == [False, True, True, True, False, False, False, False]
    sheet = cv2.imread(str(tmp_path / 's.png'))
    tile = SimpleNamespace(height=315, pitch=343)
    assert sheet.shape == (56 + 4 * tile.pitch, 1710, 3)
    for row, index in enumerate((0, 1, 2, 5)):
        tiles = [sheet[56 + row * tile.pitch:56 + row * tile.pitch + tile.height, left:left + 420]
                 for left in range(6, 1710, 426)]
        assert (tiles[0] == 90).all()
        # The raw thermal image is shown in the 8 bits that the normaliser gives, a full range.
        assert np.ptp(tiles[1]) > 150
        assert (tiles[2] == (32 if index == 2 else 200)).all()
        # Box and label of frames 1 and 2 leave the lower right corner free.
        assert (tiles[3][300:, 400:] == 20 * index).all()


def test_nothing_fused(tmp_path):
    files = RunFiles(tmp_path / 'bag', tmp_path / 'samples')
    with BagWriter(files.bag):
        pass
    summary = summarise(files)
    assert (summary.pairs_in, summary.fps, summary.registration_error) == (0, 0.0, None)
    found = make_pictures(files, tmp_path / 'v.mp4', tmp_path / 's.png', 'nothing')
    assert str(found) == 'no objects were looked for'
    assert not (tmp_path / 's.png').exists()
