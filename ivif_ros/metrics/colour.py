# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Colour fidelity of a fused image against the RGB image.

Fusion has to change the lightness, that is what it is for; hue and chroma it should leave alone.
So the difference is also given without its lightness part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ivif_ros.errors import ImageError
from ivif_ros.metrics.planes import grey
from ivif_ros.types import Array

LIT = 40
"""Luma (0..255) from which a pixel counts as lit: darker ones have no colour that one could see."""


_XYZ_OF_BGR = torch.tensor(((0.180423, 0.357580, 0.412453), (0.072169, 0.715160, 0.212671),
                            (0.950227, 0.119193, 0.019334)))
_XYZ_OF_BGR /= _XYZ_OF_BGR.sum(1, keepdim=True)  # white is 1, 1, 1
_KNEE = (6 / 29) ** 3


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
    """Compare the colours of a fused image with those of the RGB image.

    Both are taken as sRGB with the white point D65 and compared by CIE 1976 (ISO/CIE 11664-4).
    Colour differences came to fusion with Dif-Fusion (Yue et al. 2023); tables in CIEDE2000 have
    smaller numbers. Agrees with `skimage.color.rgb2lab` and `deltaE_cie76`.

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
    return ColourDifference(*map(float, colour_differences(fused[None], rgb[None], lit)[0]))


def colour_differences(fused: Array, rgb: Array, lit: int = LIT) -> Array:
    """Compare batches as `colour_difference` does.

    Args:
        fused: (n, H, W, 3) uint8 BGR.
        rgb: (n, H, W, 3) uint8 BGR.
        lit: BT.601 luma of `rgb` from which a pixel counts.

    Returns:
        (n, 4) float64: the attributes of `ColourDifference` in their order.
    """
    counts = torch.from_numpy(grey(rgb) >= lit).view(len(rgb), -1)
    chosen = counts.view(-1).nonzero()[:, 0]
    # Copies, since images of messages cannot be written, which PyTorch warns of.
    one, other = (_lab(torch.from_numpy(np.array(x)).view(-1, 3), chosen) for x in (fused, rgb))
    square = (one - other).square_()
    chromatic = square[1] + square[2]
    # dH^2 = 2 (C C' - a a' - b b'), in the form that keeps small turns of strong colours.
    inner = torch.addcmul(one[1] * other[1], one[2], other[2])
    cross = torch.addcmul(one[1] * other[2], one[2], other[1], value=-1)
    both = torch.hypot(inner, cross)
    turn = torch.where(inner < 0, both - inner, cross.square_() / (both + inner).clamp_min_(1e-20))
    found = torch.stack((square.sum(0).sqrt_(), chromatic.sqrt_(), turn.mul_(2).sqrt_()), 1)
    sums = torch.zeros(len(rgb), 3, dtype=torch.float64).index_add_(
        0, chosen // counts.shape[1], found.double())
    pixels = counts.sum(1, keepdim=True).double()
    result: Array = torch.cat((sums / pixels, pixels / counts.shape[1]), 1).numpy()
    return result


def _lab(bgr: Tensor, chosen: Tensor) -> Tensor:
    """CIE L*a*b* of some sRGB colours (IEC 61966-2-1, white point D65).

    OpenCV interpolates in a table of colours and is off by up to half a unit.

    Args:
        bgr: (n, 3) uint8 in the order BGR.
        chosen: (m,) which of them.

    Returns:
        (3, m) float32.
    """
    levels = bgr.index_select(0, chosen).t().int().flatten()
    f = _XYZ_OF_BGR @ _LINEAR.index_select(0, levels).view(3, -1)
    # Below the knee the cube root goes on as a straight line.
    below = (f - _KNEE).clamp_max_(0)
    f.clamp_min_(_KNEE).pow_(1 / 3).add_(below, alpha=_KNEE ** (-2 / 3) / 3)
    return torch.stack((116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])))


def _linear_levels() -> Tensor:
    """Linear intensity of each of the 256 levels of sRGB, (256,) float32."""
    level = torch.arange(256, dtype=torch.float64) / 255
    linear = torch.where(level > 0.04045, ((level + 0.055) / 1.055) ** 2.4, level / 12.92)
    return linear.float()


_LINEAR = _linear_levels()
