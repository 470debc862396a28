# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Image messages -> arrays, compared with conversions written pixel by pixel."""

import array
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivif_ros.errors import ImageError
from ivif_ros.ros.encodings import ENCODINGS, supported
from ivif_ros.ros.image_codec import decode_image

CONTAINERS = {
    'array': lambda data: array.array('B', data),
    'bytes': bytes,
    'ndarray': lambda data: np.frombuffer(data, np.uint8),
}
CHANNELS = {'bgr8': (0, 1, 2), 'rgb8': (2, 1, 0), 'bgra8': (0, 1, 2), 'rgba8': (2, 1, 0)}
MATRIX = {'rggb': 'RGGB', 'bggr': 'BGGR', 'gbrg': 'GBRG', 'grbg': 'GRBG'}
YUV = ('yuv422', 'uyvy', 'yuv422_yuy2', 'yuyv', 'nv12', 'nv21')


def make(encoding, width, height, padding=0, big=False, seed=0, container='array'):
    """A message with random content: (message, rows of its bytes without the padding)."""
    rng = np.random.default_rng(seed)
    if encoding in ('nv12', 'nv21'):
        row, rows = width + width % 2, height + (height + 1) // 2
    elif encoding in YUV:
        row, rows = 2 * (width + width % 2), height
    else:
        size = {'bgr8': 3, 'rgb8': 3, 'bgra8': 4, 'rgba8': 4, '32FC1': 4}.get(
            encoding, 2 if '16' in encoding else 1)
        row, rows = width * size, height
    if encoding == '32FC1':
        values = rng.normal(20, 10, (rows, width)).astype('>f4' if big else '<f4')
        pixels = values.view(np.uint8).reshape(rows, row)
    else:
        pixels = rng.integers(0, 256, (rows, row), np.uint8)
    filler = rng.integers(0, 256, (rows, padding), np.uint8)
    data = np.concatenate([pixels, filler], axis=1).tobytes()
    message = SimpleNamespace(width=width, height=height, encoding=encoding, is_bigendian=int(big),
                              step=row + padding, data=CONTAINERS[container](data))
    return message, pixels


def wide(pixels, y, x, big):
    """The 16-bit sample at a pixel, by hand."""
    first, second = int(pixels[y, 2 * x]), int(pixels[y, 2 * x + 1])
    return first * 256 + second if big else second * 256 + first


def bgr_of_yuv(luma, u, v):
    """BT.601, limited range; OpenCV takes luma below 16 as black."""
    y = 1.164383 * max(luma - 16, 0)
    blue, red = y + 2.017232 * (u - 128), y + 1.596027 * (v - 128)
    green = y - 0.391762 * (u - 128) - 0.812968 * (v - 128)
    return np.clip([blue, green, red], 0, 255)


