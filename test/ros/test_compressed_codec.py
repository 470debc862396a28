# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Compressed image messages, both ways."""

import array
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from ivif_ros.errors import ImageError
from ivif_ros.ros.compressed_codec import compress
from ivif_ros.ros.image_codec import decode_image


@pytest.fixture
def colour():
    """A smooth picture with distinct channels, which JPEG keeps closely."""
    y, x = np.mgrid[:48, :64]
    return np.stack([x * 3, y * 4, 255 - x * 2 - y], axis=2).astype(np.uint8)


@pytest.fixture
def counts():
    return (np.arange(48 * 64, dtype=np.uint32).reshape(48, 64) * 5 + 300).astype(np.uint16)


def message(data, kind):
    return SimpleNamespace(format=kind, data=array.array('B', bytes(data)))


@pytest.mark.parametrize(('kind', 'error'), [('png', 0), ('jpeg', 12), ('webp', 12)])
def test_colour_comes_back(colour, kind, error):
    name, data = compress(colour, kind)
    assert name == f'bgr8; {kind} compressed bgr8'
    got = decode_image(message(data, name), 'rgb')
    assert np.abs(got.astype(int) - colour).max() <= error
    assert np.array_equal(got, decode_image(message(data, kind), 'rgb'))


@pytest.mark.parametrize('kind', ['png', 'jpeg', 'webp'])
def test_grey_comes_back(colour, kind):
    grey = colour[..., 2].copy()
    name, data = compress(grey, kind)
    assert name == f'mono8; {kind} compressed '
    got = decode_image(message(data, name), 'thermal')
    assert got.shape == grey.shape
    assert np.abs(got.astype(int) - grey).max() <= (0 if kind == 'png' else 6)
    assert decode_image(message(data, name), 'rgb').shape == (48, 64, 3)


def test_quality_counts(colour):
    small, large = (compress(colour, 'jpeg', quality)[1] for quality in (20, 95))
    assert len(small) < len(large)
    lossless = compress(colour, 'webp', 100)[1]
    assert np.array_equal(decode_image(message(lossless, 'webp'), 'rgb'), colour)


def test_counts_keep_their_16_bits(counts):
    name, data = compress(counts, 'png')
    assert name == 'mono16; png compressed '
    for kind in (name, '16UC1; png compressed ', 'png'):
        got = decode_image(message(data, kind), 'thermal')
        assert got.dtype == np.uint16
        assert np.array_equal(got, counts)


def test_16_bit_png_of_a_colour_camera(colour):
    _, data = cv2.imencode('.png', colour.astype(np.uint16) * 257)
    got = decode_image(message(data, 'bgr16; png compressed bgr16'), 'rgb')
    assert got.dtype == np.uint8
    assert np.array_equal(got, colour)


def test_tiff_of_temperatures():
    celsius = np.linspace(-20, 120, 48 * 64, dtype=np.float32).reshape(48, 64)
    done, data = cv2.imencode('.tiff', celsius)
    assert done
    got = decode_image(message(data, '32FC1; tiff compressed '), 'thermal')
    assert np.array_equal(got, celsius)


@pytest.mark.parametrize('channels', [3, 4])
def test_false_colours_become_grey(colour, channels):
    image = colour if channels == 3 else np.dstack([colour, np.full((48, 64), 255, np.uint8)])
    _, data = cv2.imencode('.png', image)
    got = decode_image(message(data, 'png'), 'thermal')
    assert np.abs(got - colour @ [0.114, 0.587, 0.299]).max() <= 1


def test_rgb_compressed_as_bgr_is_turned_round(colour):
    _, data = cv2.imencode('.png', colour[..., ::-1])
    got = decode_image(message(data, 'rgb8; png compressed rgb8'), 'rgb')
    assert np.array_equal(got, colour)
    _, data = cv2.imencode('.png', colour)
    assert np.array_equal(
        decode_image(message(data, 'rgb8; png compressed bgr8'), 'rgb'), colour)


def test_orientation_tag_is_ignored(colour):
    _, jpeg = cv2.imencode('.jpg', colour)
    plain = decode_image(message(jpeg, 'jpeg'), 'rgb')
    # Exif with one entry: orientation (0x0112) = 6, turned by 90 degrees.
    exif = (b'Exif\0\0MM\0*\0\0\0\x08' + b'\0\x01' + b'\x01\x12\0\x03\0\0\0\x01\0\x06\0\0'
            + b'\0\0\0\0')
    app1 = b'\xff\xe1' + (len(exif) + 2).to_bytes(2, 'big') + exif
    tagged = jpeg.tobytes()[:2] + app1 + jpeg.tobytes()[2:]
    turned = cv2.imdecode(np.frombuffer(tagged, np.uint8), cv2.IMREAD_COLOR)
    assert turned.shape == (64, 48, 3), 'the tag is not understood, so the test says nothing'
    assert np.array_equal(decode_image(message(tagged, 'jpeg'), 'rgb'), plain)


def test_damaged_and_foreign_messages(colour):
    _, data = compress(colour, 'png')
    for content, kind, reason in (
            (b'', 'jpeg', 'empty'),
            (b'not an image at all', 'jpeg', 'bad_data'),
            (data[:20], 'png', 'bad_data'),
            (data, '16UC1; compressedDepth', 'bad_encoding'),
            (data, '32FC1; compressedDepth png', 'bad_encoding')):
        for sensor in ('rgb', 'thermal'):
            with pytest.raises(ImageError) as caught:
                decode_image(message(content, kind), sensor)
            assert caught.value.reason == reason


def test_refused(colour, counts):
    for image, kind, reason in (
            (counts, 'jpeg', 'bad_dtype'),
            (counts, 'webp', 'bad_dtype'),
            (counts.astype(np.float32), 'png', 'bad_dtype'),
            (colour, 'gif', 'bad_encoding')):
        with pytest.raises(ImageError) as caught:
            compress(image, kind)
        assert caught.value.reason == reason
