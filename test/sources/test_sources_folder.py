# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Folders of stills and videos as streams of frames."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from ivif_ros.counters import Counters
from ivif_ros.errors import SourceError
from ivif_ros.sources import open_source
from ivif_ros.sources.folder import START_NS, FolderSource
from ivif_ros.sources.images import read_image
from ivif_ros.sources.videos import probe_video


def picture(value, size=(40, 30)):
    image = np.full((size[1], size[0], 3), value, np.uint8)
    image[:, : size[0] // 2, 2] = 200
    return image


def stills(folder, names, suffix='.png'):
    for sensor in ('rgb', 'thermal'):
        (folder / sensor).mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(names):
        cv2.imwrite(str(folder / 'rgb' / f'{name}{suffix}'), picture(index))
        cv2.imwrite(str(folder / 'thermal' / f'{name}{suffix}'),
                    np.full((24, 32), 10 * index, np.uint8))
    return folder


def video(path, frames, hz, size=(64, 48), start=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), hz, size)
    assert writer.isOpened()
    for index in range(frames):
        writer.write(np.full((size[1], size[0], 3), start + 20 * index, np.uint8))
    writer.release()


def received(source):
    return [(sensor, frame.stamp_ns) for sensor, frame in source.frames()]


def test_stills_come_in_name_order_with_equal_stamps(tmp_path):
    source = FolderSource(stills(tmp_path, ['b', 'a', 'c']))
    frames = list(source.frames())
    assert [sensor for sensor, _ in frames] == ['rgb', 'thermal'] * 3
    # 10 Hz unless told otherwise.
    assert [frame.stamp_ns - START_NS for _, frame in frames] == [
        0, 0, 100_000_000, 100_000_000, 200_000_000, 200_000_000]
    assert all(frame.received_ns == frame.stamp_ns for _, frame in frames)
    # 'a' was written second, so its images have index 1.
    assert [frame.image[0, -1, 0] for sensor, frame in frames if sensor == 'rgb'] == [1, 0, 2]
    assert [frame.image[0, 0] for sensor, frame in frames if sensor == 'thermal'] == [10, 0, 20]
    assert frames[0][1].frame_id == 'rgb_optical_frame'
    assert frames[1][1].frame_id == 'thermal_optical_frame'
    assert source.duration_ns() == 200_000_000
    assert '3 pairs of stills at 10 Hz' in source.describe()
    assert source.problems.snapshot() == {}


def test_a_second_pass_gives_the_same(tmp_path):
    source = FolderSource(stills(tmp_path, ['a', 'b']))
    first, second = received(source), received(source)
    assert first == second
    assert len(first) == 4


def test_rate_of_stills(tmp_path):
    source = FolderSource(stills(tmp_path, ['a', 'b']), rate_hz=25)
    assert [stamp - START_NS for _, stamp in received(source)] == [0, 0, 40_000_000, 40_000_000]


@pytest.mark.parametrize('rate', [0, -1, float('nan'), float('inf')])
def test_impossible_rate(tmp_path, rate):
    with pytest.raises(SourceError, match='rate_hz'):
        FolderSource(stills(tmp_path, ['a']), rate_hz=rate)


@pytest.mark.parametrize('suffix', ['.png', '.tif', '.TIFF'])
def test_sixteen_bit_thermal_stays_sixteen_bit(tmp_path, suffix):
    counts = np.arange(32 * 24, dtype=np.uint16).reshape(24, 32) * 80 + 3
    stills(tmp_path, ['a'])
    (tmp_path / 'thermal' / 'a.png').unlink()
    # OpenCV chooses the codec by the lower-case suffix, the source must accept both cases.
    lower = tmp_path / f'a{suffix.lower()}'
    cv2.imwrite(str(lower), counts)
    lower.rename(tmp_path / 'thermal' / f'a{suffix}')
    frames = dict(FolderSource(tmp_path).frames())
    assert frames['thermal'].image.dtype == np.uint16
    np.testing.assert_array_equal(frames['thermal'].image, counts)


