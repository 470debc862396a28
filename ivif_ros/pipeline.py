# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""One pair in, one result out: the order of the stages and their timings.

The live node, the offline replay and the command line all call this class, so that a recording
gives the same images whichever way it is played.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ivif_ros.counters import Counters
from ivif_ros.detection import DetectionPeriod, StreamDetector, load_detector, load_tracker
from ivif_ros.errors import ImageError
from ivif_ros.health import CameraHealth, HealthState
from ivif_ros.parameters import Parameters
from ivif_ros.registration import Calibration, DeformationTracker, load_calibration
from ivif_ros.registration.awaited import AwaitedExecutor
from ivif_ros.registration.estimate import default_estimator
from ivif_ros.thermal import FreezeDetector, ThermalNormaliser
from ivif_ros.types import (
    Array,
    CameraModel,
    Deformation,
    Frame,
    FramePair,
    FusionResult,
    Mode,
    Size,
)

if TYPE_CHECKING:
    import torch

    from ivif_ros.fusion.engine import FusionEngine
    from ivif_ros.registration import Warper

FOLLOWS_NS = 500_000_000
"""A pair less than this after the fused pair before belongs to the same moving picture."""


@dataclass(frozen=True, eq=False)
class Registered:
    """A pair with its thermal image on the RGB grid: what fusion needs.

    Attributes:
        pair: the input.
        health: which cameras are trusted.
        deformation: map that was used, or None without a usable thermal image.
        thermal: (H, W) uint8 on the RGB grid and on the device, or None.
        weight: (H, W) float32 on the device, 0 where there is no thermal image, or None.
        latency_ms: stage name -> milliseconds so far.
    """

    pair: FramePair
    health: HealthState
    deformation: Deformation | None
    thermal: torch.Tensor | None
    weight: torch.Tensor | None
    latency_ms: dict[str, float]

    @property
    def mode(self) -> Mode:
        """What a fused image of this pair is made of."""
        return self.health.mode

    @property
    def reason(self) -> str:
        """Why it is not a full fusion; empty for one."""
        return self.health.reason


