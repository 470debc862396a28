# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Arrays -> the fields of image messages, without importing ROS.

Every encoding that `image_codec` decodes can be made. Rows are not padded and samples are
little-endian.
"""

from __future__ import annotations

import array
import sys
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from ivif_ros.errors import ImageError
from ivif_ros.ros.encodings import ENCODINGS
from ivif_ros.types import Array, check_image

# BT.601, limited range: (Y, Cb, Cr) of (B, G, R, 1), the inverse of what OpenCV decodes.
_YUV_OF_BGR = np.array([
    [24.966, 128.553, 65.481, 255 * 16],
    [112.0, -74.203, -37.797, 255 * 128],
    [-18.214, -93.786, 112.0, 255 * 128]]) / 255
# Position (row, column) of red in the 2x2 pattern; blue is opposite, green elsewhere.
_RED = {'rggb': (0, 0), 'bggr': (1, 1), 'gbrg': (1, 0), 'grbg': (0, 1)}
_FROM_BGR = {'rgb8': cv2.COLOR_BGR2RGB, 'bgra8': cv2.COLOR_BGR2BGRA, 'rgba8': cv2.COLOR_BGR2RGBA}


@dataclass(frozen=True, eq=False)
class EncodedImage:
    """What goes into the fields of sensor_msgs/Image.

    Attributes:
        height: of the image in pixels.
        width: of the image in pixels.
        encoding: name of the encoding.
        step: bytes of a row.
        data: (n,) uint8; a view of the given array where nothing had to be converted.
    """

    height: int
    width: int
    encoding: str
    step: int
    data: Array


def encode_image(image: Array, encoding: str) -> EncodedImage:
    """Bring a picture into an encoding.

    Args:
        image: (H, W, 3) uint8 BGR for every encoding of colour or brightness; (H, W) uint8 likewise
            (grey); (H, W) uint8, uint16 or float32 for the encoding of that type.
        encoding: one of `encodings.ENCODINGS`.

    Raises:
        ImageError: unknown encoding, or one that would change the values (uint16 -> mono8: which 8
            of the bits count is for the thermal normaliser to decide).
    """
    check_image(image, 'image to encode')
    layout = ENCODINGS.get(encoding)
    if layout is None:
        raise ImageError(f"cannot encode as '{encoding}', expected one of {', '.join(ENCODINGS)}",
                         'bad_encoding')
    single = layout.samples == 1 and layout.layout == 'plain' and not encoding.startswith('bayer')
    if single and image.ndim == 2 and image.dtype == layout.dtype:
        samples = image
    elif 'rgb' in layout.sensors and image.dtype == np.uint8:
        samples = _from_colour(image, encoding)
    else:
        raise ImageError(
            f'cannot encode {image.dtype} with shape {image.shape} as {encoding}; convert it to '
            f'{layout.dtype} first, for thermal images with the thermal normaliser', 'bad_dtype')
    if sys.byteorder == 'big' and layout.itemsize > 1:
        samples = samples.byteswap()
    data = np.ascontiguousarray(samples).reshape(-1).view(np.uint8)
    height, width = image.shape[:2]
    return EncodedImage(height, width, encoding, layout.row_bytes(width), data)


def as_array(values: Array, code: str = 'B') -> array.array[Any]:
    """Copy numbers into the type that rclpy takes without looking at each of them.

    Any other type costs 10 to 1000 times as much (rclpy issue 763).

    Args:
        values: numbers of any shape, taken row by row.
        code: type code of `array.array`, bytes by default.
    """
    buffer = array.array(code)
    buffer.frombytes(np.ascontiguousarray(values, code).reshape(-1).view(np.uint8).data)
    return buffer


def _from_colour(image: Array, encoding: str) -> Array:
    if encoding in ('mono8', 'mono16'):
        grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        return grey if encoding == 'mono8' else _sixteen_bits(grey)
    bgr = image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    if encoding == 'bgr8':
        return bgr
    if encoding in _FROM_BGR:
        return cv2.cvtColor(bgr, _FROM_BGR[encoding])
    if encoding.startswith('bayer'):
        mosaic = _mosaic(bgr, encoding[6:10])
        return mosaic if encoding.endswith('8') else _sixteen_bits(mosaic)
    return _yuv(bgr, encoding)


def _sixteen_bits(image: Array) -> Array:
    """Fill 16 bits: 255 becomes 65535, and the upper byte is the picture again."""
    wide: Array = image.astype(np.uint16)
    wide *= 257
    return wide


def _mosaic(bgr: Array, pattern: str) -> Array:
    row, column = _RED[pattern]
    mosaic: Array = bgr[..., 1].copy()
    mosaic[row::2, column::2] = bgr[row::2, column::2, 2]
    mosaic[1 - row::2, 1 - column::2] = bgr[1 - row::2, 1 - column::2, 0]
    return mosaic


def _yuv(bgr: Array, encoding: str) -> Array:
    height, width = bgr.shape[:2]
    planar = encoding in ('nv12', 'nv21')
    bgr = cv2.copyMakeBorder(
        bgr, 0, height % 2 if planar else 0, 0, width % 2, cv2.BORDER_REPLICATE)
    rows, columns = bgr.shape[:2]
    yuv = cv2.transform(bgr, _YUV_OF_BGR)
    small = (columns // 2, rows // 2 if planar else rows)
    chroma = cv2.resize(yuv[..., 1:], small, interpolation=cv2.INTER_AREA)
    if planar:
        if encoding == 'nv21':
            chroma = chroma[..., ::-1]
        return np.concatenate([yuv[:height, :, 0].reshape(-1), chroma.reshape(-1)])
    packed = np.empty((rows, columns, 2), np.uint8)
    luma = 1 if encoding in ('yuv422', 'uyvy') else 0
    packed[..., luma] = yuv[..., 0]
    packed[..., 1 - luma] = chroma.reshape(rows, columns)
    return np.asarray(packed)