def test_float_thermal(tmp_path):
    celsius = np.linspace(-20, 90, 32 * 24, dtype=np.float32).reshape(24, 32)
    cv2.imwrite(str(tmp_path / 'a.tiff'), celsius)
    image = read_image(tmp_path / 'a.tiff', 'thermal')
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image, celsius)


@pytest.mark.parametrize('suffix', ['.jpg', '.jpeg', '.webp', '.bmp', '.png', '.tif'])
def test_formats_of_colour_images(tmp_path, suffix):
    image = picture(90)
    cv2.imwrite(str(tmp_path / f'a{suffix}'), image)
    read = read_image(tmp_path / f'a{suffix}', 'rgb')
    assert read.shape == image.shape
    assert read.dtype == np.uint8
    # Lossy formats blur the edge in the middle.
    assert np.abs(read[:, :10].astype(int) - image[:, :10]).max() <= 12


def test_coloured_thermal_becomes_grey(tmp_path):
    coloured = np.zeros((10, 12, 3), np.uint8)
    coloured[:, :, 1] = 100
    cv2.imwrite(str(tmp_path / 'a.png'), coloured)
    image = read_image(tmp_path / 'a.png', 'thermal')
    assert image.shape == (10, 12)
    # ITU-R BT.601: green has the weight 0.587.
    assert abs(int(image[0, 0]) - 59) <= 1


def test_grey_and_transparent_colour_images(tmp_path):
    cv2.imwrite(str(tmp_path / 'grey.png'), np.full((10, 12), 77, np.uint8))
    cv2.imwrite(str(tmp_path / 'alpha.png'), np.full((10, 12, 4), (1, 2, 3, 128), np.uint8))
    cv2.imwrite(str(tmp_path / 'deep.png'), np.full((10, 12, 3), 0x4321, np.uint16))
    assert (read_image(tmp_path / 'grey.png', 'rgb') == 77).all()
    assert (read_image(tmp_path / 'alpha.png', 'rgb') == (1, 2, 3)).all()
    assert (read_image(tmp_path / 'deep.png', 'rgb') == 0x43).all()


def test_sizes_may_change_between_stills(tmp_path):
    stills(tmp_path, ['a', 'b'])
    cv2.imwrite(str(tmp_path / 'rgb' / 'b.png'), picture(1, (80, 60)))
    sizes = [frame.size for sensor, frame in FolderSource(tmp_path).frames() if sensor == 'rgb']
    assert sizes == [(40, 30), (80, 60)]


def test_unreadable_image_leaves_its_partner_alone(tmp_path):
    stills(tmp_path, ['a', 'b', 'c'])
    (tmp_path / 'rgb' / 'b.png').write_bytes(b'this is no image')
    (tmp_path / 'thermal' / 'c.png').write_bytes(b'')
    source = FolderSource(tmp_path)
    frames = [(sensor, round((stamp - START_NS) / 1e8)) for sensor, stamp in received(source)]
    assert frames == [('rgb', 0), ('thermal', 0), ('thermal', 1), ('rgb', 2)]
    assert source.problems.snapshot() == {'rgb.unreadable': 1, 'thermal.unreadable': 1}


def test_nothing_readable_is_an_error(tmp_path):
    stills(tmp_path, ['a'])
    for sensor in ('rgb', 'thermal'):
        (tmp_path / sensor / 'a.png').write_bytes(b'no')
    with pytest.raises(SourceError, match='not one image'):
        list(FolderSource(tmp_path).frames())


def test_damaged_jpeg_names_the_file(tmp_path):
    rng = np.random.default_rng(0)
    cv2.imwrite(str(tmp_path / 'a.jpg'), rng.integers(0, 255, (60, 80, 3), np.uint8))
    data = (tmp_path / 'a.jpg').read_bytes()
    (tmp_path / 'a.jpg').write_bytes(data[:40])
    with pytest.raises(SourceError, match=r'a\.jpg'):
        read_image(tmp_path / 'a.jpg', 'rgb')


def test_missing_image_names_the_file(tmp_path):
    with pytest.raises(SourceError, match=r"nothing\.png' cannot be read: No such file"):
        read_image(tmp_path / 'nothing.png', 'rgb')


