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
    one, other = (cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_BGR2Lab)[mask]
                  for image in (fused, rgb))
    change = one - other
    chromatic = (change[:, 1:] ** 2).sum(1)
    chroma = np.hypot(one[:, 1], one[:, 2]) - np.hypot(other[:, 1], other[:, 2])
    return ColourDifference(
        delta_e=float(np.sqrt((change ** 2).sum(1)).mean()),
        chromatic=float(np.sqrt(chromatic).mean()),
        hue=float(np.sqrt(np.maximum(chromatic - chroma ** 2, 0)).mean()), lit=float(mask.mean()))
