# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Image messages -> arrays, without importing ROS.

Works on any object with the fields of sensor_msgs/Image or CompressedImage whose data supports the
buffer protocol: messages of rclpy (`array.array`), of rosbags (`numpy.ndarray`), or bytes.

Where the bytes are the picture already (bgr8 for a colour camera, mono8, 8UC1, 16UC1, 32FC1 for a
thermal one) the array is a view of the message's data: nothing is copied, padded rows included. It
keeps the data alive, may be read-only and must not be written to. Conversions allocate their
result. Buffers kept for reuse were measured to save nothing once the allocator keeps freed memory
(rgb8 640x480: 0.021 ms with and without, see `ivif_ros.memory`) and could be overwritten while a
frame is still in use.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from ivif_ros.errors import ImageError
from ivif_ros.ros.encodings import ENCODINGS, Encoding, supported
from ivif_ros.types import Array, Sensor, check_image


def decode_image(message: Any, sensor: Sensor) -> Array:
    """Return the picture of a message.

    Args:
        message: sensor_msgs/Image or sensor_msgs/CompressedImage, or an object with the same
            fields.
        sensor: `rgb` gives colour, `thermal` the values that the camera measured.

    Returns:
        For `rgb` (H, W, 3) uint8 BGR. For `thermal` (H, W) uint8, uint16 or float32 in native byte
        order, unscaled; colour pictures of a thermal camera become grey (uint8).

    Raises:
        ImageError: with the reason `bad_encoding`, `empty`, `bad_step`, `short_data` or `bad_data`.
    """
    if not hasattr(message, 'encoding'):
        from ivif_ros.ros.compressed_codec import decode_compressed
        return decode_compressed(message, sensor)
    encoding = ENCODINGS.get(message.encoding)
    if encoding is None or sensor not in encoding.sensors:
        return _by_cv_bridge(message, sensor)
    view = image_view(message, encoding)
    if sensor == 'thermal':
        return _grey(view, encoding, message.width, message.height)
    return _bgr(view, encoding, message.width, message.height)


def image_view(message: Any, encoding: Encoding) -> Array:
    """Look at the data of an image message without copying.

    Returns:
        (rows, W) or (rows, W, samples) in native byte order; a copy only where the byte order or
        the alignment asks for one. W is even and `rows` includes chroma where pixels share it.

    Raises:
        ImageError: `empty`, `bad_step` or `short_data`.
    """
    name, width, height, step = message.encoding, message.width, message.height, message.step
    if width == 0 or height == 0:
        raise ImageError(f'{name} image has zero size {width}x{height}; check the camera driver',
                         'empty')
    row = encoding.row_bytes(width)
    if step < row:
        raise ImageError(
            f'{name} image of {width}x{height} has a step of {step} bytes, a row needs {row}; '
            'the driver fills in width, step or encoding wrongly', 'bad_step')
    rows = encoding.rows(height)
    data = memoryview(message.data).cast('B')
    if len(data) < rows * step:
        raise ImageError(
            f'{name} image of {width}x{height} with a step of {step} has {len(data)} bytes of '
            f'data, expected {rows * step}; it was cut off or the driver fills in its size wrongly',
            'short_data')
    columns = row // (encoding.samples * encoding.itemsize)
    shape: tuple[int, ...] = (rows, columns)
    strides: tuple[int, ...] = (step, encoding.samples * encoding.itemsize)
    if encoding.samples > 1:
        shape, strides = (*shape, encoding.samples), (*strides, encoding.itemsize)
    dtype = np.dtype(encoding.dtype).newbyteorder('>' if message.is_bigendian else '<')
    view: Array = np.ndarray(shape, dtype, data, strides=strides)
    if not dtype.isnative:
        return view.astype(encoding.dtype)
    return view if view.flags.aligned else view.copy()


def _bgr(view: Array, encoding: Encoding, width: int, height: int) -> Array:
    if view.dtype == np.uint16:
        view = (view >> 8).astype(np.uint8)
    if encoding.to_bgr is None:
        return view
    if encoding.sensors == ('rgb',) and min(width, height) < 3:
        raise ImageError(f'Bayer image of {width}x{height} px is too small, expected 3x3 or more',
                         'bad_size')
    return _converted(view, encoding.to_bgr, width, height)


def _grey(view: Array, encoding: Encoding, width: int, height: int) -> Array:
    if encoding.to_grey is None:
        return view[:height, :width]
    return _converted(view, encoding.to_grey, width, height)


def _converted(view: Array, code: int, width: int, height: int) -> Array:
    if view.ndim == 2 and view.shape[0] != height:
        view = _even_rows(view, height)
    # Pixels that only complete a pair are cut off again.
    return cv2.cvtColor(view, code)[:height, :width]


def _even_rows(view: Array, height: int) -> Array:
    """Repeat the last row of luma where a planar image has an odd number of rows."""
    if height % 2 == 0:
        return view
    return np.concatenate([view[:height], view[height - 1:height], view[height:]])


def _by_cv_bridge(message: Any, sensor: Sensor) -> Array:
    """Let cv_bridge try an encoding that is not in the table."""
    unsupported = (f"encoding '{message.encoding}' of the {sensor} camera is not supported, "
                   f'expected one of {", ".join(supported(sensor))}')
    try:
        from cv_bridge import CvBridge
    except (ImportError, AttributeError) as error:      # the latter when built for another NumPy
        raise ImageError(f'{unsupported}; cv_bridge, which knows more, is not installed ({error})',
                         'bad_encoding') from error
    try:
        image = np.asarray(CvBridge().imgmsg_to_cv2(
            message, 'bgr8' if sensor == 'rgb' else 'passthrough'))
        check_image(image, f'{message.encoding} image')
    except Exception as error:      # cv_bridge raises many kinds
        raise ImageError(f'{unsupported}; cv_bridge cannot convert it either: {error}',
                         'bad_encoding') from error
    if sensor == 'thermal' and image.ndim == 3:
        return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    return image
