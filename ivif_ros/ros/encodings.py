# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Image encodings of sensor_msgs/Image that the codec knows, and how their bytes lie in memory.

Names follow `sensor_msgs/image_encodings.hpp`. Two things that they do not say, decided here:

* `mono16` and 16-bit Bayer of a *colour* camera fill the whole 16 bits (so cv_bridge reads them,
  too); the upper byte is the picture. A range taken from each image would make the brightness pump.
* YUV is BT.601 with limited range (16 to 235), as OpenCV converts it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2

from ivif_ros.types import Array, Sensor, check_image

Layout = Literal['plain', 'packed', 'planar']


@dataclass(frozen=True)
class Encoding:
    """How one encoding is laid out and converted.

    Attributes:
        dtype: numpy type of one sample, native byte order.
        samples: samples per pixel.
        layout: `plain` (one pixel after the other), `packed` (two pixels share their chroma) or
            `planar` (a plane of luma, then rows of chroma pairs at half resolution).
        to_bgr: OpenCV code to 8-bit BGR, or None where it is BGR already.
        to_grey: OpenCV code to grey, or None where the first plane is grey already.
        sensors: cameras that may send it.
    """

    dtype: str
    samples: int
    layout: Layout = 'plain'
    to_bgr: int | None = None
    to_grey: int | None = None
    sensors: tuple[Sensor, ...] = ('rgb', 'thermal')

    @property
    def itemsize(self) -> int:
        """Bytes of one sample."""
        return {'uint8': 1, 'uint16': 2, 'float32': 4}[self.dtype]

    def row_bytes(self, width: int) -> int:
        """Bytes that a row needs; rows of shared chroma hold an even number of pixels."""
        if self.layout != 'plain':
            width += width % 2
        return width * self.samples * self.itemsize

    def rows(self, height: int) -> int:
        """Rows in memory, those of chroma included."""
        return height + (height + 1) // 2 if self.layout == 'planar' else height


def _bayer(dtype: str, to_bgr: int) -> Encoding:
    return Encoding(dtype, 1, to_bgr=to_bgr, sensors=('rgb',))


# OpenCV names a Bayer pattern by the second pixel pair of the second row, ROS by the first two
# rows.
BAYER = {'rggb': cv2.COLOR_BayerBG2BGR, 'bggr': cv2.COLOR_BayerRG2BGR,
         'gbrg': cv2.COLOR_BayerGR2BGR, 'grbg': cv2.COLOR_BayerGB2BGR}

_UYVY = Encoding('uint8', 2, 'packed', cv2.COLOR_YUV2BGR_UYVY, cv2.COLOR_YUV2GRAY_UYVY)
_YUYV = Encoding('uint8', 2, 'packed', cv2.COLOR_YUV2BGR_YUY2, cv2.COLOR_YUV2GRAY_YUY2)

ENCODINGS: dict[str, Encoding] = {
    'bgr8': Encoding('uint8', 3, to_grey=cv2.COLOR_BGR2GRAY),
    'rgb8': Encoding('uint8', 3, to_bgr=cv2.COLOR_RGB2BGR, to_grey=cv2.COLOR_RGB2GRAY),
    'bgra8': Encoding('uint8', 4, to_bgr=cv2.COLOR_BGRA2BGR, to_grey=cv2.COLOR_BGRA2GRAY),
    'rgba8': Encoding('uint8', 4, to_bgr=cv2.COLOR_RGBA2BGR, to_grey=cv2.COLOR_RGBA2GRAY),
    'mono8': Encoding('uint8', 1, to_bgr=cv2.COLOR_GRAY2BGR),
    'mono16': Encoding('uint16', 1, to_bgr=cv2.COLOR_GRAY2BGR),
    **{f'bayer_{pattern}8': _bayer('uint8', code) for pattern, code in BAYER.items()},
    **{f'bayer_{pattern}16': _bayer('uint16', code) for pattern, code in BAYER.items()},
    'yuv422': _UYVY,
    'uyvy': _UYVY,
    'yuv422_yuy2': _YUYV,
    'yuyv': _YUYV,
    'nv12': Encoding('uint8', 1, 'planar', cv2.COLOR_YUV2BGR_NV12),
    'nv21': Encoding('uint8', 1, 'planar', cv2.COLOR_YUV2BGR_NV21),
    # Numbers without a meaning as brightness: a thermal camera's counts, never a colour picture.
    '8UC1': Encoding('uint8', 1, sensors=('thermal',)),
    '16UC1': Encoding('uint16', 1, sensors=('thermal',)),
    '32FC1': Encoding('float32', 1, sensors=('thermal',)),
}


def supported(sensor: Sensor) -> list[str]:
    """Names of the encodings that a camera may send."""
    return [name for name, encoding in ENCODINGS.items() if sensor in encoding.sensors]


def encoding_of(image: Array) -> str:
    """Name of the encoding that holds an image as it is.

    Args:
        image: (H, W, 3) uint8 BGR, or (H, W) uint8, uint16 or float32.

    Returns:
        `bgr8`, `mono8`, `mono16` or `32FC1`.

    Raises:
        ImageError: another shape or dtype.
    """
    check_image(image, 'image to publish or record')
    if image.ndim == 3:
        return 'bgr8'
    return {'uint8': 'mono8', 'uint16': 'mono16', 'float32': '32FC1'}[image.dtype.name]
