# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What is known of the rig: from its calibration, from the images, and which of both holds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from ivif_ros.counters import Counters
from ivif_ros.errors import CalibrationError
from ivif_ros.parameters import RegistrationParameters
from ivif_ros.registration.calibration import Calibration, fitted_deformation
from ivif_ros.registration.rig import calibrated_deformation
from ivif_ros.registration.rig_filter import RigFilter
from ivif_ros.registration.trust import REFERENCE_WIDTH, confidence_of, error_of, typical_distance
from ivif_ros.types import Deformation, DeformationSource, Size

_CONTRADICTED_PX = 16.0
"""Distance, in pixels of an image 640 wide, at which repeated estimates refute a calibration."""
_DOUBTED_PX = 6.4
"""The same for the mean of many estimates."""
_MANY = 50
_RESIDUALS = 3.0
_LONGEST_STEP_S = 1.0
"""Time without estimates is no evidence: older ones lose no more weight than in this time."""
_WANDERS_PX2_S = 0.25
"""Growth of the squared error of an estimated rig while nothing confirms it."""


class KnownRig:
    """Homography and lens of the rig, without parallax.

    A calibration holds until the images contradict it: with estimates that repeat each other far
    from it, or with the mean of many nearer by. Intrinsics alone hold until the first estimate.
    """

    def __init__(self, params: RegistrationParameters, calibration: Calibration | None,
                 counters: Counters) -> None:
        """Start from a calibration or from nothing; counts `registration.bad_calibration`."""
        self._params = params
        self._counters = counters
        self._filter = RigFilter()
        self.calibration = calibration
        self._base: Deformation | None = None
        self._contradicted = False
        self._applied_ns: int | None = None
        self._shown: tuple[Deformation, int, Deformation] | None = None
        self.problem = ''

    @property
    def estimated(self) -> Deformation | None:
        """The rig as the images show it, None before the first estimate."""
        return self._filter.rig

    @property
    def in_force(self) -> Deformation:
        """The rig that holds; call `fit_sizes` first."""
        base, estimated = self._base, self._filter.rig
        assert base is not None
        if self._params.mode != 'refine' or estimated is None or (
                base.source is DeformationSource.CALIBRATION and self._is_complete
                and not self._contradicted):
            return base
        return estimated

    def at(self, stamp_ns: int) -> Deformation:
        """The rig that holds, its confidence faded with the seconds since the last estimate."""
        rig = self.in_force
        if rig is self._base or self._applied_ns is None:
            return rig
        age_s = max(stamp_ns - self._applied_ns, 0) // 1_000_000_000
        if self._shown is None or self._shown[0] is not rig or self._shown[1] != age_s:
            to_reference = REFERENCE_WIDTH / rig.rgb_size[0]
            error = math.sqrt((rig.residual_px * to_reference) ** 2 + _WANDERS_PX2_S * age_s)
            faded = replace(rig, confidence=float(confidence_of(error)),
                            residual_px=error / to_reference)
            self._shown = rig, age_s, faded
        return self._shown[2]

    def fit_sizes(self, rgb_size: Size, thermal_size: Size) -> bool:
        """Express everything for images of these sizes; whether that changed anything."""
        base = self._base
        if base is not None and (base.rgb_size, base.thermal_size) == (rgb_size, thermal_size):
            return False
        self._base = self._first_guess(rgb_size, thermal_size)
        self._filter.fit_sizes(rgb_size, thermal_size)
        return True

    def add(self, found: Deformation, start_ns: int) -> None:
        """Take an estimate that continues what was known."""
        elapsed_s = (self._params.period_ms / 1e3 if self._applied_ns is None
                     else (start_ns - self._applied_ns) / 1e9)
        self._filter.add(found, min(elapsed_s, _LONGEST_STEP_S), self._params.smoothing_s)
        self._applied_ns = start_ns
        if self._filter.count >= _MANY:
            self._doubt(_DOUBTED_PX)

    def replace(self, agreed: Sequence[Deformation], start_ns: int) -> None:
        """Leave what was known for estimates that agree with each other, oldest first."""
        self._filter.reset()
        for found in agreed:
            self._filter.add(found, self._params.period_ms / 1e3, self._params.smoothing_s)
        self._applied_ns = start_ns
        self._doubt(_CONTRADICTED_PX)

    def forget(self) -> None:
        """Forget estimates, and that they contradicted the calibration."""
        self._filter.reset()
        self._base = None
        self._contradicted = False
        self._applied_ns = None

    def reset_timing(self) -> None:
        """Forget stamps (a recording starts again)."""
        self._applied_ns = None

    def set_parameters(self, params: RegistrationParameters) -> None:
        """Take new parameters; the first guess is computed anew."""
        self._params = params
        self._base = None
        self._contradicted = False

    def set_calibration(self, calibration: Calibration | None) -> None:
        """Take another calibration and forget estimates."""
        self.calibration = calibration
        self.forget()

    @property
    def _is_complete(self) -> bool:
        """Whether the calibration says how the cameras stand to each other."""
        return self.calibration is not None and (
            self.calibration.deformation is not None
            or self.calibration.thermal_from_rgb is not None)

    def _doubt(self, limit_px: float) -> None:
        """Drop a calibration that the images contradict."""
        base, estimated = self._base, self._filter.rig
        if (base is None or estimated is None or self._contradicted or not self._is_complete
                or base.source is not DeformationSource.CALIBRATION):
            return
        apart = typical_distance(base, estimated)
        expected = (float(error_of(base.confidence)) if math.isnan(base.residual_px)
                    else base.residual_px * REFERENCE_WIDTH / base.rgb_size[0])
        if apart <= max(limit_px, _RESIDUALS * expected):
            return
        self._contradicted = True
        self._counters.add('registration.bad_calibration')
        apart_px = apart * base.rgb_size[0] / REFERENCE_WIDTH
        self.problem = (
            f'the images lie {apart_px:.0f} px from the calibration and win; is it that of these '
            'cameras, and registration.working_distance_m that of the scene?')

    def _first_guess(self, rgb_size: Size, thermal_size: Size) -> Deformation:
        self.problem = ''
        calibration = self.calibration
        if self._params.mode == 'none':
            return Deformation.stretch(rgb_size, thermal_size)
        try:
            if calibration is not None and calibration.deformation is not None:
                return replace(fitted_deformation(calibration.deformation, rgb_size, thermal_size),
                               source=DeformationSource.CALIBRATION)
            if calibration is not None and calibration.has_cameras:
                return calibrated_deformation(
                    calibration, rgb_size, thermal_size, self._params.working_distance_m)
        except CalibrationError as error:
            self._counters.add('registration.bad_calibration')
            self.problem = str(error)
        else:
            self.problem = 'no calibration'
        return Deformation.stretch(rgb_size, thermal_size)