def test_files_without_partner_are_counted(tmp_path):
    stills(tmp_path, ['a', 'b'])
    cv2.imwrite(str(tmp_path / 'rgb' / 'lonely.png'), picture(1))
    (tmp_path / 'rgb' / 'notes.txt').write_text('x')
    cv2.imwrite(str(tmp_path / 'thermal' / 'a.bmp'), np.zeros((4, 4), np.uint8))
    source = FolderSource(tmp_path)
    assert len(received(source)) == 4
    assert source.problems.snapshot() == {
        'rgb.no_partner': 1, 'rgb.other_file': 1, 'thermal.same_name': 1}


def test_no_matching_names(tmp_path):
    stills(tmp_path, ['a', 'b'])
    for file in list((tmp_path / 'thermal').iterdir()):
        file.rename(file.with_name(f'{file.stem}_ir.png'))
    with pytest.raises(SourceError, match=r'a\.png, b\.png.*a_ir\.png, b_ir\.png'):
        FolderSource(tmp_path)


def test_an_image_is_no_partner_of_a_video(tmp_path):
    stills(tmp_path, ['a'])
    (tmp_path / 'thermal' / 'a.png').unlink()
    video(tmp_path / 'thermal' / 'a.avi', 2, 10)
    with pytest.raises(SourceError, match='two images or two videos'):
        FolderSource(tmp_path)


def test_missing_sub_folder(tmp_path):
    (tmp_path / 'rgb').mkdir()
    with pytest.raises(SourceError, match="no folder 'thermal'"):
        FolderSource(tmp_path)


def test_videos_have_their_own_rate_and_a_gap(tmp_path):
    for sensor in ('rgb', 'thermal'):
        video(tmp_path / sensor / 'one.avi', 3, 20)
        video(tmp_path / sensor / 'two.AVI', 2, 10)
    source = FolderSource(tmp_path)
    frames = list(source.frames())
    stamps = [frame.stamp_ns - START_NS for sensor, frame in frames if sensor == 'rgb']
    # 20 Hz, one second of gap after the last frame, 10 Hz.
    assert stamps == [0, 50_000_000, 100_000_000, 1_100_000_000, 1_200_000_000]
    assert [frame.stamp_ns - START_NS for sensor, frame in frames if sensor == 'thermal'] == stamps
    assert source.duration_ns() == 1_200_000_000
    values = [int(frame.image.mean()) for sensor, frame in frames if sensor == 'rgb']
    np.testing.assert_allclose(values, [0, 20, 40, 0, 20], atol=2)
    thermal = [frame.image for sensor, frame in frames if sensor == 'thermal']
    assert all(image.shape == (48, 64) and image.dtype == np.uint8 for image in thermal)
    assert '2 pairs of videos at 10 and 20 Hz' in source.describe()


