# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What the text of a source opens, and the sources that shorten and repeat."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from ivif_ros.errors import SourceError
from ivif_ros.frame_source import GAP_NS, FrameSource
from ivif_ros.simulation import RigConfig
from ivif_ros.sources import open_source
from ivif_ros.sources.folder import FolderSource
from ivif_ros.sources.shaping import LimitedSource, LoopedSource
from ivif_ros.sources.simulated import SimulatedSource, rig_config
from ivif_ros.types import Frame


class Dummy(FrameSource):
    """RGB frames every 10 ms, received 3 ms after their stamps."""

    def __init__(self, count=5):
        super().__init__()
        self.count = count
        self.closed = False

    def frames(self):
        self.problems.add('rgb.pass')
        for index in range(self.count):
            stamp = 1_000_000_000 + index * 10_000_000
            yield 'rgb', Frame(stamp, 'rgb', np.full((2, 2, 3), index, np.uint8),
                               received_ns=stamp + 3_000_000)

    def describe(self):
        return 'dummy'

    def duration_ns(self):
        return (self.count - 1) * 10_000_000

    def true_map(self, rgb_stamp_ns):
        return np.full((2, 2, 2), rgb_stamp_ns, np.float32)

    def close(self):
        self.closed = True


@pytest.fixture
def folder(tmp_path):
    for sensor in ('rgb', 'thermal'):
        (tmp_path / sensor).mkdir()
        for index in range(4):
            cv2.imwrite(str(tmp_path / sensor / f'{index}.png'), np.zeros((4, 4), np.uint8))
    return tmp_path


def test_limit_counts_from_the_first_frame():
    dummy = Dummy()
    with LimitedSource(dummy, 0.02) as source:
        stamps = [frame.stamp_ns for _, frame in source.frames()]
        assert source.duration_ns() == 20_000_000
        assert source.true_map(7)[0, 0, 0] == 7
        assert source.describe() == 'dummy, at most 0.02 s'
    # The frame at exactly 20 ms is out.
    assert stamps == [1_000_000_000, 1_010_000_000]
    assert dummy.closed
    assert source.problems.snapshot() == {'rgb.pass': 1}


def test_limit_beyond_the_end():
    source = LimitedSource(Dummy(), 9.0)
    assert len(list(source.frames())) == 5
    assert source.duration_ns() == 40_000_000


@pytest.mark.parametrize('seconds', [0, -3, float('nan')])
def test_impossible_limit(seconds):
    with pytest.raises(SourceError, match='seconds'):
        LimitedSource(Dummy(), seconds)


def test_laps_go_on_in_time():
    source = LoopedSource(Dummy(3))
    stream = source.frames()
    frames = [next(stream)[1] for _ in range(7)]
    offsets = [(frame.stamp_ns - 1_000_000_000) // 1_000_000 for frame in frames]
    lap = 20 + GAP_NS // 1_000_000
    assert offsets == [0, 10, 20, lap, lap + 10, lap + 20, 2 * lap]
    assert all(frame.received_ns - frame.stamp_ns == 3_000_000 for frame in frames)
    assert [frame.image[0, 0, 0] for frame in frames] == [0, 1, 2, 0, 1, 2, 0]
    assert source.duration_ns() is None
    assert source.true_map(0) is None


def test_an_empty_source_cannot_be_repeated():
    with pytest.raises(SourceError, match='dummy has no frame'):
        next(LoopedSource(Dummy(0)).frames())


def test_open_folder(folder):
    with open_source(folder, rate_hz=20, loop=True, seconds=1.3) as source:
        stamps = [frame.stamp_ns for sensor, frame in source.frames() if sensor == 'rgb']
    # 0, 50, 100, 150 ms, then a gap of a second.
    assert [(stamp - stamps[0]) // 1_000_000 for stamp in stamps] == [
        0, 50, 100, 150, 1150, 1200, 1250]


def test_open_expands_the_home_folder(folder, monkeypatch):
    monkeypatch.setenv('HOME', str(folder.parent))
    assert isinstance(open_source(f'~/{folder.name}'), FolderSource)


def test_missing(tmp_path):
    with pytest.raises(SourceError, match=r"nowhere' is not there; give 'sim'"):
        open_source(tmp_path / 'nowhere')


def test_neither_bag_nor_folder_of_pairs(tmp_path):
    with pytest.raises(SourceError, match='neither metadata'):
        open_source(tmp_path)


def test_some_other_file(tmp_path):
    file = tmp_path / 'a.txt'
    file.write_text('x')
    with pytest.raises(SourceError, match='not a recording'):
        open_source(file)


@pytest.mark.parametrize('name', ['a.mcap', 'a.db3', 'a.bag'])
def test_rubbish_with_the_suffix_of_a_bag(tmp_path: Path, name):
    file = tmp_path / name
    file.write_bytes(b'rubbish, more rubbish and nothing else in here')
    with pytest.raises(SourceError, match='truncated, corrupt or not a recording'):
        open_source(file)


def test_bag_without_metadata(tmp_path):
    (tmp_path / 'a.mcap').write_bytes(b'x')
    with pytest.raises(SourceError, match='ros2 bag reindex'):
        open_source(tmp_path)


@pytest.mark.parametrize(('text', 'expected'), [
    ('sim', RigConfig()),
    ('sim:', RigConfig()),
    ('sim:day', RigConfig(lighting='day')),
    ('sim:dusk, seed=3, thermal_hz=9', RigConfig(lighting='dusk', seed=3, thermal_hz=9.0)),
    ('sim:smoke,glare=false', RigConfig(smoke=True)),
    ('sim:rgb_size=320x240', RigConfig(rgb_size=(320, 240))),
    ('sim:lighting=day', RigConfig(lighting='day')),
    ('sim:thermal_rotation_deg=1/-2/0.5', RigConfig(thermal_rotation_deg=(1.0, -2.0, 0.5))),
])
def test_options_of_the_simulator(text, expected):
    assert rig_config(text) == expected


@pytest.mark.parametrize(('text', 'complaint'), [
    ('sim:noon', "'noon'.*expected day, dusk, night or seed"),
    ('sim:seed=x', "'seed=x'"),
    ('sim:seed=-1', 'seed is -1'),
    ('sim:rgb_size=640', "'rgb_size=640'.*640, 480"),
    ('sim:smoke=maybe', "'smoke=maybe'"),
    ('sim:rgb_hz=0', 'rgb_hz is 0'),
    ('sim:seed', "'seed=true'"),
])
def test_wrong_options_of_the_simulator(text, complaint):
    with pytest.raises(SourceError, match=complaint):
        open_source(text)


def test_simulated_frames_and_truth():
    text = 'sim:day,rgb_size=64x48,thermal_size=40x32,thermal_hz=15,rgb_hz=15,thermal_delay_s=0.05'
    with open_source(text, seconds=0.2, loop=True) as source:
        frames = list(source.frames())
        again = list(source.frames())
        assert source.duration_ns() == 200_000_000
        assert 'day, seed 0, rgb 64x48 at 15 Hz, thermal 40x32 at 15 Hz' in source.describe()
        rgb = [frame for sensor, frame in frames if sensor == 'rgb']
        truth = source.true_map(rgb[1].stamp_ns)
        simulated = SimulatedSource.from_text(text)
        expected = simulated.rig.true_map(1 / 15)
    received = [frame.received_ns for _, frame in frames]
    assert received == sorted(received)
    assert len(rgb) == 3
    assert [np.array_equal(a.image, b.image) for (_, a), (_, b) in zip(frames, again, strict=True)]
    np.testing.assert_array_equal(truth, expected)
    assert truth.shape == (48, 64, 2)