class Pipeline:
    """Thermal normalisation, health, registration, warp, fusion and detection of a stream of pairs.

    Not thread-safe: one thread owns it (it owns the device).

    Args:
        params: all parameters.
        live: True lets refinements of the registration run in a thread of their own; False computes
            them in place. Both take effect at the same stamp of the stream.
        beside: as live, but for recordings: a refinement that is not ready at that stamp is waited
            for, so that the images are those of refinements in place.
        counters: where things that went wrong are counted.

    Raises:
        CalibrationError: the calibration file is missing or wrong.
        ParameterError: unknown fusion method or device.
        WeightsError: the weights of the registration network are missing or damaged.
    """

    def __init__(self, params: Parameters, *, live: bool = False, beside: bool = False,
                 counters: Counters | None = None) -> None:
        """Create the stages; torch is imported here."""
        from ivif_ros.fusion.engine import FusionEngine
        from ivif_ros.registration import Warper

        self.counters = counters if counters is not None else Counters()
        self._params = params
        self._stored: Calibration | None = None
        if params.registration.calibration:
            self._stored = load_calibration(params.registration.calibration)
        self._normaliser = ThermalNormaliser(params.thermal)
        self._freeze = FreezeDetector(params.thermal)
        self._health = CameraHealth(params.health)
        self._background: Executor | None = None
        if live:
            self._background = ThreadPoolExecutor(1, 'registration')
        elif beside:
            self._background = AwaitedExecutor('registration')
        self._cameras: tuple[CameraModel | None, CameraModel | None] = None, None
        self._extrinsics: Array | None = None
        self._engine: FusionEngine = FusionEngine(params.fusion)
        self._estimator = default_estimator(self._engine.device)
        self._tracker = DeformationTracker(
            params.registration, self._stored, estimator=self._estimator,
            executor=self._background, counters=self.counters)
        self._warper: Warper = Warper(self._engine.device)
        self._detector: StreamDetector | None = None
        self._rgb_size: Size | None = None
        self._fused_ns: int | None = None
        self._detection_period = DetectionPeriod()
        self._still_problem: str | None = None

    @property
    def params(self) -> Parameters:
        """The parameters in force."""
        return self._params

    @property
    def registration_problem(self) -> str:
        """What is wrong with the registration, empty where nothing is; any thread may ask."""
        return self._tracker.reason if self._still_problem is None else self._still_problem

    @property
    def detector(self) -> StreamDetector | None:
        """The detector, once `load_detector` has found weights."""
        return self._detector

    @property
    def device(self) -> str:
        """Name of the device that fuses, such as `cpu` or `cuda:0`."""
        return str(self._engine.device)

    def load_detector(self) -> StreamDetector | None:
        """Load the detector that the parameters name, for `process(detect=True)`.

        A recording is detected in here, pair by pair; the live node has a thread of its own for
        that (`nodes/detection_task.py`).

        Returns:
            The detector, or None where no weights are named.

        Raises:
            WeightsError: missing or unusable weights.
            MissingDependencyError: ultralytics, or what the tracker needs, is not installed.
            ParameterError: a class name that the model does not know.
        """
        params = self._params.detection
        detector = load_detector(params, self.device)
        if detector is not None:
            self._detector = StreamDetector(detector, load_tracker(params), params)
        return self._detector

    def warm_up(self, rgb_size: Size) -> None:
        """Run the stages once on an empty image of this size, so that the first pair is fast."""
        self._engine.warm_up(rgb_size)

    def set_parameters(self, params: Parameters) -> None:
        """Take new values of the parameters that may change at run time.

        Raises:
            ParameterError: fusion method, weights or colour map that cannot be used; nothing is
                changed then.
            MissingDependencyError: the same for a package that is not installed.
        """
        if params.fusion != self._params.fusion:
            self._engine.set_parameters(params.fusion)
        self._params = params
        self._normaliser.set_parameters(params.thermal)
        self._freeze.set_parameters(params.thermal)
        self._health.set_parameters(params.health)
        self._tracker.set_parameters(params.registration)
        if self._detector is not None:
            self._detector.set_parameters(params.detection)

    def set_extrinsics(self, thermal_from_rgb: Array) -> None:
        """Take the (4, 4) transform from the RGB to the thermal optical frame, such as from TF.

        A calibration file that has one wins.

        Raises:
            CalibrationError: not a rigid transform.
        """
        self._extrinsics = thermal_from_rgb
        self._complete_calibration()

    def recalibrate(self) -> None:
        """Forget what was estimated and start again from the calibration."""
        self._tracker.recalibrate()

    def estimated_calibration(self) -> Calibration:
        """What is known about the rig by now, to be saved.

        Raises:
            CalibrationError: nothing was estimated so far.
        """
        return self._tracker.estimated_calibration()

    def reset(self) -> None:
        """Forget the images of the stream (a recording starts again).

        What is known about the geometry of the rig stays, see `recalibrate`.
        """
        self._normaliser.reset()
        self._freeze.reset()
        self._health.reset()
        self._fused_ns = None
        self._detection_period.reset()
        if self._detector is not None:
            self._detector.reset()

    def close(self) -> None:
        """Stop background work and free device memory."""
        if self._background is not None:
            self._background.shutdown(cancel_futures=True)
        if self._detector is not None:
            self._detector.close()
            self._detector = None

    def process(self, pair: FramePair, *, detect: bool = False,
                contribution: bool = False) -> FusionResult:
        """Fuse one pair.

        Args:
            pair: frames of one or both cameras.
            detect: also run the detector (if one is loaded and its period has passed).
            contribution: also measure the share of the thermal image at each place.

        Returns:
            The fused image on the RGB grid with everything that is known about it.

        Raises:
            ImageError: a thermal image that cannot be used (such as NaN only) without an RGB image.
        """
        result = self.fuse(self.register(pair), contribution=contribution)
        return self._with_detections(result) if detect else result

    def register(self, pair: FramePair, *, warp: bool = True) -> Registered:
        """Lay the thermal image of a pair on its RGB image.

        A thermal image that cannot be used is counted as `thermal.<reason>` and left out.

        Args:
            pair: frames of one or both cameras.
            warp: False where nobody looks at the images of this pair: the registration follows
                the stream as ever, `thermal` and `weight` stay None.

        Raises:
            ImageError: a thermal image that cannot be used without an RGB image.
        """
        latency: dict[str, float] = {}
        rgb, thermal = pair.rgb, pair.thermal
        thermal_u8: Array | None = None
        freeze = None
        unusable = ''
        self._still_problem = None
        with _timed(latency, 'thermal'):
            if thermal is not None:
                try:
                    thermal_u8 = self._normaliser.apply(thermal.image, thermal.stamp_ns)
                    freeze = self._freeze.update(thermal.image, thermal.stamp_ns)
                except ImageError as error:
                    if rgb is None:
                        raise
                    self.counters.add(f'thermal.{error.reason}')
                    unusable = str(error)
            health = self._health.update(
                rgb.image if rgb is not None else None, thermal_u8, freeze)
            if unusable:
                health = replace(health, reason=unusable)
        deformation: Deformation | None = None
        with _timed(latency, 'registration'):
            self._note_cameras(rgb, thermal)
            if rgb is not None:
                self._rgb_size = rgb.size
            if thermal_u8 is not None:
                deformation = self._register(pair, thermal_u8, health.mode is Mode.FUSED)
        if not warp:
            return Registered(pair, health, deformation, None, None, latency)
        return self._warp(pair, health, thermal_u8, deformation, latency)

    def take_registered(self, pair: FramePair, deformation: Deformation | None) -> Registered:
        """Take a pair whose thermal image lies on its RGB image already.

        Args:
            pair: frames; the thermal image, where there is one, is (H, W) uint8 on the RGB grid.
            deformation: map with which it was made: says how far the thermal image reaches.
                Without it the thermal image is left out.

        Raises:
            ImageError: the thermal image does not have the size or type that the map gives it.
        """
        latency: dict[str, float] = {}
        rgb, thermal = pair.rgb, pair.thermal
        if thermal is not None and deformation is not None and (
                thermal.image.dtype != np.uint8 or thermal.size != deformation.rgb_size):
            raise ImageError(
                f'registered thermal image is {thermal.size[0]}x{thermal.size[1]} '
                f'{thermal.image.dtype}, the deformation says {deformation.rgb_size[0]}x'
                f'{deformation.rgb_size[1]} uint8; both must come from one registration node',
                'bad_shape')
        if thermal is None or deformation is None:
            with _timed(latency, 'thermal'):
                health = self._health.update(rgb.image if rgb is not None else None, None, None)
            return Registered(pair, health, None, None, None, latency)
        with _timed(latency, 'thermal'):
            freeze = self._freeze.update(thermal.image, thermal.stamp_ns)
            health = self._health.update(
                rgb.image if rgb is not None else None, thermal.image, freeze)

        with _timed(latency, 'warp'):
            uploaded = self._upload(thermal.image)
            weight = self._warper.weight(deformation)
        return Registered(pair, health, deformation, uploaded, weight, latency)

    def fuse(self, registered: Registered, *, contribution: bool = False) -> FusionResult:
        """Make the fused image of what `register` gave.

        Args:
            registered: a pair with its thermal image on the RGB grid.
            contribution: also measure the share of the thermal image at each place.
        """
        import torch

        pair, health, latency = registered.pair, registered.health, registered.latency_ms
        thermal, weight = registered.thermal, registered.weight
        colour = pair.rgb.image if pair.rgb is not None else None
        share: Array | None = None
        with torch.inference_mode():
            with _timed(latency, 'fusion'):
                if health.mode is Mode.FUSED and colour is not None and thermal is not None:
                    rgb = self._upload(colour)
                    on_device = self._engine.fuse(
                        rgb, thermal, weight, follows=self._follows(pair.stamp_ns))
                    fused = on_device.cpu().numpy()
                    if contribution:
                        share = self._engine.contribution(
                            rgb, thermal, on_device, weight).cpu().numpy()
                elif health.mode is not Mode.RGB_ONLY and thermal is not None:
                    assert weight is not None
                    fused = _thermal_picture(
                        thermal.cpu().numpy(), weight.cpu().numpy(), colour)
                    if contribution:
                        share = (weight > 0).to(torch.uint8).mul_(255).cpu().numpy()
                else:
                    assert colour is not None
                    fused = colour
                    if contribution:
                        share = np.zeros(colour.shape[:2], np.uint8)
            on_rgb = None if thermal is None else thermal.cpu().numpy()
        return FusionResult(
            pair, health.mode, health.reason, fused, on_rgb, registered.deformation, None, latency,
            share)

    def process_still(self, rgb: Frame, thermal: Frame) -> FusionResult:
        """Fuse a pair that stands alone: nothing is taken from other pairs.

        The refinement of the registration takes effect on this very pair.

        Raises:
            ImageError: an image that cannot be used, such as a thermal image of NaN only.
        """
        return self.fuse(self.register_still(rgb, thermal))

    def register_still(self, rgb: Frame, thermal: Frame) -> Registered:
        """Lay the thermal image on the RGB image of a pair that stands alone.

        Raises:
            ImageError: an image that cannot be used, such as a thermal image of NaN only.
        """
        latency: dict[str, float] = {}
        self.reset()
        self._note_cameras(rgb, thermal)
        with _timed(latency, 'thermal'):
            thermal_u8 = self._normaliser.apply(thermal.image, thermal.stamp_ns)
            health = self._health.update(rgb.image, thermal_u8, None)
        with _timed(latency, 'registration'):
            self._tracker.recalibrate()
            deformation = self._tracker.current(rgb.stamp_ns, rgb.size, thermal.size)
            self._still_problem = health.reason
            if self._params.registration.mode != 'refine':
                self._still_problem = f"registration.mode is '{self._params.registration.mode}'"
            elif health.mode is Mode.FUSED:
                estimate = self._estimator(rgb.image, thermal_u8, deformation).of_confidence(
                    self._params.registration.min_confidence)
                self._still_problem = estimate.reason
                if estimate.accepted:
                    deformation = estimate.deformation
        pair = FramePair(rgb, thermal, thermal.stamp_ns - rgb.stamp_ns)
        return self._warp(pair, health, thermal_u8, deformation, latency)

    def _note_cameras(self, rgb: Frame | None, thermal: Frame | None) -> None:
        """Take new intrinsics; the objects stay the same while camera_info does not change."""
        if not self._params.registration.use_camera_info:
            return
        known = self._cameras
        cameras = ((rgb.camera if rgb is not None else None) or known[0],
                   (thermal.camera if thermal is not None else None) or known[1])
        if cameras[0] is not known[0] or cameras[1] is not known[1]:
            self._cameras = cameras
            self._complete_calibration()

    def _complete_calibration(self) -> None:
        rgb, thermal = self._cameras
        if self._stored is not None:
            self._tracker.set_calibration(
                self._stored.completed(rgb, thermal, self._extrinsics))
        elif rgb is not None and thermal is not None:
            self._tracker.set_calibration(Calibration(rgb, thermal, self._extrinsics))

    def _register(self, pair: FramePair, thermal_u8: Array, both_good: bool) -> Deformation:
        thermal_size = thermal_u8.shape[1], thermal_u8.shape[0]
        if pair.rgb is not None and both_good and not pair.held:
            return self._tracker.update(pair.stamp_ns, pair.rgb.image, thermal_u8)
        return self._tracker.current(pair.stamp_ns, self._rgb_size or thermal_size, thermal_size)

    def _warp(self, pair: FramePair, health: HealthState, thermal_u8: Array | None,
              deformation: Deformation | None, latency: dict[str, float]) -> Registered:
        """Lay the thermal image on the RGB grid."""
        import torch

        registered = weight = None
        with torch.inference_mode(), _timed(latency, 'warp'):
            if thermal_u8 is not None and deformation is not None:
                registered, weight = self._warper.warp(self._upload(thermal_u8), deformation)
        return Registered(pair, health, deformation, registered, weight, latency)

    def _upload(self, image: Array) -> torch.Tensor:
        """Put an image on the device; on the CPU its memory is shared."""
        import torch

        # PyTorch has no read-only tensors and warns of such arrays (frames of recordings are).
        shareable = np.require(image, requirements=['C', 'W'])
        return torch.from_numpy(shareable).to(self._engine.device)

    def _follows(self, stamp_ns: int) -> bool:
        """Say whether a pair continues the picture of the last fused one; it is the next last."""
        last, self._fused_ns = self._fused_ns, stamp_ns
        return last is not None and 0 < stamp_ns - last < FOLLOWS_NS

    def _with_detections(self, result: FusionResult) -> FusionResult:
        if self._detector is None or not self._detection_period.due(
                result.pair.stamp_ns, self._params.detection.period_ms):
            return result
        with _timed(result.latency_ms, 'detection'):
            detections = self._detector.detect(result.fused, result.pair.stamp_ns)
        return replace(result, detections=detections)


def _thermal_picture(registered: Array, weight: Array, rgb: Array | None) -> Array:
    """Grey picture of the thermal image; where it does not reach, the RGB image if there is one."""
    picture = cv2.cvtColor(registered, cv2.COLOR_GRAY2BGR)
    if rgb is not None:
        outside = weight <= 0
        picture[outside] = rgb[outside]
    return picture


@contextmanager
def _timed(latency: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        latency[stage] = (time.perf_counter() - start) * 1e3
