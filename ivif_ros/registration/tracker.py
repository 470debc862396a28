# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The deformation over time: first guess, refinements in the background, smoothing, last good one.

Everything happens in the time of the stream, so that a recording gives the same deformations each
time, live or offline: a refinement starts at a pair and takes effect at the first pair that is
`apply_after_ms` younger, however long it really took.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ivif_ros.counters import Counters
from ivif_ros.errors import CalibrationError, IvifError
from ivif_ros.parameters import RegistrationParameters
from ivif_ros.registration.calibration import Calibration
from ivif_ros.registration.estimate import Estimate, Estimator
from ivif_ros.registration.maps import blend, distance_px, rescaled
from ivif_ros.registration.refine import refine
from ivif_ros.registration.rig import calibrated_deformation
from ivif_ros.types import Array, Deformation, DeformationSource, Size

_GATE = 0.025
"""Estimates farther from what is known than this share of the RGB width must repeat themselves."""
_AGREE = 0.01
"""Share of the RGB width within which two estimates say the same."""
_REPEATS = 3
"""Estimates in a row that must agree before what is known is left far behind."""
_LOST_AFTER = 4
"""Rejected refinements in a row after which every second one starts from the first guess again."""


class SynchronousExecutor(Executor):
    """Runs each call at once in the calling thread: for recordings and tests."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run the call and return its finished future."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class _Pending(NamedTuple):
    """A refinement that was started and has not taken effect."""

    future: Future[Estimate]
    start_ns: int
    due_ns: int


class DeformationTracker:
    """One deformation per pair, from calibration and images; safe to call from several threads."""

    def __init__(
            self, params: RegistrationParameters, calibration: Calibration | None = None, *,
            executor: Executor | None = None, counters: Counters | None = None,
            estimator: Estimator = refine) -> None:
        """Start from what is known.

        Args:
            params: mode, periods, smoothing, working distance.
            calibration: first guess, or None for none.
            executor: where refinements run: a `ThreadPoolExecutor(1)` in a live node; None computes
                them at once in the calling thread.
            counters: where `registration.*` is counted: `accepted`, `rejected`, `outlier` (credible
                but far off, waits for agreement), `late`, `failed`, `clock_jump`,
                `bad_calibration`.
            estimator: (rgb, thermal, first guess) -> refinement.
        """
        self._params = params
        self._calibration = calibration
        self._executor = SynchronousExecutor() if executor is None else executor
        self._counters = Counters() if counters is None else counters
        self._estimator = estimator
        self._lock = threading.RLock()
        self._base: Deformation | None = None
        self._estimate: Deformation | None = None
        self._credible = True
        self._candidates: list[Deformation] = []
        self._accepted = 0
        self._rejected_in_row = 0
        self._reason = ''
        self._problem = ''
        self._last_ns: int | None = None
        self._start_ns: int | None = None
        self._applied_ns: int | None = None
        self._pending: _Pending | None = None
        self._late = False
        self._origin: Deformation | None = None
        self._shown: Deformation | None = None

    @property
    def reason(self) -> str:
        """Why the deformation is not freshly estimated, for people; empty where it is."""
        with self._lock:
            if self._params.mode == 'refine' and self._estimate is not None:
                return '' if self._credible else self._reason
            return self._problem or self._reason

    def current(self, stamp_ns: int, rgb_size: Size, thermal_size: Size) -> Deformation:
        """Deformation for a pair; the same object as before while nothing changed.

        Args:
            stamp_ns: stamp of the pair. A step back resets the timing and keeps the geometry.
            rgb_size: width, height of its RGB image.
            thermal_size: width, height of its thermal image.

        Returns:
            Deformation for images of these sizes; its source says what it rests on.
        """
        with self._lock:
            if self._last_ns is not None and stamp_ns < self._last_ns:
                self._counters.add('registration.clock_jump')
                self._reset_timing()
            self._last_ns = stamp_ns
            self._fit_sizes(rgb_size, thermal_size)
            self._collect(stamp_ns)
            return self._effective()

    def update(self, stamp_ns: int, rgb: Array, thermal: Array) -> Deformation:
        """Deformation for a pair; starts a refinement on its images where one is due.

        Args:
            stamp_ns: stamp of the pair.
            rgb: (H, W, 3) uint8; copied before this returns where it is needed later.
            thermal: (h, w) uint8, likewise.

        Returns:
            As `current`.
        """
        sizes = (rgb.shape[1], rgb.shape[0]), (thermal.shape[1], thermal.shape[0])
        with self._lock:
            known = self.current(stamp_ns, *sizes)
            period_ns = round(self._params.period_ms * 1e6)
            due = self._start_ns is None or stamp_ns - self._start_ns >= period_ns
            if self._params.mode != 'refine' or self._pending is not None or not due:
                return known
            assert self._base is not None
            lost = self._rejected_in_row >= _LOST_AFTER and self._rejected_in_row % 2 == 0
            future = self._executor.submit(
                self._estimator, np.array(rgb), np.array(thermal), self._base if lost else known)
            self._start_ns = stamp_ns
            self._late = False
            self._pending = _Pending(
                future, stamp_ns, stamp_ns + round(self._params.apply_after_ms * 1e6))
            self._collect(stamp_ns)
            return self._effective()

    def set_parameters(self, params: RegistrationParameters) -> None:
        """Take new parameters; estimates survive, the first guess is computed anew."""
        with self._lock:
            self._params = params
            self._base = None
            if params.mode != 'refine':
                self._pending = None

    def set_calibration(self, calibration: Calibration | None) -> None:
        """Take another first guess, for example when camera_info arrives; forgets estimates."""
        with self._lock:
            self._calibration = calibration
            self._base = None
            self.recalibrate()

    def recalibrate(self) -> None:
        """Forget what was estimated and start again from the first guess."""
        with self._lock:
            self._estimate = None
            self._credible = True
            self._candidates = []
            self._accepted = 0
            self._rejected_in_row = 0
            self._reason = ''
            self._pending = None
            self._start_ns = None

    def estimated_calibration(self) -> Calibration:
        """What was learned from the images, to be saved.

        Returns:
            The calibration with the estimated deformation in it.

        Raises:
            CalibrationError: no estimate was accepted so far.
        """
        with self._lock:
            if self._estimate is None:
                raise CalibrationError(
                    'no deformation was estimated so far, expected some seconds of images with '
                    "registration.mode 'refine' before saving")
            if self._calibration is None:
                return Calibration(deformation=self._estimate)
            return replace(self._calibration, deformation=self._estimate)

    def _reset_timing(self) -> None:
        self._last_ns = None
        self._start_ns = None
        self._applied_ns = None
        self._pending = None

    def _fit_sizes(self, rgb_size: Size, thermal_size: Size) -> None:
        """Compute the first guess and carry the estimate over to images of other sizes."""
        if (self._base is not None and self._base.rgb_size == rgb_size
                and self._base.thermal_size == thermal_size):
            return
        self._base = self._first_guess(rgb_size, thermal_size)
        self._candidates = []
        self._shown = None
        self._pending = None
        if self._estimate is not None:
            self._estimate = rescaled(self._estimate, rgb_size, thermal_size)

    def _first_guess(self, rgb_size: Size, thermal_size: Size) -> Deformation:
        self._problem = ''
        calibration = self._calibration
        if self._params.mode == 'none':
            return Deformation.stretch(rgb_size, thermal_size)
        try:
            if calibration is not None and calibration.deformation is not None:
                return replace(rescaled(calibration.deformation, rgb_size, thermal_size),
                               source=DeformationSource.CALIBRATION)
            if calibration is not None and calibration.has_cameras:
                return calibrated_deformation(
                    calibration, rgb_size, thermal_size, self._params.working_distance_m)
        except CalibrationError as error:
            self._counters.add('registration.bad_calibration')
            self._problem = str(error)
        else:
            self._problem = 'no calibration'
        return Deformation.stretch(rgb_size, thermal_size)

    def _effective(self) -> Deformation:
        """What holds now, with the source that says so; one object per state."""
        assert self._base is not None
        wanted, source = self._base, self._base.source
        if self._params.mode == 'refine' and self._estimate is not None:
            wanted = self._estimate
            source = (DeformationSource.ESTIMATED if self._credible
                      else DeformationSource.LAST_GOOD)
        if self._shown is None or self._origin is not wanted or self._shown.source is not source:
            self._origin = wanted
            self._shown = wanted if wanted.source is source else replace(wanted, source=source)
        return self._shown

    def _collect(self, stamp_ns: int) -> None:
        """Let a refinement take effect when its time has come."""
        pending = self._pending
        if pending is None or stamp_ns < pending.due_ns:
            return
        if not pending.future.done():
            if not self._late:
                self._counters.add('registration.late')
            self._late = True
            return
        self._pending = None
        try:
            refinement = pending.future.result()
        except (IvifError, ArithmeticError, np.linalg.LinAlgError) as error:
            self._counters.add('registration.failed')
            self._distrust(f'refinement failed: {error}')
            return
        if not refinement.accepted:
            self._counters.add('registration.rejected')
            self._distrust(refinement.reason)
        elif refinement.deformation.confidence < self._params.min_confidence:
            self._counters.add('registration.rejected')
            self._distrust(f'confidence {refinement.deformation.confidence:.2f} is below '
                           f'{self._params.min_confidence:g}')
        else:
            self._take(refinement.deformation, pending.start_ns)

    def _distrust(self, reason: str) -> None:
        self._credible = False
        self._reason = reason
        self._rejected_in_row += 1

    def _take(self, found: Deformation, start_ns: int) -> None:
        """Move towards a credible estimate, or wait until others confirm it."""
        found = replace(found, source=DeformationSource.ESTIMATED)
        known = self._estimate
        if known is None and self._base is not None:
            known = self._base if self._base.source is not DeformationSource.NONE else None
        width = found.rgb_size[0]
        if known is not None and distance_px(known, found) > _GATE * width:
            self._candidates = [
                other for other in self._candidates
                if distance_px(other, found) <= _AGREE * width] + [found]
            if len(self._candidates) < _REPEATS:
                self._counters.add('registration.outlier')
                self._distrust('estimate lies far from what is known, waits for others that agree')
                return
            known, self._accepted = None, 0
        self._candidates = []
        self._counters.add('registration.accepted')
        self._estimate = found if known is None else blend(known, found, self._share(start_ns))
        self._applied_ns = start_ns
        self._accepted += 1
        self._rejected_in_row = 0
        self._credible = True
        self._reason = ''

    def _share(self, start_ns: int) -> float:
        """Weight of a new estimate: a running mean first, then exponential smoothing in time."""
        tau = self._params.smoothing_s
        elapsed_s = (self._params.period_ms / 1e3 if self._applied_ns is None
                     else (start_ns - self._applied_ns) / 1e9)
        followed = 1.0 if tau <= 0 else 1.0 - math.exp(-elapsed_s / tau)
        return max(followed, 1.0 / (self._accepted + 1))
