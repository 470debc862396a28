# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Compressed image messages (JPEG, PNG, WebP, TIFF) <-> arrays, without importing ROS.

The `format` field is written and read as image_transport does: `bgr8; jpeg compressed bgr8` for
colour, `mono16; png compressed ` for grey, or just `jpeg` from drivers that pass on what the camera
compressed.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from ivif_ros.errors import ImageError
from ivif_ros.types import Array, Sensor, check_image

EXTENSIONS = {'jpeg': '.jpg', 'png': '.png', 'webp': '.webp'}
# PNG: fast rather than small, as it must keep up with a camera.
_QUALITY = {'jpeg': cv2.IMWRITE_JPEG_QUALITY, 'webp': cv2.IMWRITE_WEBP_QUALITY}
_GREY_NAMES = {'uint8': 'mono8', 'uint16': 'mono16'}


def decode_compressed(message: Any, sensor: Sensor) -> Array:
    """Return the picture of a sensor_msgs/CompressedImage; see `image_codec.decode_image`.

    16-bit PNG and TIFF of a thermal camera keep their 16 bits. The orientation tag of a JPEG is
    ignored: the camera_info belongs to the pixels as they were sent.

    Raises:
        ImageError: `empty`, `bad_encoding` (compressedDepth) or `bad_data`.
    """
    kind = message.format.strip()
    if 'compresseddepth' in kind.lower():
        raise ImageError(
            f"format '{kind}' is a compressed depth image, expected jpeg, png, webp or tiff; "
            'use the raw or the compressed topic of the camera', 'bad_encoding')
    data = np.frombuffer(message.data, np.uint8)
    if data.size == 0:
        raise ImageError(f"compressed image with format '{kind}' has no data", 'empty')
    flags = cv2.IMREAD_COLOR if sensor == 'rgb' else cv2.IMREAD_UNCHANGED
    try:
        image = cv2.imdecode(data, flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        image = None
    if image is None:
        raise ImageError(
            f"compressed image with format '{kind}' ({data.size} bytes) cannot be decoded, "
            'expected a whole jpeg, png, webp or tiff', 'bad_data')
    if 'compressed rgb' in kind:
        # Old publishers compress RGB as if it were BGR and say so.
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    if sensor == 'thermal' and image.ndim == 3:
        code = cv2.COLOR_BGRA2GRAY if image.shape[2] == 4 else cv2.COLOR_BGR2GRAY
        image = cv2.cvtColor(image, code)
    check_image(image, f"compressed image with format '{kind}'")
    return image


def compress(image: Array, kind: str, quality: int = 90) -> tuple[str, Array]:
    """Compress a picture.

    Args:
        image: (H, W, 3) uint8 BGR or (H, W) uint8; for png also (H, W) uint16.
        kind: `jpeg`, `png` or `webp`.
        quality: 1 to 100 for jpeg and webp (100: webp keeps every value); png keeps every value.

    Returns:
        The `format` of the message, and (n,) uint8 data.

    Raises:
        ImageError: kind or dtype that cannot be compressed.
    """
    check_image(image, 'image to compress')
    if kind not in EXTENSIONS:
        raise ImageError(f"cannot compress as '{kind}', expected one of {sorted(EXTENSIONS)}",
                         'bad_encoding')
    if image.dtype != np.uint8 and (kind != 'png' or image.dtype != np.uint16):
        raise ImageError(
            f'cannot compress {image.dtype} as {kind}, expected uint8 (or uint16 as png)',
            'bad_dtype')
    # WebP keeps every value above 100.
    value = quality + 1 if kind == 'webp' and quality == 100 else quality
    options = [_QUALITY[kind], value] if kind in _QUALITY else [cv2.IMWRITE_PNG_COMPRESSION, 1]
    done, data = cv2.imencode(EXTENSIONS[kind], np.ascontiguousarray(image), options)
    if not done:
        raise ImageError(f'OpenCV cannot compress an image of {image.shape} as {kind}', 'bad_data')
    name = 'bgr8' if image.ndim == 3 else _GREY_NAMES[image.dtype.name]
    target = 'bgr8' if image.ndim == 3 else ''
    return f'{name}; {kind} compressed {target}', data.reshape(-1)