def yuv_at(encoding, pixels, y, x, height):
    """Luma and chroma that belong to a pixel."""
    pair = x - x % 2
    if encoding in ('nv12', 'nv21'):
        chroma = pixels[height + y // 2, pair:pair + 2].astype(int)
        return int(pixels[y, x]), *(chroma if encoding == 'nv12' else chroma[::-1])
    four = pixels[y, 2 * pair:2 * pair + 4].astype(int)
    if encoding in ('yuv422', 'uyvy'):
        return four[1 + 2 * (x % 2)], four[0], four[2]
    return four[2 * (x % 2)], four[1], four[3]


sizes = st.integers(1, 9)
layouts = {'width': sizes, 'height': sizes, 'padding': st.integers(0, 5), 'big': st.booleans(),
           'seed': st.integers(0, 2**32 - 1), 'container': st.sampled_from(sorted(CONTAINERS))}


@settings(deadline=None, max_examples=60)
@given(encoding=st.sampled_from(sorted(CHANNELS)), **layouts)
def test_colour(encoding, width, height, padding, big, seed, container):
    message, pixels = make(encoding, width, height, padding, big, seed, container)
    got = decode_image(message, 'rgb')
    assert got.shape == (height, width, 3)
    assert got.dtype == np.uint8
    samples = 4 if encoding.endswith('a8') else 3
    for y in range(height):
        for x in range(width):
            want = [pixels[y, samples * x + c] for c in CHANNELS[encoding]]
            assert got[y, x].tolist() == want


@settings(deadline=None, max_examples=60)
@given(encoding=st.sampled_from(['mono8', 'mono16']), **layouts)
def test_grey_of_a_colour_camera(encoding, width, height, padding, big, seed, container):
    message, pixels = make(encoding, width, height, padding, big, seed, container)
    got = decode_image(message, 'rgb')
    assert got.shape == (height, width, 3)
    for y in range(height):
        for x in range(width):
            want = pixels[y, x] if encoding == 'mono8' else wide(pixels, y, x, big) // 256
            assert got[y, x].tolist() == [want] * 3


@settings(deadline=None, max_examples=100)
@given(encoding=st.sampled_from(['mono8', '8UC1', 'mono16', '16UC1', '32FC1']), **layouts)
def test_thermal(encoding, width, height, padding, big, seed, container):
    message, pixels = make(encoding, width, height, padding, big, seed, container)
    got = decode_image(message, 'thermal')
    assert got.shape == (height, width)
    assert got.dtype.isnative
    assert got.flags.aligned
    if encoding == '32FC1':
        assert got.dtype == np.float32
        want = np.frombuffer(pixels.tobytes(), '>f4' if big else '<f4').reshape(height, width)
        assert np.array_equal(got, want)
        return
    assert got.dtype == (np.uint16 if '16' in encoding else np.uint8)
    for y in range(height):
        for x in range(width):
            assert got[y, x] == (wide(pixels, y, x, big) if '16' in encoding else pixels[y, x])


@settings(deadline=None, max_examples=80)
@given(encoding=st.sampled_from(YUV), **layouts)
def test_yuv(encoding, width, height, padding, big, seed, container):
    message, pixels = make(encoding, width, height, padding, big, seed, container)
    got = decode_image(message, 'rgb')
    grey = decode_image(message, 'thermal')
    assert got.shape == (height, width, 3)
    assert grey.shape == (height, width)
    for y in range(height):
        for x in range(width):
            luma, u, v = yuv_at(encoding, pixels, y, x, height)
            assert np.abs(got[y, x] - bgr_of_yuv(luma, u, v)).max() <= 2
            assert grey[y, x] == luma


@settings(deadline=None, max_examples=60)
@given(pattern=st.sampled_from(sorted(MATRIX)), deep=st.booleans(),
       **{**layouts, 'width': st.integers(3, 9), 'height': st.integers(3, 9)})
def test_bayer(pattern, deep, width, height, padding, big, seed, container):
    encoding = f'bayer_{pattern}{16 if deep else 8}'
    message, pixels = make(encoding, width, height, padding, big, seed, container)
    raw = np.array([[wide(pixels, y, x, big) // 256 if deep else pixels[y, x]
                     for x in range(width)] for y in range(height)], int)
    colour = [['BGR'.index(MATRIX[pattern][2 * (y % 2) + x % 2]) for x in range(width)]
              for y in range(height)]
    got = decode_image(message, 'rgb')
    assert got.shape == (height, width, 3)
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            for channel in range(3):
                # Bilinear: the mean of the nearest samples of that colour.
                near = ([(y, x)] if colour[y][x] == channel else
                        [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)
                         if colour[y + dy][x + dx] == channel and abs(dy) + abs(dx) == 1] or
                        [(y + dy, x + dx) for dy in (-1, 1) for dx in (-1, 1)])
                assert abs(got[y, x, channel] - np.mean([raw[p] for p in near])) <= 1


@settings(deadline=None, max_examples=40)
@given(encoding=st.sampled_from(sorted(CHANNELS)), **layouts)
def test_colour_from_a_thermal_camera_becomes_grey(
        encoding, width, height, padding, big, seed, container):
    message, pixels = make(encoding, width, height, padding, big, seed, container)
    got = decode_image(message, 'thermal')
    assert got.shape == (height, width)
    samples = 4 if encoding.endswith('a8') else 3
    for y in range(height):
        for x in range(width):
            b, g, r = (float(pixels[y, samples * x + c]) for c in CHANNELS[encoding])
            assert abs(got[y, x] - (0.114 * b + 0.587 * g + 0.299 * r)) <= 1


@pytest.mark.parametrize(('encoding', 'sensor'), [
    ('bgr8', 'rgb'), ('mono8', 'thermal'), ('8UC1', 'thermal'), ('mono16', 'thermal'),
    ('16UC1', 'thermal'), ('32FC1', 'thermal'), ('nv12', 'thermal')])
