# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Calibration of the rig: two cameras and how they stand to each other."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ivif_ros.errors import CalibrationError
from ivif_ros.registration.extrinsics import check_rigid
from ivif_ros.registration.maps import rescaled
from ivif_ros.types import Array, CameraModel, Deformation, Size, same_aspect


@dataclass(frozen=True, eq=False)
class Calibration:
    """What is known about a rig; each part may be missing, but not all of them.

    Attributes:
        rgb: intrinsics of the colour camera, or None.
        thermal: intrinsics of the thermal camera, or None.
        thermal_from_rgb: (4, 4) float64 with `X_thermal = thermal_from_rgb @ X_rgb`, optical
            frames, in metres; None where nobody measured it (the cameras are then taken to look
            the same way from the same place).
        deformation: a map RGB -> thermal that was measured on images of this very rig, or None.
            It is the better first guess where both are known.
    """

    rgb: CameraModel | None = None
    thermal: CameraModel | None = None
    thermal_from_rgb: Array | None = None
    deformation: Deformation | None = None

    def __post_init__(self) -> None:
        """Check the transform and freeze it.

        Raises:
            CalibrationError: nothing known, or not a rigid transform.
        """
        if (self.rgb is None and self.thermal is None and self.deformation is None
                and self.thermal_from_rgb is None):
            raise CalibrationError(
                'calibration is empty, expected cameras, extrinsics or a deformation')
        if self.thermal_from_rgb is not None:
            matrix = check_rigid(self.thermal_from_rgb, 'thermal_from_rgb')
            matrix.setflags(write=False)
            object.__setattr__(self, 'thermal_from_rgb', matrix)

    @property
    def has_cameras(self) -> bool:
        """True where the intrinsics of both cameras are known."""
        return self.rgb is not None and self.thermal is not None

    def completed(self, rgb: CameraModel | None = None, thermal: CameraModel | None = None,
                  thermal_from_rgb: Array | None = None) -> Calibration:
        """Fill in what is missing, for example from camera_info and TF; what is known stays.

        Args:
            rgb: intrinsics of the colour camera.
            thermal: intrinsics of the thermal camera.
            thermal_from_rgb: (4, 4) transform as in the attribute, in metres.

        Raises:
            CalibrationError: not a rigid transform.
        """
        return replace(
            self, rgb=self.rgb or rgb, thermal=self.thermal or thermal,
            thermal_from_rgb=(thermal_from_rgb if self.thermal_from_rgb is None
                              else self.thermal_from_rgb))


def fitted_deformation(measured: Deformation, rgb_size: Size, thermal_size: Size) -> Deformation:
    """The measured deformation of a rig for the images that it delivers now.

    Images of another size and the same aspect ratio are taken for resized ones. Another aspect
    ratio is another camera, or a mode that crops in a way that nobody knows.

    Args:
        measured: deformation of a calibration.
        rgb_size: width, height of the RGB images in pixels.
        thermal_size: width, height of the thermal images in pixels.

    Returns:
        The deformation for these sizes; the same object where nothing changes.

    Raises:
        CalibrationError: the aspect ratio of a camera differs by more than one percent.
    """
    for name, was, size in (('RGB', measured.rgb_size, rgb_size),
                            ('thermal', measured.thermal_size, thermal_size)):
        if not same_aspect(was, size):
            raise CalibrationError(
                f'calibration was measured on {name} images of {was[0]}x{was[1]}, these are '
                f'{size[0]}x{size[1]}: another aspect ratio is another camera or another crop; '
                'calibrate this rig (ivif calibrate)')
    return rescaled(measured, rgb_size, thermal_size)