def test_videos_of_different_rates_are_merged_by_time(tmp_path):
    video(tmp_path / 'rgb' / 'one.avi', 4, 40)
    video(tmp_path / 'thermal' / 'one.avi', 2, 20)
    order = [(sensor, (stamp - START_NS) // 1_000_000)
             for sensor, stamp in received(FolderSource(tmp_path))]
    assert order == [('rgb', 0), ('thermal', 0), ('rgb', 25), ('rgb', 50), ('thermal', 50),
                     ('rgb', 75)]


def test_stills_around_a_video_are_recordings_of_their_own(tmp_path):
    stills(tmp_path, ['a', 'b', 'd'])
    for sensor in ('rgb', 'thermal'):
        video(tmp_path / sensor / 'c.avi', 2, 10)
    stamps = [stamp - START_NS for sensor, stamp in received(FolderSource(tmp_path))
              if sensor == 'rgb']
    assert [stamp // 100_000_000 for stamp in stamps] == [0, 1, 11, 12, 22]


def test_damaged_video_is_counted(tmp_path):
    for sensor in ('rgb', 'thermal'):
        video(tmp_path / sensor / 'good.avi', 2, 10)
        video(tmp_path / sensor / 'bad.avi', 2, 10)
    (tmp_path / 'thermal' / 'bad.avi').write_bytes(b'no video at all')
    source = FolderSource(tmp_path)
    assert len(received(source)) == 4
    assert source.problems.snapshot() == {'thermal.unreadable': 1}


def test_only_damaged_videos(tmp_path):
    for sensor in ('rgb', 'thermal'):
        (tmp_path / sensor).mkdir()
        (tmp_path / sensor / 'a.mp4').write_bytes(b'no video at all')
    with pytest.raises(SourceError, match='no pair of videos'):
        FolderSource(tmp_path)


def test_truncated_video_says_what_is_missing(tmp_path):
    for sensor in ('rgb', 'thermal'):
        video(tmp_path / sensor / 'a.avi', 12, 10, (320, 240))
    file = tmp_path / 'rgb' / 'a.avi'
    data = file.read_bytes()
    file.write_bytes(data[:len(data) * 2 // 3])
    source = FolderSource(tmp_path)
    count = sum(sensor == 'rgb' for sensor, _ in source.frames())
    assert 0 < count < 12
    assert source.problems.snapshot() == {'rgb.missing_in_video': 12 - count}


def test_real_stills(shared_data: Path):
    with open_source(shared_data / 'msrs', seconds=0.5) as source:
        frames = list(source.frames())
    assert [sensor for sensor, _ in frames] == ['rgb', 'thermal'] * 5
    assert all(frame.size == (640, 480) for _, frame in frames)
    assert all(frame.image.std() > 5 for _, frame in frames)


def test_real_videos(shared_data: Path):
    with FolderSource(shared_data / 'm3svd') as source:
        duration = source.duration_ns()
        stream = source.frames()
        frames = [next(stream) for _ in range(20)]
        stream.close()
    # 151 and 407 frames at 30 Hz, 205 at 22 Hz, two gaps.
    assert duration == pytest.approx((150 / 30 + 406 / 30 + 204 / 22 + 2) * 1e9, rel=0.01)
    rgb = [frame.stamp_ns for sensor, frame in frames if sensor == 'rgb']
    assert np.allclose(np.diff(rgb), 1e9 / 30, rtol=0.01)
    assert frames[1][1].image.shape == (480, 640)


def test_frames_of_a_video_keep_their_own_times(tmp_path):
    """Phones film at rates that vary; here a file whose frames last differently."""
    pillow = pytest.importorskip('PIL.Image')
    frames = [pillow.fromarray(np.full((48, 64), 40 * index, np.uint8)) for index in range(5)]
    path = tmp_path / 'varying.gif'
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=[40, 100, 40, 200, 40])
    own = [round(time_s * 1e3) for time_s, _ in probe_video(
        path, 'rgb', None, 10.0).images(Counters())]
    assert own == [0, 40, 140, 180, 380]
    even = [round(time_s * 1e3) for time_s, _ in probe_video(
        path, 'rgb', 20.0, 10.0).images(Counters())]
    assert even == [0, 50, 100, 150, 200]


def test_two_files_or_two_folders_can_be_named(tmp_path):
    for sensor, name in (('rgb', 'colour'), ('thermal', 'heat')):
        video(tmp_path / f'{name}.avi', 3, 20)
        stills(tmp_path / name, ['a', 'b'])
        assert (tmp_path / name / sensor).is_dir()
    source = FolderSource(tmp_path / 'colour.avi', thermal=tmp_path / 'heat.avi')
    assert [sensor for sensor, _ in source.frames()] == ['rgb', 'thermal'] * 3
    assert 'paired as named' in source.describe()
    source = FolderSource(tmp_path / 'colour' / 'rgb', thermal=tmp_path / 'heat' / 'thermal')
    assert [sensor for sensor, _ in source.frames()] == ['rgb', 'thermal'] * 2
    assert 'paired by file name' in source.describe()
    with pytest.raises(SourceError, match='two files or two folders'):
        FolderSource(tmp_path / 'colour.avi', thermal=tmp_path / 'heat')
