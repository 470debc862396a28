# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Colour fidelity against scikit-image and against the formula written out by hand."""

import dataclasses
import math

import cv2
import numpy as np
import pytest

from ivif_ros.errors import ImageError
from ivif_ros.metrics.colour import LIT, colour_difference, colour_differences


def lab(bgr):
    """CIE L*a*b* of one sRGB colour, written out by hand (IEC 61966-2-1, D65)."""
    b, g, r = (((c / 255 + 0.055) / 1.055) ** 2.4 if c / 255 > 0.04045 else c / 255 / 12.92
               for c in bgr)
    x = (0.412453 * r + 0.357580 * g + 0.180423 * b) / 0.950456
    y = 0.212671 * r + 0.715160 * g + 0.072169 * b
    z = (0.019334 * r + 0.119193 * g + 0.950227 * b) / 1.088754
    fx, fy, fz = (c ** (1 / 3) if c > 0.008856 else 7.787 * c + 16 / 116 for c in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


def flat(bgr):
    return np.full((9, 11, 3), bgr, np.uint8)


@pytest.mark.parametrize(('one', 'other'), [((40, 90, 200), (60, 90, 180)),
                                            ((200, 120, 60), (220, 140, 80))])
def test_a_flat_colour_agrees_with_the_formula(one, other):
    found = colour_difference(flat(one), flat(other))
    (l1, a1, b1), (l2, a2, b2) = lab(one), lab(other)
    assert found.delta_e == pytest.approx(math.dist((l1, a1, b1), (l2, a2, b2)), abs=0.01)
    assert found.chromatic == pytest.approx(math.dist((a1, b1), (a2, b2)), abs=0.01)
    turn = math.atan2(b1, a1) - math.atan2(b2, a2)
    hue = 2 * math.sqrt(math.hypot(a1, b1) * math.hypot(a2, b2)) * abs(math.sin(turn / 2))
    assert found.hue == pytest.approx(hue, abs=0.01)
    assert found.lit == 1


@pytest.mark.parametrize('strength', [10, 120])
def test_real_colours_agree_with_scikit_image(strength):
    colour = pytest.importorskip('skimage.color')
    rng = np.random.default_rng(strength)
    rgb = rng.integers(0, 256, (40, 50, 3))
    fused = np.clip(rgb + rng.integers(-strength, strength + 1, rgb.shape), 0, 255)
    rgb, fused = rgb.astype(np.uint8), fused.astype(np.uint8)
    lit = cv2.cvtColor(rgb, cv2.COLOR_BGR2GRAY) >= LIT
    one, other = (colour.rgb2lab(x[..., ::-1])[lit] for x in (fused, rgb))
    found = colour_difference(fused, rgb)
    assert found.delta_e == pytest.approx(colour.deltaE_cie76(one, other).mean(), abs=1e-3)
    change = one - other
    assert found.chromatic == pytest.approx(np.hypot(change[:, 1], change[:, 2]).mean(), abs=1e-3)
    chroma = np.hypot(one[:, 1], one[:, 2]) - np.hypot(other[:, 1], other[:, 2])
    hue = np.sqrt(np.maximum((change[:, 1:] ** 2).sum(1) - chroma ** 2, 0))
    assert found.hue == pytest.approx(hue.mean(), rel=1e-4)
    assert found.lit == lit.mean()


def test_a_batch_gives_what_its_images_give():
    rng = np.random.default_rng(3)
    fused, rgb = rng.integers(0, 256, (2, 3, 20, 30, 3)).astype(np.uint8)
    rgb[1] = 5  # nothing is lit
    found = colour_differences(fused, rgb)
    for i, row in enumerate(found):
        single = dataclasses.astuple(colour_difference(fused[i], rgb[i]))
        assert row == pytest.approx(single, nan_ok=True)
    assert np.isnan(found[1, :3]).all()
    assert found[1, 3] == 0


def test_grey_of_another_lightness_has_no_chromatic_difference():
    found = colour_difference(flat((90, 90, 90)), flat((140, 140, 140)))
    assert found.delta_e > 15
    assert found.chromatic < 0.05


def test_only_lit_pixels_count():
    rgb = flat((100, 100, 100))
    rgb[:, :4] = 10
    fused = rgb.copy()
    fused[:, :4] = (0, 0, 255)
    found = colour_difference(fused, rgb)
    assert found.delta_e == 0
    assert found.lit == pytest.approx(7 / 11)
    assert math.isnan(colour_difference(rgb, flat((0, 0, 0))).delta_e)


def test_images_that_do_not_belong_together_are_named():
    with pytest.raises(ImageError, match='fused image is'):
        colour_difference(flat((1, 2, 3))[:5], flat((1, 2, 3)))
