# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Colour fidelity of a fused image against the RGB image.

Fusion has to change the lightness, that is what it is for; hue and chroma it should leave alone.
So the difference is also given without its lightness part.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ivif_ros.errors import ImageError
from ivif_ros.types import Array

LIT = 40
"""Luma (0..255) from which a pixel counts as lit: darker ones have no colour that one could see."""


_XYZ_OF_RGB = np.array(((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169),
                        (0.019334, 0.119193, 0.950227)))


@dataclass(frozen=True)
class ColourDifference:
    """Means over the lit pixels, in CIE L*a*b* units; NaN where none is lit.

    Attributes:
        delta_e: CIE 1976 difference `sqrt(dL^2 + da^2 + db^2)`; about 2 is just to be seen.
        chromatic: the same without lightness, `sqrt(da^2 + db^2)`.
        hue: the part of it that turns the hue, `sqrt(da^2 + db^2 - dC^2)`, C the chroma.
        lit: share of the pixels that are lit.
    """

    delta_e: float
    chromatic: float
    hue: float
    lit: float


def colour_difference(fused: Array, rgb: Array, lit: int = LIT) -> ColourDifference:
    """Compare the colours of a fused image with those of the RGB image (ISO/CIE 11664-4).

    Both are taken as sRGB with the white point D65.

    Args:
        fused: (H, W, 3) uint8 BGR.
        rgb: (H, W, 3) uint8 BGR.
        lit: BT.601 luma of `rgb` from which a pixel counts.

    Raises:
        ImageError: images that are not BGR uint8 of one size.
    """
    for name, image in (('fused', fused), ('RGB', rgb)):
        if image.ndim != 3 or image.shape != rgb.shape or image.dtype != np.uint8:
            raise ImageError(f'{name} image is {image.shape} {image.dtype}, expected (H, W, 3) '
                             'uint8, both of one size', 'bad_shape')
    mask = cv2.cvtColor(rgb, cv2.COLOR_BGR2GRAY) >= lit
    if not mask.any():
        return ColourDifference(np.nan, np.nan, np.nan, 0.0)
    one, other = _lab(fused[mask]), _lab(rgb[mask])
    change = one - other
    chromatic = (change[:, 1:] ** 2).sum(1)
    chroma = np.hypot(one[:, 1], one[:, 2]) - np.hypot(other[:, 1], other[:, 2])
    return ColourDifference(
        delta_e=float(np.sqrt((change ** 2).sum(1)).mean()),
        chromatic=float(np.sqrt(chromatic).mean()),
        hue=float(np.sqrt(np.maximum(chromatic - chroma ** 2, 0)).mean()), lit=float(mask.mean()))


def _lab(bgr: Array) -> Array:
    """CIE L*a*b* of (n, 3) uint8 sRGB in the order BGR (IEC 61966-2-1, white point D65).

    OpenCV interpolates in a table of colours and is off by up to half a unit.
    """
    level = np.arange(256) / 255
    linear = np.where(level > 0.04045, ((level + 0.055) / 1.055) ** 2.4, level / 12.92)
    xyz = linear[bgr[:, ::-1]] @ _XYZ_OF_RGB.T / _XYZ_OF_RGB.sum(1)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    lab: Array = np.stack((116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]),
                           200 * (f[:, 1] - f[:, 2])), 1)
    return lab
