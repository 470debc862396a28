# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A deformation in words that people understand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ivif_ros.registration.maps import apply_homography, corners
from ivif_ros.types import Array, Deformation

_LEVEL_DEG = 0.05
_CENTRED_PX = 0.5


@dataclass(frozen=True, eq=False)
class RigView:
    """Where the view of the thermal camera lies in the RGB image.

    Attributes:
        corners: (4, 2) RGB pixels x, y of the outer pixel centres of the thermal image, clockwise
            from its top left.
        width_share: width of the thermal view as a share of the width of the RGB image.
        height_share: height of the thermal view as a share of the height of the RGB image.
        shift_px: x, y of its centre from the centre of the RGB image in RGB pixels; x to the right,
            y down.
        turn_deg: how far the thermal image is turned on the RGB image, degrees, clockwise.
    """

    corners: Array
    width_share: float
    height_share: float
    shift_px: tuple[float, float]
    turn_deg: float

    def __str__(self) -> str:
        """Say it in one sentence."""
        parts = []
        for value, positive, negative in ((self.shift_px[0], 'right', 'left'),
                                          (self.shift_px[1], 'down', 'up')):
            if abs(value) >= _CENTRED_PX:
                parts.append(f'{abs(value):.0f} px {positive if value > 0 else negative}')
        moved = f'shifted {" and ".join(parts)}' if parts else 'centred'
        turned = 'not turned' if abs(self.turn_deg) < _LEVEL_DEG else (
            f'turned {abs(self.turn_deg):.1f} deg '
            f'{"clockwise" if self.turn_deg > 0 else "counterclockwise"}')
        return (f'thermal sees {self.width_share:.2f} of the width and {self.height_share:.2f} of '
                f'the height of the RGB image, {moved}, {turned}')


def rig_view(deformation: Deformation) -> RigView:
    """Describe the homography of a deformation; lenses and parallax are left out.

    Args:
        deformation: backward map RGB -> thermal.

    Returns:
        Where the thermal image lies in the RGB image.
    """
    inverse = np.linalg.inv(deformation.homography)
    # apply_homography wants points in front of the camera to have a positive last coordinate.
    middle = (np.array(deformation.thermal_size) - 1.0) / 2.0
    inverse = inverse * np.sign(inverse[2, :2] @ middle + inverse[2, 2])
    outer = apply_homography(inverse, corners(deformation.thermal_size))
    top_left, top_right, bottom_right, bottom_left = outer
    across = (top_right - top_left + bottom_right - bottom_left) / 2.0
    down = (bottom_left - top_left + bottom_right - top_right) / 2.0
    width, height = (length - 1.0 for length in deformation.rgb_size)
    centre = apply_homography(inverse, middle) - np.array([width, height]) / 2.0
    return RigView(
        outer, float(np.linalg.norm(across)) / width, float(np.linalg.norm(down)) / height,
        (float(centre[0]), float(centre[1])), float(np.degrees(np.arctan2(across[1], across[0]))))
