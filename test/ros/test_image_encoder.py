# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Arrays -> image messages: bytes checked by hand, and the way back through the decoder."""

import array
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivif_ros.errors import ImageError
from ivif_ros.ros.encodings import ENCODINGS, encoding_of
from ivif_ros.ros.image_codec import decode_image
from ivif_ros.ros.image_encoder import as_array, encode_image

EXACT = ('bgr8', 'rgb8', 'bgra8', 'rgba8')
sizes = st.integers(1, 9)
seeds = st.integers(0, 2**32 - 1)


def message(encoded):
    return SimpleNamespace(**vars(encoded), is_bigendian=0)


def picture(height, width, seed, dtype=np.uint8, channels=3):
    shape = (height, width, 3) if channels == 3 else (height, width)
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape, dtype)


@settings(deadline=None, max_examples=60)
@given(encoding=st.sampled_from(EXACT), height=sizes, width=sizes, seed=seeds)
def test_colour_comes_back(encoding, height, width, seed):
    image = picture(height, width, seed)
    encoded = encode_image(image, encoding)
    samples = 4 if encoding.endswith('a8') else 3
    assert (encoded.height, encoded.width, encoded.step) == (height, width, samples * width)
    assert encoded.data.dtype == np.uint8
    first = encoded.data[:3].tolist()
    assert (first if encoding[0] == 'b' else first[::-1]) == image[0, 0].tolist()
    assert np.array_equal(decode_image(message(encoded), 'rgb'), image)


@settings(deadline=None, max_examples=60)
@given(encoding=st.sampled_from(['mono8', '8UC1', 'mono16', '16UC1', '32FC1']),
       height=sizes, width=sizes, seed=seeds)
def test_thermal_comes_back(encoding, height, width, seed):
    kind = '<u2' if '16' in encoding else '<f4' if encoding == '32FC1' else '<u1'
    image = picture(height, width, seed, np.uint16, 1).astype(kind.replace('<', '='))
    encoded = encode_image(image, encoding)
    assert encoded.step == width * image.itemsize
    assert encoded.data.tobytes() == image.astype(kind).tobytes()
    got = decode_image(message(encoded), 'thermal')
    assert got.dtype == image.dtype
    assert np.array_equal(got, image)


@settings(deadline=None, max_examples=40)
@given(encoding=st.sampled_from(['mono8', 'mono16']), height=sizes, width=sizes, seed=seeds)
def test_colour_to_brightness(encoding, height, width, seed):
    image = picture(height, width, seed)
    got = decode_image(message(encode_image(image, encoding)), 'rgb')
    want = image @ [0.114, 0.587, 0.299]
    assert np.abs(got - want[..., None]).max() <= 1
    grey = image[..., 0].copy()
    assert np.array_equal(decode_image(message(encode_image(grey, encoding)), 'rgb'),
                          np.repeat(grey[..., None], 3, axis=2))


@settings(deadline=None, max_examples=80)
@given(encoding=st.sampled_from([name for name in ENCODINGS if name.startswith('bayer')]),
       height=st.integers(3, 9), width=st.integers(3, 9), seed=seeds)
def test_bayer_keeps_the_sampled_colours(encoding, height, width, seed):
    image = picture(height, width, seed)
    encoded = encode_image(image, encoding)
    samples = encoded.data.view(np.uint16 if '16' in encoding else np.uint8)
    samples = samples.reshape(height, width)
    got = decode_image(message(encoded), 'rgb')
    for y in range(height):
        for x in range(width):
            channel = 'bgr'.index(encoding[6:10][2 * (y % 2) + x % 2])
            value = int(image[y, x, channel])
            assert samples[y, x] == (value * 257 if '16' in encoding else value)
            if 0 < y < height - 1 and 0 < x < width - 1:
                assert got[y, x, channel] == value


@settings(deadline=None, max_examples=80)
@given(encoding=st.sampled_from(['yuv422', 'uyvy', 'yuv422_yuy2', 'yuyv', 'nv12', 'nv21']),
       height=sizes, width=sizes, seed=seeds)
def test_yuv_of_smooth_colour_comes_back(encoding, height, width, seed):
    """One colour per 2x2 block, so that shared chroma loses nothing."""
    blocks = picture((height + 1) // 2, (width + 1) // 2, seed)
    image = blocks.repeat(2, 0).repeat(2, 1)[:height, :width]
    got = decode_image(message(encode_image(image, encoding)), 'rgb')
    assert got.shape == image.shape
    # Rounding three 8-bit values with gains up to 2.
    assert np.abs(got.astype(int) - image).max() <= 4


def test_yuv_bytes_of_known_colours():
    """Black, white and pure red as ITU-R BT.601 gives them."""
    image = np.array([[[0, 0, 0]] * 2, [[255] * 3] * 2, [[0, 0, 255]] * 2], np.uint8)
    uyvy = encode_image(image, 'yuv422').data.reshape(3, 4)
    assert uyvy.tolist() == [[128, 16, 128, 16], [128, 235, 128, 235], [90, 81, 240, 81]]
    yuyv = encode_image(image, 'yuyv').data.reshape(3, 4)
    assert yuyv[2].tolist() == [81, 90, 81, 240]
    assert encode_image(image[2:], 'nv12').data.tolist() == [81, 81, 90, 240]
    assert encode_image(image[2:], 'nv21').data.tolist() == [81, 81, 240, 90]


def test_plain_pictures_are_not_copied():
    image = picture(4, 6, 0)
    assert np.shares_memory(encode_image(image, 'bgr8').data, image)
    counts = picture(4, 6, 0, np.uint16, 1)
    assert np.shares_memory(encode_image(counts, '16UC1').data, counts)
    part = image[:, 1:4]
    assert encode_image(part, 'bgr8').data.tobytes() == part.tobytes()


def test_byte_array_is_what_rclpy_takes():
    data = picture(4, 6, 0).reshape(-1)
    buffer = as_array(data)
    assert isinstance(buffer, array.array)
    assert buffer.typecode == 'B'
    assert buffer.tobytes() == data.tobytes()


@pytest.mark.parametrize(('image', 'encoding', 'reason'), [
    (np.zeros((2, 2), np.uint16), 'mono8', 'bad_dtype'),
    (np.zeros((2, 2), np.uint16), 'bgr8', 'bad_dtype'),
    (np.zeros((2, 2), np.float32), '16UC1', 'bad_dtype'),
    (np.zeros((2, 2, 3), np.uint8), '8UC1', 'bad_dtype'),
    (np.zeros((2, 2), np.uint8), '16UC1', 'bad_dtype'),
    (np.zeros((2, 2, 3), np.uint8), 'hsv8', 'bad_encoding'),
    (np.zeros((0, 2, 3), np.uint8), 'bgr8', 'empty'),
])
def test_refused(image, encoding, reason):
    with pytest.raises(ImageError) as caught:
        encode_image(image, encoding)
    assert caught.value.reason == reason


@pytest.mark.parametrize(('image', 'encoding'), [
    (np.zeros((2, 3, 3), np.uint8), 'bgr8'),
    (np.zeros((2, 3), np.uint8), 'mono8'),
    (np.zeros((2, 3), np.uint16), 'mono16'),
    (np.zeros((2, 3), np.float32), '32FC1'),
])
def test_every_image_has_an_encoding_that_holds_it_as_it_is(image, encoding):
    assert encoding_of(image) == encoding
    assert np.shares_memory(encode_image(image, encoding).data, image)


def test_an_image_without_encoding_is_refused():
    with pytest.raises(ImageError, match='float64'):
        encoding_of(np.zeros((2, 3)))