@pytest.mark.parametrize('padding', [0, 4])
def test_nothing_is_copied(encoding, sensor, padding):
    message, _ = make(encoding, 8, 6, padding)
    got = decode_image(message, sensor)
    assert np.shares_memory(got, np.frombuffer(message.data, np.uint8))
    message.data = None     # the view keeps the bytes
    assert got.shape[:2] == (6, 8)


def test_converted_frames_do_not_share_memory():
    first, _ = make('rgb8', 8, 6, seed=1)
    second, _ = make('rgb8', 8, 6, seed=2)
    one = decode_image(first, 'rgb')
    kept = one.copy()
    two = decode_image(second, 'rgb')
    assert not np.shares_memory(one, two)
    assert np.array_equal(one, kept)


def test_float_specials_pass():
    data = np.array([[np.nan, np.inf, -1.5]], '<f4')
    message = SimpleNamespace(width=3, height=1, encoding='32FC1', is_bigendian=0, step=12,
                              data=data.view(np.uint8).reshape(-1))
    assert np.array_equal(decode_image(message, 'thermal'), data, equal_nan=True)


@pytest.mark.parametrize('encoding', sorted(ENCODINGS))
@pytest.mark.parametrize(('change', 'reason', 'words'), [
    ({'width': 0}, 'empty', 'zero size 0x6'),
    ({'height': 0}, 'empty', 'zero size 8x0'),
    ({'step': 0}, 'bad_step', 'step of 0 bytes'),
    ({'less_step': 1}, 'bad_step', 'a row needs'),
    ({'less_data': 1}, 'short_data', 'cut off'),
    ({'data': b''}, 'short_data', 'has 0 bytes'),
])
def test_damaged_messages(encoding, change, reason, words):
    message, _ = make(encoding, 8, 6)
    if 'less_step' in change:
        message.step -= 1
    elif 'less_data' in change:
        message.data = message.data[:-1]
    else:
        vars(message).update(change)
    sensor = ENCODINGS[encoding].sensors[0]
    with pytest.raises(ImageError, match=words) as caught:
        decode_image(message, sensor)
    assert caught.value.reason == reason


@pytest.mark.parametrize('encoding', ['bayer_rggb8', 'bayer_grbg16'])
def test_bayer_needs_a_neighbourhood(encoding):
    message, _ = make(encoding, 2, 5)
    with pytest.raises(ImageError, match='too small') as caught:
        decode_image(message, 'rgb')
    assert caught.value.reason == 'bad_size'


@pytest.mark.parametrize(('encoding', 'sensor'), [
    ('hsv8', 'rgb'), ('', 'thermal'), ('8UC1', 'rgb'), ('16UC1', 'rgb'), ('32FC1', 'rgb'),
    ('bayer_rggb8', 'thermal'), ('BGR8', 'rgb')])
def test_unknown_encodings_name_what_is_supported(encoding, sensor, monkeypatch):
    monkeypatch.setitem(sys.modules, 'cv_bridge', None)
    message = SimpleNamespace(width=2, height=2, encoding=encoding, is_bigendian=0, step=8,
                              data=bytes(16))
    with pytest.raises(ImageError) as caught:
        decode_image(message, sensor)
    assert caught.value.reason == 'bad_encoding'
    for name in (f"'{encoding}'", sensor, *supported(sensor)):
        assert name in str(caught.value)
    assert 'is not installed' in str(caught.value)


class _Bridge:
    def imgmsg_to_cv2(self, message, desired):
        if message.encoding == '16SC1':
            return np.ones((2, 2), np.int16)
        if message.encoding != '16UC3':
            raise RuntimeError('no conversion known')
        return np.full((2, 2, 3), 7 if desired == 'bgr8' else 9, np.uint8)


def test_cv_bridge_is_asked_where_it_is_installed(monkeypatch):
    module = ModuleType('cv_bridge')
    module.CvBridge = _Bridge
    monkeypatch.setitem(sys.modules, 'cv_bridge', module)
    message = SimpleNamespace(encoding='16UC3')
    assert (decode_image(message, 'rgb') == np.full((2, 2, 3), 7)).all()
    assert (decode_image(message, 'thermal') == np.full((2, 2), 9)).all()
    for encoding, words in (('odd', 'no conversion known'), ('16SC1', 'int16')):
        message.encoding = encoding
        with pytest.raises(ImageError, match=words) as caught:
            decode_image(message, 'thermal')
        assert caught.value.reason == 'bad_encoding'
