# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The deformation over time: rig and parallax apart, estimates in the background, trust.

Everything happens in the time of the stream, so that a recording gives the same deformations each
time, live or offline: an estimate starts at a pair and takes effect at the first pair that is
`apply_after_ms` younger, however long it really took. The motion of the RGB image bridges the time
between.
"""

from __future__ import annotations

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
from ivif_ros.registration.known_rig import KnownRig
from ivif_ros.registration.moving_parallax import MovingParallax, Snapshot
from ivif_ros.registration.trust import Gate
from ivif_ros.types import Array, Deformation, DeformationSource, Size

_LOST_AFTER = 4
"""Rejected estimates in a row after which every second one starts from nothing."""


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
    """An estimate that was started and has not taken effect."""

    future: Future[Estimate]
    start_ns: int
    due_ns: int
    predicted: Deformation
    snapshot: Snapshot


class DeformationTracker:
    """One deformation per pair, from calibration and images; safe to call from several threads."""

    def __init__(
            self, params: RegistrationParameters, calibration: Calibration | None = None, *,
            estimator: Estimator, executor: Executor | None = None,
            counters: Counters | None = None) -> None:
        """Start from what is known.

        Args:
            params: mode, periods, smoothing, working distance.
            calibration: first guess, or None for none.
            estimator: (rgb, thermal, first guess) -> estimate.
            executor: where estimates run: a `ThreadPoolExecutor(1)` in a live node; None computes
                them at once in the calling thread.
            counters: where `registration.*` is counted: `accepted`, `rejected`, `outlier` (credible
                but far off, waits for agreement), `late`, `failed`, `clock_jump`,
                `bad_calibration` (cannot be used, or the images contradict it).
        """
        self._params = params
        self._executor = SynchronousExecutor() if executor is None else executor
        self._counters = Counters() if counters is None else counters
        self._estimator = estimator
        self._lock = threading.RLock()
        self._rig = KnownRig(params, calibration, self._counters)
        self._parallax = MovingParallax()
        self._gate = Gate()
        self._credible = True
        self._rejected_in_row = 0
        self._reason = ''
        self._last_ns: int | None = None
        self._start_ns: int | None = None
        self._pending: _Pending | None = None
        self._late = False

    @property
    def reason(self) -> str:
        """What is wrong, for people; empty where the deformation is freshly estimated.

        A calibration that cannot be used, or that the images contradict, is named even then.
        """
        with self._lock:
            refining = self._params.mode == 'refine' and self._rig.estimated is not None
            if not refining:
                return self._rig.problem or self._reason
            if not self._credible:
                return self._reason
            return self._rig.problem if self._rig.calibration is not None else ''

    def current(self, stamp_ns: int, rgb_size: Size, thermal_size: Size) -> Deformation:
        """Deformation for a pair on whose images nothing can be estimated.

        Args:
            stamp_ns: stamp of the pair. A step back resets the timing and keeps the geometry.
            rgb_size: width, height of its RGB image.
            thermal_size: width, height of its thermal image.

        Returns:
            Deformation for images of these sizes; its source says what it rests on. Its arrays are
            the same objects as before while the map does not change.
        """
        with self._lock:
            self._go_to(stamp_ns, rgb_size, thermal_size)
            self._collect(stamp_ns)
            return self._effective(stamp_ns)

    def update(self, stamp_ns: int, rgb: Array, thermal: Array) -> Deformation:
        """Deformation for a pair; starts an estimate on its images where one is due.

        Args:
            stamp_ns: stamp of the pair.
            rgb: (H, W, 3) uint8; copied before this returns where it is needed later.
            thermal: (h, w) uint8, likewise.

        Returns:
            As `current`, with the parallax carried along to where the RGB image shows its objects.
        """
        sizes = (rgb.shape[1], rgb.shape[0]), (thermal.shape[1], thermal.shape[0])
        with self._lock:
            self._go_to(stamp_ns, *sizes)
            if self._params.mode == 'refine':
                self._parallax.show(rgb, stamp_ns)
            self._collect(stamp_ns)
            if self._due(stamp_ns):
                self._start(stamp_ns, rgb, thermal)
                self._collect(stamp_ns)
            return self._effective(stamp_ns)

    def set_parameters(self, params: RegistrationParameters) -> None:
        """Take new parameters; estimates survive, the first guess is computed anew."""
        with self._lock:
            self._params = params
            self._rig.set_parameters(params)
            self._parallax.reset()
            if params.mode != 'refine':
                self._pending = None

    def set_calibration(self, calibration: Calibration | None) -> None:
        """Take another first guess, for example when camera_info arrives; forgets estimates."""
        with self._lock:
            self._rig.set_calibration(calibration)
            self.recalibrate()

    def recalibrate(self) -> None:
        """Forget what was estimated and start again from the first guess."""
        with self._lock:
            self._rig.forget()
            self._parallax.reset()
            self._gate.reset()
            self._credible = True
            self._rejected_in_row = 0
            self._reason = ''
            self._pending = None
            self._start_ns = None

    def estimated_calibration(self) -> Calibration:
        """What was learned from the images about the rig, to be saved.

        Returns:
            The calibration with the estimated homography and lens in it, without parallax.

        Raises:
            CalibrationError: no estimate was accepted so far.
        """
        with self._lock:
            rig = self._rig.estimated
            if rig is None:
                raise CalibrationError(
                    'no deformation was estimated so far, expected some seconds of images with '
                    "registration.mode 'refine' before saving")
            if self._rig.calibration is None:
                return Calibration(deformation=rig)
            return replace(self._rig.calibration, deformation=rig)

    def _go_to(self, stamp_ns: int, rgb_size: Size, thermal_size: Size) -> None:
        """Notice clocks that step back and images of another size."""
        if self._last_ns is not None and stamp_ns < self._last_ns:
            self._counters.add('registration.clock_jump')
            self._start_ns = self._pending = None
            self._parallax.reset()
            self._gate.reset_timing()
            self._rig.reset_timing()
        self._last_ns = stamp_ns
        if self._rig.fit_sizes(rgb_size, thermal_size):
            self._pending = None
            self._parallax.reset()
            self._gate.reset_timing()

    def _due(self, stamp_ns: int) -> bool:
        if self._params.mode != 'refine' or self._pending is not None:
            return False
        period_ns = round(self._params.period_ms * 1e6)
        return self._start_ns is None or stamp_ns - self._start_ns >= period_ns

    def _start(self, stamp_ns: int, rgb: Array, thermal: Array) -> None:
        """Start an estimate. It begins at the rig, so that its errors do not feed on themselves."""
        predicted = self._effective(stamp_ns)
        initial = replace(self._rig.in_force, source=predicted.source)
        if self._rejected_in_row >= _LOST_AFTER and self._rejected_in_row % 2 == 0:
            initial = Deformation.stretch(predicted.rgb_size, predicted.thermal_size)
        future = self._executor.submit(
            self._estimator, np.array(rgb), np.array(thermal), initial)
        self._start_ns = stamp_ns
        self._late = False
        self._pending = _Pending(
            future, stamp_ns, stamp_ns + round(self._params.apply_after_ms * 1e6), predicted,
            self._parallax.anchor())

    def _collect(self, stamp_ns: int) -> None:
        """Let an estimate take effect when its time has come."""
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
            estimate = pending.future.result().of_confidence(self._params.min_confidence)
        except (IvifError, ArithmeticError, np.linalg.LinAlgError) as error:
            self._counters.add('registration.failed')
            self._distrust(f'estimate failed: {error}')
            return
        if estimate.accepted:
            self._take(pending, estimate.deformation)
        else:
            self._counters.add('registration.rejected')
            self._distrust(estimate.reason)

    def _distrust(self, reason: str) -> None:
        self._credible = False
        self._reason = reason
        self._rejected_in_row += 1

    def _take(self, pending: _Pending, found: Deformation) -> None:
        """Believe an estimate that continues what is known, or that repeats others."""
        before = self._rig.in_force
        unknown = before.source is DeformationSource.NONE
        if unknown or self._gate.passes(pending.predicted, found, pending.start_ns):
            self._rig.add(found, pending.start_ns)
        else:
            agreed = self._gate.repeated()
            if not agreed:
                self._counters.add('registration.outlier')
                self._distrust('estimate lies far from what is known, waits for others that agree')
                return
            self._rig.replace(agreed, pending.start_ns)
            self._parallax.reset()
        self._counters.add('registration.accepted')
        self._parallax.take(pending.snapshot, found, before, self._rig.in_force)
        self._rejected_in_row = 0
        self._credible = True
        self._reason = ''

    def _effective(self, stamp_ns: int) -> Deformation:
        """What holds now, with the source that says so."""
        rig = self._rig.at(stamp_ns)
        if self._params.mode != 'refine' or self._rig.estimated is None:
            return rig
        shown = self._parallax.laid_on(rig, stamp_ns)
        if shown is None:
            if rig.source is DeformationSource.CALIBRATION and not self._credible:
                return rig
            shown = rig
        source = DeformationSource.ESTIMATED if self._credible else DeformationSource.LAST_GOOD
        return shown if shown.source is source else replace(shown, source=source)
